"""From a fine-tuned torch model to the CPU runtime's graph: the first form that is exact enough against fp32."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from serving.artifact import RUNTIME_XML, Form
from serving.predictor import compile_runtime
from serving.tokenizer import Encoded, pad
from training.base import quiet
from training.config import ExportConfig
from training.metrics import macro_f1
from training.model import StanceModel

_TEXTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one exported form compares with fp32 torch on the validation texts."""

    form: Form
    label_agreement: float
    macro_f1_fp32: float
    macro_f1: float
    largest_difference: float
    exact_enough: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """The chosen form, its judgement and those of the forms that fell short, and its validation logits."""

    form: Form
    judgements: list[Judgement]
    logits: np.ndarray

    def record(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        return {"form": self.form, "judgements": [asdict(judgement) for judgement in self.judgements]}


def torch_logits(model: StanceModel, encoded: Sequence[Encoded]) -> np.ndarray:
    """Return the fp32 logits of the training model, float32 of shape (texts, labels), in the order given."""
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
    logits = np.empty((len(encoded), model.classifier.out_features), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), _TEXTS_AT_ONCE):
            part = order[start : start + _TEXTS_AT_ONCE]
            input_ids, attention_mask = pad([encoded[index].ids for index in part])
            logits[part] = model(torch.from_numpy(input_ids), torch.from_numpy(attention_mask))["logits"].numpy()
    return logits


def export(
    model: StanceModel,
    *,
    calibration: Sequence[Encoded],
    validation: Sequence[Encoded],
    truth: np.ndarray,
    config: ExportConfig,
    folder: Path,
) -> Exported:
    """Write the runtime graph into ``folder`` in the first of the configured forms that is exact enough.

    The last form is taken whatever its judgement, and says so: put the most exact one last. ``truth`` is int of shape
    (validation,).
    """
    import openvino

    with quiet():
        graph = _graph(model)
    reference = torch_logits(model, validation)
    judgements: list[Judgement] = []
    for form in config.forms:
        exported = _in_form(graph, form=form, calibration=calibration[: config.calibration_texts])
        openvino.save_model(exported, folder / RUNTIME_XML, compress_to_fp16=form != "f32")
        logits = runtime_logits(folder / RUNTIME_XML, validation, form=form, labels=reference.shape[1])
        judgement = _judge(form, logits=logits, reference=reference, truth=truth, config=config)
        judgements.append(judgement)
        _tell(judgement, last=form == config.forms[-1])
        if judgement.exact_enough or form == config.forms[-1]:
            break
    return Exported(form=judgements[-1].form, judgements=judgements, logits=logits)


def runtime_logits(path: Path, encoded: Sequence[Encoded], *, form: str, labels: int) -> np.ndarray:
    """Return the logits of an exported graph, float32 of shape (texts, labels)."""
    request = compile_runtime(path, form=form).create_infer_request()
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
    logits = np.empty((len(encoded), labels), dtype=np.float32)
    for start in range(0, len(order), _TEXTS_AT_ONCE):
        part = order[start : start + _TEXTS_AT_ONCE]
        input_ids, attention_mask = pad([encoded[index].ids for index in part])
        logits[part] = request.infer({"input_ids": input_ids, "attention_mask": attention_mask})[0]
    return logits


class _LogitsOnly(torch.nn.Module):
    """The model as the runtime sees it: two inputs, one output."""

    def __init__(self, model: StanceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids, attention_mask)["logits"]
        return logits


def _graph(model: StanceModel) -> Any:
    """Return the fp32 runtime graph with both dimensions of the inputs left open."""
    import openvino

    attention = model.encoder.config._attn_implementation
    model.encoder.set_attn_implementation("eager")  # plain matrix products, which the runtime fuses and NNCF knows
    example = torch.ones((2, 8), dtype=torch.int64)
    example_mask = example.clone()
    example_mask[1, 5:] = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converter traces, which torch calls outdated; its result is judged below
            graph = openvino.convert_model(
                _LogitsOnly(model),
                example_input={"input_ids": example, "attention_mask": example_mask},
            )
    finally:
        model.encoder.set_attn_implementation(attention)
    for port, name in zip(graph.inputs, ("input_ids", "attention_mask"), strict=True):
        port.get_tensor().set_names({name})
    return graph


def _in_form(graph: Any, *, form: Form, calibration: Sequence[Encoded]) -> Any:
    if form in ("f32", "bf16"):
        return graph.clone()
    import nncf

    nncf.set_log_level(logging.ERROR)
    # The second matrix of the feed-forward block takes the widest range of values and suffers most from 8 bits.
    ignored = nncf.IgnoredScope(patterns=[r".*layer\.\d+\.output\.dense.*"], validate=False) if form == "int8-mixed" else None
    samples = []
    for item in calibration:
        input_ids, attention_mask = pad([item.ids])
        samples.append({"input_ids": input_ids, "attention_mask": attention_mask})
    with contextlib.redirect_stdout(sys.stderr):  # its progress is not a result
        return nncf.quantize(
            graph.clone(),
            nncf.Dataset(samples),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
            ignored_scope=ignored,
        )


def _judge(form: Form, *, logits: np.ndarray, reference: np.ndarray, truth: np.ndarray, config: ExportConfig) -> Judgement:
    labels, expected = logits.argmax(axis=1), reference.argmax(axis=1)
    agreement = float((labels == expected).mean())
    found, best = macro_f1(truth, labels), macro_f1(truth, expected)
    return Judgement(
        form=form,
        label_agreement=agreement,
        macro_f1_fp32=best,
        macro_f1=found,
        largest_difference=float(np.abs(logits - reference).max()),
        exact_enough=agreement >= config.min_label_agreement and best - found <= config.max_macro_f1_drop,
    )


def _tell(judgement: Judgement, *, last: bool) -> None:
    short = "not exact enough, but the last form: served" if last else "not exact enough, trying the next form"
    verdict = "served" if judgement.exact_enough else short
    print(  # noqa: T201
        f"export {judgement.form}: {judgement.label_agreement:.1%} of validation labels as in fp32, macro-F1"
        f" {judgement.macro_f1:.3f} (fp32 {judgement.macro_f1_fp32:.3f}): {verdict}",
        file=sys.stderr,
        flush=True,
    )
