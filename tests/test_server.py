"""The service as a class, and as a real server: its answers are those of the predictor and of a scored file."""

import asyncio
import csv
import json
import subprocess
import sys

import bentoml
import pytest

from serving.score import Job, score
from tests.conftest import ODD_TEXTS, ROOT
from tests.server import SECRET, running

TOLERANCE = 0.01


def post(server, body, **headers):
    return server.post("/predict", content=body, headers={"content-type": "application/json", **headers})


def test_the_class_answers_without_a_server(built, predictor):
    from serving.service import StanceService

    service = StanceService.inner()
    response = asyncio.run(service.predict(["It is a lie."]))
    assert response.model == built.model.tag
    assert response.predictions[0].label == predictor.predict(["It is a lie."])[0].label


def test_trained_exported_served_and_batch_agree(server, predictor, texts, tmp_path):
    clean = [text for text in texts if "\ud800" not in text]
    expected = predictor.predict(clean)
    answer = server.post("/predict", json={"texts": clean}).json()
    assert answer["model"] == predictor.tag
    served = answer["predictions"]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in clean)])
    score(Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv"), predictor=predictor)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        batch = list(csv.DictReader(file))
    assert len(served) == len(batch) == len(expected)
    for prediction, answered, row in zip(expected, served, batch, strict=True):
        assert answered["label"] == prediction.label == row["stance"]
        assert answered["probabilities"] == pytest.approx(prediction.probabilities, abs=TOLERANCE)
        assert float(row["stance_confidence"]) == pytest.approx(prediction.confidence, abs=TOLERANCE)
        assert set(answered) == {"label", "confidence", "probabilities", "prediction_set", "abstain", "truncated"}
        assert answered["truncated"] == prediction.truncated


def test_odd_texts_are_answered_or_refused_but_never_fail(server):
    for text in ODD_TEXTS:
        response = post(server, json.dumps({"texts": [text]}))
        assert response.status_code == (422 if "\ud800" in text else 200)


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "status"),
    [
        ("POST", "/predict", b"nonsense", "application/json", 422),
        ("POST", "/predict", b'{"texts": [""]}', "application/json", 422),
        ("POST", "/predict", b"x", "text/plain", 415),
        ("POST", "/predict", b"x", "application/vnd.bentoml+pickle", 415),
        ("POST", "/predict", b" " * 3_000_000, "application/json", 413),
        ("GET", "/predict", b"", "", 405),
        ("GET", "/absent", b"", "", 404),
        ("POST", "/predict/submit", b"{}", "application/json", 404),
    ],
)
def test_bad_requests_are_problems(server, method, path, body, content_type, status):
    response = server.request(method, path, content=body, headers={"content-type": content_type})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


def test_the_model_is_described(server, built):
    content = server.get("/model").json()
    assert content["model"] == built.model.tag
    assert [label["name"] for label in content["labels"]] == ["supportive", "critical", "denying", "neutral"]
    assert "Not for" in content["model_card"]
    assert "files" not in content


def test_health_metrics_and_description_answer(server):
    server.post("/predict", json={"texts": "one"})
    assert [server.get(path).status_code for path in ("/livez", "/readyz", "/metrics", "/docs.json")] == [200] * 4
    metrics = server.get("/metrics").text
    assert 'stance_requests_total{path="/predict",status="200"}' in metrics
    assert "stance_compute_seconds_count" in metrics
    assert 'stance_predictions_total{label="' in metrics
    paths = server.get("/docs.json").json()["paths"]
    assert {"/predict", "/explain", "/text-classification", "/model", "/livez", "/readyz", "/metrics"} <= set(paths)
    assert set(paths["/predict"]["post"]["responses"]) == {"200", "401", "408", "413", "415", "422", "429", "500", "503", "504"}


def test_bentomls_own_client_works(server, predictor):
    with bentoml.SyncHTTPClient(str(server.base_url)) as client:
        answer = client.predict(texts=["It is a lie."])
    assert answer["predictions"][0]["label"] == predictor.predict(["It is a lie."])[0].label


