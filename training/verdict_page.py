"""A judgement for people: one HTML page that opens offline with pictures drawn into it, and lines for a terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from serving.templates import template
from training.report import svg
from training.verdict import Judgement, SetJudgement

TEMPLATE = Path(__file__).with_name("verdict.html")
MEANING = {
    "better": "On at least one set of texts the gain is larger than chance explains, and nothing else got worse.",
    "no measurable change": "The difference is within what chance explains; this many texts cannot tell the two apart.",
    "worse within noise": "It points downward, but chance alone would explain it.",
    "worse": "Something got worse by more than chance explains.",
}


def render(judgement: Judgement, *, target: str) -> str:
    """Return the page; it loads nothing from anywhere."""
    shown = {**judgement.sets, **judgement.slices}
    pictures = {
        name: [("Recall by label", _recall(found)), ("Reliability", _reliability(found))] for name, found in shown.items()
    }
    return template(TEMPLATE).render(
        judgement=judgement,
        meaning=MEANING[judgement.word],
        target=target,
        shown=shown,
        differences=_differences(shown),
        pictures=pictures,
    )


def lines(judgement: Judgement) -> Iterator[str]:
    """Yield what decided, a line each, and the verdict last."""
    yield f"{judgement.challenger} against {judgement.champion}"
    yield from (f"- {reason}" for reason in judgement.reasons)
    for name, found in judgement.slices.items():
        scores = found.macro_f1
        yield f"- {name} ({found.texts}, decide nothing): macro-F1 {scores.challenger:.3f} against {scores.champion:.3f}"
    if judgement.behaviour:
        cases = judgement.behaviour.values()
        passed, before = sum(case.challenger for case in cases), sum(case.champion for case in cases)
        yield f"- behavioural tests: {passed} of {sum(case.cases for case in cases)} passed against {before}"
    size, speed = judgement.cost.megabytes, judgement.cost.texts_per_second
    yield f"- {size.challenger:.1f} MB to serve against {size.champion:.1f}"
    yield f"- {speed.challenger:.0f} texts a second against {speed.champion:.0f}"
    yield f"verdict: {judgement.word}"


def _differences(sets: Mapping[str, SetJudgement]) -> str:
    """Draw the difference of macro-F1 of each set with both intervals."""
    figure = Figure(figsize=(7, 1 + 0.6 * len(sets)), layout="constrained")
    axes = figure.add_subplot()
    for place, found in enumerate(sets.values()):
        axes.plot(found.interval_95, [place, place], color="tab:blue", linewidth=1.5)
        axes.plot(found.interval_80, [place, place], color="tab:blue", linewidth=5, alpha=0.5)
        axes.plot([found.difference], [place], color="black", marker="o")
    axes.axvline(0, color="grey", linestyle="--")
    axes.set_yticks(range(len(sets)), list(sets))
    axes.set_ylim(len(sets) - 0.5, -0.5)
    axes.set(xlabel="macro-F1, challenger minus champion (thick: 80 %, thin: 95 %)")
    return svg(figure)


def _recall(found: SetJudgement) -> str:
    figure = Figure(figsize=(4.4, 1 + 0.5 * len(found.recall)), layout="constrained")
    axes = figure.add_subplot()
    for place, values in enumerate(found.recall.values()):
        axes.plot([values.champion, values.challenger], [place, place], color="grey")
        axes.plot([values.champion], [place], "o", color="tab:grey", label=None if place else "champion")
        axes.plot([values.challenger], [place], "o", color="tab:blue", label=None if place else "challenger")
    axes.set_yticks(range(len(found.recall)), list(found.recall))
    axes.set_ylim(len(found.recall) - 0.5, -0.5)
    axes.set(xlabel="recall", xlim=(-0.02, 1.02))
    axes.legend()
    return svg(figure)


def _reliability(found: SetJudgement) -> str:
    figure = Figure(figsize=(4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    for name, colour in (("champion", "tab:grey"), ("challenger", "tab:blue")):
        bins = found.reliability[name]
        axes.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], marker="o", color=colour, label=name)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left")
    return svg(figure)
