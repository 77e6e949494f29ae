"""What was tried to make the model better: each recipe of experiments.toml with several seeds.

Judged on validation and on the calibration set (a writer that training never sees); the frozen test set is not looked at.
A run that is in results/experiments.json already, with the same rows and configuration, is not run again.
Example: python -m benchmarks.experiments --only minilm
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, ROOT, describe
from training.base import find_base, load_tokenizer
from training.config import Config, read_config
from training.export import torch_logits
from training.fit import fit
from training.metrics import macro_f1
from training.rows import LabelledRow, digest, label_ids
from training.sets import own_corpus
from training.split import Split, split_rows
from training.task import read_task

RECIPES = Path(__file__).with_suffix(".toml")
FIGURES = RESULTS / "experiments.json"
TABLE = ROOT / "docs" / "experiments.md"


def main() -> None:
    """Run what has not been run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="run this recipe alone; repeat it for more")
    wanted = parser.parse_args().only
    recipes = tomllib.loads(RECIPES.read_text(encoding="utf-8"))["experiment"]
    done: list[dict[str, Any]] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else []
    task = read_task()
    labels = task.label_names
    unique, reserved = own_corpus(task, labels=labels)
    split = split_rows(unique.rows, read_config().split, guards=unique.contradictions)
    for recipe in recipes:
        for seed in recipe["seeds"] if not wanted or recipe["name"] in wanted else ():
            config = read_config(values=recipe.get("config"), seed=seed)
            part = replace(split, train=first(split.train, recipe.get("rows")))
            taught = [row.extra.get(config.distillation.column) for row in part.train]
            key = hashlib.sha256(json.dumps([digest(part.train), taught, config.model_dump_json()]).encode()).hexdigest()
            if not any(run["key"] == key for run in done):
                done = [*done, {"key": key, "name": recipe["name"], **run(config, part, reserved.calibration, labels)}]
                FIGURES.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(page(recipes, done), encoding="utf-8")
    print(f"wrote {TABLE}", file=sys.stderr)


def first(rows: Sequence[LabelledRow], count: int | None) -> list[LabelledRow]:
    """Return ``count`` rows by a stable hash, so that a smaller set is part of a larger one."""
    return sorted(rows, key=lambda row: hashlib.sha256(row.text.encode()).digest())[:count]


def run(config: Config, split: Split, calibration: Sequence[LabelledRow], labels: Sequence[str]) -> dict[str, Any]:
    """Fit once; return figures on validation and on the calibration set."""
    base = find_base(config.model.base_model)
    tokenizer, _ = load_tokenizer(base, max_length=config.model.max_length)
    with tempfile.TemporaryDirectory(prefix="stance-experiment-") as folder:
        fitted = fit(split, base=base, tokenizer=tokenizer, labels=labels, config=config, folder=Path(folder))
    found = {}
    for name, rows in (("validation", split.validation), ("other_writers", calibration)):
        logits = torch_logits(fitted.model, tokenizer.encode([row.text for row in rows]))
        found[name] = round(macro_f1(label_ids(rows, labels), logits.argmax(axis=1)), 4)
    return {
        "seed": config.fit.seed,
        "rows": len(split.train),
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
        "fit_s": round(fitted.seconds),
        **found,
        **describe(),
    }


def page(recipes: Sequence[dict[str, Any]], done: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown, recipes in the order of their file."""
    lines = [
        "# What was tried",
        "",
        "Made by `python -m benchmarks.experiments` from `benchmarks/experiments.toml`; every recipe is the default one with the",
        "values named. Macro-F1: mean over the seeds, and the smallest and largest. *Other writers* is the calibration set, whose",
        "writer training never sees: recipes are chosen on it and on validation, never on the frozen test set.",
        "",
        "| recipe | rows | million parameters | seeds | validation | other writers | seconds to fit |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in recipes:
        runs = [run for run in done if run["name"] == recipe["name"]]
        if runs:
            sizes = f"{runs[-1]['rows']} | {runs[-1]['parameters'] / 1e6:.1f} | {len(runs)}"
            seconds = statistics.median(run["fit_s"] for run in runs)
            lines.append(
                f"| {recipe['about']} | {sizes} | {spread(runs, 'validation')} | {spread(runs, 'other_writers')} | {seconds:.0f} |"
            )
    return "\n".join(lines) + "\n"


def spread(runs: Sequence[dict[str, Any]], name: str) -> str:
    """Return mean, smallest and largest."""
    values = [run[name] for run in runs]
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
