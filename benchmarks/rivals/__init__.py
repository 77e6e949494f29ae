"""Other ways to serve the same network: a server NAME.py, and in NAME.txt what its own virtual environment holds."""
