"""Training examples a second beside transformers' Trainer with its own defaults: same base, rows, epochs and run.

Both go over the same rows as often, in turn, several times over; what counts is the ratio of medians, and the macro-F1 of each on
the same validation rows shows that speed is not bought with quality. Trainer's defaults are batches of 8 in random order, padded to
their longest text, in single precision. Example: python -m benchmarks.training --rows 4000
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
from transformers import Trainer, TrainingArguments, set_seed

from benchmarks.experiments import first
from benchmarks.machine import describe, save
from serving.tokenizer import TextTokenizer
from training.base import BaseModel, find_base, load_encoder, load_tokenizer
from training.config import Config, read_config
from training.export import torch_logits
from training.fit import collate, fit
from training.metrics import macro_f1
from training.model import StanceModel
from training.rows import LabelledRow, label_ids
from training.sets import own_corpus
from training.split import Split, split_rows
from training.task import read_task

EPOCHS = 2
VALIDATION = 1000


class Contest:
    """The rows and the base that both train with."""

    def __init__(self, rows: int, seed: int) -> None:
        """Take ``rows`` of the task's training rows."""
        values = {"fit": {"epochs": EPOCHS, "min_steps": 0, "evaluations": 1}}
        self.config: Config = read_config(values=values, seed=seed)
        task = read_task()
        self.labels: Sequence[str] = task.label_names
        unique, _ = own_corpus(task, labels=self.labels)
        whole = split_rows(unique.rows, self.config.split, guards=unique.contradictions)
        self.judged: list[LabelledRow] = first(whole.validation, VALIDATION)
        self.split: Split = replace(whole, train=first(whole.train, rows), validation=self.judged[:32])
        self.base: BaseModel = find_base(self.config.model.base_model)
        self.tokenizer: TextTokenizer = load_tokenizer(self.base, max_length=self.config.model.max_length)[0]

    def own(self, folder: Path) -> StanceModel:
        """Train as this project does."""
        return fit(
            self.split, base=self.base, tokenizer=self.tokenizer, labels=self.labels, config=self.config, folder=folder
        ).model

    def defaults(self, folder: Path) -> StanceModel:
        """Train the same network with Trainer's defaults."""
        set_seed(self.config.fit.seed)
        encoder = load_encoder(self.base, layers=self.config.model.layers or None)
        model = StanceModel(encoder, labels=len(self.labels), dropout=self.config.model.dropout)
        ids = [item.ids for item in self.tokenizer.encode([row.text for row in self.split.train])]
        rows = datasets.Dataset.from_dict({"input_ids": ids, "labels": label_ids(self.split.train, self.labels)})
        arguments = TrainingArguments(
            str(folder), num_train_epochs=EPOCHS, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True
        )
        Trainer(model, arguments, data_collator=collate, train_dataset=rows).train()
        return model.eval()

    def macro_f1(self, model: StanceModel) -> float:
        """Return the macro-F1 on the validation rows."""
        logits = torch_logits(model, self.tokenizer.encode([row.text for row in self.judged]))
        return macro_f1(label_ids(self.judged, self.labels), logits.argmax(axis=1))


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000, metavar="N", help="rows to train on (default 4000)")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="times that each trains, each with its seed (default 3)"
    )
    arguments = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"this project": [], "Trainer's defaults": []}
    for number in range(arguments.rounds):
        contest = Contest(arguments.rows, seed=7 + number)
        contenders: dict[str, Callable[[Path], StanceModel]] = {
            "this project": contest.own,
            "Trainer's defaults": contest.defaults,
        }
        for name, train in contenders.items():
            with tempfile.TemporaryDirectory(prefix="stance-training-") as folder:
                begun = time.perf_counter()
                model = train(Path(folder))
                rate = EPOCHS * len(contest.split.train) / (time.perf_counter() - begun)
            found[name].append((rate, contest.macro_f1(model)))
            print(f"round {number + 1}: {name}: {rate:.1f} examples/s, macro-F1 {found[name][-1][1]:.3f}", file=sys.stderr)
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in found.items()}
    figures = {
        "rows": arguments.rows,
        "epochs": EPOCHS,
        "rounds": arguments.rounds,
        "examples_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "against_defaults": round(rates["this project"] / rates["Trainer's defaults"], 2),
        "macro_f1": {name: [round(f1, 4) for _, f1 in runs] for name, runs in found.items()},
    }
    for key, value in {**describe(), **figures}.items():
        print(f"{key}: {value}")
    print(f"wrote {save('training', figures)}", file=sys.stderr)


if __name__ == "__main__":
    main()
