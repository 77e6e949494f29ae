"""Whole articles: where sentences begin and end, who voices them, what the summary counts."""

import asyncio
import json
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.holders import SET, measure
from serving import article
from serving.batching import Batcher, QueueFull
from serving.errors import DataError
from serving.furniture import is_furniture
from serving.holders import holders
from serving.predictor import Prediction
from serving.sentences import MOST_CHARACTERS, segment
from tests.test_batching import Fake

HOSTILE = st.text(
    st.sampled_from(".!?…\"“”'‘’«»()[]{}—-,;:*•·1Aa \n\r\t\u00a0\u2028。？\ud800\U0001f642\u202e\u0301"), max_size=400
)
WORDS = st.lists(
    st.sampled_from(
        [
            "said",
            "she",
            "They",
            "“We",
            "it,”",
            "according",
            "to",
            "by",
            "was",
            ".",
            "?",
            ":",
            "”",
            "\n",
            "Dr",
            "Ann",
            "Lee",
            "the",
            "ministry",
            "and",
            "who",
            "told",
        ]
    ),
    max_size=80,
)


def sentences(text):
    return [text[start:end] for start, end in segment(text)]


def check_spans(text, spans):
    end = 0
    for start, stop in spans:
        assert 0 <= end <= start < stop <= len(text)
        assert not text[end:start].strip()
        assert text[start:stop].strip() == text[start:stop]
        assert stop - start <= MOST_CHARACTERS
        end = stop
    assert not text[end:].strip()


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.text(max_size=400), HOSTILE, WORDS.map(" ".join)))
@example("“\n“\n”")
@example("a\x1c\x1db.  \x85c")
def test_sentences_and_holders_stand_where_they_say(text):
    spans = segment(text)
    check_spans(text, spans)
    for holder in holders(text, spans):
        if holder is not None:
            assert text[holder.start : holder.end] == holder.name
            assert text[holder.cue.start : holder.cue.end] == holder.cue.text
            assert holder.name.strip()


@pytest.mark.parametrize(
    "pattern", ["“", "'", '"a" ', "a. ", "?” A said ", "said ", "A: ", "\n.", "(", "Aa ", "was denied by ", "who, "], ids=repr
)
def test_hostile_text_of_any_length_takes_time_in_proportion(pattern):
    def seconds(size):
        text = (pattern * size)[:size]
        begun = time.process_time()
        holders(text, segment(text))
        return time.process_time() - begun

    assert seconds(40_000) < 12 * seconds(10_000) + 0.5  # a square would be 16 times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“We reject this. It is a smear,” he said. Yes.", ["“We reject this.", "It is a smear,” he said.", "Yes."]),
        ('"Is it over?" she asked. "No." They left.', ['"Is it over?" she asked.', '"No."', "They left."]),
        ('She said: "It is wrong." He left.', ['She said: "It is wrong."', "He left."]),
        ('"It failed!" Ms Lind said. It did.', ['"It failed!" Ms Lind said.', "It did."]),
        (
            "The U.S. envoy, Dr. J. R. Orr, left at 5 p.m. It cost $3.5m.",
            ["The U.S. envoy, Dr. J. R. Orr, left at 5 p.m.", "It cost $3.5m."],
        ),
        ("Report is out\nThe office published it on Monday.", ["Report is out", "The office published it on Monday."]),
        (
            "This text was wrapped at a\nwidth by a program. It has\ntwo sentences.",
            ["This text was wrapped at a\nwidth by a program.", "It has\ntwo sentences."],
        ),
        ("Approx. 40 states signed. 1. First. 2. Second.", ["Approx. 40 states signed.", "1. First.", "2. Second."]),
        ("« Non. » Il part.", ["« Non. »", "Il part."]),
        ("\ufeff\n \t\n", ["\ufeff"]),
        (" \n\t", []),
    ],
)
def test_sentences_end_where_a_reader_would_say(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cuban delegate said it was late.", [("Cuban delegate", "indirect", "said")]),
        ("“It is late. It is weak,” said Ann Orr, a baker.", [("Ann Orr", "direct", "said")] * 2),
        (
            "Mr Abe sighed. “No,” he said. “Never.” It rained.",
            [None, ("Mr Abe", "direct", "said"), ("Mr Abe", "direct", "said"), None],
        ),
        ("The report was rejected by the embassy as a farce.", [("embassy", "indirect", "rejected by")]),
        ("According to two former guards, it was so.", [("two former guards", "indirect", "According to")]),
        ("The firm, which has two mills, denied it.", [("firm", "indirect", "denied")]),
        ("A judge wrote: “I agree.\n\n“I always have.”", [("judge", "direct", "wrote")] * 2),
        ("Ministry: “All is well.”", [("Ministry", "direct", ":")]),
        ("The union is convinced that it is true.", [("union", "indirect", "convinced")]),
        ("The ministry spoke. She said no.", [None, None]),
        ("Nobody said so.", [None]),
        ("If the minister says so, it is so.", [None]),
        ("It is said that there were two.", [None]),
        ("The minister did not say why.", [None]),
        ("The so-called report said to be late is here.", [None]),
        ("I say it is late.", [None]),
        ("The findings that critics had attacked stand.", [None]),
    ],
)
def test_who_voices_a_sentence(text, expected):
    found = holders(text, segment(text))
    assert [each and (each.name, each.speech, each.cue.text) for each in found] == expected


