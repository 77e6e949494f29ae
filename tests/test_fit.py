"""The pieces of fine-tuning that can go wrong without a crash."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from serving.errors import DataError
from training.base import find_base, load_encoder
from training.config import read_config
from training.fit import LengthGroupedSampler, optimizer, taught_rows
from training.model import StanceModel
from training.rows import LabelledRow


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


def encoder_of(width):
    """Stands where an encoder would: the token ids themselves, as vectors of that width."""

    class Encoder(torch.nn.Module):
        config = SimpleNamespace(hidden_size=width)

        def forward(self, input_ids, attention_mask):
            return SimpleNamespace(last_hidden_state=input_ids.unsqueeze(-1).expand(-1, -1, width).float())

    return Encoder()


@pytest.fixture
def taught_model():
    torch.manual_seed(0)
    model = StanceModel(encoder_of(4), labels=3, dropout=0.0)
    model.class_weights = torch.tensor([0.5, 1.0, 1.5])
    model.label_smoothing, model.teacher_weight, model.teacher_temperature = 0.1, 0.25, 2.0
    return model


IDS, LABELS = torch.tensor([[1, 2], [3, 1]]), torch.tensor([0, 2])


def test_without_a_teacher_the_loss_is_weighted_cross_entropy(taught_model):
    expected = torch.nn.functional.cross_entropy(
        taught_model(IDS, torch.ones_like(IDS))["logits"], LABELS, weight=taught_model.class_weights, label_smoothing=0.1
    )
    for teacher in (None, torch.full((2, 3), torch.nan)):
        assert taught_model(IDS, torch.ones_like(IDS), LABELS, teacher)["loss"].item() == pytest.approx(expected.item())


def test_a_taught_row_learns_from_softened_probabilities_in_its_share(taught_model):
    teacher = torch.tensor([[0.7, 0.2, 0.1], [torch.nan] * 3])
    plain = taught_model(IDS, torch.ones_like(IDS), LABELS)["logits"]
    rows = torch.nn.functional.cross_entropy(
        plain, LABELS, weight=taught_model.class_weights, label_smoothing=0.1, reduction="none"
    )
    aim = teacher[0].sqrt() / teacher[0].sqrt().sum()  # temperature 2
    own = (plain[0] / 2).softmax(0)
    divergence = 4 * (aim * (aim / own).log()).sum()
    expected = (0.75 * rows[0] + 0.25 * divergence + rows[1]) / (0.5 + 1.5)
    assert taught_model(IDS, torch.ones_like(IDS), LABELS, teacher)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_teachers_column_of_another_shape_is_one_clear_error():
    rows = [LabelledRow(text="a", label="x", where="f:1"), LabelledRow("b", "y", "f:2", {"teacher": [0.5, 0.5, 0.0]})]
    with pytest.raises(DataError, match=r"f:2: teacher: expected 2 probabilities, found \[0.5, 0.5, 0.0\]"):
        taught_rows(rows, "teacher", labels=2)
    assert taught_rows(rows[:1], "teacher", labels=2) == []


@pytest.mark.parametrize(("width", "rate"), [(384, 1e-3), (768, 2.5e-4), (32, 1e-3)])
def test_a_wider_encoder_learns_more_slowly(width, rate):
    model = StanceModel(encoder_of(width), labels=2, dropout=0.0)
    model.encoder.weight = torch.nn.Parameter(torch.ones(2, 2))
    fit = read_config().fit.model_copy(update={"learning_rate": 1e-3})
    assert [group["lr"] for group in optimizer(model, fit).param_groups[:2]] == pytest.approx([rate, rate])


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
