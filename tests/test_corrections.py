"""Corrections: what is stored, once and durably, whatever happens to the process, the database or the disk."""

import json
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import psutil
import pytest

from serving.corrections import Correction, Store
from serving.errors import ConfigError, StoreError
from tests.conftest import ROOT
from tests.gateway import Below, call, problem
from tests.postgres import postgres
from tests.server import SECRET, SERVE, running
from training.monitored import Window, find_logs, read_window

BODY = {"text": "The bridge is too dear.", "label": "against", "model": "stance:test", "predicted": "for", "annotator": "ann"}


def correction(**other):
    return Correction(**{"task": "bridge", **BODY, **other})


@pytest.fixture(scope="module")
def database():
    """A PostgreSQL server that a test may also stop and start."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    if request.param == "postgresql":
        server = request.getfixturevalue("database")
        store = Store(server.url)
        drop(server)
    else:
        store = Store(f"sqlite:///{tmp_path / 'new' / 'corrections.sqlite'}")
    yield store
    store.close()


def drop(server):
    import psycopg

    with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
        connection.execute("DROP TABLE IF EXISTS corrections")


def test_what_is_stored_is_read_back_and_the_same_again_is_one_row_that_came_last(store):
    assert list(store.corrections()) == []
    first = correction(text="Curly “quotes”, \U0001f642, التقرير, and\nlines.", annotator="")
    second = correction()
    ids = [store.add(each) for each in (first, second, first)]
    assert ids == [first.id, second.id, first.id]
    found = list(store.corrections())
    assert [stored.correction for stored in found] == [second, first]
    assert found[0].received < found[1].received


@pytest.mark.parametrize("other", [{"text": "x"}, {"label": "for"}, {"model": "stance:other"}, {"annotator": "bob"}])
def test_what_makes_two_corrections_different(tmp_path, other):
    store = Store(f"sqlite:///{tmp_path / 'corrections.sqlite'}")
    for each in (correction(), correction(predicted="against"), correction(**other)):
        store.add(each)
    assert len(list(store.corrections())) == 2


def test_many_at_once_create_one_table_and_store_everything_once(store):
    """Every store has its own connections, as every worker process has."""
    url = store._url.render_as_string()
    stores = [Store(url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda each: [each.add(correction(text=f"text {n}")) for n in range(8)], stores))
    for each in stores:
        each.close()
    assert sorted(stored.correction.text for stored in store.corrections()) == [f"text {n}" for n in range(8)]


def written_and_killed(url, rounds):
    command = [sys.executable, "-m", "tests.writers", url, str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [text for line in done.stdout.splitlines() for text in json.loads(line)]


def test_what_was_told_to_be_stored_survives_twenty_kills(store):
    told = written_and_killed(store._url.render_as_string(), 20)
    found = [stored.correction.text for stored in store.corrections()]
    assert len(told) >= 10
    assert set(told) <= set(found)
    assert len(found) <= len(told) + 40  # at most the one of each writer whose answer was cut off
    assert len(set(found)) == len(found)


def test_what_was_told_to_be_stored_survives_a_crash_of_postgresql(database):
    drop(database)
    store = Store(database.url)
    for number in range(20):
        store.add(correction(text=f"text {number}"))
    database.stop("immediate")
    try:
        with pytest.raises(StoreError, match="corrections cannot be written"):
            store.add(correction(text="while it is gone"))
    finally:
        database.start()
    store.add(correction(text="afterwards"))  # the same store, without a restart
    assert [s.correction.text for s in store.corrections()] == [*(f"text {n}" for n in range(20)), "afterwards"]
    store.close()


@pytest.mark.parametrize("url", ["sqlite:////proc/absent/corrections.sqlite", "postgresql+psycopg://u:hush@127.0.0.1:1/x"])
def test_a_database_that_cannot_be_reached_is_one_line_without_text_or_password(url):
    with pytest.raises(StoreError) as told:
        Store(url).add(correction(text=SECRET))
    assert "\n" not in str(told.value)
    assert SECRET not in str(told.value)
    assert "hush" not in str(told.value)


def test_a_file_that_is_no_database_is_told_and_left_as_it_is(tmp_path):
    (tmp_path / "corrections.sqlite").write_text("no database at all, but somebody's notes " * 40)
    store = Store(f"sqlite:///{tmp_path / 'corrections.sqlite'}")
    with pytest.raises(StoreError, match="cannot be written"):
        store.add(correction())
    with pytest.raises(StoreError, match="cannot be read"):
        list(store.corrections())
    assert (tmp_path / "corrections.sqlite").read_text().startswith("no database")


def test_a_file_that_was_moved_away_is_written_anew(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'corrections.sqlite'}")
    store.add(correction(text="before"))
    (tmp_path / "corrections.sqlite").rename(tmp_path / "kept")
    store.add(correction(text="after"))
    assert [stored.correction.text for stored in store.corrections()] == ["after"]


@pytest.mark.parametrize("value", ["mysql://x/y", "sqlite://", "nonsense", "postgresql://ann:hush@host"])
def test_a_url_of_no_database_that_can_be_used_is_refused_at_the_start_and_not_told(monkeypatch, fresh_settings, value):
    from serving.settings import settings

    monkeypatch.setenv("STANCE_CORRECTIONS_URL", value)
    with pytest.raises(ConfigError, match="STANCE_CORRECTIONS_URL: expected sqlite:///FILE or postgresql://") as told:
        settings()
    assert "hush" not in str(told.value)


class Taking(Below):
    """A service whose corrections go into a list, or fail."""

    def __init__(self, error=None):
        super().__init__()
        self.taken, self.store_error = [], error
        self.corrections = SimpleNamespace(local=self._take)

    async def _take(self, **fields):
        from serving.schema import CorrectionResponse

        if self.store_error:
            raise self.store_error
        self.taken.append(fields)
        return CorrectionResponse(id="1")


def post(below, **changed):
    content = {key: value for key, value in {**BODY, **changed}.items() if value != "absent"}
    return call(below, path="/corrections", body=json.dumps(content).encode())


@pytest.mark.usefixtures("fresh_settings")
def test_a_correction_is_answered_with_201():
    below = Taking()
    status, _, body = post(below)
    assert (status, json.loads(body)) == (201, {"id": "1"})
    assert post(below, annotator="absent")[0] == 201
    assert below.taken == [BODY, {**BODY, "annotator": None}]


@pytest.mark.usefixtures("fresh_settings")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": "perhaps"}, "expected one of for, against"),
        ({"predicted": "perhaps"}, "expected one of for, against"),
        ({"label": ["for"]}, "valid string"),
        ({"text": " "}, "not white space"),
        ({"text": "a\0b"}, "expected no null character"),
        ({"text": "y" * 20_001}, "at most 20000 characters"),
        ({"model": "absent"}, "Field required"),
        ({"annotator": "a" * 201}, "at most 200 characters"),
        ({"task": "bridge"}, "not permitted"),
    ],
)
def test_a_correction_that_does_not_fit_is_told_where_and_why(changed, message):
    below = Taking()
    status, content, _ = problem(post(below, **changed))
    assert (status, content["errors"][0]["loc"]) == (422, list(changed))
    assert message in content["detail"]
    assert below.taken == []


@pytest.mark.usefixtures("fresh_settings")
def test_a_store_that_cannot_take_it_is_503_without_internals():
    status, content, headers = problem(post(Taking(error=StoreError("secret"))))
    assert (status, headers["retry-after"]) == (503, "1")
    assert "secret" not in json.dumps(content)


def test_a_slow_store_is_given_up_and_takes_no_more_than_so_many(monkeypatch):
    import asyncio

    from serving import inbox

    monkeypatch.setattr(inbox, "SECONDS", 0.2)
    monkeypatch.setattr(inbox, "MOST_WAITING", 3)
    held = threading.Event()
    box = inbox.Inbox()
    box._store = SimpleNamespace(add=lambda each: held.wait(20))

    async def several():
        return await asyncio.gather(*(box.add(correction()) for _ in range(5)), return_exceptions=True)

    told = [str(error) for error in asyncio.run(several())]
    held.set()
    box.close()
    assert sorted(told) == sorted(
        ["3 corrections wait to be stored already."] * 2 + ["the corrections' store did not answer in 0.2 s."] * 3
    )


def processes_of(client):
    """Return the server's processes, all at a standstill, so that none notices the end of another."""
    server = psutil.Process(client.process.pid)
    found = [server, *server.children(recursive=True)]
    for process in found:
        process.suspend()
    return found


