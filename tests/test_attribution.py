"""Integrated gradients: they belong to the model that was trained, and sum up to what they explain."""

import numpy as np
import pytest

from serving import registry
from serving.errors import ArtifactError
from serving.explanation import word_spans

TEXT = "Experts praised the careful report, but the mission called it a patchwork of lies."


@pytest.fixture(scope="module")
def trained(built):
    from training.attribution import trained_model

    return trained_model(built.model.path)


def log_odds(logits, label):
    others = np.delete(logits, label)
    return logits[label] - np.log(np.exp(others).sum())


def test_the_model_is_the_one_that_was_trained(trained, predictor):
    from training.export import torch_logits

    encoded = predictor.encode([TEXT, "It has 46 pages."])
    found = predictor.probabilities(torch_logits(trained, encoded))
    assert np.abs(found - predictor.probabilities(predictor.logits(encoded))).max() < 0.03


@pytest.mark.parametrize("label", [0, 3])
def test_the_values_sum_up_to_the_difference_of_the_log_odds(trained, predictor, label):
    import torch

    from training.attribution import integrated_gradients
    from training.export import torch_logits

    encoded = predictor.encode([TEXT])
    (whole,) = torch_logits(trained, encoded)
    with torch.no_grad():
        weights = trained.encoder.get_input_embeddings().weight
        kept = weights[[encoded[0].ids[0], encoded[0].ids[-1]]].clone()
        before = weights.clone()
        weights.zero_()
        weights[[encoded[0].ids[0], encoded[0].ids[-1]]] = kept
        (blank,) = torch_logits(trained, encoded)
        weights.copy_(before)
    values = integrated_gradients(trained, encoded[0].ids, label=label)
    difference = log_odds(whole, label) - log_odds(blank, label)
    assert values.shape == (len(encoded[0].ids),)
    assert abs(difference) > 0.01
    assert values.sum() == pytest.approx(difference, rel=0.02)
    assert values[[0, -1]] == pytest.approx([0, 0])


def test_a_word_has_the_sum_of_its_tokens(trained, predictor):
    from training.attribution import integrated_gradients, word_attributions

    (encoded,) = predictor.encode([TEXT])
    tokens = integrated_gradients(trained, encoded.ids, label=1)
    whole = word_attributions(trained, predictor.tokenizer, TEXT, label=1, spans=[(0, len(TEXT))])
    assert whole == pytest.approx([tokens.sum()])
    words = word_attributions(trained, predictor.tokenizer, TEXT, label=1, spans=word_spans(TEXT))
    pieces = [TEXT[start:end] for start, end in predictor.tokenizer.offsets(TEXT)]
    first = [end <= len("Experts") for _, end in predictor.tokenizer.offsets(TEXT)]
    assert words[0] == pytest.approx(tokens[1:-1][first].sum())
    punctuation = sum(value for value, piece in zip(tokens[1:-1], pieces, strict=True) if piece in ",.")
    assert words.sum() + punctuation == pytest.approx(tokens.sum())


def test_an_artifact_for_serving_alone_is_told(built, tmp_path):
    from training.attribution import trained_model

    file = registry.export_model(built.model.tag, tmp_path / "x.bentomodel", serving_only=True)
    model, _ = registry.import_model(file)
    try:
        with pytest.raises(ArtifactError, match=r"expected model.safetensors, found none: the artifact is for serving alone"):
            trained_model(model.path)
    finally:
        registry.delete(model.tag)
