import json

import pytest

from serving import registry, retention, runs
from serving.errors import RegistryError

TAGS = [f"stance:2026010{i}t000000-abcdef" for i in range(1, 4)]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with three models that are complete as far as the registry looks, and one that is not."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    for tag in TAGS:
        folder = tmp_path / "models" / "stance" / tag.split(":")[1]
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    (tmp_path / "models" / "stance" / "half-written").mkdir()
    (tmp_path / "models" / "stance" / "latest").write_text("half-written")
    return tmp_path


def test_only_complete_models_are_listed_oldest_first(store):
    assert [model.tag for model in registry.list_models()] == TAGS


def test_an_empty_home_has_no_models_and_no_champion(tmp_path, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "absent"))
    assert registry.list_models() == []
    assert registry.champion() is None
    with pytest.raises(RegistryError, match="no champion model in .*: train one with `stance train --promote`"):
        registry.resolve()


def test_the_champion_is_what_was_promoted_not_what_is_latest(store):
    registry.promote(TAGS[1])
    assert registry.champion() == TAGS[1]
    assert registry.resolve().path == store / "models" / "stance" / TAGS[1].split(":")[1]


def test_rollback_repoints_to_the_champion_before(store):
    for tag in (TAGS[0], TAGS[1], TAGS[1], TAGS[2]):
        registry.promote(tag)
    assert [registry.rollback().tag, registry.champion()] == [TAGS[1], TAGS[1]]
    assert registry.rollback().tag == TAGS[0]
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback()
    assert registry.champion() == TAGS[0]


def test_an_unknown_model_is_refused_and_changes_nothing(store):
    registry.promote(TAGS[0])
    with pytest.raises(RegistryError, match="no model stance:nope"):
        registry.promote("stance:nope")
    assert registry.champion() == TAGS[0]


def test_a_damaged_pointer_is_one_clear_error(store):
    (store / "stance-champion.json").write_text("{")
    with pytest.raises(RegistryError, match="expected a champion pointer"):
        registry.champion()


def test_the_pointer_is_replaced_whole(store):
    registry.promote(TAGS[0])
    registry.promote(TAGS[2])
    content = json.loads((store / "stance-champion.json").read_text())
    assert content == {"champion": TAGS[2], "history": [TAGS[0], TAGS[2]]}
    assert sorted(path.name for path in store.iterdir()) == ["models", "stance-champion.json"]


def test_what_a_killed_save_left_behind_is_no_obstacle():
    tag = "stance:20260102t000000-ffffff"
    registry.place_of(tag).mkdir(parents=True)
    (registry.place_of(tag) / "model.bin").write_text("half")
    with registry.save(tag, metadata={}) as place:
        (place / "manifest.json").write_text("{}")
    try:
        assert not (registry.resolve(tag).path / "model.bin").exists()
    finally:
        registry.delete(tag)


def test_a_save_that_fails_leaves_no_model(tmp_path, monkeypatch):
    home = registry.home()
    before = registry.list_models()
    with pytest.raises(RuntimeError, match="midway"), registry.save("stance:20260101t000000-ffffff", metadata={}) as place:
        (place / "manifest.json").write_text("{}")
        raise RuntimeError("midway")
    assert registry.list_models() == before
    assert home == registry.home()


def judge_as(store, tag, word):
    verdict = {"word": word, "champion": "stance:x", "reasons": ["it lost"]}
    path = store / "models" / "stance" / tag.split(":")[1] / "manifest.json"
    path.write_text(json.dumps({"metrics": {"verdict": verdict}}))


def test_what_was_judged_to_be_worse_is_promoted_by_force_alone(store):
    judge_as(store, TAGS[0], "worse within noise")
    registry.promote(TAGS[0])
    judge_as(store, TAGS[1], "worse")
    with pytest.raises(RegistryError, match=f"{TAGS[1]} was judged to be worse than stance:x: it lost. --force --reason TEXT"):
        registry.promote(TAGS[1])
    assert registry.champion() == TAGS[0]
    registry.promote(TAGS[1], forced=True)
    assert registry.champion() == TAGS[1]


def test_pruning_keeps_the_champion_those_before_it_and_what_is_newer(store):
    with pytest.raises(RegistryError, match="promote one first"):
        retention.plan(3)
    for tag in (TAGS[0], TAGS[1]):
        registry.promote(tag)
    found = retention.plan(1)
    assert [(model.tag, why) for model, why in found.kept] == [
        (TAGS[0], "earlier champion"),
        (TAGS[1], "champion"),
        (TAGS[2], "newer than the champion"),
    ]
    assert found.removed == []
    assert [model.tag for model in retention.plan(0).removed] == [TAGS[0]]


def test_a_kill_while_pruning_leaves_no_way_back_to_nothing(store, monkeypatch):
    for tag in (TAGS[2], TAGS[0], TAGS[2], TAGS[1]):
        registry.promote(tag)
    gone = retention.plan(1).removed
    assert [model.tag for model in gone] == [TAGS[0]]

    def killed(tag):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        retention.carry_out(retention.plan(1))
    assert registry.history() == [TAGS[2], TAGS[1]]
    assert registry.rollback().tag == TAGS[2]


def test_a_kill_while_saving_does_not_keep_bentoml_from_saving_more(tmp_path, monkeypatch):
    """BentoML reads the model that `latest` names before it saves another; a kill may leave it empty or naming what is gone."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    folder = tmp_path / "models" / "stance"
    (folder / "half").mkdir(parents=True)
    for content in ("", "half"):
        (folder / "latest").write_text(content)
        registry.clear_incomplete("stance:half")
        assert not (folder / "latest").exists()
    (folder / "whole").mkdir()
    (folder / "whole" / "model.yaml").write_text("")
    (folder / "latest").write_text("whole")
    registry.clear_incomplete("stance:half")
    assert (folder / "latest").read_text() == "whole"


def test_the_diary_keeps_whole_lines_after_one_that_was_cut_short(store):
    assert runs.recorded() == []
    runs.record({"command": "train", "model": TAGS[0]})
    with runs.diary().open("ab") as file:
        file.write(b'{"command": "re')
    runs.record({"command": "retrain", "model": TAGS[1]})
    assert [line["model"] for line in runs.recorded()] == [TAGS[0], TAGS[1]]
    assert runs.diary().read_bytes().count(b"\n") == 3