@pytest.mark.slow
def test_every_201_of_a_killed_server_is_there_afterwards(built, tmp_path):
    """Two workers, four clients, SIGKILL of every process in the midst of it; what was predicted before is recorded."""
    url = f"sqlite:///{tmp_path / 'corrections.sqlite'}"
    answered = []

    def send(client, name):
        for number in range(1000):
            body = {**BODY, "text": f"{SECRET}, {name} {number}", "label": "critical", "predicted": "neutral"}
            try:
                response = client.post("/corrections", json=body)
            except httpx.TransportError:
                return
            answered.append((response.status_code, body["text"]))

    environment = {"STANCE_CORRECTIONS_URL": url, "STANCE_MONITOR_FOLDER": str(tmp_path), "STANCE_MONITOR_KEY": "hush"}
    with running([*SERVE, "--workers", "2", "--monitor"], log=tmp_path / "log", cwd=tmp_path, env=environment) as client:
        for number in range(10):
            assert client.post("/predict", json={"texts": [SECRET, f"another text, {number}"]}).status_code == 200
        threads = [threading.Thread(target=send, args=(client, name)) for name in range(4)]
        for thread in threads:
            thread.start()
        threads[0].join(2 + random.random())
        for process in processes_of(client):
            process.kill()
        for thread in threads:
            thread.join()
    stored = {each.correction.text for each in Store(url).corrections()}
    assert {status for status, _ in answered} == {201}
    assert len(answered) > 10
    assert {text for _, text in answered} <= stored
    recorded, repeats = read_window(find_logs([tmp_path]), Window(), model=built.model.tag)
    assert (len(recorded), repeats) == (11, 9)
    for file in [tmp_path / "log", *tmp_path.rglob("*.log")]:
        assert SECRET not in file.read_text()
