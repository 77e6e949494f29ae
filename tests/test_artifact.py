import json

import pytest

from serving import artifact
from serving.artifact import MANIFEST, sha256_of
from serving.errors import ArtifactError
from serving.predictor import Predictor


def rewrite(folder, **changes):
    content = json.loads((folder / MANIFEST).read_text())
    content.update(changes)
    (folder / MANIFEST).write_text(json.dumps(content))


def reseal(folder, name):
    """Make the manifest agree with a changed file, so that only the deeper checks can notice."""
    files = json.loads((folder / MANIFEST).read_text())["files"]
    files[name] = {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size}
    rewrite(folder, files=files)


def listed(built):
    return sorted(artifact.read_manifest(built.model.path).files)


def test_manifest_lists_every_file_of_the_artifact_but_itself(built):
    there = {path.name for path in built.model.path.iterdir()} - {MANIFEST, "model.yaml"}
    assert set(listed(built)) == there
    assert {"model.xml", "model.bin", "model.safetensors", "tokenizer.json", "golden.jsonl", "MODEL_CARD.md"} <= there


def test_no_file_holds_an_absolute_path_of_the_machine_that_trained(built, tiny_base):
    folder = str(tiny_base.parent)
    for name in (*listed(built), MANIFEST):
        assert folder.encode() not in (built.model.path / name).read_bytes()


def test_every_missing_file_is_refused(built, artifact_copy):
    for name in [*listed(built), MANIFEST]:
        kept = (artifact_copy / name).read_bytes()
        (artifact_copy / name).unlink()
        with pytest.raises(ArtifactError, match=f"{name}.*missing"):
            Predictor.from_directory(artifact_copy)
        (artifact_copy / name).write_bytes(kept)
    Predictor.from_directory(artifact_copy)


def test_every_altered_file_is_refused(built, artifact_copy):
    for name in listed(built):
        kept = (artifact_copy / name).read_bytes()
        middle = len(kept) // 2
        (artifact_copy / name).write_bytes(kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1 :])
        with pytest.raises(ArtifactError, match=rf"{name}: expected sha256 \w+, found \w+: the file is altered"):
            Predictor.from_directory(artifact_copy)
        (artifact_copy / name).write_bytes(kept + b" ")
        with pytest.raises(ArtifactError, match=rf"{name}: expected {len(kept)} bytes, found {len(kept) + 1}"):
            Predictor.from_directory(artifact_copy)
        (artifact_copy / name).write_bytes(kept)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected JSON"),
        ("[]", "expected format_version 1, found None"),
        ('{"format_version": 99}', "expected format_version 1, found 99"),
        ('{"format_version": 1}', "created: Field required"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(artifact_copy, content, message):
    (artifact_copy / MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=message):
        Predictor.from_directory(artifact_copy)


def test_an_unknown_key_or_value_in_the_manifest_is_refused(artifact_copy):
    rewrite(artifact_copy, surprise=1)
    with pytest.raises(ArtifactError, match="surprise"):
        Predictor.from_directory(artifact_copy)


def test_a_label_count_unlike_the_head_is_refused(artifact_copy):
    labels = json.loads((artifact_copy / MANIFEST).read_text())["labels"]
    rewrite(artifact_copy, labels=labels[:3])
    with pytest.raises(ArtifactError, match="names 3 labels, the head has 4 outputs"):
        Predictor.from_directory(artifact_copy)


def test_golden_texts_that_come_out_different_are_refused(artifact_copy):
    path = artifact_copy / artifact.GOLDEN
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[0]["probabilities"] = records[0]["probabilities"][1:] + records[0]["probabilities"][:1]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    reseal(artifact_copy, artifact.GOLDEN)
    with pytest.raises(ArtifactError, match=r"golden.jsonl: this machine's probabilities differ .* by 0\.\d+"):
        Predictor.from_directory(artifact_copy)


@pytest.mark.parametrize(("name", "message"), [("tokenizer.json", "not a tokenizer"), ("model.xml", "cannot load this graph")])
def test_a_file_of_another_kind_is_refused_even_when_listed(artifact_copy, name, message):
    (artifact_copy / name).write_text("nonsense")
    reseal(artifact_copy, name)
    with pytest.raises(ArtifactError, match=message):
        Predictor.from_directory(artifact_copy)


def test_a_listed_name_outside_the_folder_is_refused(artifact_copy):
    files = json.loads((artifact_copy / MANIFEST).read_text())["files"]
    rewrite(artifact_copy, files={**files, "../outside": {"sha256": "0" * 64, "bytes": 1}})
    with pytest.raises(ArtifactError, match="outside"):
        Predictor.from_directory(artifact_copy)
