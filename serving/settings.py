"""Settings of the service, each settable by an environment variable. Nothing here changes a prediction."""

import os
from dataclasses import dataclass, fields
from functools import cache

from serving.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of a request and size of the service; ``STANCE_<NAME IN CAPITALS>`` overrides a value."""

    texts: int = 256
    text_characters: int = 20_000
    body_bytes: int = 2 * 1024 * 1024
    concurrent_requests: int = 128
    timeout_seconds: int = 60
    workers: int = 1


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises:
        ConfigError: a variable is not a positive whole number.
    """
    return Settings(**{field.name: _from_environment(field.name, field.default) for field in fields(Settings)})


def _from_environment(name: str, default: object) -> int:
    variable = f"STANCE_{name.upper()}"
    value = os.environ.get(variable, str(default))
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise ConfigError(f"{variable}: expected a positive whole number, found {value!r}.")
    return int(value)
