"""The network: an encoder, the mean of its token vectors, and one linear layer."""

from typing import Any

import torch
from torch import nn


class StanceModel(nn.Module):
    """Scores sentences.

    The mean over real tokens is how the base model's sentence vectors were trained.
    Source: Reimers & Gurevych (2019), "Sentence-BERT".
    """

    def __init__(self, encoder: Any, *, labels: int, dropout: float) -> None:
        """Put a fresh head of ``labels`` outputs on a transformers encoder."""
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(encoder.config.hidden_size, labels)
        self.label_smoothing = 0.0
        self.teacher_weight, self.teacher_temperature = 0.0, 1.0
        self.class_weights: torch.Tensor
        self.register_buffer("class_weights", torch.ones(labels), persistent=False)  # follows the model to its device

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
        teacher: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` of shape (texts, labels), and ``loss`` where labels, int64 of shape (texts,), are given.

        ``teacher`` holds a teacher's probabilities, float of the shape of the logits, a row of NaN where there are none.
        """
        logits = self.classifier(self.dropout(self.pooled(input_ids, attention_mask))).float()
        if labels is None:
            return {"logits": logits}
        losses = self.losses(logits, labels)
        if teacher is not None:
            taught = ~teacher.isnan().any(dim=1)
            learned = self._from_teacher(logits, teacher.nan_to_num(1.0))
            losses = torch.where(taught, (1 - self.teacher_weight) * losses + self.teacher_weight * learned, losses)
        return {"loss": losses.sum() / self.class_weights[labels].sum(), "logits": logits}

    def pooled(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return a vector a sentence, of shape (texts, hidden units): the mean over its tokens."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean: torch.Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return mean

    def losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the smoothed cross entropy of each text times the weight of its class, of shape (texts,)."""
        return nn.functional.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing, reduction="none"
        )

    def _from_teacher(self, logits: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the divergence of softened distributions, a number a text.

        Source: Hinton, Vinyals & Dean (2015), "Distilling the Knowledge in a Neural Network".
        """
        t = self.teacher_temperature
        aim = (teacher.clamp_min(1e-6).log() / t).softmax(dim=1)
        return nn.functional.kl_div((logits / t).log_softmax(dim=1), aim, reduction="none").sum(dim=1) * t * t
