"""Programs that use the service, to copy from: ``python -m examples.NAME``."""
