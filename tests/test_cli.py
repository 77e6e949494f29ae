import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import stance
from serving import registry
from tests.conftest import ROOT

COMMANDS = [
    "train",
    "evaluate",
    "check",
    "predict",
    "explain",
    "score",
    "analyze",
    "serve",
    "models list",
    "models show",
    "models promote",
    "models rollback",
    "models export",
    "models import",
]


def command(*arguments, **options):
    """Run the real program; return its exit status, stdout and stderr."""
    done = subprocess.run([sys.executable, str(ROOT / "stance.py"), *arguments], capture_output=True, text=True, **options)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(stance.build(), [*name.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: stance {name}" in " ".join(result.output.split())


def test_help_imports_no_heavy_library():
    script = "import sys, stance; stance.build()(['train', '--help'], standalone_mode=False); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "Fine-tune" in done.stdout
    assert "'typer'" in done.stderr
    for name in ("torch", "transformers", "datasets", "sklearn", "numpy", "openvino", "bentoml", "pyarrow"):
        assert f"'{name}'" not in done.stderr


def test_predict_prints_a_json_line_a_text(built, predictor):
    status, out, _ = command("predict", "It is a lie.", "It has 46 pages.")
    assert status == 0
    lines = [json.loads(line) for line in out.splitlines()]
    expected = predictor.predict(["It is a lie.", "It has 46 pages."])
    assert [line["label"] for line in lines] == [p.label for p in expected]
    assert {line["model"] for line in lines} == {built.model.tag}


def test_predict_reads_lines_from_stdin(built, predictor):
    status, out, _ = command("predict", "-", input="It is\u2028a lie.\nIt has 46 pages.\n\n")
    assert status == 0
    assert [json.loads(line)["label"] for line in out.splitlines()] == [
        p.label for p in predictor.predict(["It is\u2028a lie.", "It has 46 pages."])
    ]


def test_score_writes_the_file_and_tells_rejects_by_its_status(built, tmp_path):
    (tmp_path / "in.csv").write_text("text\nA lie.\n \n")
    status, out, err = command("score", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    assert (status, out) == (3, "")
    assert "2 rows, 1 rejected" in err
    assert (tmp_path / "out.csv").read_text().count("\n") == 3
    assert (tmp_path / "out.csv.rejects.jsonl").exists()


def test_models_list_marks_the_champion_and_show_prints_the_manifest(built):
    status, out, _ = command("models", "list")
    assert status == 0
    assert f"* {built.model.tag}" in out
    status, out, _ = command("models", "show")
    shown = json.loads(out)
    assert (status, shown["tag"]) == (0, built.model.tag)
    assert shown["metrics"]["frozen test"]["macro_f1"] == pytest.approx(built.figures["frozen test"]["macro_f1"])


def test_a_model_travels_in_a_file_to_another_store(built, tmp_path):
    file = tmp_path / "model.bentomodel"
    assert command("models", "export", built.model.tag, file.name, cwd=tmp_path)[0] == 0
    other = {**os.environ, "BENTOML_HOME": str(tmp_path / "other")}
    status, out, err = command("models", "import", file.name, "--promote", env=other, cwd=tmp_path)
    assert (status, out.strip()) == (0, built.model.tag), err
    assert command("predict", "A lie.", env=other)[1] == command("predict", "A lie.")[1]
    assert command("models", "import", str(file), env=other)[:2] == (0, f"{built.model.tag}\n")  # is there already
    assert command("models", "export", built.model.tag, str(file))[0] == 1
    whole, file = file.stat().st_size, tmp_path / "smaller.bentomodel"
    assert command("models", "export", built.model.tag, str(file), "--serving-only")[0] == 0
    assert file.stat().st_size < whole
    assert [model.tag for model in registry.list_models()] == [built.model.tag]
    smaller = {**os.environ, "BENTOML_HOME": str(tmp_path / "smaller")}
    status, out, err = command("models", "import", str(file), "--promote", env=smaller)
    assert (status, out.strip()) == (0, f"{built.model.tag}-serving"), err
    answers = [json.loads(command("predict", "A lie.", env=env)[1]) for env in (other, smaller)]
    assert answers[1].pop("model") == f"{answers[0].pop('model')}-serving"
    assert answers[0] == answers[1]
    assert (
        command("models", "export", f"{built.model.tag}-serving", str(tmp_path / "again"), "--serving-only", env=smaller)[0] == 0
    )
    place = tmp_path / "other" / "models" / "stance" / built.model.tag.removeprefix("stance:")
    (place / "golden.jsonl").write_text("damaged")
    status, _, err = command("models", "import", str(tmp_path / "model.bentomodel"), env=other)
    assert (status, "golden.jsonl" in err, place.is_dir()) == (1, True, True)  # what was there before is not deleted
    file.write_bytes(b"nonsense")
    status, _, err = command("models", "import", str(file), env=other)
    assert status == 1
    assert "expected a file of `stance models export`" in err


def test_evaluate_scores_files_and_writes_what_is_asked(built, small_corpus, tmp_path):
    arguments = ["--data", str(small_corpus), "--json", str(tmp_path / "f.json"), "--html", str(tmp_path / "f.html")]
    status, out, _ = command("evaluate", *arguments)
    assert status == 0
    assert "macro-F1" in out
    figures = json.loads((tmp_path / "f.json").read_text())["sets"][str(small_corpus)]
    assert figures["texts"] == 320
    page = (tmp_path / "f.html").read_text()
    assert page.count("<svg") == 3
    assert "http" not in page.replace("http://www.w3.org/", "").replace("http://purl.org/", "").replace(
        "http://creativecommons.org/", ""
    ).replace("https://matplotlib.org/", "")


def test_evaluate_refuses_the_sets_of_another_task(built, tmp_path):
    (tmp_path / "town.toml").write_text('name = "town"\ntarget = "x"\nlabels = ["a", "b"]\ncorpus = "c.csv"\n')
    status, _, err = command("evaluate", "--task", str(tmp_path / "town.toml"))
    assert status == 1
    assert "the model is of the task 'ohchr-xinjiang', the files are of 'town'" in err


def test_evaluate_refuses_the_task_sets_of_another_corpus(built):
    status, out, err = command("evaluate")
    assert (status, out) == (1, "")
    assert err.startswith("stance: ")
    assert "not the rows that this model was trained with" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict", "x", "--model", "stance:nope"], 1, "no model stance:nope"),
        (["predict", " "], 1, "text 0: expected at least one character"),
        (["score", "absent.csv", "out.csv"], 1, "absent.csv: cannot be read"),
        (["train", "--data", "absent.csv"], 1, "absent.csv: cannot be read"),
        (["train", "--config", "absent.toml"], 1, "absent.toml: cannot be read"),
        (["train", "--data", "x.csv", "--label-map", "nonsense"], 2, "expected OLD=NEW"),
        (["train", "--base-model", "no-such/model-anywhere"], 1, "HF_HUB_OFFLINE is set"),
        (["predict"], 2, "Missing argument"),
        (["score", "a.csv", "b.csv", "--on-error", "ignore"], 2, "on-error"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_failures_are_one_line_and_the_right_status(built, tmp_path, arguments, status, message):
    found, out, err = command(*arguments, cwd=tmp_path)
    assert (found, out) == (status, "")
    assert message in err
    assert "Traceback" not in err
    if status == 1:
        assert len(err.strip().splitlines()) == 1


def test_without_a_champion_the_error_says_how_to_get_one(tmp_path):
    status, _, err = command("predict", "x", env={**os.environ, "BENTOML_HOME": str(tmp_path)})
    assert status == 1
    assert "stance train --promote" in err
