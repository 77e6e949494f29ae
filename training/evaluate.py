"""Evaluation of an artifact as it is served: through the predictor, thresholds and all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from serving.predictor import Predictor
from training.baselines import Baselines
from training.behaviour import Outcome
from training.metrics import measure
from training.rows import LabelledRow, label_ids


def evaluate(
    predictor: Predictor, sets: Mapping[str, Sequence[LabelledRow]], *, baselines: Baselines | None = None
) -> dict[str, Any]:
    """Return the figures of every named set of labelled rows, with those of the baselines where they are given."""
    return {name: _evaluate_set(predictor, rows, baselines=baselines) for name, rows in sets.items() if rows}


def probabilities_of(predictor: Predictor, texts: Sequence[str]) -> np.ndarray:
    """Return the served probabilities, float64 of shape (texts, labels)."""
    return np.array([list(p.probabilities.values()) for p in predictor.predict(texts)])


def _evaluate_set(predictor: Predictor, rows: Sequence[LabelledRow], *, baselines: Baselines | None) -> dict[str, Any]:
    labels = list(predictor.labels)
    predictions = predictor.predict([row.text for row in rows])
    figures = measure(
        label_ids(rows, labels),
        np.array([list(p.probabilities.values()) for p in predictions]),
        labels=labels,
        sets=[p.prediction_set for p in predictions],
        abstain=np.array([p.abstain for p in predictions]),
    )
    if baselines is not None:
        figures["baselines"] = baselines.measure(rows)
    return figures


def print_figures(figures: Mapping[str, Mapping[str, Any]], *, model: str, console: Console) -> None:
    """Print the figures as tables."""
    table = Table(title=f"{model}, as served")
    for heading in ("set", "model", "texts", "macro-F1", "95 % interval", "accuracy", "ECE (floor)"):
        table.add_column(heading, justify="left" if heading in ("set", "model") else "right")
    for name, values in figures.items():
        for baseline, found in values.get("baselines", {}).items():
            table.add_row(name, baseline, "", *_headline(found), "", style="dim")
        floor = values["ece_noise_floor"]["p95"]
        calibration = f"{values['ece']:.3f} ({floor:.3f})"
        table.add_row(name, "this model", str(values["texts"]), *_headline(values), calibration)
    console.print(table)
    console.print(_details(figures))
    for name, values in figures.items():
        console.print(_confusion(name, values))
        classes = Table(title=f"{name}, per class")
        for heading in ("label", "precision", "recall", "F1", "texts"):
            classes.add_column(heading, justify="left" if heading == "label" else "right")
        for label, found in values["per_class"].items():
            numbers = [f"{found[key]:.3f}" for key in ("precision", "recall", "f1")]
            classes.add_row(label, *numbers, str(found["support"]))
        console.print(classes)


def _details(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return calibration, coverage and prediction sets, a set a line."""
    table = Table(title="probabilities")
    headings = ("set", "Brier", "NLL", "right at 100/90/80/50 %", "sets: coverage (size)", "not abstained: share (right)")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "set" else "right")
    for name, values in figures.items():
        right = "/".join(f"{value:.2f}" for value in values["accuracy_at_coverage"].values())
        sets, kept = values["prediction_sets"], values["abstention"]
        accuracy = "none" if kept["accuracy"] is None else f"{kept['accuracy']:.2f}"
        held = f"{sets['coverage']:.2f} ({sets['size']:.2f})"
        share = f"{kept['coverage']:.2f} ({accuracy})"
        table.add_row(name, f"{values['brier']:.3f}", f"{values['nll']:.3f}", right, held, share)
    return table


def _confusion(name: str, values: Mapping[str, Any]) -> Table:
    table = Table(title=f"{name}, confusion: true labels down, predicted across")
    labels = list(values["per_class"])
    for heading in ("", *labels):
        table.add_column(heading, justify="left" if not heading else "right")
    for label, counts in zip(labels, values["confusion"], strict=True):
        table.add_row(label, *map(str, counts))
    return table


def print_behaviour(outcomes: Mapping[str, Outcome], *, console: Console) -> None:
    """Print the share of behavioural cases passed, a capability a line."""
    table = Table(title="behavioural tests")
    for heading in ("capability", "cases", "passed", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "capability" else "right")
    for capability, found in outcomes.items():
        low, high = found.interval
        table.add_row(capability, str(found.cases), f"{found.share:.3f}", f"{low:.3f} to {high:.3f}")
    console.print(table)


def _headline(values: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high = values["macro_f1_interval"]
    return f"{values['macro_f1']:.3f}", f"{low:.3f} to {high:.3f}", f"{values['accuracy']:.3f}"