def test_the_rules_are_right_nine_times_in_ten_where_they_name_a_holder():
    passages = [json.loads(line) for line in SET.read_text(encoding="utf-8").splitlines()]
    assert sum(len(passage["sentences"]) for passage in passages) >= 300
    for passage in passages:
        check_spans(passage["text"], [(found["start"], found["end"]) for found in passage["sentences"]])
    found = measure([passage for passage in passages if passage["split"] == "report"])
    assert found["precision"]["share"] >= 0.9
    assert found["recall"]["share"] >= 0.7


@pytest.mark.parametrize(
    "line", ["Share your love", "Read also: Ten facts", "We use cookies to improve it.", "* * *", "Advertisement"]
)
def test_furniture_of_a_page_is_told(line):
    assert is_furniture(line)


@pytest.mark.parametrize(
    "line", ["The office shared its draft.", "Readers also said no.", "Report is out", "Cookies were served.", "Homes burned."]
)
def test_sentences_of_an_article_are_not_furniture(line):
    assert not is_furniture(line)


def prediction(label):
    shares = {each: 0.7 if each == label else 0.1 for each in ("supportive", "critical", "denying", "neutral")}
    return Prediction(label, 0.7, shares, (label,), abstain=False, truncated=False)


def test_the_summary_counts_holders_and_leaves_furniture_out():
    text = "“It is a lie. It is a farce,” the embassy said. It rained.\n\nShare your love"
    read = article.read(text)
    answer = article.answer(read, [prediction("denying")] * 4, model="stance:test")
    assert [sentence.furniture for sentence in answer.sentences] == [False, False, False, True]
    assert answer.sentences[3].label == "neutral"
    assert answer.sentences[3].prediction_set == ["neutral"]
    assert answer.summary.sentences == 3
    assert answer.summary.furniture == 1
    assert answer.summary.labels["denying"].model_dump() == {"count": 3, "share": 1.0}
    assert [(each.name, each.count, each.share) for each in answer.summary.holders] == [("embassy", 2, 0.6667), (None, 1, 0.3333)]


def test_too_many_sentences_are_refused():
    with pytest.raises(DataError, match="expected 1 to 2 sentences, found 3"):
        article.read("One. Two. Three.", most=2)


def numbered(count):
    return [article.Sentence(str(n), 0, 1, furniture=False, holder=None) for n in range(count)]


def test_a_long_article_does_not_starve_others(monkeypatch):
    monkeypatch.setattr(Batcher, "budget", 10.0)

    async def run():
        fake = Fake()
        batcher = Batcher(fake, queue_seconds=10**6)
        whole = asyncio.ensure_future(article.score(batcher, numbered(2000)))
        while len(fake.batches) < 3:
            await asyncio.sleep(0)
        await batcher.predict(["99999"])
        done = sum(map(len, fake.batches))
        assert done < 300  # the other's text did not wait for the article's end
        assert await whole == list(range(2000))

    asyncio.run(run())


def test_a_full_queue_refuses_an_article_at_its_beginning_only():
    class Full:
        budget = 256

        def __init__(self, refused):
            self.calls, self.refused = 0, refused

        async def predict(self, texts):
            self.calls += 1
            if self.calls in self.refused:
                raise QueueFull(0)
            return [int(text) for text in texts]

    async def run(refused):
        return await article.score(Full(refused), numbered(5000))

    assert asyncio.run(run({2, 3})) == list(range(5000))
    with pytest.raises(QueueFull):
        asyncio.run(run({1}))


def test_equal_sentences_are_computed_once():
    async def run():
        fake = Fake()
        found = await article.score(Batcher(fake, queue_seconds=10), [*numbered(3), *numbered(3)])
        assert found == [0, 1, 2, 0, 1, 2]
        assert np.sum([len(batch) for batch in fake.batches]) == 3

    asyncio.run(run())
