"""The verdict on a challenger, with the evidence for it: what the manifest, the report and the terminal show."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Word = Literal["better", "no measurable change", "worse within noise", "worse"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pair(_Part):
    """A figure of both models."""

    champion: float
    challenger: float


class Recall(_Part):
    """A label's recall of both, with the texts of that label lost and gained, and the exact McNemar p-value of these."""

    champion: float
    challenger: float
    support: int
    lost: int
    gained: int
    p_value: float


class Flip(_Part):
    """A negative flip: a text that the champion had right and the challenger has wrong."""

    where: str
    text: str
    label: str
    challenger_label: str
    champion_confidence: float
    challenger_confidence: float


class SetJudgement(_Part):
    """How both models do on one set of texts; ``difference`` is that of macro-F1, challenger minus champion."""

    word: Word
    judged: bool
    texts: int
    macro_f1: Pair
    accuracy: Pair
    difference: float
    interval_95: tuple[float, float]
    interval_80: tuple[float, float]
    lost: int
    gained: int
    p_value: float
    recall: dict[str, Recall]
    ece: Pair
    ece_noise_floor: float
    brier: Pair
    reliability: dict[str, list[dict[str, float]]]
    faults: list[str]
    flips: list[Flip]


class Capability(_Part):
    """Behavioural cases of one capability that both passed, with those lost and gained and their exact McNemar p-value."""

    cases: int
    champion: int
    challenger: int
    lost: list[str]
    gained: int
    p_value: float


class Cost(_Part):
    """What serving takes: megabytes of the files that a server reads, and texts a second, measured in turn on the same texts."""

    megabytes: Pair
    texts_per_second: Pair


class Judgement(_Part):
    """The verdict with its evidence. ``sets`` decide; ``slices`` are parts of them that are only shown."""

    champion: str
    challenger: str
    word: Word
    reasons: list[str]
    sets: dict[str, SetJudgement]
    slices: dict[str, SetJudgement]
    behaviour: dict[str, Capability]
    cost: Cost

    def summary(self) -> dict[str, Any]:
        """Return what the manifest keeps: no texts and no points of pictures."""
        left_out = {"flips", "reliability"}
        sets = {name: found.model_dump(mode="json", exclude=left_out) for name, found in self.sets.items()}
        whole = self.model_dump(mode="json", include={"champion", "word", "reasons", "cost"})
        behaviour = {name: found.model_dump(mode="json") for name, found in self.behaviour.items()}
        return {**whole, "sets": sets, "behaviour": behaviour}
