"""One training run from rows to a stored artifact. The verbs are elsewhere; this is the order they come in."""

import hashlib
import json
import os
import shutil
import tempfile
from importlib.metadata import version as version_of
from pathlib import Path

from serving import registry
from training.assembly import Assembly, Built, Run, say
from training.base import BaseModel, find_base, load_tokenizer
from training.fit import fit
from training.rows import digest, require_labels
from training.split import split_rows


def build(run: Run) -> Built | None:
    """Train, export, calibrate, evaluate and save; None in the helper processes of a distributed run.

    A run that was killed goes on from its last checkpoint when it is started again with the same rows and configuration.

    Raises:
        StanceError: something a person can mend.
    """
    base = find_base(run.config.model.base_model)
    tokenizer, backend = load_tokenizer(base, max_length=run.config.model.max_length)
    split = split_rows(run.rows, run.config.split, guards=run.guards)
    require_labels(split.train, labels=run.task.label_names)
    folder = registry.home() / "stance-runs" / _fingerprint(run, base)[:16]
    say(f"{len(split.train)} rows to train on, {len(split.validation)} to validate, {len(split.test)} to test")
    if (folder / "checkpoints").is_dir():
        say(f"going on with the run in {folder}")
    labels = run.task.label_names
    fitted = fit(split, base=base, tokenizer=tokenizer, labels=labels, config=run.config, folder=folder / "checkpoints")
    if int(os.environ.get("RANK", "0")) != 0:
        return None
    with tempfile.TemporaryDirectory(prefix="stance-artifact-") as staging:
        built = Assembly(run, base, split, tokenizer, fitted, Path(staging)).finish(backend)
    shutil.rmtree(folder, ignore_errors=True)
    return built


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
