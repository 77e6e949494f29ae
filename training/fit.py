"""Fine-tuning with transformers' Trainer: any number of processes, resumable, the same weights from the same seed."""

import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import Sampler
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import EvalPrediction, get_last_checkpoint

from serving.errors import DataError
from serving.tokenizer import TextTokenizer, pad
from training.base import BaseModel, load_encoder
from training.config import Config, FitConfig
from training.metrics import macro_f1
from training.model import StanceModel
from training.rows import LabelledRow, label_ids
from training.run import Tracker
from training.split import Split

SECONDS_BETWEEN_LINES = 60.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fine-tuned model, on the CPU, in evaluation mode, with the history of its run."""

    model: StanceModel
    epochs: float
    best_macro_f1: float
    seconds: float
    resumed: bool
    steps: int

    def record(self) -> dict[str, Any]:
        """Return what the manifest keeps; the seconds are those of the last process alone where the run was resumed."""
        return {"epochs": self.epochs, "seconds": round(self.seconds, 1), "steps": self.steps, "resumed": self.resumed}


def fit(
    split: Split,
    *,
    base: BaseModel,
    tokenizer: TextTokenizer,
    labels: Sequence[str],
    config: Config,
    folder: Path,
    track: Tracker | None = None,
    network: type[StanceModel] = StanceModel,
    callbacks: Sequence[TrainerCallback] = (),
) -> Fitted:
    """Fine-tune on ``split.train``, stopping early on the macro-F1 of ``split.validation``.

    ``folder`` keeps a checkpoint an evaluation; where it holds one already, training goes on from there. ``track`` names the
    service that transformers reports to. ``network`` and ``callbacks`` are for experiments that change more than the
    configuration can.
    """
    set_seed(config.fit.seed)
    model = network(load_encoder(base, layers=config.model.layers or None), labels=len(labels), dropout=config.model.dropout)
    model.label_smoothing = config.fit.label_smoothing
    model.class_weights = class_weights(split.train, labels=labels, power=config.fit.class_weight_power)
    model.teacher_weight, model.teacher_temperature = config.distillation.weight, config.distillation.temperature
    steps = config.fit.steps_for(len(split.train))
    taught = taught_rows(split.train, config.distillation.column, labels=len(labels))
    train = _dataset(split.train, tokenizer=tokenizer, labels=labels)
    trainer = _Trainer(
        model=model,
        args=_arguments(config.fit, steps=steps, folder=folder, track=track),
        train_dataset=train.add_column("teacher", taught) if taught else train,
        eval_dataset=_dataset(split.validation, tokenizer=tokenizer, labels=labels),
        data_collator=collate,
        compute_metrics=_macro_f1,
        optimizers=(optimizer(model, config.fit), None),
        callbacks=[EarlyStoppingCallback(config.fit.early_stopping_patience), _Tell(steps), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = _last_complete_checkpoint(folder)
    outcome = trainer.train(resume_from_checkpoint=checkpoint)
    # Mixed precision wraps the forward pass for good; what is exported and compared must be the plain model.
    plain: StanceModel = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return Fitted(
        model=plain.cpu().eval(),
        epochs=float(trainer.state.epoch or 0),
        best_macro_f1=float(trainer.state.best_metric or 0),
        seconds=float(outcome.metrics["train_runtime"]),
        resumed=checkpoint is not None,
        steps=int(trainer.state.global_step),
    )


def class_weights(rows: Sequence[LabelledRow], *, labels: Sequence[str], power: float) -> torch.Tensor:
    """Return a weight a label, float32 of shape (labels,), proportional to its share ** -power, with mean 1 over the rows."""
    counts = np.array([max(1, sum(row.label == label for row in rows)) for label in labels], dtype=np.float64)
    weights = counts**-power
    weights *= counts.sum() / (weights * counts).sum()
    return torch.tensor(weights, dtype=torch.float32)


def bf16_supported() -> bool:
    """Return whether this machine's device computes in bfloat16 natively."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # the op's own test also says yes to emulation
    return bool(native and native())


def _arguments(config: FitConfig, *, steps: int, folder: Path, track: Tracker | None) -> TrainingArguments:
    interval = math.ceil(steps / config.evaluations)
    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=not torch.cuda.is_available(),
        bf16=bf16_supported(),
        seed=config.seed,
        max_steps=steps,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_fraction,  # below 1: a fraction of all steps
        max_grad_norm=config.max_grad_norm,
        per_device_eval_batch_size=64,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=interval,
        save_steps=interval,
        save_total_limit=2,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="macro_f1",
        logging_strategy="steps" if track else "no",
        logging_steps=max(1, interval // 10),
        report_to=track or "none",
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=not sys.stderr.isatty(),
    )
    # The batch is that of all processes together, so that more processes give the same training.
    shares = max(1, arguments.world_size * max(1, arguments.n_gpu))
    arguments.per_device_train_batch_size = max(1, config.batch_size // shares)
    return arguments


def optimizer(model: StanceModel, config: FitConfig) -> torch.optim.Optimizer:
    """Return fused AdamW: no decay on biases and norms, a rate of its own for the fresh head, less for a wider encoder."""
    rate = config.learning_rate * min(1.0, config.reference_width / model.encoder.config.hidden_size) ** 2
    plain = [p for n, p in model.encoder.named_parameters() if p.ndim < 2]
    decayed = [p for n, p in model.encoder.named_parameters() if p.ndim >= 2]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "lr": rate, "weight_decay": config.weight_decay},
        {"params": plain, "lr": rate, "weight_decay": 0.0},
        {"params": list(model.classifier.parameters()), "lr": config.head_learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, fused=True)


