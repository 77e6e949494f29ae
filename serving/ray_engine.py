"""The engine of many machines: the model in actors of a Ray cluster, input and output with the machine that runs the command.

Chunks travel to the actors, and finished bytes back, through Ray's object store, as does the model, once to each machine: nothing
but this program has to be on the others, and no file system is shared. The command commits what comes back in order, exactly as
the local engine's, so that either goes on from what the other left.

Ray Data is not used: what it checkpoints are ids, of a column that the input must have, in a file system that all machines share;
it binds them to no input, settings or model, does not keep the order across a resumption, and its readers change cells.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from serving import registry
from serving.artifact import MANIFEST, WEIGHTS, Manifest, open_artifact
from serving.chunks import Chunk
from serving.cluster import connected, processors_of, stops_unwrapped
from serving.engine import Piece, Scored, Task, score_chunk
from serving.errors import ClusterError
from serving.predictor import Predictor
from serving.registry import StoredModel

_PREFIX = "stance-actor-"
_LEFT_AFTER_SECONDS = 3600.0
"""An actor has read its model's files long before."""


class RayEngine:
    """A pool of actors that each hold the model."""

    def __init__(
        self, model: StoredModel, *, actors: int, processors: int, warn: Callable[[str], None], folder: str | None = None
    ) -> None:
        """Use :func:`ray_engine`."""
        import ray

        from serving.pool import Pool  # imports Ray

        self.tag = model.tag
        self.manifest = open_artifact(model.path)
        files = ray.put(packed(model.path, manifest=self.manifest))
        scorer: Any = ray.remote(num_cpus=processors, max_restarts=0, scheduling_strategy="SPREAD")(_Scorer)

        def start() -> tuple[Any, Any]:
            handle = scorer.remote()
            return handle, handle.load.remote(files, tag=self.tag, threads=processors, within=folder)

        self.pool = Pool(start, size=actors, warn=warn)

    def scored(self, pieces: Iterator[Piece]) -> Iterator[tuple[Task, Scored | None]]:
        """Yield what becomes of each piece, in order; some chunks an actor are read ahead.

        Raises:
            ClusterError: the cluster cannot do it.
        """
        from ray.exceptions import RayError

        tasks: list[Task] = []
        try:
            with stops_unwrapped():
                for scored in self.pool.ordered(_sent(pieces, tasks)):
                    if scored is None:
                        task = tasks.pop(0)
                    yield task, scored
        except RayError as error:
            raise ClusterError(f"the cluster failed: {str(error).splitlines()[0]}") from None


class _Scorer:
    """One actor: the model on some machine."""

    def load(self, files: dict[str, bytes], *, tag: str, threads: int, within: str | None) -> None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizer, which else takes every processor
        _remove_left()
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=within) as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            self._predictor = Predictor.from_directory(Path(folder), tag=tag, threads=threads)

    def score(self, task: Task, chunk: Chunk) -> Scored:
        return score_chunk(chunk, task=task, predictor=self._predictor)


def _remove_left() -> None:
    """Remove the model's files of actors that were killed as they read them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFT_AFTER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ray_engine(
    tag: str | None = None, *, actors: int | None = None, processors: int = 1, warn: Callable[[str], None] = lambda message: None
) -> Iterator[RayEngine]:
    """Yield an engine on the cluster of ``$RAY_ADDRESS``, or on a Ray of this machine that ends with it.

    ``processors`` is what an actor asks for, and its threads; ``actors`` by default as many as the cluster has room for now.

    Raises:
        ConfigError: Ray is not installed.
        RegistryError: no such model, or no champion yet.
        ArtifactError: the model is damaged.
        ClusterError: there is no cluster at that address, or an actor cannot start there.
    """
    model = registry.resolve(tag)
    size = sum(path.stat().st_size for path in model.path.iterdir() if path.name != WEIGHTS)
    with stops_unwrapped(), connected(processors=actors * processors if actors else None, model_bytes=size) as folder:
        count = actors or processors_of() // processors
        if not count:
            raise ClusterError(f"expected a cluster with {processors} processors for an actor, found {processors_of()}.")
        engine = RayEngine(model, actors=count, processors=processors, warn=warn, folder=folder)
        try:
            engine.pool.wait()
            yield engine
        finally:
            engine.pool.close()


def packed(directory: Path, *, manifest: Manifest) -> dict[str, bytes]:
    """Return the files of an artifact by name, without the weights that only fine-tuning and a GPU read."""
    kept = {name: record for name, record in manifest.files.items() if name != WEIGHTS}
    content = {name: (directory / name).read_bytes() for name in kept}
    return {**content, MANIFEST: manifest.model_copy(update={"files": kept}).model_dump_json().encode()}


def _sent(pieces: Iterator[Piece], tasks: list[Task]) -> Iterator[tuple[Any, ...] | None]:
    """Put each piece where actors find it, each task once, and note the tasks."""
    import ray

    reference: Any = None
    for task, chunk in pieces:
        if chunk is None:
            tasks.append(task)
            reference = ray.put(task)
            yield None
        else:
            yield reference, ray.put(chunk)
