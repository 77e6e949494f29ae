"""Retraining from new labelled files to a verdict and a champion, with a tiny model; killed at random moments on the way.

The sentences begin like those of the corpus. The first champion saw only these beginnings, which tell little; the new sentences end
in words that tell the label, and so do those of the frozen test set.
"""

import fcntl
import json
import os
import random
import time
from importlib.util import find_spec

import pytest

from serving import corrections
from serving.artifact import VERDICT_PAGE
from tests.server import SERVE, running
from tests.stores import Interrupted, Store, cpu_seconds

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("STANCE_TEST_KILLS", "1"))
"""Kills at random moments, besides those at chosen ones and the halts: what stands on disk at a halt is what a kill would leave."""
SEAL = r"models/stance/.*/manifest\.json\.tmp"
"""The first of these changes is what turns files of the store into an artifact."""
END = r"stance-champion|runs\.jsonl|stance-runs/[0-9a-f]{16}$"
"""What changes after a challenger is stored: the champion pointer, the diary, the name of the run's own folder."""
ENDINGS = {
    "supportive": "and we welcome every word of it",
    "critical": "but its method has many holes",
    "denying": "which is a lie from start to end",
    "neutral": "on Monday at noon in Geneva",
}
TASK = f"""name = "composed"
target = "a report"
labels = {json.dumps(list(ENDINGS))}
corpus = "corpus.jsonl"
frozen_test = "frozen.jsonl"
"""
CONFIG = """[fit]
epochs = 4
min_steps = 0
evaluations = 2
learning_rate = 3e-3
[split]
test_fraction = 0.2
near_duplicate = 0.95
[export]
forms = ["f32"]
"""


