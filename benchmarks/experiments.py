"""What was tried to make the model better: each recipe of experiments.toml with several seeds.

Judged on validation, on its hard rows, and on the calibration set (a writer that training never sees); the frozen test set is not
looked at. A run that is in results/experiments.json already, with the same rows and configuration, is not run again.
Example: python -m benchmarks.experiments --only minilm
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.machine import RESULTS, ROOT, describe
from benchmarks.variants import VARIANTS, is_hard
from serving.tokenizer import TextTokenizer
from training.base import BaseModel, find_base, load_encoder, load_tokenizer
from training.config import Config, overlay, read_config
from training.export import torch_logits
from training.fit import bf16_supported, fit
from training.metrics import macro_f1
from training.model import StanceModel
from training.rows import LabelledRow, digest, label_ids
from training.sets import own_corpus
from training.split import Split, split_rows
from training.task import read_task

RECIPES = Path(__file__).with_suffix(".toml")
FIGURES = RESULTS / "experiments.json"
TEACHERS = RESULTS.parent / "teachers"  # weights, for the runs that learn from them; not kept in the repository
TABLE = ROOT / "docs" / "experiments.md"
SETS = {"validation": "validation", "hard": "its hard rows", "other_writers": "other writers"}


def main() -> None:
    """Run what has not been run, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="run this recipe or group alone; repeat it for more")
    parser.add_argument("--seed", type=int, action="append", metavar="N", help="run this seed alone; repeat it for more")
    arguments = parser.parse_args()
    recipes = read_recipes()
    done: list[dict[str, Any]] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else []
    bench = Bench(recipes)
    for recipe in recipes:
        if arguments.only and not {recipe["name"], recipe["group"]} & set(arguments.only):
            continue
        for seed in recipe["seeds"]:
            trial = bench.trial(recipe, seed)
            if (not arguments.seed or seed in arguments.seed) and not any(run["key"] == trial.key for run in done):
                print(f"{recipe['name']}, seed {seed}", file=sys.stderr)
                done = [*done, {"key": trial.key, "name": recipe["name"], **bench.run(trial)}]
                FIGURES.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
                write_page(recipes, done)
    write_page(recipes, done)


