"""Behavioural tests: what the model must get right (expectation) and what must not change its answer (invariance).

Source: Ribeiro et al. (2020), "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList".
"""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.errors import DataError
from serving.predictor import Predictor


class Case(BaseModel):
    """One case: without variants the label is expected; with variants each must keep the label that the text gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    capability: str
    text: str = Field(min_length=1)
    label: str
    variants: tuple[str, ...] = ()
    kind: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The text and its variants."""
        return (self.text, *self.variants)


class Outcome(BaseModel):
    """How many cases of a capability passed, with the 95 % Wilson interval of the share, and the ids of those that failed."""

    cases: int
    passed: int
    share: float
    interval: tuple[float, float]
    failed: list[str]


def read_cases(folder: Path) -> list[Case]:
    """Read every JSON Lines file of the folder.

    Raises:
        DataError: there is no file, a line is no case, or an id stands there twice.
    """
    cases: dict[str, Case] = {}
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise DataError(f"{folder}: expected a folder of .jsonl files with behavioural cases, found none.")
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read ({error}).") from None
        for number, line in enumerate(lines, 1):
            try:
                case = Case.model_validate_json(line)
            except ValidationError as error:
                fault = error.errors(include_url=False, include_input=False)[0]
                raise DataError(f"{path}:{number}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}.") from None
            if case.id in cases:
                raise DataError(f"{path}:{number}: the id {case.id!r} stands there twice.")
            cases[case.id] = case
    return list(cases.values())


def run_cases(predictor: Predictor, cases: Sequence[Case]) -> dict[str, Outcome]:
    """Return the outcome of each capability, in order of first appearance."""
    texts = [text for case in cases for text in case.texts]
    labels = iter([prediction.label for prediction in predictor.predict(texts)])
    results: dict[str, list[tuple[str, bool]]] = {}
    for case in cases:
        first, *others = [next(labels) for _ in case.texts]
        passed = all(label == first for label in others) if case.variants else first == case.label
        results.setdefault(case.capability, []).append((case.id, passed))
    return {capability: _outcome(found) for capability, found in results.items()}


def wilson_interval(passed: int, cases: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Source: Wilson (1927)."""
    z = 1.959964
    share = passed / cases
    centre = share + z * z / (2 * cases)
    margin = z * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    scale = 1 + z * z / cases
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def _outcome(found: Sequence[tuple[str, bool]]) -> Outcome:
    passed = sum(ok for _, ok in found)
    return Outcome(
        cases=len(found),
        passed=passed,
        share=passed / len(found),
        interval=wilson_interval(passed, len(found)),
        failed=[name for name, ok in found if not ok],
    )
