"""The judgement of a challenger against the champion, from what both answer to the same texts. All functions are pure.

A set of texts is judged by the difference of macro-F1 (challenger minus champion) and its paired bootstrap intervals:

- worse: the 95 % interval lies below 0, or exact McNemar says at the 5 % level that more texts were lost than gained, or a
  label's recall fell through its floor, or calibration broke;
- better: the 95 % interval lies above 0;
- worse within noise: the 80 % interval lies below 0, the 95 % one does not;
- no measurable change: anything else.

The whole is as bad as its worst part; without a bad part it is better where at least one set is.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from training.metrics import brier, ece_noise_floor, expected_calibration_error, macro_f1, reliability
from training.verdict import Capability, Cost, Flip, Judgement, Pair, Recall, SetJudgement, Word

SIGNIFICANCE = 0.05
SAMPLES = 4000
MIN_TEXTS = 30
"""Texts below which a set is shown but not judged: its intervals would say nothing."""
RECALL_DROP = 0.05
"""How far below the champion's a label's recall may measurably lie: the floor."""
ECE_EXCESS = 0.02
"""How far calibration error may lie above both the champion's and what chance makes of a perfectly calibrated model."""
COST_LIMIT = 1.5
"""How many times the champion's size, or its seconds a text, a challenger may take."""


