import math
import threading

import numpy as np
import pytest

from serving.errors import DataError
from serving.predictor import Predictor
from serving.tokenizer import TextTokenizer, well_formed

TOLERANCE = 0.03
"""Largest allowed difference of a probability between the torch model in fp32 and the served form (here bf16)."""


@pytest.fixture(scope="session")
def torch_model(built, tiny_base, run):
    """The training model, read back from the artifact's safetensors."""
    from safetensors.torch import load_model

    from training.base import find_base, load_encoder
    from training.model import StanceModel

    model = StanceModel(load_encoder(find_base(str(tiny_base))), labels=4, dropout=0.1)
    load_model(model, built.model.path / "model.safetensors")
    return model.eval()


def test_trained_equals_exported(torch_model, predictor, texts):
    from training.calibrate import probabilities
    from training.export import torch_logits

    encoded = predictor.encode(texts)
    trained = probabilities(torch_logits(torch_model, encoded), predictor.manifest.temperature)
    served = predictor.probabilities(predictor.logits(encoded))
    assert np.abs(trained - served).max() <= TOLERANCE
    sure = np.sort(trained, axis=1)[:, -1] - np.sort(trained, axis=1)[:, -2] > 2 * TOLERANCE
    assert sure.sum() > 20
    assert (trained.argmax(axis=1) == served.argmax(axis=1))[sure].all()


def test_a_text_scores_the_same_alone_and_in_company(predictor, texts):
    together = predictor.predict(texts)
    for text, expected in zip(texts, together, strict=True):
        (alone,) = predictor.predict([text])
        assert alone.probabilities == pytest.approx(expected.probabilities, abs=TOLERANCE / 3)


def test_predictions_keep_the_order_of_the_texts(predictor, texts):
    forward = [p.probabilities for p in predictor.predict(texts)]
    backward = [p.probabilities for p in predictor.predict(texts[::-1])]
    for one, other in zip(forward, backward[::-1], strict=True):
        assert one == pytest.approx(other, abs=TOLERANCE / 3)


def test_every_field_of_a_prediction_follows_from_its_probabilities(predictor, texts):
    manifest = predictor.manifest
    for prediction in predictor.predict(texts):
        assert list(prediction.probabilities) == ["supportive", "critical", "denying", "neutral"]
        assert math.isclose(sum(prediction.probabilities.values()), 1, abs_tol=1e-9)
        assert prediction.confidence == max(prediction.probabilities.values())
        assert prediction.probabilities[prediction.label] == prediction.confidence
        assert prediction.abstain == (prediction.confidence < manifest.abstention.threshold)
        kept = {label for label, p in prediction.probabilities.items() if p >= manifest.conformal.threshold}
        assert set(prediction.prediction_set) == kept | {prediction.label}
        assert prediction.prediction_set[0] == prediction.label


def test_a_long_text_is_scored_on_its_beginning_and_says_so(predictor):
    beginning = "report " * 126
    long, cut, short = predictor.predict([beginning + "lies " * 3000, beginning + "lies", beginning])
    assert (long.truncated, cut.truncated, short.truncated) == (True, True, False)
    assert long.probabilities == pytest.approx(short.probabilities, abs=TOLERANCE / 3)


@pytest.mark.parametrize("text", ["", "   ", "\n\t\u2003"])
def test_a_blank_text_is_refused(predictor, text):
    with pytest.raises(DataError, match="text 1: expected at least one character"):
        predictor.predict(["fine", text])


def test_no_texts_no_predictions(predictor):
    assert predictor.predict([]) == []


def test_typographic_spellings_do_not_change_a_prediction(predictor):
    plain, curly = predictor.predict(
        ["It's a 'so-called' \"report\" - nothing else", "It’s a ‘so‑called’ “report” — nothing else"]
    )
    assert plain.probabilities == pytest.approx(curly.probabilities, abs=TOLERANCE / 3)


def test_threads_do_not_mix_answers(predictor, texts):
    expected = [p.probabilities for p in predictor.predict(texts)]
    wrong = []

    def check(index):
        for _ in range(5):
            (found,) = predictor.predict([texts[index]])
            if found.probabilities != pytest.approx(expected[index], abs=TOLERANCE / 3):
                wrong.append(index)

    threads = [threading.Thread(target=check, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_load_takes_a_tag_a_version_or_the_champion(built):
    for name in (built.model.tag, built.model.tag.split(":")[1], None):
        assert Predictor.load(name).tag == built.model.tag


def test_lone_surrogates_become_replacement_characters():
    assert well_formed("a\ud800b") == "a\ufffdb"
    assert well_formed("🙂 é") == "🙂 é"


def test_a_cut_text_keeps_its_closing_token(tiny_base):
    tokenizer = TextTokenizer.load(tiny_base / "tokenizer.json", max_length=8)
    (long, short) = tokenizer.encode(["one two three four five six seven eight", "one"])
    assert long.truncated
    assert len(long.ids) == 8
    assert long.ids[-1] == short.ids[-1] == 3
    assert not short.truncated


def test_a_stream_gives_the_predictions_of_the_list_window_by_window(predictor, texts, monkeypatch):
    monkeypatch.setattr("serving.predictor.TEXTS_AT_ONCE", 10)
    monkeypatch.setattr("serving.predictor.CHARACTERS_AT_ONCE", 5_000)
    taken = []

    def given():
        for text in texts:
            taken.append(text)
            yield text

    stream = predictor.stream(given())
    assert taken == []
    found = [next(stream)]
    assert taken == texts[:10]  # no more than its window is held
    found += stream
    assert [prediction.label for prediction in found] == [prediction.label for prediction in predictor.predict(texts)]
    for one, other in zip(found, predictor.predict(texts), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=TOLERANCE / 3)
    assert list(predictor.stream([])) == []


def test_a_stream_names_the_text_that_cannot_be_scored(predictor, monkeypatch):
    monkeypatch.setattr("serving.predictor.TEXTS_AT_ONCE", 2)
    stream = predictor.stream(["one", "two", "three", " "])
    assert [next(stream).truncated, next(stream).truncated] == [False, False]
    with pytest.raises(DataError, match="^text 3: expected at least one character"):
        next(stream)
