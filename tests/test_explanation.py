"""An explanation: where the words are, what the text without each of them scores, and how it is shown."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import stance
from serving.errors import DataError
from serving.explanation import MOST_WORDS, Explanation, Word, explain, occlude, word_spans
from serving.painting import paint
from serving.predictor import Prediction
from serving.schema import ExplainResponse
from serving.tokenizer import TextTokenizer
from tests.conftest import ODD_TEXTS, TINY_BASE

TOLERANCE = 0.002
TEXT = "Experts praised the careful report, but Beijing's mission called it so-called “evidence”: a patchwork of lies."
PIECES = [*(text for text in ODD_TEXTS if len(text) < 1000), TEXT, "a-" * 200 + "a", "x" * 150, "word " * 140]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't trust the so-called “report”.", ["Don't", "trust", "the", "so-called", "report"]),
        ("The U.N. rose 3.5% -- 'again'…", ["The", "U.N", "rose", "3.5", "again"]),
        ("well--known and/or state-", ["well", "known", "and", "or", "state"]),
        ("cafe\u0301 na\u00efve soft\u00adly \ufeffx", ["cafe\u0301", "na\u00efve", "soft\u00adly", "x"]),
        ("报告 は 유엔 보고서", ["报", "告", "は", "유엔", "보고서"]),
        ("التقرير كاذب", ["التقرير", "كاذب"]),
        ("हिन्दी 𝔘nicode 🙂 👩‍👧", ["हिन्दी", "𝔘nicode"]),
        ("🙂 — ...", []),
    ],
)
def test_words_are_runs_of_letters_marks_and_digits(text, words):
    assert [text[start:end] for start, end in word_spans(text)] == words


@pytest.fixture(scope="module", params=[8, 128])
def tokens_alone(request):
    """What occlusion asks of a predictor, with the model's tokenizer and no model."""
    tokenizer = TextTokenizer.load(TINY_BASE / "tokenizer.json", max_length=request.param)
    return SimpleNamespace(tokenizer=tokenizer, encode=tokenizer.encode)


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)))
def test_what_is_scored_is_the_text_without_the_word(tokens_alone, text):
    occlusion = occlude(tokens_alone, text)
    bounds = [bound for span in occlusion.spans for bound in span]
    assert bounds == sorted(bounds)
    assert all(text[start:end].split() == [text[start:end]] for start, end in occlusion.spans)
    without = tokens_alone.encode([text[:start] + text[end:] for start, end in occlusion.spans])
    assert [item.ids for item in occlusion.encoded[1:]] == [item.ids for item in without]
    assert occlusion.encoded[0] == tokens_alone.encode([text])[0]


def test_words_that_the_model_does_not_read_are_left_out_and_change_nothing(tokens_alone):
    text = " ".join(f"word{n}" for n in range(1000))
    occlusion = occlude(tokens_alone, text)
    assert len(occlusion.spans) + occlusion.left_out == 1000
    assert 0 < len(occlusion.spans) <= tokens_alone.tokenizer.max_length - 2
    for start, end in word_spans(text)[len(occlusion.spans) : len(occlusion.spans) + 3]:
        assert tokens_alone.encode([text[:start] + text[end:]])[0].ids == occlusion.encoded[0].ids


def test_a_model_that_reads_more_has_its_words_capped():
    tokenizer = TextTokenizer.load(TINY_BASE / "tokenizer.json", max_length=2048)
    occlusion = occlude(SimpleNamespace(tokenizer=tokenizer, encode=tokenizer.encode), "a " * 400)
    assert (len(occlusion.spans), occlusion.left_out) == (MOST_WORDS, 400 - MOST_WORDS)
    assert len(occlusion.encoded) == 1 + MOST_WORDS


def test_a_contribution_is_what_deleting_the_word_costs(predictor):
    explanation = explain(predictor, TEXT)
    label = explanation.prediction.label
    (whole,) = predictor.predict([TEXT])
    assert explanation.prediction.probabilities == pytest.approx(whole.probabilities, abs=TOLERANCE)
    assert [word.word for word in explanation.words] == [TEXT[start:end] for start, end in word_spans(TEXT)]
    for word in explanation.words:
        (without,) = predictor.predict([TEXT[: word.start] + TEXT[word.end :]])
        assert word.contribution == pytest.approx(whole.probabilities[label] - without.probabilities[label], abs=TOLERANCE)
    assert max(abs(word.contribution) for word in explanation.words) > 2 * TOLERANCE