def paired_bootstrap(truth: np.ndarray, first: np.ndarray, second: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the macro-F1 of ``second`` minus that of ``first`` on :data:`SAMPLES` resamples of the texts, float of that shape.

    ``truth`` and both predictions are int of shape (texts,). Both are scored on the same resample. Texts with the same triple of
    labels are exchangeable, so the number of each triple is drawn from the multinomial that drawing texts one by one amounts to.
    Source: Efron & Tibshirani (1993), chapter 16; Koehn (2004), "Statistical Significance Tests for Machine Translation
    Evaluation".
    """
    triples, counts = np.unique(np.stack([truth, first, second]), axis=1, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(truth), counts / len(truth), size=SAMPLES).astype(float)
    before, after = (_macro_f1_of(drawn, triples[0], predicted) for predicted in triples[1:])
    return np.asarray(after - before)


def _macro_f1_of(drawn: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return :func:`~training.metrics.macro_f1` of every row of ``drawn``, counts of shape (samples, cells)."""
    size = int(max(truth.max(), predicted.max())) + 1
    is_true, is_named = np.eye(size)[truth], np.eye(size)[predicted]
    hits = drawn @ (is_true * is_named)
    total = drawn @ is_true + drawn @ is_named
    scores = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    return np.asarray(scores.sum(axis=1) / (total > 0).sum(axis=1))


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided exact p-value of so many texts lost and gained. Source: McNemar (1947), with the binomial itself."""
    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def judge_set(
    truth: np.ndarray, champion: np.ndarray, challenger: np.ndarray, *, labels: Sequence[str], rows: Sequence[tuple[str, str]]
) -> SetJudgement:
    """Judge one set: ``truth`` int of shape (texts,), probabilities of both of shape (texts, labels), place and text a row."""
    first, second = champion.argmax(axis=1), challenger.argmax(axis=1)
    had, has = first == truth, second == truth
    differences = paired_bootstrap(truth, first, second)
    low, lean_low, lean_high, high = (float(q) for q in np.percentile(differences, [2.5, 10, 90, 97.5]))
    lost, gained = int((had & ~has).sum()), int((~had & has).sum())
    recall = {label: _recall(truth == index, had, has) for index, label in enumerate(labels) if (truth == index).any()}
    sure = {"champion": champion.max(axis=1), "challenger": challenger.max(axis=1)}
    ece = Pair(
        champion=expected_calibration_error(had, sure["champion"]), challenger=expected_calibration_error(has, sure["challenger"])
    )
    floor = ece_noise_floor(sure["challenger"])["p95"]
    faults = [*_recall_faults(recall), *_calibration_faults(ece, floor)]
    judged, p_value = len(truth) >= MIN_TEXTS, mcnemar(lost, gained)
    turned = lost > gained and p_value < SIGNIFICANCE
    return SetJudgement(
        word=_word(low, high, lean_high, bad=bool(faults) or turned) if judged else "no measurable change",
        judged=judged,
        texts=len(truth),
        macro_f1=Pair(champion=macro_f1(truth, first), challenger=macro_f1(truth, second)),
        accuracy=Pair(champion=float(had.mean()), challenger=float(has.mean())),
        difference=macro_f1(truth, second) - macro_f1(truth, first),
        interval_95=(low, high),
        interval_80=(lean_low, lean_high),
        lost=lost,
        gained=gained,
        p_value=p_value,
        recall=recall,
        ece=ece,
        ece_noise_floor=floor,
        brier=Pair(champion=brier(truth, champion), challenger=brier(truth, challenger)),
        reliability={"champion": reliability(had, sure["champion"]), "challenger": reliability(has, sure["challenger"])},
        faults=faults if judged else [],
        flips=[_flip(rows[i], labels, truth[i], champion[i], challenger[i]) for i in map(int, np.flatnonzero(had & ~has))],
    )


def judge(
    sets: Mapping[str, SetJudgement],
    *,
    slices: Mapping[str, SetJudgement],
    behaviour: Mapping[str, Capability],
    cost: Cost,
    tags: tuple[str, str],
) -> Judgement:
    """Return the verdict on the whole; ``tags`` are the champion's and the challenger's."""
    faults = [*_behaviour_faults(behaviour), *_cost_faults(cost)]
    words: set[Word] = {found.word for found in sets.values() if found.judged} | ({"worse"} if faults else set())
    order: tuple[Word, ...] = ("worse", "worse within noise", "better")
    word: Word = next((word for word in order if word in words), "no measurable change")
    reasons = [line for name, found in sets.items() for line in (_sentence(name, found), *found.faults)]
    return Judgement(
        champion=tags[0],
        challenger=tags[1],
        word=word,
        reasons=[*reasons, *faults],
        sets=dict(sets),
        slices=dict(slices),
        behaviour=dict(behaviour),
        cost=cost,
    )


def capability(champion_failed: Sequence[str], challenger_failed: Sequence[str], *, cases: int) -> Capability:
    """Compare the ids of the cases of one capability that each model failed."""
    lost = sorted(set(challenger_failed) - set(champion_failed))
    gained = len(set(champion_failed) - set(challenger_failed))
    return Capability(
        cases=cases,
        champion=cases - len(champion_failed),
        challenger=cases - len(challenger_failed),
        lost=lost,
        gained=gained,
        p_value=mcnemar(len(lost), gained),
    )


def _word(low: float, high: float, lean_high: float, *, bad: bool) -> Word:
    if bad or high < 0:
        return "worse"
    if low > 0:
        return "better"
    return "worse within noise" if lean_high < 0 else "no measurable change"


def _recall(among: np.ndarray, had: np.ndarray, has: np.ndarray) -> Recall:
    lost, gained = int((among & had & ~has).sum()), int((among & ~had & has).sum())
    return Recall(
        champion=float(had[among].mean()),
        challenger=float(has[among].mean()),
        support=int(among.sum()),
        lost=lost,
        gained=gained,
        p_value=mcnemar(lost, gained),
    )


def _recall_faults(recall: Mapping[str, Recall]) -> list[str]:
    """Tell the labels whose recall fell through its floor; the level is divided by their number, since any of them may."""
    return [
        f"recall of {label} fell from {found.champion:.3f} to {found.challenger:.3f}, below its floor"
        for label, found in recall.items()
        if found.champion - found.challenger > RECALL_DROP and found.p_value < SIGNIFICANCE / len(recall)
    ]


def _calibration_faults(ece: Pair, floor: float) -> list[str]:
    if ece.challenger <= max(ece.champion, floor) + ECE_EXCESS:
        return []
    return [f"calibration error rose from {ece.champion:.3f} to {ece.challenger:.3f} (chance alone: {floor:.3f})"]


def _behaviour_faults(behaviour: Mapping[str, Capability]) -> list[str]:
    return [
        f"behavioural tests of {name}: {found.challenger} of {found.cases} passed, {found.champion} before"
        for name, found in behaviour.items()
        if len(found.lost) > found.gained and found.p_value < SIGNIFICANCE / len(behaviour)
    ]


def _cost_faults(cost: Cost) -> list[str]:
    size, speed = cost.megabytes, cost.texts_per_second
    faults = []
    if size.challenger > COST_LIMIT * size.champion:
        faults.append(f"{size.challenger:.1f} MB to serve, {size.champion:.1f} before")
    if COST_LIMIT * speed.challenger < speed.champion:
        faults.append(f"{speed.challenger:.0f} texts a second, {speed.champion:.0f} before")
    return faults


def _sentence(name: str, found: SetJudgement) -> str:
    if not found.judged:
        return f"{name}: {found.texts} texts, too few to judge by ({MIN_TEXTS})"
    low, high = found.interval_95
    return (
        f"{name}: macro-F1 {found.macro_f1.challenger:.3f} against {found.macro_f1.champion:.3f}"
        f" ({found.difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}); {found.gained} of {found.texts} texts gained,"
        f" {found.lost} lost (McNemar p {found.p_value:.2g}): {found.word}"
    )


def _flip(row: tuple[str, str], labels: Sequence[str], truth: int, champion: np.ndarray, challenger: np.ndarray) -> Flip:
    return Flip(
        where=row[0],
        text=row[1],
        label=labels[truth],
        challenger_label=labels[int(challenger.argmax())],
        champion_confidence=float(champion.max()),
        challenger_confidence=float(challenger.max()),
    )
