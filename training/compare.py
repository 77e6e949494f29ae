"""Champion and challenger side by side, both as they are served, on the same texts.

Which rows are fair to both? The frozen test set and the behavioural tests, which nothing is ever trained on. And of the rows that
models are made of, those that every division has in test (:attr:`~training.split.Split.always_test`): the stable hash of such a
row, and of all its near duplicates, says test, so neither model has trained on it or on anything near it, whatever rows each was
made of. Rows of new files that fall there are scored for both too: neither has seen them, though the challenger has trained on
others like them, which is what it is for. Left out are the few test rows that a near duplicate moved there: a model made before
that duplicate came may have trained on them.

The calibration set decides nothing: both models' temperatures are fitted on it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from serving.artifact import RUNTIME_BIN, RUNTIME_XML, TOKENIZER, Manifest
from serving.errors import DataError
from serving.predictor import Predictor
from training.behaviour import Case, Outcome, run_cases
from training.evaluate import probabilities_of
from training.judge import MIN_TEXTS, capability, judge, judge_set
from training.rows import LabelledRow, label_ids
from training.verdict import Capability, Cost, Judgement, Pair, SetJudgement

_TIMED_TEXTS = 256
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Exam:
    """What both models are asked: ``sets`` decide, ``slices`` are parts of them that are shown as well."""

    sets: Mapping[str, Sequence[LabelledRow]]
    cases: Sequence[Case] = ()
    slices: Mapping[str, Sequence[LabelledRow]] = field(default_factory=dict)

    def require_enough(self) -> None:
        """Check that a verdict can be reached.

        Raises:
            DataError: every set is too small.
        """
        sizes = {name: len(rows) for name, rows in self.sets.items()}
        if max(sizes.values(), default=0) < MIN_TEXTS:
            found = ", ".join(f"{size} in {name}" for name, size in sizes.items())
            raise DataError(f"expected at least {MIN_TEXTS} test rows to judge by, found {found}; more rows are needed.")


def compare(champion: Predictor, challenger: Predictor, exam: Exam) -> Judgement:
    """Judge the challenger.

    Raises:
        DataError: the two do not answer the same question, or there is too little to judge by.
    """
    require_comparable(champion.manifest, challenger.manifest)
    exam.require_enough()
    return judge(
        {name: _judge(champion, challenger, rows) for name, rows in exam.sets.items() if rows},
        slices={name: _judge(champion, challenger, rows) for name, rows in exam.slices.items() if rows},
        behaviour=_behaviour(champion, challenger, exam.cases),
        cost=_cost(champion, challenger, [row.text for rows in exam.sets.values() for row in rows]),
        tags=(champion.tag, challenger.tag),
    )


def require_comparable(champion: Manifest, challenger: Manifest) -> None:
    """Check that two models answer the same question.

    Raises:
        DataError: they are of different tasks or know different labels.
    """
    if champion.task != challenger.task:
        raise DataError(f"expected two models of one task, found {champion.task!r} and {challenger.task!r}.")
    if set(champion.label_names) != set(challenger.label_names):
        first, second = ", ".join(champion.label_names), ", ".join(challenger.label_names)
        raise DataError(f"expected two models with the same labels, found {first} and {second}.")


def _judge(champion: Predictor, challenger: Predictor, rows: Sequence[LabelledRow]) -> SetJudgement:
    labels, texts = champion.labels, [row.text for row in rows]
    columns = [challenger.labels.index(label) for label in labels]
    return judge_set(
        label_ids(rows, labels),
        probabilities_of(champion, texts),
        probabilities_of(challenger, texts)[:, columns],
        labels=labels,
        rows=[(_name(row.where), row.text) for row in rows],
    )


def _name(where: str) -> str:
    """Return "FILE:NUMBER" without the folder: a report may travel."""
    return where.replace("\\", "/").rpartition("/")[2]


def _behaviour(champion: Predictor, challenger: Predictor, cases: Sequence[Case]) -> dict[str, Capability]:
    before: dict[str, Outcome] = run_cases(champion, cases)
    return {
        name: capability(before[name].failed, found.failed, cases=found.cases)
        for name, found in run_cases(challenger, cases).items()
    }


def _cost(champion: Predictor, challenger: Predictor, texts: Sequence[str]) -> Cost:
    sizes = [_megabytes(predictor.manifest) for predictor in (champion, challenger)]
    timed = texts[:: max(1, len(texts) // _TIMED_TEXTS)][:_TIMED_TEXTS]
    rates = [len(timed) / seconds for seconds in _seconds((champion, challenger), timed)]
    return Cost(
        megabytes=Pair(champion=sizes[0], challenger=sizes[1]),
        texts_per_second=Pair(champion=rates[0], challenger=rates[1]),
    )


def _megabytes(manifest: Manifest) -> float:
    return sum(manifest.files[name].bytes for name in (RUNTIME_XML, RUNTIME_BIN, TOKENIZER)) / 1e6


def _seconds(predictors: Sequence[Predictor], texts: Sequence[str]) -> list[float]:
    """Return the least time each takes over a few rounds, in turn, so that what else the machine does falls on both."""
    found = []
    for _ in range(_ROUNDS):
        for predictor in predictors:
            started = time.perf_counter()
            predictor.predict(texts)
            found.append(time.perf_counter() - started)
    return [float(least) for least in np.reshape(found, (_ROUNDS, -1)).min(axis=0)]
