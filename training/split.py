"""The split: a pure function of the rows that keeps near duplicates together and old test rows out of training.

Each row's own stable hash says where it would go. Rows that are near duplicates of one another form a group, and the whole group
goes to the most guarded place that any member's hash names: test before validation before train. Adding rows can therefore
move a row toward test, never from test into training.

It can move a row from training to test: then a model of earlier rows has trained on what a model of all rows is tested on. Rows
whose own hash and that of every near duplicate say test are in test in every division, whatever rows there are beside them. Only
these are fair to two models that were trained on different rows: :attr:`Split.always_test`.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from serving.errors import DataError
from training.config import SplitConfig
from training.rows import LabelledRow, normal_form

NAMES = ("train", "validation", "test")
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Split:
    """The rows of each part; ``always_test`` are those of ``test`` that every division of any rows has there."""

    train: list[LabelledRow]
    validation: list[LabelledRow]
    test: list[LabelledRow]
    always_test: list[LabelledRow] = field(default_factory=list)


def split_rows(rows: Sequence[LabelledRow], config: SplitConfig, *, guards: Sequence[LabelledRow] = ()) -> Split:
    """Divide the rows; ``guards`` are rows that are not used themselves but keep their near duplicates where they were.

    Raises:
        DataError: train or validation would be empty.
    """
    if not rows:
        raise DataError("expected labelled rows to divide, found none that may be trained on.")
    texts = [row.text for row in (*rows, *guards)]
    own = np.array([_own_place(text, config) for text in texts])
    groups = group_near_duplicates(texts, threshold=config.near_duplicate)
    guarded, least = np.zeros((2, groups.max() + 1), dtype=int)
    least += len(NAMES)
    np.maximum.at(guarded, groups, own)
    np.minimum.at(least, groups, own)
    places = guarded[groups][: len(rows)]
    parts = {name: [row for row, p in zip(rows, places, strict=True) if p == i] for i, name in enumerate(NAMES)}
    for name in ("train", "validation"):
        if not parts[name]:
            raise DataError(f"{len(rows)} rows leave none for {name}: more rows are needed.")
    always = [row for row, place in zip(rows, least[groups], strict=False) if place == NAMES.index("test")]
    return Split(**parts, always_test=always)


def group_near_duplicates(texts: Sequence[str], *, threshold: float) -> np.ndarray:
    """Return a group number a text, int of shape (texts,): linked when word-pair Jaccard similarity reaches ``threshold``."""
    vectorizer = CountVectorizer(binary=True, ngram_range=(2, 2), tokenizer=_words, token_pattern=None, lowercase=False)
    pairs = vectorizer.fit_transform(texts).astype(np.float32).tocsr()
    sizes = np.asarray(pairs.sum(axis=1)).ravel()
    links: list[csr_matrix] = []
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        shared = (pairs[start : start + _ROWS_AT_ONCE] @ pairs.T).tocoo()
        union = sizes[shared.row + start] + sizes[shared.col] - shared.data
        alike = shared.data >= threshold * union
        rows, columns = shared.row[alike] + start, shared.col[alike]
        links.append(csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(texts))))
    return np.asarray(connected_components(sum(links[1:], links[0]), directed=False)[1])


def near_repeats(texts: Sequence[str], of: Sequence[str], *, threshold: float) -> list[int | None]:
    """Return for each text which of ``of`` it is a near duplicate of, the nearest, or None; alike as in the groups above."""
    sought = [_pairs(text) for text in of]
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, pairs in enumerate(sought):
        for pair in pairs:
            holders[pair].append(index)
    return [_nearest(_pairs(text), sought=sought, holders=holders, threshold=threshold) for text in texts]


def _nearest(
    pairs: set[tuple[str, str]],
    *,
    sought: Sequence[set[tuple[str, str]]],
    holders: Mapping[tuple[str, str], Sequence[int]],
    threshold: float,
) -> int | None:
    shared = Counter(index for pair in pairs for index in holders.get(pair, ()))
    alike = {index: count / (len(pairs) + len(sought[index]) - count) for index, count in shared.items()}
    best = max(alike, key=lambda index: alike[index], default=None)
    return best if best is not None and alike[best] >= threshold else None


def _pairs(text: str) -> set[tuple[str, str]]:
    return set(itertools.pairwise(_words(text)))


def _words(text: str) -> list[str]:
    """Return the words with a mark at both ends, so that one-word texts have pairs too."""
    return ["\x02", *normal_form(text).split(), "\x03"]


def _own_place(text: str, config: SplitConfig) -> int:
    """Return 0 (train), 1 (validation) or 2 (test) from the text's SHA-256, a uniform number in [0, 1)."""
    number = int.from_bytes(hashlib.sha256(normal_form(text).encode("utf-8", "replace")).digest()[:8], "big") / 2**64
    if number < config.test_fraction:
        return 2
    return 1 if number < config.test_fraction + config.validation_fraction else 0
