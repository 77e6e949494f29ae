"""Retraining: new rows merged with those behind the champion, a challenger refitted from the base on all of them, and a verdict.

The champion serves all the while. Whatever moment the process is killed at, the store and the champion pointer are whole, and the
same command goes on where it was: from the last checkpoint, or with the challenger that it had stored already.

Every challenger starts from the base model and sees every row, old and new, so that nothing is forgotten. The verdict is made
with the artifact as it will be served and stands inside it: an artifact is immutable, so it is judged before it is sealed.
"""

import fcntl
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving import registry, runs
from serving.artifact import Manifest, read_manifest
from serving.errors import DataError, RegistryError
from serving.predictor import Predictor
from serving.registry import StoredModel
from training.build import build
from training.compare import Exam, compare
from training.config import Config, read_config
from training.lineage import rows_behind
from training.rows import LabelledRow, Unique
from training.run import Built, Run, Tracker, record_run
from training.sets import Reserved
from training.split import Split, split_rows
from training.task import Task
from training.verdict import Judgement

LOCK = "stance-retrain.lock"


@dataclass(frozen=True, slots=True)
class Merged:
    """All rows of the challenger: ``known`` new ones stand there already, ``relabelled`` ones stood there with another label."""

    rows: list[LabelledRow]
    guards: list[LabelledRow]
    added: list[LabelledRow]
    known: list[LabelledRow]
    relabelled: list[LabelledRow]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a retraining will do, before anything is trained."""

    champion: StoredModel
    run: Run
    split: Split
    exam: Exam
    merged: Merged
    steps: int
    estimate: str

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know beforehand, a line each."""
        merged, fit = self.merged, self.run.config.fit
        new = f"{len(merged.added)} new, {len(merged.relabelled)} with a new label, {len(merged.known)} known already"
        yield f"champion: {self.champion.tag}"
        yield f"rows: {len(merged.rows)} ({new})"
        yield f"split: {len(self.split.train)} train, {len(self.split.validation)} validation, {len(self.split.test)} test"
        sets = ", ".join(f"{len(rows)} in {name}" for name, rows in self.exam.sets.items())
        yield f"judged by: {sets}, {len(self.exam.cases)} behavioural cases; neither model has trained on them"
        yield f"training: at most {self.steps} steps of {fit.batch_size} from {self.run.config.model.base_model}, seed {fit.seed}"
        yield f"time: {self.estimate}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The challenger, the verdict on it, and whether it is the champion now."""

    built: Built
    judgement: Judgement
    promoted: bool


