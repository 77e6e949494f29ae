"""How the service logs: lines for people, or one JSON object a line. No line ever holds a text."""

import logging

from serving.settings import settings

FIELDS = ["asctime", "levelname", "name", "message"]


def configure() -> None:
    """Give BentoML's log handlers the form that the settings ask for."""
    if settings().log_format != "json":
        return
    from pythonjsonlogger.json import JsonFormatter

    formatter = JsonFormatter(FIELDS, rename_fields={"asctime": "time", "levelname": "level", "name": "logger"}, timestamp=False)
    for name in ("bentoml", "uvicorn.error", "circus", ""):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(formatter)
