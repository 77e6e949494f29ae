"""The pieces of fine-tuning that can go wrong without a crash."""

import numpy as np
import pytest
import torch

from training.base import find_base, load_encoder
from training.fit import LengthGroupedSampler
from training.model import StanceModel


def test_every_epoch_holds_every_row_once_in_another_order():
    sampler = LengthGroupedSampler(list(range(100)), batch_size=8, seed=1)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert sorted(epochs[-1]) == list(range(100))
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_follows_from_seed_and_epoch_alone():
    one, two = (LengthGroupedSampler([3, 1, 2] * 20, batch_size=4, seed=1) for _ in range(2))
    torch.manual_seed(1)
    first = list(one)
    torch.manual_seed(2)
    assert list(two) == first


def test_neighbours_are_of_like_length():
    lengths = np.random.default_rng(0).integers(5, 100, 4000).tolist()
    sampler = LengthGroupedSampler(lengths, batch_size=32, seed=0)
    batches = np.array([lengths[i] for i in sampler]).reshape(-1, 32)
    assert 1 - batches.mean() / batches.max(axis=1).mean() < 0.1  # share of padding; about a half unsorted


def test_the_fitted_model_computes_in_full_precision(run, tmp_path, monkeypatch):
    """What leaves the trainer must be the plain model: the same logits as a fresh one with its weights."""
    from training.base import load_tokenizer
    from training.fit import fit
    from training.split import split_rows

    base = find_base(run.config.model.base_model)
    tokenizer, _ = load_tokenizer(base, max_length=128)
    labels = run.task.label_names
    split = split_rows(run.rows, run.config.split)
    fitted = fit(split, base=base, tokenizer=tokenizer, labels=labels, config=run.config, folder=tmp_path).model
    fresh = StanceModel(load_encoder(base), labels=len(labels), dropout=0.0)
    fresh.load_state_dict(fitted.state_dict())
    ids = torch.arange(5, 45).reshape(2, 20)
    with torch.inference_mode():
        found = fitted(ids, torch.ones_like(ids))["logits"]
        expected = fresh.eval()(ids, torch.ones_like(ids))["logits"]
    assert found.dtype == torch.float32
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)
