"""A real server on a free port of 127.0.0.1, ended when the test is done."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import httpx

from tests.conftest import ROOT

START_LIMIT_S = 90
SECRET = "a sentence that must never stand in a log"
SERVE = [sys.executable, str(ROOT / "stance.py"), "serve", "--port", "{port}"]


@contextlib.contextmanager
def running(command, *, log, cwd, env=None):
    """Start a server command (``{port}`` stands for the port), wait until it is ready, yield a client; then end its group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    filled = [part.format(port=port) for part in command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            filled, cwd=cwd, env={**os.environ, **(env or {})}, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                _wait(client, process, log)
                client.process = process
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"the server did not end in 20 s:\n{log.read_text()[-2000:]}") from None


def _wait(client, process, log):
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}:\n{log.read_text()}")
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the server was not ready after {START_LIMIT_S} s:\n{log.read_text()}")