def _dataset(rows: Sequence[LabelledRow], *, tokenizer: TextTokenizer, labels: Sequence[str]) -> datasets.Dataset:
    ids = [item.ids for item in tokenizer.encode([row.text for row in rows])]
    return datasets.Dataset.from_dict(
        {"input_ids": ids, "labels": label_ids(rows, labels), "length": [len(item) for item in ids]}
    )


def taught_rows(rows: Sequence[LabelledRow], column: str, *, labels: int) -> list[list[float]]:
    """Return a teacher's probabilities a row, NaN where it has none; nothing at all where no row has any.

    Raises:
        DataError: a row's are no probabilities of so many labels.
    """
    if not any(row.extra.get(column) for row in rows):
        return []
    found = []
    for row in rows:
        given = row.extra.get(column) or [math.nan] * labels
        if not isinstance(given, list) or len(given) != labels or not all(isinstance(p, float | int) for p in given):
            raise DataError(f"{row.where}: {column}: expected {labels} probabilities, found {given!r:.80}.")
        found.append([float(p) for p in given])
    return found


def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Return rows as one batch, padded to the longest."""
    input_ids, attention_mask = pad([item["input_ids"] for item in items])
    batch = {
        "input_ids": torch.from_numpy(input_ids),
        "attention_mask": torch.from_numpy(attention_mask),
        "labels": torch.tensor([item["labels"] for item in items]),
    }
    if "teacher" in items[0]:
        batch["teacher"] = torch.tensor([item["teacher"] for item in items])
    return batch


def _macro_f1(outcome: EvalPrediction) -> dict[str, float]:
    return {"macro_f1": macro_f1(outcome.label_ids, outcome.predictions.argmax(axis=1))}


class LengthGroupedSampler(Sampler[int]):
    """Rows in an order in which neighbours are of like length, so that batches hold little padding.

    The order follows from seed and epoch alone: every process of a run, and a resumed run, draws the same one.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        """Group ``lengths`` (tokens a row) within stretches of fifty batches."""
        self._lengths = torch.tensor(lengths)
        self._batch_size, self._seed, self._epoch = batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        shuffled = torch.randperm(len(self), generator=generator)
        stretches = [part[self._lengths[part].argsort(stable=True)] for part in torch.split(shuffled, 50 * self._batch_size)]
        batches = [batch for stretch in stretches for batch in torch.split(stretch, self._batch_size)]
        whole = [batch for batch in batches if len(batch) == self._batch_size]
        order = torch.randperm(len(whole), generator=generator).tolist()
        parts = [whole[index] for index in order] + [batch for batch in batches if len(batch) < self._batch_size]
        yield from torch.cat(parts).tolist()


class _Trainer(Trainer):  # type: ignore[misc]
    """The Trainer with the sampler above."""

    def _get_train_sampler(self, train_dataset: datasets.Dataset | None = None) -> Sampler[int]:
        lengths = self.train_dataset["length"]  # the one given here has lost the columns that the model does not take
        size = self.args.train_batch_size * max(1, self.args.world_size)
        return LengthGroupedSampler(list(lengths), batch_size=size, seed=self.args.seed)


def _last_complete_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint; one that a kill left half-written lacks its last file and is removed."""
    for half in folder.glob("checkpoint-*") if folder.is_dir() else ():
        if not (half / "trainer_state.json").is_file():
            shutil.rmtree(half)
    return get_last_checkpoint(str(folder)) if folder.is_dir() else None


class _Tell(TrainerCallback):  # type: ignore[misc]
    """Print a line an evaluation on stderr, beside the bar that a terminal gets, and elsewhere one a minute."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._told = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.disable_tqdm and state.is_world_process_zero and time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            print(f"{state.global_step} of {self._steps} steps", file=sys.stderr, flush=True)  # noqa: T201

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        if state.is_world_process_zero:
            found = f"validation macro-F1 {metrics['eval_macro_f1']:.3f}, loss {metrics['eval_loss']:.3f}"
            print(f"step {state.global_step} of {self._steps}: {found}", file=sys.stderr, flush=True)  # noqa: T201
