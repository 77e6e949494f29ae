"""The service in operation: load, another champion, the end, broken clients, and what it may be told by its settings."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given

from tests.server import SECRET, SERVE, running

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("limit", [{"STANCE_CONCURRENT_REQUESTS": "1"}, {"STANCE_QUEUE_SECONDS": "1"}])
def test_a_full_service_says_so_and_when_to_come_back(built, corpus_lines, tmp_path, limit):
    """Forty large requests at once on a service that takes few: whatever is refused is a 429 problem, nothing fails."""
    body = {"texts": [row["text"] for row in corpus_lines[:256]]}
    with running(SERVE, log=tmp_path / "log", cwd=tmp_path, env=limit) as client:
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda _: client.post("/predict", json=body), range(40)))
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {429}
        assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert len(refused) < 40
        assert client.post("/predict", json=body).status_code == 200


@pytest.fixture
def twin(built):
    """Another stored model with the same files."""
    from serving import registry
    from serving.artifact import read_manifest

    manifest = read_manifest(built.model.path)
    kept = manifest.model_dump(mode="json", exclude={"files", "format_version"})
    model = registry.store("stance:twin", built.model.path, manifest=kept, names=list(manifest.files))
    yield model
    shutil.rmtree(model.path)


def test_the_champion_changes_under_load_without_a_failure(built, twin, corpus_lines, tmp_path):
    """Promoted and rolled back while clients ask: both workers follow within five seconds, every answer names its model."""
    from serving import registry

    answers, stop = [], threading.Event()
    body = {"texts": [row["text"] for row in corpus_lines[:8]]}

    def ask(client):
        while not stop.is_set():
            response = client.post("/predict", json=body)
            answers.append((time.monotonic(), response.status_code, response.json().get("model")))

    with running([*SERVE, "--workers", "2"], log=tmp_path / "log", cwd=tmp_path) as client:
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            for change, tag in ((lambda: registry.promote(twin.tag), twin.tag), (registry.rollback, built.model.tag)):
                change()
                changed = time.monotonic()
                time.sleep(8)
                late = [model for moment, _, model in answers if moment > changed + 5]
                assert len(late) > 20
                assert set(late) == {tag}
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert {status for _, status, _ in answers} == {200}
    assert {model for *_, model in answers} == {built.model.tag, twin.tag}


def test_a_damaged_champion_is_told_and_the_one_before_it_stays(built, twin, tmp_path):
    from serving import registry
    from serving.artifact import RUNTIME_BIN

    with running(SERVE, log=tmp_path / "log", cwd=tmp_path) as client:
        (twin.path / RUNTIME_BIN).write_bytes(b"damaged")
        registry.promote(twin.tag)
        try:
            time.sleep(3)
            assert client.post("/predict", json={"texts": ["one"]}).json()["model"] == built.model.tag
            assert (tmp_path / "log").read_text().count(f"serving {built.model.tag} still") == 1
        finally:
            registry.rollback()


def test_what_is_under_way_is_answered_when_the_server_is_told_to_stop(built, corpus_lines, tmp_path):
    body = {"texts": [row["text"] * 20 for row in corpus_lines[:256]]}
    with running(SERVE, log=tmp_path / "log", cwd=tmp_path) as client, ThreadPoolExecutor(20) as pool:
        large = [pool.submit(client.post, "/predict", json=body) for _ in range(12)]
        time.sleep(0.5)
        client.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        refused = client.post("/predict", json={"texts": ["one"]})
        assert [answer.result().status_code for answer in large] == [200] * 12
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert client.process.wait(20) == 0


READ_ONLY = (
    'mount --bind / / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs "$TMPDIR" && chmod 1777 "$TMPDIR" && exec "$@"'
)
NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_nothing_but_a_folder_for_temporary_files_has_to_be_writable(built, tmp_path):
    """A read-only file system, and where the interpreter may be run by anybody, a user without any rights."""
    from serving import registry

    trial = [*NAMESPACE, "bash", "-c", READ_ONLY, "-", "true"]
    environment = {"TMPDIR": str(tmp_path), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    if not shutil.which("unshare") or subprocess.run(trial, env={**os.environ, **environment}, check=False).returncode:
        pytest.skip("this machine does not let a test make a mount namespace")
    registry.home().chmod(0o755)
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    reachable = subprocess.run([*NOBODY, sys.executable, "-c", child], capture_output=True, check=False)
    user = NOBODY if reachable.returncode == 0 else []
    log = tmp_path.parent / f"{tmp_path.name}.log"
    with running([*NAMESPACE, "bash", "-c", READ_ONLY, "-", *user, *SERVE], log=log, cwd="/", env=environment) as client:
        assert client.post("/predict", json={"texts": ["one"]}).status_code == 200
        correction = {"text": "one", "label": "neutral", "model": "stance:x", "predicted": "critical"}
        refused = client.post("/corrections", json=correction)
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert client.post("/predict", json={"texts": ["one"]}).status_code == 200
        assert "stance_requests_total" in client.get("/metrics").text


def test_logs_are_json_and_other_origins_are_admitted_where_that_is_asked_for(built, tmp_path):
    asked = {"STANCE_LOG_FORMAT": "json", "STANCE_CORS_ORIGINS": "https://example.org", "STANCE_API_KEYS": "hush"}
    preflight = {"origin": "https://example.org", "access-control-request-method": "POST"}
    with running(SERVE, log=tmp_path / "log", cwd=tmp_path, env=asked) as client:
        assert client.post("/predict", json={"texts": [SECRET]}).status_code == 401
        answer = client.post("/predict", json={"texts": [SECRET]}, headers={"x-api-key": "hush", "origin": "https://example.org"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://example.org")
        assert client.options("/predict", headers=preflight).status_code == 200
        foreign = client.options("/predict", headers={**preflight, "origin": "https://example.com"})
        assert "access-control-allow-origin" not in foreign.headers
    log = (tmp_path / "log").read_text()
    worker = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"time", "level", "logger", "message"} <= set(worker[-1])
    assert any("path=/predict status=200" in line["message"] for line in worker)
    assert SECRET not in log
    assert "hush" not in log


def test_other_origins_are_not_admitted_by_default(server):
    answer = server.post("/predict", json={"texts": ["one"]}, headers={"origin": "https://example.org"})
    assert "access-control-allow-origin" not in answer.headers


def test_slow_and_broken_clients_do_no_harm(server):
    host, port = server.base_url.host, server.base_url.port
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    broken = [
        b"nonsense\r\n\r\n",
        head,
        head + b'{"texts": ["half',
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        head.replace(b"Content-Length: 40", b"Content-Length: -5") + b"{}",
        head.replace(b"Content-Length: 40", b"Transfer-Encoding: chunked") + b"zz\r\n",
        head.replace(b"Host", b"X-\xff\x00") + b"{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] * 8
    open_ones = [socket.create_connection((host, port), timeout=10) for _ in broken]
    for connection, content in zip(open_ones, broken, strict=True):
        connection.sendall(content)
    assert server.post("/predict", json={"texts": ["meanwhile"]}).status_code == 200
    for connection in open_ones[::2]:
        connection.close()
    assert server.post("/predict", json={"texts": ["meanwhile"]}).status_code == 200
    for connection in open_ones[1::2]:
        connection.close()
    log = server.log.read_text()
    assert "status=499" in log
    assert "status=5" not in log


def test_no_case_that_follows_from_the_description_gives_5xx(server):
    """Thousands of valid, odd and invalid requests made from the served OpenAPI description."""
    import schemathesis
    from hypothesis import HealthCheck, Phase
    from hypothesis import settings as hypothesis_settings

    schema = schemathesis.openapi.from_dict(server.get("/docs.json").json())
    schema.config.update(base_url=str(server.base_url))
    operations = [found.ok() for found in schema.get_all_operations()]
    examples = 1500 // sum(operation.method == "post" for operation in operations)
    for operation in operations:
        takes_input = operation.method == "post"
        for mode in schemathesis.GenerationMode if takes_input else [schemathesis.GenerationMode.POSITIVE]:
            run = given(case=operation.as_strategy(generation_mode=mode))(answered_well)
            hypothesis_settings(
                max_examples=examples if takes_input else 20,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(run)()
    assert len(ANSWERED) > 1500


ANSWERED = []


def answered_well(case):
    response = case.call()
    ANSWERED.append(response.status_code)
    assert response.status_code < 500, case.as_curl_command()
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]


def test_a_wrong_setting_is_one_line(built, tmp_path):
    environment = {**os.environ, "STANCE_TEXTS": "many"}
    done = subprocess.run([*SERVE[:-1], "3999"], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("stance: STANCE_TEXTS: expected a valid integer")
    assert line.endswith("found 'many'.")


def test_several_workers_answer(built, tmp_path):
    with running([*SERVE, "--workers", "2"], log=tmp_path / "log", cwd=tmp_path) as client:
        assert {client.post("/predict", json={"texts": ["one"]}).status_code for _ in range(10)} == {200}
        deadline = time.monotonic() + 30
        while (tmp_path / "log").read_text().count("Service stance initialized") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
