import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import DataError
from training.config import read_config
from training.rows import LabelledRow
from training.split import group_near_duplicates, near_repeats, split_rows

CONFIG = read_config().split


def row(text):
    return LabelledRow(text=text, label="neutral", where="test")


def places(rows):
    split = split_rows(rows, CONFIG)
    return {r.text: name for name in ("train", "validation", "test") for r in getattr(split, name)}


@pytest.fixture(scope="module")
def corpus(corpus_lines):
    return [row(line["text"]) for line in corpus_lines]


def test_parts_are_near_the_configured_sizes_and_hold_every_row_once(corpus):
    found = places(corpus)
    assert len(found) == len(corpus)
    shares = {name: sum(p == name for p in found.values()) / len(found) for name in ("validation", "test")}
    assert shares["validation"] == pytest.approx(CONFIG.validation_fraction, abs=0.03)
    assert shares["test"] == pytest.approx(CONFIG.test_fraction, abs=0.03)


def test_near_duplicates_never_cross(corpus):
    found = places(corpus)
    texts = list(found)
    groups = group_near_duplicates(texts, threshold=CONFIG.near_duplicate)
    for group in np.flatnonzero(np.bincount(groups) > 1):
        assert len({found[texts[i]] for i in np.flatnonzero(groups == group)}) == 1


def test_grouping_sees_punctuation_case_and_a_changed_word_through():
    texts = [
        "The envoy said that the report was a blatant lie from start to finish.",
        "THE ENVOY SAID, that the report was a blatant lie from start to finish",
        "The envoy said that the report was a shameless lie from start to finish.",
        "Ministers will meet in Geneva on Monday to discuss the budget.",
    ]
    groups = group_near_duplicates(texts, threshold=0.5)
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_near_repeats_are_those_that_would_be_grouped():
    known = [
        "Ministers will meet in Geneva on Monday to discuss the budget.",
        "The envoy said that the report was a blatant lie.",
    ]
    texts = ["THE ENVOY SAID: the report was a blatant lie!", "The envoy left.", "Ministers will meet in Geneva on Monday."]
    assert near_repeats(texts, known, threshold=0.5) == [1, None, 0]
    assert near_repeats(texts, [], threshold=0.5) == [None, None, None]
    for text, like in zip(texts, (1, None, 0), strict=True):
        groups = group_near_duplicates([text, *known], threshold=0.5)
        assert [i for i in (0, 1) if groups[i + 1] == groups[0]] == ([] if like is None else [like])


def test_one_word_texts_group_with_themselves_only():
    groups = group_near_duplicates(["Lies", "lies!", "Truth"], threshold=0.5)
    assert groups[0] == groups[1] != groups[2]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_adding_rows_never_moves_a_row_from_test_into_training(corpus, data):
    pool = corpus[:600]
    kept = data.draw(st.integers(min_value=200, max_value=599))
    before, after = places(pool[:kept]), places(pool)
    guard = {"train": 0, "validation": 1, "test": 2}
    assert all(guard[after[text]] >= guard[place] for text, place in before.items())


def test_the_order_of_rows_decides_nothing(corpus):
    pool = corpus[:500]
    assert places(pool) == places(pool[::-1])


def test_too_few_rows_is_one_clear_error():
    with pytest.raises(DataError, match="found none that may be trained on"):
        split_rows([], CONFIG)
    with pytest.raises(DataError, match="1 rows leave none for"):
        split_rows([row("only one")], CONFIG)


def test_rows_left_out_still_hold_their_near_duplicates_in_place(corpus):
    """A row that sits in test because of its near duplicate stays there when that one is left out for a contradiction."""
    base = "The envoy said that the assessment was a blatant invention from start to finish, number"
    variants = [row(f"{base} {number}.") for number in range(40)]
    tested = [r for r in variants if places([*corpus[:300], r])[r.text] == "test"]
    trained = [r for r in variants if places([*corpus[:300], r])[r.text] == "train"]
    assert tested
    assert trained
    assert places([*corpus[:300], tested[0], trained[0]])[trained[0].text] == "test"
    guarded = split_rows([*corpus[:300], trained[0]], CONFIG, guards=[tested[0]])
    assert trained[0] in guarded.test
    assert tested[0] not in [*guarded.train, *guarded.validation, *guarded.test]


def test_rows_that_are_always_in_test_are_there_whatever_came_before(corpus):
    """They are fair to models of fewer rows: none of them, and none of their near duplicates, can have been in training there."""
    base = "The envoy said that the assessment was a blatant invention from start to finish, number"
    variants = [row(f"{base} {number}.") for number in range(40)]
    rows = [*corpus[:300], *variants]
    split = split_rows(rows, CONFIG)
    moved = {r.text for r in split.test} - {r.text for r in split.always_test}
    assert moved >= {r.text for r in variants}  # the hash of one says test and holds all the others there
    for earlier in (rows[:200], rows[100:], rows[::3]):
        found = places(earlier)
        assert {found[r.text] for r in split.always_test if r.text in found} == {"test"}