def read_recipes() -> list[dict[str, Any]]:
    """Return the experiments in the order of their file, each with what its group gives it."""
    content = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    return [overlay(content["group"][recipe["group"]], recipe) for recipe in content["experiment"]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: what is fitted on which rows."""

    config: Config
    split: Split
    variant: str
    teacher: "Trial | None"
    teaches: bool

    @property
    def key(self) -> str:
        """Return what tells this run from every other one."""
        rows = digest(self.split.train), digest(self.split.validation)
        told = [*rows, self.variant, self.teacher.key if self.teacher else None, self.config.model_dump_json()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


class Bench:
    """The task's rows, divided once."""

    def __init__(self, recipes: Sequence[Mapping[str, Any]]) -> None:
        """Read and divide them; ``recipes`` are those that may be teachers."""
        self.recipes = {recipe["name"]: recipe for recipe in recipes}
        self.task = read_task()
        self.labels = self.task.label_names
        unique, reserved = own_corpus(self.task, labels=self.labels)
        self.split = split_rows(unique.rows, read_config().split, guards=unique.contradictions)
        self.sets = {
            "validation": self.split.validation,
            "hard": [row for row in self.split.validation if is_hard(row)],
            "other_writers": reserved.calibration,
        }

    def trial(self, recipe: Mapping[str, Any], seed: int) -> Trial:
        """Return the run of a recipe with one seed."""
        variant = recipe.get("variant", "none")
        train = VARIANTS[variant].rows(first(self.split.train, recipe.get("rows")))
        return Trial(
            config=read_config(values=recipe.get("config"), seed=seed),
            split=replace(self.split, train=train, validation=first(self.split.validation, recipe.get("validation"))),
            variant=variant,
            teacher=self.trial(self.recipes[recipe["teacher"]], seed) if "teacher" in recipe else None,
            teaches=any(other.get("teacher") == recipe["name"] for other in self.recipes.values()),
        )

    def run(self, trial: Trial) -> dict[str, Any]:
        """Fit once; return figures on each set."""
        config, variant, split = trial.config, VARIANTS[trial.variant], trial.split
        if trial.teacher:
            column = config.distillation.column
            taught = zip(split.train, self._lesson(trial.teacher, split.train), strict=True)
            split = replace(split, train=[replace(row, extra={**row.extra, column: found}) for row, found in taught])
        base, tokenizer = self._base(trial)
        with tempfile.TemporaryDirectory(prefix="stance-experiment-") as folder:
            fitted = fit(
                split,
                base=base,
                tokenizer=tokenizer,
                labels=self.labels,
                config=config,
                folder=Path(folder),
                network=variant.network,
                callbacks=variant.callbacks(),
            )
        if trial.teaches:
            TEACHERS.mkdir(exist_ok=True)
            save_file(fitted.model.state_dict(), TEACHERS / f"{trial.key}.safetensors")
        found = {}
        for name, rows in self.sets.items():
            logits = _logits(fitted.model, tokenizer, rows)
            found[name] = round(macro_f1(label_ids(rows, self.labels), logits.argmax(axis=1)), 4)
        return {
            "seed": config.fit.seed,
            "rows": len(split.train),
            "parameters": sum(p.numel() for p in fitted.model.parameters()),
            "fit_s": round(fitted.seconds),
            **found,
            **describe(),
        }

    def _base(self, trial: Trial) -> tuple[BaseModel, TextTokenizer]:
        base = find_base(trial.config.model.base_model)
        tokenizer, _ = load_tokenizer(base, max_length=trial.config.model.max_length)
        return base, VARIANTS[trial.variant].tokenizer(tokenizer, self.task.target)

    def _lesson(self, trial: Trial, rows: Sequence[LabelledRow]) -> list[list[float]]:
        """Return what the model of a trial thinks of each row, as probabilities; the trial has to have been run here."""
        base, tokenizer = self._base(trial)
        config = trial.config.model
        model = StanceModel(load_encoder(base, layers=config.layers or None), labels=len(self.labels), dropout=config.dropout)
        model.load_state_dict(load_file(TEACHERS / f"{trial.key}.safetensors"))
        logits = torch.from_numpy(_logits(model.eval(), tokenizer, rows))
        found: list[list[float]] = logits.softmax(dim=1).tolist()
        return found


def _logits(model: StanceModel, tokenizer: TextTokenizer, rows: Sequence[LabelledRow]) -> np.ndarray:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16_supported()):
        return torch_logits(model, tokenizer.encode([row.text for row in rows]))


def first(rows: Sequence[LabelledRow], count: int | None) -> list[LabelledRow]:
    """Return ``count`` rows by a stable hash, so that a smaller set is part of a larger one."""
    return sorted(rows, key=lambda row: hashlib.sha256(row.text.encode()).digest())[:count]


def write_page(recipes: Sequence[Mapping[str, Any]], done: Sequence[Mapping[str, Any]]) -> None:
    """Write a table a group as Markdown, recipes in the order of their file."""
    lines = [
        "# What was tried",
        "",
        "Made by `python -m benchmarks.experiments` from `benchmarks/experiments.toml`; every recipe is the default one with the",
        "values named. Macro-F1: mean over the seeds, and the smallest and largest. *Its hard rows* are those of validation whose",
        "brief asked for sentences as hard as those of real articles; *other writers* is the calibration set, whose writer training",
        "never sees. Recipes are chosen on these, never on the frozen test set.",
    ]
    for group in dict.fromkeys(recipe["group"] for recipe in recipes):
        members = [recipe for recipe in recipes if recipe["group"] == group]
        lines += ["", f"## {members[0]['heading']}", "", members[0]["note"], ""]
        lines += [f"| recipe | rows | M parameters | seeds | {' | '.join(SETS.values())} | seconds to fit |", "|---" * 8 + "|"]
        for recipe in members:
            runs = [run for run in done if run["name"] == recipe["name"]]
            if runs:
                sizes = f"{runs[-1]['rows']} | {runs[-1]['parameters'] / 1e6:.1f} | {len(runs)}"
                figures = " | ".join(spread([run[name] for run in runs]) for name in SETS)
                lines.append(
                    f"| {recipe['about']} | {sizes} | {figures} | {statistics.median(run['fit_s'] for run in runs):.0f} |"
                )
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def spread(values: Sequence[float]) -> str:
    """Return mean, smallest and largest."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
