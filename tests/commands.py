"""The real `stance` command in processes of its own that have its modules already, each forked from one that is ready.

They start in a fraction of the time, and can be killed: from outside, or by themselves right before the n-th change that they make to
files of given names.
"""

import importlib
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

CHANGES = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "shutil.rmtree")


class Commands:
    """One process that forks, with these modules imported before, in this environment."""

    def __init__(self, folder, *, modules=("serving.score",), env=None):
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands", str(folder), *modules],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def start(self, *arguments, die_before=None, die_in=r"\.partial", file_bytes=None, env=None, cwd=ROOT):
        """Start `stance ARGUMENTS`, with files of at most ``file_bytes``; return its process id."""
        death = None if die_before is None else [die_before, die_in]
        told = [[str(each) for each in arguments], death, file_bytes, env or {}, str(cwd)]
        self.process.stdin.write(json.dumps(told).encode() + b"\n")
        return int(self.process.stdout.readline())

    def wait(self):
        """Return the exit status of what was started, negative for a signal, and its stderr."""
        return int(self.process.stdout.readline()), self.stderr.read_text(encoding="utf-8")

    def ended(self, seconds):
        """Wait so long for the end of what was started; say whether it has come."""
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def run(self, *arguments, **how):
        self.start(*arguments, **how)
        return self.wait()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def main():
    import openvino  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import rich.progress  # noqa: F401

    import stance

    for name in sys.argv[2:]:
        importlib.import_module(name)
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)  # not before: until then nothing else has its id, and it may be killed
        arguments, dying, file_bytes, env, cwd = json.loads(line)
        child = os.fork()
        if child == 0:
            if file_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
            os.environ.update(env)
            os.chdir(cwd)
            run(arguments, dying, stance.main)
        tell(child)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        tell(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)


def tell(number):
    os.write(1, b"%d\n" % number)


def run(arguments, dying, command):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(sys.argv[1]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if dying is not None:
        sys.addaudithook(death(*dying))
    sys.argv = ["stance", *arguments]
    status = 0
    try:
        command()
    except SystemExit as ended:
        status = ended.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def death(count, names):
    """Return an audit hook that kills the process before its ``count``-th change to a path that ``names`` finds, from 0."""
    left = count

    def hook(event, arguments):
        nonlocal left
        if event in CHANGES and not (event == "open" and reads(arguments[2])) and re.search(names, str(arguments[0])):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    return hook


def reads(flags):
    return isinstance(flags, int) and not flags & (os.O_WRONLY | os.O_RDWR)


if __name__ == "__main__":
    main()
