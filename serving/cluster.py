"""A connection to a Ray cluster, or to a Ray of this machine that is there for as long as it is needed."""

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serving.errors import ClusterError, ConfigError, Stopped
from serving.settings import processors as processors_here

_STORE_BYTES = 256_000_000
"""For chunks on their way on a Ray of this machine, beside the model twice; what is more goes to disk."""

_ANSWERS_WITHIN_SECONDS = 10.0

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is reported to anyone, and an advice of Ray stays out of the command's output."""


@contextmanager
def connected(*, processors: int | None, model_bytes: int) -> Iterator[str | None]:
    """Connect this process to the cluster of ``$RAY_ADDRESS``; without it, start a Ray here and end it afterwards.

    Yields a folder for the files of a Ray of this machine, which is removed with it; None for another.

    ``processors`` is what a Ray of this machine offers, by default all that this process may use. It opens no dashboard, asks
    every other process for a secret, and leaves no file. A connection that there is already is used and kept.

    Raises:
        ConfigError: Ray is not installed, or something else imported it without starting it, when it can be given no secret.
        ClusterError: there is no cluster at that address, or Ray does not start.
    """
    address = os.environ.get("RAY_ADDRESS")
    ray = _imported(secret=not address)
    if ray.is_initialized():
        yield None
        return
    folder = None if address else tempfile.mkdtemp(prefix="stance-ray-", dir="/tmp")  # its sockets need a short path
    try:
        with _own_signals():
            if folder is None:
                _join(ray, address=str(address))
            else:
                _start(ray, folder=folder, processors=processors or processors_here(), store_bytes=_STORE_BYTES + 2 * model_bytes)
        yield folder
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def processors_of() -> int:
    """Return how many processors the cluster has now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def _imported(*, secret: bool) -> Any:
    """Import Ray, which reads its settings from the environment as it is imported."""
    imported = sys.modules.get("ray")
    if imported is None:
        os.environ.update(_QUIET)
        if secret:  # it listens on every address of this machine: without the secret no other process runs code through it
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
            os.environ.setdefault("RAY_worker_niceness", "0")  # actors do all the work here: no other process of it goes before
    elif secret and not imported.is_initialized() and "RAY_AUTH_TOKEN" not in os.environ:
        raise ConfigError("--engine ray: Ray is imported already; call ray.init() first, or set RAY_ADDRESS.")
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError("--engine ray: expected Ray, found none installed: `pip install '.[ray]'`.") from None
    return ray


def _join(ray: Any, *, address: str) -> None:
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    try:
        if colon:  # Ray itself tries for a quarter of an hour and more
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"RAY_ADDRESS: expected a Ray cluster at {address}, found none ({_first_line(error)}).") from None


def _start(ray: Any, *, folder: str, processors: int, store_bytes: int) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=processors,
            object_store_memory=store_bytes,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"Ray does not start on this machine ({_first_line(error)}).") from None


@contextmanager
def stops_unwrapped() -> Iterator[None]:
    """Raise a stop that a signal raised while Ray waited as what it is: Ray hands it on as the cause of a ``SystemError``."""
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, Stopped):
            raise error.__cause__ from None
        raise


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals, in whose place Ray puts its own."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
