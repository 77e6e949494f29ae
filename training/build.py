"""One training run from rows to a stored artifact. The verbs are elsewhere; this is the order they come in."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

from serving import registry
from serving.durable import replace_file
from serving.errors import ConfigError
from training.assembly import Assembly, say
from training.base import BaseModel, find_base, load_tokenizer
from training.fit import fit
from training.rows import digest, require_labels
from training.run import Built, Judge, Run
from training.split import Split, split_rows

_NAMED = "model"
_ENDED = ".ended"


def build(
    run: Run, *, split: Split | None = None, judge: Judge | None = None, conclude: Callable[[Built], object] = lambda built: None
) -> Built | None:
    """Train, export, calibrate, evaluate, judge and save; None in the helper processes of a distributed run.

    A run that was killed goes on where it was when it is started again with the same rows and configuration: from its last
    checkpoint, or with the model that it had stored. ``conclude`` is what has to be done with the model before the run counts as
    ended, such as promoting it: a run that was killed in it does it again.

    Raises:
        StanceError: something a person can mend.
    """
    _require(run.track)
    base = find_base(run.config.model.base_model)
    tokenizer, backend = load_tokenizer(base, max_length=run.config.model.max_length)
    split = split or split_rows(run.rows, run.config.split, guards=run.guards)
    require_labels(split.train, labels=run.task.label_names)
    folder = registry.home() / "stance-runs" / _fingerprint(run, base)[:16]
    say(f"{len(split.train)} rows to train on, {len(split.validation)} to validate, {len(split.test)} to test")
    if folder.is_dir():
        say(f"going on with the run in {folder}")
    main = int(os.environ.get("RANK", "0")) == 0
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1  # several processes fit together or not at all
    built = _stored_before(folder, judged=judge is not None) if alone else None
    if built is None:
        labels, checkpoints = run.task.label_names, folder / "checkpoints"
        fitted = fit(split, base=base, tokenizer=tokenizer, labels=labels, config=run.config, folder=checkpoints, track=run.track)
        if not main:
            return None
        with _staging(folder) as staging:
            assembly = Assembly(run, base, split, tokenizer, fitted, staging)
            built = assembly.finish(backend, judge=judge, announce=lambda tag: _announce(folder, tag))
    conclude(built)
    _end(folder)
    return built


def _require(track: str | None) -> None:
    """Check that what a run is tracked with is there.

    Raises:
        ConfigError: it is not installed.
    """
    if track and find_spec(track) is None:
        raise ConfigError(f"--track {track} needs the package {track!r}, which is not installed: pip install {track}.")


def _stored_before(folder: Path, *, judged: bool) -> Built | None:
    """Return the model that the run stored before it was killed; what of one it had half-stored is removed.

    One that was judged against another champion than the present one is not taken: it is to be judged again.
    """
    shutil.rmtree(folder.with_suffix(_ENDED), ignore_errors=True)
    if not (folder / _NAMED).is_file():
        return None
    tag = (folder / _NAMED).read_text(encoding="utf-8").strip()
    registry.clear_incomplete(tag)
    found = [Built.of(model) for model in registry.list_models() if model.tag == tag]
    against = found[0].judgement.champion if found and found[0].judgement else None
    if found and (not judged or registry.champion() in (against, tag)):
        return found[0]
    (folder / _NAMED).unlink()
    return None


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for the artifact; other temporary files stand beside it meanwhile: a kill leaves none elsewhere.

    What a kill leaves here goes when the run goes on.
    """
    place, own = folder / "staging", tempfile.tempdir
    shutil.rmtree(place, ignore_errors=True)
    (place / "artifact").mkdir(parents=True)
    tempfile.tempdir = str(place)
    try:
        yield place / "artifact"
    finally:
        tempfile.tempdir = own
        shutil.rmtree(place, ignore_errors=True)


def _announce(folder: Path, tag: str) -> None:
    replace_file(folder / _NAMED, f"{tag}\n")


def _end(folder: Path) -> None:
    """Remove the run's folder, so that a kill in between does not leave half of it for a run to go on from."""
    ended = folder.with_suffix(_ENDED)
    shutil.rmtree(ended, ignore_errors=True)
    folder.rename(ended)
    shutil.rmtree(ended, ignore_errors=True)


def _fingerprint(run: Run, base: BaseModel) -> str:
    """Return a digest of everything that decides the weights, so that only the same run is resumed."""
    column = run.config.distillation.column
    parts = [
        run.task.model_dump_json(),
        *(json.dumps([row.text, row.label, row.extra.get(column)], default=str) for row in run.rows),  # their order counts too
        digest(run.guards),
        run.config.model_dump_json(),
        base.sha256,
        version_of("torch"),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