@contextmanager
def only_one() -> Iterator[None]:
    """Hold the only right to retrain in this store. The operating system ends it with the process, however that ends.

    Raises:
        RegistryError: another process holds it.
    """
    path = registry.home() / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RegistryError(
                f"{path}: another retraining is under way in this store, process {holder}; wait for it."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def merge(before: Unique, new: Sequence[LabelledRow]) -> Merged:
    """Put new rows, one a text, to those that a champion was made of. Where a text has another label now, the new one counts.

    So what a person has corrected is corrected, and a text that was left out for its two labels is settled.
    """
    labels = {row.text.strip(): row.label for row in new}
    kept = [row for row in before.rows if labels.get(row.text.strip(), row.label) == row.label]
    there, old = ({row.text.strip() for row in rows} for rows in (kept, before.rows))
    taken = [row for row in new if row.text.strip() not in there]
    return Merged(
        rows=[*kept, *taken],
        guards=[row for row in before.contradictions if row.text.strip() not in labels],
        added=[row for row in taken if row.text.strip() not in old],
        known=[row for row in new if row.text.strip() in there],
        relabelled=[row for row in taken if row.text.strip() in old],
    )


def champion_of(task: Task) -> tuple[StoredModel, Manifest]:
    """Return the champion, loaded once to see that it can be compared with.

    Raises:
        RegistryError: there is none.
        ArtifactError: it is damaged.
        DataError: it is of another task or has other labels.
    """
    champion = Predictor.load()
    manifest = champion.manifest
    if manifest.task != task.name or set(manifest.label_names) != set(task.label_names):
        raise DataError(
            f"expected a champion of the task {task.name!r} with the labels {', '.join(task.label_names)}, found {champion.tag}"
            f" of {manifest.task!r} with {', '.join(manifest.label_names)}: name its task file with --task."
        )
    return registry.resolve(champion.tag), manifest


def recipe(champion: Manifest, path: Path | None, *, seed: int | None, base_model: str | None) -> Config:
    """Return the champion's configuration with the given values over it, so that the rows are what differs.

    Raises:
        ConfigError: a value is wrong, or of another version of the program.
    """
    return read_config(path, values=champion.config, seed=seed, base_model=base_model)


def plan(new: Sequence[LabelledRow], *, champion: StoredModel, task: Task, config: Config, track: Tracker | None = None) -> Plan:
    """Return what retraining on the new rows would do.

    Raises:
        DataError: too few rows to train on or to judge by.
        ArtifactError: the rows that the champion holds are damaged.
    """
    before, reserved = rows_behind(champion.path, task)
    merged = merge(before, new)
    split = split_rows(merged.rows, config.split, guards=merged.guards)
    manifest = read_manifest(champion.path)
    exam = examine(split, reserved, added=merged.added, comparable=same_split(manifest, config))
    exam.require_enough()
    run = Run(
        task=task,
        rows=merged.rows,
        config=config,
        calibration=reserved.calibration,
        frozen_test=reserved.frozen_test,
        behaviour=reserved.behaviour,
        guards=merged.guards,
        added=[*merged.added, *merged.relabelled],
        track=track,
    )
    steps = config.fit.steps_for(len(split.train))
    return Plan(champion, run, split, exam, merged, steps, estimate_for(steps, manifest, config))


def same_split(manifest: Manifest, config: Config) -> bool:
    """Say whether a model's rows were divided as these will be; otherwise no row of them is fair to both."""
    return bool(manifest.config.get("split") == config.split.model_dump(mode="json"))


def examine(split: Split, reserved: Reserved, *, added: Sequence[LabelledRow] = (), comparable: bool = True) -> Exam:
    """Return what two models are judged by: see :mod:`training.compare`."""
    fair = split.always_test if comparable else []
    new = {row.text for row in added}
    return Exam(
        sets={"frozen test": reserved.frozen_test, "test": fair},
        cases=reserved.behaviour,
        slices={"new rows in test": [row for row in fair if row.text in new]},
    )


def exam_of(first: StoredModel, second: StoredModel, task: Task) -> Exam:
    """Return what two stored models are judged by: all the rows behind either, where they are fair to both.

    Raises:
        ConfigError: the first one's configuration is of another version of the program.
        ArtifactError: the rows that one holds are damaged.
    """
    before, reserved = rows_behind(first.path, task)
    merged = merge(before, rows_behind(second.path, task)[0].rows)
    config = read_config(values=read_manifest(first.path).config)
    split = split_rows(merged.rows, config.split, guards=merged.guards)
    return examine(split, reserved, comparable=same_split(read_manifest(second.path), config))


def estimate_for(steps: int, champion: Manifest, config: Config) -> str:
    """Say how long so many steps will take, by the last whole run of this base in this store, or else by the champion's."""
    names = (config.model.base_model, Path(config.model.base_model).name)  # a folder is recorded by its name
    whole = [r for r in runs.recorded() if r.get("base_model") in names and r.get("steps") and not r.get("resumed")]
    if whole:
        return f"{_duration(whole[-1]['seconds'] / whole[-1]['steps'] * steps)}, by the run of {whole[-1]['ended']} here"
    fitted, batch = champion.metrics.get("fit", {}), champion.config.get("fit", {}).get("batch_size")
    if champion.base_model.name not in names or not batch or not fitted.get("epochs"):
        return "unknown; no run of this base model is recorded"
    done = fitted["epochs"] * math.ceil(sum(champion.data["counts"]["train"].values()) / batch)
    return f"{_duration(fitted['seconds'] / done * steps)}, by the champion's training, on whatever machine that was"


def retrain(planned: Plan, *, files: Sequence[str] = (), forced: str | None = None) -> Outcome:
    """Train the challenger, judge it and promote it where it is better, or ``forced`` with this reason; record the run.

    Raises:
        StanceError: something a person can mend.
    """
    started = time.monotonic()

    def judge(challenger: Predictor, split: Split) -> Judgement:
        return compare(Predictor.load(), challenger, planned.exam)

    def conclude(built: Built) -> None:
        assert built.judgement is not None
        promoted = _promote(built.model.tag, built.judgement, forced=forced)
        verdict = {"champion": built.judgement.champion, "verdict": built.judgement.word, "promoted": promoted}
        seconds = time.monotonic() - started
        record_run(built, command="retrain", seconds=seconds, files=list(files), **verdict, forced=forced)

    built = build(planned.run, split=planned.split, judge=judge, conclude=conclude)
    assert built is not None and built.judgement is not None  # in one process: the lock lets no other in
    return Outcome(built, built.judgement, registry.champion() == built.model.tag)


def _promote(tag: str, judgement: Judgement, *, forced: str | None) -> bool:
    if judgement.word != "better" and not forced:
        return False
    registry.promote(tag, forced=bool(forced))
    return True


def _duration(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {minutes} min"