@pytest.mark.parametrize("path", ["/text-classification", "/", ""])
def test_hugging_faces_own_client_works(server, predictor, monkeypatch, path):
    from huggingface_hub import InferenceClient, constants
    from huggingface_hub.errors import HfHubHTTPError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # else it asks nobody, this machine neither
    url = str(server.base_url).rstrip("/") + path
    (expected,) = predictor.predict(["It is a lie."])
    for client in (InferenceClient(model=url), InferenceClient(base_url=url, api_key="none")):
        scores = client.text_classification("It is a lie.")
        assert {found.label: found.score for found in scores} == pytest.approx(expected.probabilities, abs=TOLERANCE)
        assert [found.score for found in scores] == sorted((found.score for found in scores), reverse=True)
        (best,) = client.text_classification("It is a lie.", top_k=1, function_to_apply="softmax")
        assert best.label == scores[0].label
        with pytest.raises(HfHubHTTPError, match="function_to_apply: Input should be 'softmax'"):
            client.text_classification("It is a lie.", function_to_apply="sigmoid")


def test_the_example_of_a_client_runs(server, predictor):
    from examples.client import TEXTS

    command = [sys.executable, "-m", "examples.client", str(server.base_url).rstrip("/")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    expected = predictor.predict(TEXTS)
    assert [line[0] for line in lines] == [prediction.label for prediction in expected]
    assert [float(line[1]) for line in lines] == pytest.approx([p.confidence for p in expected], abs=TOLERANCE)
    assert all(word in text for (_, _, word, _), text in zip(lines, TEXTS, strict=True))


def test_logs_hold_no_text(server):
    for body in (json.dumps({"texts": [SECRET]}), json.dumps({"texts": [SECRET, 5]}), json.dumps({"texts": SECRET, SECRET: 1})):
        post(server, body)
    server.post("/explain", json={"text": SECRET})
    server.post("/text-classification", json={"inputs": SECRET, "parameters": {SECRET: 1}})
    post(server, SECRET)
    post(server, b"\xef\xbb\xbf" + json.dumps({"texts": [SECRET]}).encode())
    for odd in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        twice = [("content-type", odd), ("content-type", "application/json")]
        assert server.post("/predict", content=json.dumps({"texts": [SECRET]}), headers=twice).status_code == 415
    log = server.log.read_text()
    assert "path=/predict" in log
    assert SECRET not in log


@pytest.mark.slow
def test_twenty_thousand_rows_come_back_in_order_with_the_labels_of_the_service(server, predictor, corpus_lines, tmp_path):
    rows = [[f"{i:06}", corpus_lines[i % len(corpus_lines)]["text"], f'note {i}, "quoted"'] for i in range(20_000)]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text", "note"], *rows])
    summary = score(Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv"), predictor=predictor)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert (summary.rows, summary.rejected) == (20_000, 0)
    assert [[row["id"], row["text"], row["note"]] for row in found] == rows
    for start in range(0, 20_000, 2_500):
        part = found[start : start + 250]
        served = server.post("/predict", json={"texts": [row["text"] for row in part]}).json()["predictions"]
        unlike = [(p, row) for p, row in zip(served, part, strict=True) if p["label"] != row["stance"]]
        assert all(p["confidence"] == pytest.approx(float(row["stance_confidence"]), abs=TOLERANCE) for p, row in unlike)
        assert len(unlike) <= 2  # two labels of equal probability may change places with the company in a batch


@pytest.mark.slow
def test_plain_bentoml_serve_works(built, tmp_path):
    command = [sys.executable, "-m", "bentoml", "serve", "--port", "{port}", "--host", "127.0.0.1", str(ROOT)]
    with running(command, log=tmp_path / "log", cwd=ROOT) as client:
        assert client.post("/predict", json={"texts": ["one"]}).json()["model"] == built.model.tag
