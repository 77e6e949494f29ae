"""The evaluation as one HTML page that opens offline: tables, and pictures drawn into it as SVG."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from serving.templates import template
from training.behaviour import Outcome
from training.metrics import COVERAGES

TEMPLATE = Path(__file__).with_name("report.html")


def render(
    figures: Mapping[str, Mapping[str, Any]],
    *,
    model: str,
    target: str,
    labels: list[str],
    behaviour: Mapping[str, Outcome] | None = None,
) -> str:
    """Return the page; it loads nothing from anywhere."""
    sets = [
        {
            "name": name,
            "figures": values,
            "pictures": [
                ("Confusion matrix", _confusion(np.array(values["confusion"]), labels)),
                ("Reliability", _reliability(values["reliability"])),
                ("Risk and coverage", _risk_coverage(values["risk_coverage"])),
            ],
        }
        for name, values in figures.items()
    ]
    coverages = [f"{share:.0%}" for share in COVERAGES]
    return template(TEMPLATE).render(model=model, target=target, sets=sets, coverages=coverages, behaviour=behaviour or {})


def _confusion(matrix: np.ndarray, labels: list[str]) -> str:
    figure = Figure(figsize=(1.6 + 0.75 * len(labels), 1.2 + 0.7 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=ink)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true")
    return svg(figure)


def _reliability(bins: list[dict[str, float]]) -> str:
    figure = Figure(figsize=(4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    axes.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], marker="o", label="model")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    return svg(figure)


def _risk_coverage(curve: Mapping[str, list[float]]) -> str:
    figure = Figure(figsize=(4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(curve["coverage"], curve["risk"])
    axes.set(xlabel="share of texts kept, most confident first", ylabel="share of them wrong", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    return svg(figure)


def svg(figure: Figure) -> str:
    """Return the picture as an SVG element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :]
