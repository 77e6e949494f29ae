"""A model store of a test's own, with the `stance` command in it, and runs there that are halted and killed."""

import json
import os
import random
import signal
from pathlib import Path

from serving.artifact import open_artifact, read_manifest
from serving.predictor import Predictor


class Store:
    def __init__(self, home, commands, *, base, folder):
        self.home, self.commands, self.folder = home, commands, folder
        self.env = {"BENTOML_HOME": str(home)}
        self.seconds = 0.0
        """Processor time that the first training took."""
        self.options = ("--task", folder / "task.toml", "--base-model", base)

    def arguments(self, command, *arguments):
        return (*command.split(), *arguments, *(self.options if command in ("train", "retrain") else ()))

    def start(self, command, *arguments, **how):
        """Start `stance COMMAND`; return its process id."""
        return self.commands.start(*self.arguments(command, *arguments), env=self.env, **how)

    def run(self, command, *arguments):
        """Run `stance COMMAND`; return its exit status, stdout and stderr."""
        self.start(command, *arguments)
        status, stderr = self.commands.wait()
        return status, self.commands.stdout.read_text(encoding="utf-8"), stderr

    def models(self):
        return sorted(path.name for path in (self.home / "models" / "stance").iterdir() if (path / "manifest.json").is_file())

    def champion(self):
        return json.loads((self.home / "stance-champion.json").read_text(encoding="utf-8"))["champion"]

    def path(self, tag):
        return self.home / "models" / "stance" / tag.partition(":")[2]

    def manifest(self, tag):
        return read_manifest(self.path(tag))

    def runs(self):
        return [json.loads(line) for line in (self.home / "runs.jsonl").read_text(encoding="utf-8").splitlines()]

    def require_whole(self):
        """Every complete artifact is whole, and the champion is one of them."""
        for version in self.models():
            open_artifact(self.home / "models" / "stance" / version)
        assert self.champion().partition(":")[2] in self.models()


def cpu_seconds(pid):
    """User and system time of a process; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Interrupted:
    """Runs that are halted at random moments, to look at what a kill would leave then, and killed."""

    def __init__(self, store):
        self.store, self.random = store, random.Random(6)
        self.kills = self.halts = 0
        self.used = 0.0

    def run(self, *arguments, death=float("inf"), **how):
        """Run `stance ARGUMENTS` until it has used ``death`` seconds of processor time; return whether it was killed."""
        pid = self.store.start(*arguments, **how)
        halt, self.used = self.random.uniform(0, 0.2), 0.0
        while not self.store.commands.ended(0.005):
            self.used = cpu_seconds(pid) or self.used
            if self.used >= death:
                os.kill(pid, signal.SIGKILL)
            elif self.used >= halt:
                os.kill(pid, signal.SIGSTOP)
                self.store.require_whole()
                os.kill(pid, signal.SIGCONT)
                self.halts += 1
                halt = self.used + self.random.uniform(0.05, 0.4)
        status, stderr = self.store.commands.wait()
        assert status in (0, -signal.SIGKILL), stderr
        self.store.require_whole()
        Predictor.from_directory(self.store.path(self.store.champion()))
        self.kills += status != 0
        return status != 0
