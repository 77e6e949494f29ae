"""A real PostgreSQL server on a free port of 127.0.0.1, in a temporary folder, from binaries that are installed here."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def programs():
    """Return the folder of PostgreSQL's programs, or skip the test."""
    found = shutil.which("initdb")
    installed = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not installed:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return installed[-1]


class Postgres:
    """The server of one data folder; ``url`` is that of its one database."""

    def __init__(self, folder, port):
        self.folder, self.port, self.programs = folder, port, programs()
        self.url = f"postgresql+psycopg://stance@127.0.0.1:{port}/postgres"
        self.user = AS_NOBODY if os.geteuid() == 0 else []  # the server refuses to be root's

    def prepare(self):
        if self.user:
            os.chown(self.folder, NOBODY, NOBODY)
        options = ["--auth=trust", "--username=stance", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "--pgdata", self.folder / "data", *options)

    def _run(self, program, *arguments):
        command = [*self.user, self.programs / program, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        import psycopg

        where = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}", "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.user, self.programs / "postgres", "-D", self.folder / "data", *where],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        for _ in range(300):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url.replace("+psycopg", "")).close()
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, mode):
        """Stop it: "fast", or "immediate" as if the machine had lost its power, but for what the kernel has."""
        self._run("pg_ctl", "stop", "--pgdata", self.folder / "data", "--mode", mode)
        self.process.wait(20)


@contextlib.contextmanager
def postgres():
    folder = Path(tempfile.mkdtemp(prefix="stance-postgres-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        server = Postgres(folder, port)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)
