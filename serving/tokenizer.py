"""Text to token ids, the same for training, evaluation, HTTP and batch scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers

from serving.errors import ArtifactError

SPECIAL_TOKENS = 2
"""One before a text's tokens, one behind them."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one text, special tokens included, cut to ``max_length``."""

    ids: list[int]
    truncated: bool


class TextTokenizer:
    """A fast tokenizer without offsets, padding or hidden truncation."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, *, max_length: int) -> None:
        """Take over ``tokenizer``; ``max_length`` counts tokens, special ones included."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.max_length = max_length

    @classmethod
    def load(cls, path: Path, *, max_length: int) -> "TextTokenizer":
        """Read a ``tokenizer.json``.

        Raises:
            ArtifactError: the file is not a tokenizer.
        """
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise ArtifactError(f"{path}: not a tokenizer ({error}).") from None
        return cls(tokenizer, max_length=max_length)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the ids of every text, in order; a long text keeps its beginning and its closing special token."""
        encodings = self._tokenizer.encode_batch_fast([well_formed(text) for text in texts])
        return [self._cut(encoding.ids) for encoding in encodings]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return where each token of the whole text starts and ends, in Python string indices, without the special tokens."""
        return list(self._tokenizer.encode(well_formed(text)).offsets[1:-1])

    def _cut(self, ids: list[int]) -> Encoded:
        if len(ids) <= self.max_length:
            return Encoded(ids=ids, truncated=False)
        return Encoded(ids=[*ids[: self.max_length - 1], ids[-1]], truncated=True)


def well_formed(text: str) -> str:
    """Return the text with lone surrogates, which no encoder accepts, replaced by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def pad(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``input_ids`` and ``attention_mask``, both int64 of shape (texts, longest), zero-padded on the right."""
    width = max(len(row) for row in ids)
    input_ids = np.zeros((len(ids), width), dtype=np.int64)
    attention_mask = np.zeros((len(ids), width), dtype=np.int64)
    for index, row in enumerate(ids):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return input_ids, attention_mask