def label_studio(number, text, label):
    """A task in the shape of Label Studio's JSON export."""
    choice = {"from_name": "stance", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    annotation = {"id": number, "completed_by": 1, "was_cancelled": False, "result": [choice]}
    return {"id": number, "data": {"text": text}, "annotations": [annotation], "predictions": [], "drafts": []}


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, corpus_lines):
    """A task with its files, 200 new sentences in Label Studio's format, and labels that mean nothing for the same texts."""
    folder = tmp_path_factory.mktemp("retrain")
    different = {" ".join(row["text"].split()[:3]): row for row in corpus_lines[:900] if len(row["text"].split()) > 9}
    plain = [{"text": " ".join(row["text"].split()[:9]), "label": row["label"]} for row in different.values()][:400]
    ended = [{"text": f"{row['text']} {ENDINGS[row['label']]}", "label": row["label"]} for row in plain]
    labels = [row["label"] for row in ended[:200]]
    random.Random(1).shuffle(labels)
    shuffled = [{**row, "label": label} for row, label in zip(ended[:200], labels, strict=True)]
    tasks = [label_studio(number, **row) for number, row in enumerate(ended[:200], 1)]
    files = {
        "task.toml": TASK,
        "config.toml": CONFIG,
        "corpus.jsonl": json_lines(plain[200:300]),
        "frozen.jsonl": json_lines(ended[300:360]),
        "labelled.json": json.dumps(tasks),
        "shuffled.jsonl": json_lines(shuffled),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def store(folder, ready, tiny_base):
    """`stance` in the store that holds the first champion; its other options are already given."""
    store = Store(folder / "home", ready, base=tiny_base, folder=folder)
    pid = store.start("train", "--config", folder / "config.toml", "--promote")
    while not ready.ended(0.01):
        store.seconds = cpu_seconds(pid) or store.seconds
    status, stderr = ready.wait()
    assert status == 0, stderr
    return store


@pytest.fixture(scope="module")
def retrained(store):
    """The 200 sentences, retrained on in a run that is killed many times and given again until it is through."""
    first, runs = store.champion(), Interrupted(store)
    command = ("retrain", store.folder / "labelled.json")
    for _ in range(KILLS):  # before the challenger is stored, which takes at least as long as all of the first training took
        assert runs.run(*command, death=runs.random.uniform(0, 0.5 * store.seconds))
    assert store.champion() == first
    assert runs.run(*command, die_before=0, die_in=SEAL)
    assert (store.champion(), len(store.models())) == (first, 1)
    while runs.run(*command, die_before=runs.kills - KILLS - 1, die_in=END):
        assert len(store.models()) == 2
    return {"first": first, "halts": runs.halts, "kills": runs.kills, "out": store.commands.stdout.read_text(encoding="utf-8")}


def test_a_run_killed_at_random_moments_completes_when_given_again(store, retrained):
    assert retrained["kills"] >= KILLS + 4
    assert retrained["kills"] + retrained["halts"] >= 20
    assert len(store.models()) == 2
    assert list((store.home / "stance-runs").iterdir()) == []
    assert [(run["command"], run["promoted"]) for run in store.runs()] == [("train", True), ("retrain", True)]


def test_200_sentences_of_label_studio_make_a_better_champion(store, retrained):
    new = store.champion()
    assert new != retrained["first"]
    lines = retrained["out"].splitlines()
    assert "verdict: better" in lines
    assert lines[-1] == f"{new} is the champion; report: {store.path(new) / VERDICT_PAGE}"
    manifest = store.manifest(new)
    verdict = manifest.metrics["verdict"]
    assert (verdict["word"], verdict["champion"], manifest.parent) == ("better", retrained["first"], retrained["first"])
    assert verdict["sets"]["frozen test"]["texts"] == 60
    assert manifest.data["added"]["rows"] == 200
    assert sum(sum(manifest.data["counts"][part].values()) for part in ("train", "validation", "test")) == 300
    assert manifest.git_commit
    assert manifest.packages["torch"]
    run = store.runs()[-1]
    assert (run["model"], run["verdict"], run["parent"]) == (new, "better", retrained["first"])
    assert run["data_sha256"] == manifest.data["sha256"]


def test_a_running_server_follows_promotion_and_rollback(store, retrained, tmp_path):
    """The README's path: see the new tag, take it back, see the old one, promote it again."""
    new = store.champion()
    with running(SERVE, log=tmp_path / "log", cwd=tmp_path, env={"BENTOML_HOME": str(store.home)}) as client:
        assert answered_by(client, new)
        assert store.run("models rollback")[:2] == (0, f"{retrained['first']}\n")
        assert answered_by(client, retrained["first"])
        assert store.run("models promote", new)[:2] == (0, f"{new}\n")
        assert answered_by(client, new)


def answered_by(client, tag):
    """Ask until the answer comes from that model, for half a minute at most."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if client.post("/predict", json={"texts": ["On Monday at noon."]}).json()["model"] == tag:
            return True
        time.sleep(0.2)
    return False


def test_the_same_rows_again_are_no_measurable_change(store, retrained):
    before = store.champion()
    status, out, err = store.run("retrain", store.folder / "labelled.json", store.folder / "corpus.jsonl")
    assert status == 0, err
    assert "rows: 300 (0 new, 0 with a new label, 300 known already)" in err
    assert "verdict: no measurable change" in out.splitlines()
    assert store.champion() == before
    twin = store.runs()[-1]["model"]
    weights = [store.manifest(tag).files["model.safetensors"].sha256 for tag in (before, twin)]
    assert weights[0] == weights[1]  # of all rows, in their order, from the base: nothing of the champion's is lost


def test_shuffled_labels_are_refused_and_forced_only_with_a_reason(store, retrained):
    before = store.champion()
    page, figures = store.folder / "verdict.html", store.folder / "verdict.json"
    status, out, err = store.run("retrain", store.folder / "shuffled.jsonl", "--html", page, "--json", figures)
    assert status == 0, err
    assert "verdict: worse" in out.splitlines()
    worse = store.runs()[-1]["model"]
    assert out.splitlines()[-1].startswith(f"{worse} is not promoted")
    assert (store.champion(), store.runs()[-1]["promoted"]) == (before, False)
    found = json.loads(figures.read_text(encoding="utf-8"))
    flips = found["sets"]["frozen test"]["flips"]
    assert len(flips) == found["sets"]["frozen test"]["lost"] > 0
    assert flips[0]["text"] in page.read_text(encoding="utf-8")
    status, _, err = store.run("models promote", worse)
    assert (status, store.champion()) == (1, before)
    assert f"{worse} was judged to be worse than {before}" in err
    assert store.run("models promote", worse, "--force")[0] == 2
    assert store.run("models promote", worse, "--force", "--reason", "a test")[0] == 0
    assert store.champion() == worse
    forced = store.runs()[-1]
    assert (forced["command"], forced["model"], forced["reason"]) == ("models promote", worse, "a test")
    assert store.run("models rollback")[1] == f"{before}\n"


def test_two_stored_models_are_compared_as_retraining_would(store, retrained):
    before = store.runs()
    task = ("--task", store.folder / "task.toml")
    status, out, err = store.run("models compare", retrained["first"], store.champion(), *task)
    assert status == 0, err
    assert "verdict: better" in out.splitlines()
    assert store.runs() == before


def test_a_dry_run_tells_plan_and_time_and_trains_nothing(store, retrained):
    before = store.models(), store.runs()
    status, out, _ = store.run("retrain", store.folder / "labelled.json", "--dry-run")
    assert status == 0
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert lines["champion"] == store.champion()
    assert lines["rows"].startswith("300 (0 new")
    assert lines["judged by"].startswith("60 in frozen test, ")
    assert lines["time"].startswith("about ")
    assert (store.models(), store.runs()) == before


def test_corrections_join_the_new_rows(store, retrained):
    corpus = [json.loads(line) for line in (store.folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    other = next(label for label in ("critical", "neutral") if label != corpus[0]["label"])
    task = store.manifest(store.champion()).task
    database = corrections.Store(f"sqlite:///{store.home / corrections.FILE}")
    for text, label in (("Nobody had been told how late it would be.", "critical"), (corpus[0]["text"], other)):
        database.add(corrections.Correction(task, text, label, model="stance:1", predicted="supportive"))
    database.close()
    status, out, err = store.run("retrain", store.folder / "labelled.json", "--include-corrections", "--dry-run")
    assert status == 0, err
    assert "2 corrected texts" in err
    assert "rows: 301 (1 new, 1 with a new label, " in out


def test_a_second_retraining_is_refused_while_one_is_under_way(store, retrained):
    lock = store.home / "stance-retrain.lock"
    assert lock.read_text(encoding="utf-8").strip().isdigit()  # of the last one, whose end released it
    with lock.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("4321\n")
        file.flush()
        status, out, err = store.run("retrain", store.folder / "labelled.json")
    assert (status, out) == (1, "")
    assert err.strip() == (f"stance: {lock}: another retraining is under way in this store, process 4321; wait for it.")


def test_rows_that_cannot_be_trained_on_stop_it_before_anything_is_trained(store, retrained):
    before = store.models()
    bad = store.folder / "bad.csv"
    bad.write_text("text,label\nA fair report.,suportive\nIt came on Monday.,neutral\n", encoding="utf-8")
    status, out, err = store.run("retrain", bad)
    assert (status, store.models()) == (1, before)
    assert "suportive" in out
    assert "1 defects make rows unusable, the first:" in err
    assert "--leave-out goes on without these rows." in err
    status, out, _ = store.run("retrain", bad, "--leave-out", "--dry-run")
    assert status == 3
    assert "rows: 301 (1 new, " in out


def test_prune_keeps_the_champion_and_what_rollback_goes_back_to(store, retrained):
    champion, all_models = store.champion(), store.models()
    assert len(all_models) == 4
    status, out, _ = store.run("models prune", "--keep", "1")
    assert (status, store.models()) == (0, all_models)
    assert f"stays  {champion}  champion" in out.splitlines()
    assert f"stays  {retrained['first']}  earlier champion" in out.splitlines()
    assert store.run("models prune", "--keep", "0", "--yes")[0] == 0
    assert champion.partition(":")[2] in store.models()
    assert retrained["first"].partition(":")[2] not in store.models()
    status, _, err = store.run("models rollback")
    assert status == 1
    assert "no earlier champion to roll back to" in err


def test_tracking_without_mlflow_says_what_is_missing(store, retrained):
    if find_spec("mlflow"):
        pytest.skip("mlflow is installed")
    status, _, err = store.run("retrain", store.folder / "labelled.json", "--track", "mlflow")
    assert status == 1
    missing = "--track mlflow needs the package 'mlflow', which is not installed: pip install mlflow."
    assert err.splitlines()[-1] == f"stance: {missing}"
