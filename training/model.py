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
        self.class_weights: torch.Tensor
        self.register_buffer("class_weights", torch.ones(labels), persistent=False)  # follows the model to its device

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` of shape (texts, labels), and ``loss`` where labels, int64 of shape (texts,), are given."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        logits = self.classifier(self.dropout(pooled)).float()
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing)
        return {"loss": loss, "logits": logits}