def test_a_text_of_one_word_is_compared_with_an_empty_one(predictor):
    (word,) = explain(predictor, "Lies").words
    whole = explain(predictor, "Lies").prediction
    empty = predictor.predictions(predictor.logits(predictor.encode([""])), predictor.encode([""]))[0]
    assert word.contribution == pytest.approx(whole.confidence - empty.probabilities[whole.label], abs=TOLERANCE)


def test_a_blank_text_is_refused_and_one_without_words_has_none(predictor):
    with pytest.raises(DataError):
        explain(predictor, " \n")
    assert explain(predictor, "🙂!").words == ()


def test_an_explanation_computes_no_more_than_as_many_texts(predictor, monkeypatch):
    computed = []
    monkeypatch.setattr(predictor, "on_batch", lambda tokens, padded: computed.append(padded))
    explanation = explain(predictor, TEXT)
    texts = 1 + len(explanation.words)
    assert sum(computed) <= texts * len(predictor.encode([TEXT])[0].ids)


def test_the_service_answers_what_the_predictor_says(built, predictor):
    from serving.service import StanceService

    service = StanceService.inner()
    for text in (TEXT, "long " * 3000):  # tokenised at once, and in a thread
        answer = asyncio.run(service.explain(text))
        expected = ExplainResponse.of(explain(predictor, text), model=built.model.tag)
        assert answer.model_copy(update={"prediction": None, "words": []}) == expected.model_copy(
            update={"prediction": None, "words": []}
        )
        assert answer.prediction.probabilities == pytest.approx(expected.prediction.probabilities, abs=TOLERANCE)
        assert [(w.word, w.start, w.end) for w in answer.words] == [(w.word, w.start, w.end) for w in expected.words]
        found = [word.contribution for word in answer.words]
        assert found == pytest.approx([word.contribution for word in expected.words], abs=TOLERANCE)


def example(text, *contributions, left_out=0):
    prediction = Prediction("denying", 0.9, {"denying": 0.9, "neutral": 0.1}, ("denying",), abstain=True, truncated=False)
    words = [
        Word(text[start:end], start, end, contribution)
        for (start, end), contribution in zip(word_spans(text), contributions, strict=True)
    ]
    return Explanation(prediction, tuple(words), left_out)


def test_words_are_coloured_by_what_they_say_and_numbered():
    text = "“Lies”, all of it."
    painted = paint(text, example(text, 0.5, -0.3, 0.001, -0.25, left_out=7))
    assert painted.plain.splitlines() == [
        "denying 90.0%, unsure",
        "“Lies(+50.0)”, all(-30.0) of(+0.1) it(-25.0).",
        "(+): points of its probability that denying loses without the word",
        "7 words at the end are not explained",
    ]
    styles = {painted.plain[span.start : span.end]: str(span.style) for span in painted.spans}
    assert [styles[word] for word in ("Lies", "all", "of", "it")] == ["bold green", "bold red", "green", "bold red"]


def test_a_text_cannot_steer_the_terminal():
    text = "a \x1b[31mred\x1b[0m \x9b1m[bold]"
    assert "a(+0.0) \ufffd[31mred" in paint(text, example(text, *[0.0] * len(word_spans(text)))).plain
    assert not {"\x1b", "\x9b"} & set(paint(text, example(text, *[0.0] * len(word_spans(text)))).plain)


def test_the_command_shows_and_as_json_answers_what_the_service_does(built, predictor):
    shown = CliRunner().invoke(stance.build(), ["explain", TEXT])
    assert (shown.exit_code, "\x1b" in shown.output) == (0, False)
    assert shown.output.startswith(explain(predictor, TEXT).prediction.label)
    assert "so-called(" in shown.output
    answered = CliRunner().invoke(stance.build(), ["explain", "-", "--json"], input=TEXT)
    expected = ExplainResponse.of(explain(predictor, TEXT), model=predictor.tag).model_dump()
    found = json.loads(answered.stdout)
    assert found["model"] == built.model.tag
    assert [word["word"] for word in found["words"]] == [word["word"] for word in expected["words"]]
