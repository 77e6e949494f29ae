"""Measurements that can be run again; the README's figures come from their result files."""
