"""Integrated gradients of the training model: another account of what each word does, to check occlusion against."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_model

from serving import artifact
from serving.errors import ArtifactError
from serving.tokenizer import TextTokenizer
from training.base import without_pooler
from training.model import StanceModel

STEPS = 32


def trained_model(directory: Path) -> StanceModel:
    """Return the fp32 model of an artifact's safetensors, ready to be scored with.

    Raises:
        ArtifactError: the artifact is damaged, or has no such weights, as one that is exported for serving alone.
    """
    from transformers import AutoConfig, AutoModel

    manifest = artifact.open_artifact(directory)
    if artifact.WEIGHTS not in manifest.files:
        raise ArtifactError(
            f"{directory}: expected {artifact.WEIGHTS}, found none: the artifact is for serving alone; `stance train` makes one"
            " that has them."
        )
    config = AutoConfig.from_pretrained(directory / artifact.ENCODER_CONFIG)
    encoder = AutoModel.from_config(config, **without_pooler(config))
    model = StanceModel(encoder, labels=len(manifest.labels), dropout=0.0)
    load_model(model, directory / artifact.WEIGHTS)
    return model.eval()


def integrated_gradients(model: StanceModel, ids: Sequence[int], *, label: int, steps: int = STEPS) -> np.ndarray:
    """Return what each token adds to the log-odds of a label, float64 of shape (tokens,), special tokens included.

    The path leads in a straight line from word embeddings of zero, but for the special tokens, to those of the text; the integral
    is a sum over the middles of ``steps`` equal parts. The values sum up to the difference of the log-odds at the path's ends.

    Source: Sundararajan, Taly & Yan (2017), "Axiomatic Attribution for Deep Networks", equations 1 and 3.
    """
    text = torch.tensor([list(ids)])
    with torch.no_grad():
        end = model.encoder.get_input_embeddings()(text)
    start = end.clone()
    start[0, 1:-1] = 0
    share = (torch.arange(steps, dtype=torch.float32) + 0.5) / steps
    path = (start + share[:, None, None] * (end - start)).requires_grad_()
    log_odds = _log_odds(model, text.expand(steps, -1), label=label, embedded=path)
    (gradients,) = torch.autograd.grad(log_odds.sum(), path)
    return np.asarray((gradients.mean(dim=0) * (end - start)[0]).sum(dim=-1).double().numpy())


def word_attributions(
    model: StanceModel, tokenizer: TextTokenizer, text: str, *, label: int, spans: Sequence[tuple[int, int]], steps: int = STEPS
) -> np.ndarray:
    """Return what the tokens of each span add to the log-odds of a label, float64 of shape (spans,)."""
    (encoded,) = tokenizer.encode([text])
    tokens = integrated_gradients(model, encoded.ids, label=label, steps=steps)[1:-1]
    places = tokenizer.offsets(text)[: len(tokens)]
    inside = [[first < end and last > start for first, last in places] for start, end in spans]
    return np.array([tokens[held].sum() for held in inside])


def _log_odds(model: StanceModel, ids: torch.Tensor, *, label: int, embedded: torch.Tensor) -> torch.Tensor:
    """Return the log-odds of a label, of shape (texts,), with ``embedded`` in the place of the word embeddings of ``ids``."""
    hook = model.encoder.get_input_embeddings().register_forward_hook(lambda *_: embedded)
    try:
        logits = model(ids, torch.ones_like(ids))["logits"]
    finally:
        hook.remove()
    others = [index for index in range(logits.shape[1]) if index != label]
    result: torch.Tensor = logits[:, label] - logits[:, others].logsumexp(dim=1)
    return result
