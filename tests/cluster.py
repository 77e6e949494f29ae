"""A Ray cluster of two nodes of one processor each, in a process of its own, and the killing of parts of it."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Cluster:
    """Two nodes that ask for a secret; ``environment`` is what a process needs that uses them."""

    def __init__(self):
        secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
        own = {"RAY_worker_niceness": "0"}  # else its actors wait for whatever else a busy machine does
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster"],
            cwd=ROOT,
            env={**os.environ, **secret, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.environment = {**secret, "RAY_ADDRESS": self.answer()}

    def answer(self):
        """Return what the other process says, without what Ray says through it."""
        for line in self.process.stdout:
            if line.startswith("cluster: "):
                return line.removeprefix("cluster: ").strip()
        self.close()
        raise RuntimeError("the cluster does not start")

    def kill_a_node(self):
        """Kill every process of the second node at once."""
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self.answer() == "killed"

    def kill_an_actor(self):
        """Kill a process that holds a model."""
        import psutil

        mine = psutil.Process(self.process.pid).children(recursive=True)
        actors = [process for process in mine if "".join(process.cmdline()).startswith("ray::_Scorer")]
        os.kill(actors[0].pid, signal.SIGKILL)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def main():
    folder = tempfile.mkdtemp(prefix="stance-nodes-", dir="/tmp")  # sockets need a short path
    os.environ["RAY_TMPDIR"] = folder
    Path(folder, "ray").mkdir()
    from ray import cluster_utils

    node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=node)
    second = cluster.add_node(**node)
    tell(cluster.address)
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        tell("killed")
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def tell(answer):
    sys.stdout.write(f"cluster: {answer}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
