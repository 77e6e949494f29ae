"""Commands that need nothing but an artifact: predict, score, models, serve. Imports the rest when a command runs."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

models = typer.Typer(
    help="List, show, promote and roll back the models of the store.", no_args_is_help=True, rich_markup_mode=None
)

Model = Annotated[str | None, typer.Option("--model", help="Tag of the model; the champion by default.", metavar="TAG")]


def register(app: typer.Typer) -> None:
    """Add this package's commands to the app."""
    app.command()(predict)
    app.command()(score)
    app.add_typer(models, name="models")
    app.command()(serve)


def predict(
    texts: Annotated[
        list[str],
        typer.Argument(
            help="Texts to classify; - reads one text a line from stdin and passes over blank lines.", metavar="TEXT..."
        ),
    ],
    model: Model = None,
) -> None:
    """Print the stance of each text, one JSON line a text.

    Example: stance predict "The report is a patchwork of lies." "It was published on 31 August 2022."
    """
    from serving.predictor import Predictor
    from serving.schema import TextPrediction

    # Not splitlines(), which also cuts at characters that stand inside texts.
    lines = [line for line in sys.stdin.read().split("\n") if line.strip()] if texts == ["-"] else texts
    predictor = Predictor.load(model)
    for prediction in predictor.predict(lines):
        answer = TextPrediction.of(prediction).model_dump()
        typer.echo(json.dumps({**answer, "model": predictor.tag}, ensure_ascii=False))


def score(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="CSV, TSV, JSON Lines or Parquet, told by the name.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The same format; appears when complete.")],
    text_column: Annotated[str, typer.Option(help="The column that holds the text.", metavar="NAME")] = "text",
    on_error: Annotated[Literal["reject", "stop"], typer.Option(help="What to do with a row that cannot be scored.")] = "reject",
    model: Model = None,
) -> None:
    """Score a file: every column kept, in order, with the stance beside it.

    Rows that cannot be scored keep their place with empty stance columns and are told in OUTPUT.rejects.jsonl (exit status 3).

    Example: stance score articles.csv scored.csv --text-column sentence
    """
    from serving.predictor import Predictor
    from serving.progress import rows_progress
    from serving.score import Job, score

    job = Job(source=source, target=target, text_column=text_column, on_error=on_error)
    predictor = Predictor.load(model)
    with rows_progress() as progress:
        summary = score(job, predictor=predictor, progress=progress)
    shares = ", ".join(f"{label} {summary.stances[label]}" for label in predictor.labels)
    typer.echo(f"{summary.rows} rows, {summary.rejected} rejected; {shares}", err=True)
    if summary.rejected:
        typer.echo(f"rejected rows: {job.rejects}", err=True)
        raise typer.Exit(3)


@models.command("list")
def list_models() -> None:
    """List the models of the store, oldest first; * marks the champion.

    Example: stance models list
    """
    from serving import registry
    from serving.artifact import read_manifest
    from serving.errors import ArtifactError

    champion = registry.champion()
    for model in registry.list_models():
        mark = "*" if model.tag == champion else " "
        try:
            manifest = read_manifest(model.path)
        except ArtifactError as error:
            typer.echo(f"{mark} {model.tag}  unreadable: {error}")
        else:
            typer.echo(f"{mark} {model.tag}  {manifest.task}  {manifest.form}  {manifest.created}")


@models.command("show")
def show(
    tag: Annotated[str | None, typer.Argument(help="Tag of the model; the champion by default.", metavar="TAG")] = None,
) -> None:
    """Print a model's manifest as JSON, with its metrics.

    Example: stance models show stance:20260101t120000-ab12cd
    """
    from serving import registry
    from serving.artifact import read_manifest

    model = registry.resolve(tag)
    content = read_manifest(model.path).model_dump(mode="json")
    typer.echo(json.dumps({"tag": model.tag, **content}, indent=2, ensure_ascii=False))


@models.command("promote")
def promote(tag: Annotated[str, typer.Argument(help="Tag of the model to serve.", metavar="TAG")]) -> None:
    """Make a model the champion, after checking that it loads.

    Example: stance models promote stance:20260101t120000-ab12cd
    """
    from serving import registry
    from serving.predictor import Predictor

    Predictor.load(tag)
    typer.echo(registry.promote(tag).tag)


@models.command("rollback")
def rollback() -> None:
    """Make the champion before this one the champion again.

    Example: stance models rollback
    """
    from serving import registry

    typer.echo(registry.rollback().tag)


@models.command("export")
def export_model(
    tag: Annotated[str, typer.Argument(help="Tag of the model.", metavar="TAG")],
    file: Annotated[Path, typer.Argument(help="A new file; .bentomodel by its name.", metavar="FILE")],
    serving_only: Annotated[
        bool, typer.Option("--serving-only", help="Leave out the weights that only fine-tuning and a GPU read.")
    ] = False,
) -> None:
    """Write a model into one file for another machine.

    Example: stance models export stance:20260101t120000-ab12cd champion.bentomodel
    """
    from serving import registry

    typer.echo(registry.export_model(tag, file, serving_only=serving_only))


@models.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="A file of `stance models export`.", metavar="FILE")],
    promote: Annotated[bool, typer.Option("--promote", help="Make it the champion.")] = False,
) -> None:
    """Put a model file into the store, after checking that it loads.

    Example: stance models import champion.bentomodel --promote
    """
    from serving import registry
    from serving.errors import ArtifactError
    from serving.predictor import Predictor

    model, new = registry.import_model(file)
    try:
        Predictor.load(model.tag)
    except ArtifactError:
        if new:
            registry.delete(model.tag)
        raise
    if promote:
        registry.promote(model.tag)
    typer.echo(model.tag)


def serve(
    host: Annotated[str, typer.Option(help="IP address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one, the default, uses every core already.")] = None,
) -> None:
    """Serve the champion over HTTP until interrupted.

    Example: stance serve --port 8080
    """
    from serving import registry
    from serving.settings import settings

    if workers is not None:
        os.environ["STANCE_WORKERS"] = str(workers)
    settings()  # a wrong one is told here, not by a worker
    model = registry.served()
    typer.echo(f"serving {model.tag} on http://{host}:{port}", err=True)
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:StanceService"]
    where = ["--host", host, "--port", str(port), "--working-dir", str(Path(__file__).parents[1])]
    os.execv(sys.executable, [*command, *where])  # noqa: S606  the server takes over this process and its signals
