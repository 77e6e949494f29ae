"""Settings of the service, each settable by an environment variable. Nothing here changes a prediction."""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from serving.errors import ConfigError

PREFIX = "STANCE_"
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """Limits of a request and size of the service; ``STANCE_<NAME IN CAPITALS>`` overrides a value."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    texts: Count = 256
    text_characters: Count = 20_000
    article_characters: Count = 1_000_000
    article_sentences: Count = 10_000
    body_bytes: Count = 2 * 1024 * 1024
    concurrent_requests: Count = 512
    queue_seconds: Count = 10
    timeout_seconds: Count = 60
    workers: Count = 1
    access_log: bool = True
    log_format: Literal["text", "json"] = "text"
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    api_keys_file: Path | None = None
    corrections_url: SecretStr | None = None
    monitor: bool = False
    monitor_key: SecretStr | None = None
    monitor_folder: Path | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any) -> Any:
        """Refuse numbers that are written in other ways than with the digits 0 to 9."""
        if isinstance(value, str) and not value.isascii() and value.isdigit():
            raise ValueError("expected a whole number in the digits 0 to 9")
        return value

    @field_validator("cors_origins", "api_keys", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Divide at commas and white space."""
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("corrections_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what is no database that corrections can be stored in; ``postgres://`` is ``postgresql+psycopg://``."""
        return SecretStr(_database_url(value.get_secret_value())) if value else None

    @property
    def keys(self) -> tuple[str, ...]:
        """The API keys of the environment and of the file, which holds one a line; none: no key is asked for.

        Raises:
            ConfigError: the file cannot be read or holds no key.
        """
        return (*(key.get_secret_value() for key in self.api_keys), *_keys_of(self.api_keys_file))


def _keys_of(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        keys = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{PREFIX}API_KEYS_FILE: {path}: cannot be read ({type(error).__name__}).") from None
    if not keys:
        raise ConfigError(f"{PREFIX}API_KEYS_FILE: {path}: expected one API key a line, found none.")
    return keys


def _database_url(value: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    names = {"sqlite": "sqlite", "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE") from None
    name = names.get(url.drivername, url.drivername)
    if name not in names.values() or not url.database:
        raise ValueError("sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
    if name != "sqlite" and find_spec("psycopg") is None:
        raise ValueError("the package psycopg for PostgreSQL: pip install '.[postgres]'")
    return url.set(drivername=name).render_as_string(hide_password=False)


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises:
        ConfigError: a variable has a wrong value; names the variable and what was expected.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        variable = f"{PREFIX}{'_'.join(map(str, fault['loc'][:1])).upper()}"
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        secret = variable.endswith(("KEY", "KEYS", "URL"))
        found = "" if secret else f", found {os.environ.get(variable, '')!r}"
        raise ConfigError(f"{variable}: expected {message.removeprefix('expected ')}{found}.") from None


def processors() -> int:
    """Return how many processors this process may use: its affinity, and its control group's quota where there is one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no such group, or "max": no quota
        return allowed
