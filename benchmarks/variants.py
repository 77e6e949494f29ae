"""Ways of training that were tried beside the one that is kept: each changes one thing of it.

An experiment names one as its ``variant``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback

from serving.tokenizer import Encoded, TextTokenizer
from training.model import StanceModel
from training.rows import LabelledRow

R_DROP_WEIGHT = 1.0
CONTRAST_WEIGHT, CONTRAST_TEMPERATURE = 0.1, 0.1
FOCUS = 2.0
NOISE = 5.0
EMA_DECAY = 0.99


class FirstToken(StanceModel):
    """The vector of the first token for the sentence, as in BERT."""

    def pooled(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return that vector a sentence, of shape (texts, hidden units)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        first: torch.Tensor = hidden[:, 0]
        return first


class RDrop(StanceModel):
    """Two passes with different dropout have to agree. Source: Liang et al. (2021), "R-Drop"."""

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None, teacher: Any = None
    ) -> dict[str, torch.Tensor]:
        """Return what :class:`StanceModel` does, with both divergences added to the loss in training."""
        one = super().forward(input_ids, attention_mask, labels, teacher)
        if not self.training or labels is None:
            return one
        two = super().forward(input_ids, attention_mask, labels, teacher)
        p, q = (found["logits"].log_softmax(dim=1) for found in (one, two))
        apart = sum(nn.functional.kl_div(a, b, log_target=True, reduction="batchmean") for a, b in ((p, q), (q, p)))
        return {"loss": (one["loss"] + two["loss"]) / 2 + R_DROP_WEIGHT * apart / 2, "logits": one["logits"]}


class Contrast(StanceModel):
    """Sentences of one label are drawn together. Source: Khosla et al. (2020), "Supervised Contrastive Learning"."""

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None, teacher: Any = None
    ) -> dict[str, torch.Tensor]:
        """Return what :class:`StanceModel` does, with the contrastive loss of the batch added in training."""
        if not self.training or labels is None:
            return super().forward(input_ids, attention_mask, labels, teacher)
        vectors = self.pooled(input_ids, attention_mask)
        logits = self.classifier(self.dropout(vectors)).float()
        loss = self.losses(logits, labels).sum() / self.class_weights[labels].sum()
        return {"loss": loss + CONTRAST_WEIGHT * contrastive_loss(vectors.float(), labels), "logits": logits}


def contrastive_loss(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the supervised contrastive loss of vectors of shape (texts, units), 0 where no label is there twice."""
    unit = nn.functional.normalize(vectors, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool)
    likeness = (unit @ unit.T / CONTRAST_TEMPERATURE).masked_fill(itself, -torch.inf)
    same = (labels[:, None] == labels[None, :]) & ~itself
    share = likeness.log_softmax(dim=1).masked_fill(~same, 0.0)
    anchors = same.any(dim=1)
    return -(share.sum(dim=1)[anchors] / same.sum(dim=1)[anchors]).sum() / max(1, int(anchors.sum()))


class Focal(StanceModel):
    """What is got right weighs little. Source: Lin et al. (2017), "Focal Loss for Dense Object Detection"."""

    def losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each text, of shape (texts,)."""
        right = logits.softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
        return super().losses(logits, labels) * (1 - right) ** FOCUS


class Noise(StanceModel):
    """Uniform noise on the token embeddings in training. Source: Jain et al. (2024), "NEFTune"."""

    def __init__(self, encoder: Any, *, labels: int, dropout: float) -> None:
        """Hook the noise to the encoder's embeddings of words."""
        super().__init__(encoder, labels=labels, dropout=dropout)
        encoder.get_input_embeddings().register_forward_hook(_noisy)


def _noisy(module: nn.Module, _: Any, vectors: torch.Tensor) -> torch.Tensor:
    if not module.training:
        return vectors
    bound = NOISE / (vectors.shape[1] * vectors.shape[2]) ** 0.5
    return vectors + torch.empty_like(vectors).uniform_(-bound, bound)


class Averaging(TrainerCallback):  # type: ignore[misc]
    """The exponential moving average of the weights is what is kept. Source: Tarvainen & Valpola (2017), "Mean teachers"."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Start from the weights as they are."""
        self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Take in the weights of this step."""
        self._average.update_parameters(model)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Put the average in their place."""
        model.load_state_dict(self._average.module.state_dict())


class WithTarget(TextTokenizer):
    """The target's name follows each sentence as a second segment."""

    def __init__(self, tokenizer: TextTokenizer, target: str) -> None:
        """Wrap ``tokenizer``."""
        self._plain, self.max_length = tokenizer, tokenizer.max_length
        self._target = tokenizer.encode([target])[0].ids[1:]

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the ids of every pair, in order."""
        room = self.max_length - len(self._target)
        return [Encoded([*item.ids[:room], *self._target], truncated=item.truncated) for item in self._plain.encode(texts)]


@dataclass(frozen=True, slots=True)
class Variant:
    """What an experiment changes beside the configuration."""

    network: type[StanceModel] = StanceModel
    callbacks: Callable[[], Sequence[TrainerCallback]] = tuple
    tokenizer: Callable[[TextTokenizer, str], TextTokenizer] = lambda tokenizer, _: tokenizer
    rows: Callable[[Sequence[LabelledRow]], Sequence[LabelledRow]] = lambda rows: rows


def is_hard(row: LabelledRow) -> bool:
    """Return whether the row comes from a brief that asked for sentences as hard as those of real articles."""
    return ": hard:" in str(row.extra.get("source"))


VARIANTS = {
    "none": Variant(),
    "first token": Variant(network=FirstToken),
    "r-drop": Variant(network=RDrop),
    "contrast": Variant(network=Contrast),
    "focal": Variant(network=Focal),
    "noise": Variant(network=Noise),
    "averaging": Variant(callbacks=lambda: (Averaging(),)),
    "target": Variant(tokenizer=WithTarget),
    "hard twice": Variant(rows=lambda rows: [*rows, *(replace(row) for row in rows if is_hard(row))]),
    "hard alone": Variant(rows=lambda rows: [row for row in rows if is_hard(row)]),
    "clear alone": Variant(rows=lambda rows: [row for row in rows if not is_hard(row)]),
}
