"""Commands that need nothing but an artifact. Each imports what it needs when it runs."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from serving.models_cli import models

if TYPE_CHECKING:
    from serving.engine import Engine
    from serving.predictor import Predictor

Model = Annotated[str | None, typer.Option("--model", help="Tag of the model; the champion by default.", metavar="TAG")]


def register(app: typer.Typer) -> None:
    """Add this package's commands to the app."""
    app.command()(predict)
    app.command()(explain)
    app.command()(score)
    app.command()(analyze)
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


def explain(
    text: Annotated[str, typer.Argument(help="One text; - reads it from stdin.", metavar="TEXT")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what POST /explain answers.")] = False,
    model: Model = None,
) -> None:
    """Show what each word does to the stance of a text: how much of the label's probability is lost without it.

    Example: stance explain "The report is a patchwork of lies."
    """
    from rich.console import Console

    from serving.explanation import explain
    from serving.painting import paint
    from serving.predictor import Predictor
    from serving.schema import ExplainResponse

    whole = sys.stdin.read() if text == "-" else text
    predictor = Predictor.load(model)
    explanation = explain(predictor, whole)
    if as_json:
        typer.echo(ExplainResponse.of(explanation, model=predictor.tag).model_dump_json())
    else:
        Console(highlight=False, soft_wrap=True).print(paint(whole, explanation))


def score(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A file, a folder, a pattern in quotes such as 'in/*.csv', or - for stdin.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT", help="A file, or - for stdout; for a folder or a pattern, a new folder with the same names."
        ),
    ],
    text_column: Annotated[str, typer.Option(help="The column that holds the text.", metavar="NAME")] = "text",
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, tsv, jsonl, txt (one text a line) or parquet, where the names do not tell it; .gz or .zst behind it.",
            metavar="FORMAT",
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(help="Which columns to add, divided by commas: stance,stance_confidence; all by default.", metavar="NAMES"),
    ] = "",
    encoding: Annotated[str | None, typer.Option(help="Of the input; told from it by default.", metavar="NAME")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of the input; told from its header by default.", metavar="CHAR")] = None,
    chunk: Annotated[int, typer.Option(min=1, help="Rows computed and committed at once.", metavar="ROWS")] = 2048,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run that was cut short stopped.")] = False,
    on_error: Annotated[Literal["reject", "stop"], typer.Option(help="What to do with a row that cannot be scored.")] = "reject",
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Where the model runs: here, or on the Ray cluster of $RAY_ADDRESS.")
    ] = "local",
    actors: Annotated[
        int | None, typer.Option(min=1, help="Models on Ray; by default as many as there is room for.", metavar="N")
    ] = None,
    actor_cpus: Annotated[int, typer.Option(min=1, help="Processors, and threads, of each.", metavar="N")] = 1,
    summary_file: Annotated[
        Path | None, typer.Option("--summary", help="Write the summary here as JSON as well.", metavar="FILE")
    ] = None,
    model: Model = None,
) -> None:
    """Score a file: every column kept, in order, with the stance beside it.

    CSV, TSV, JSON Lines, Parquet and plain lines, told by the name (.csv, .jsonl.gz, .txt.zst). The output has the input's
    format, with any compression; CSV, TSV and plain lines may become CSV, TSV or Parquet. Plain lines get the cells behind tabs.
    Rows that cannot be scored keep their place with empty stance columns and are told in OUTPUT.rejects.jsonl (exit status 3).
    The output appears when complete; until then the work is kept in OUTPUT.partial, from which --resume goes on.

    Example: stance score articles.csv.gz scored.csv.gz --text-column sentence
    """
    from dataclasses import asdict

    from serving.errors import DataError
    from serving.formats import PIPE
    from serving.progress import rows_progress
    from serving.signals import raising_stopped

    if delimiter is not None and len(delimiter := delimiter.replace("\\t", "\t")) != 1:
        raise typer.BadParameter("expected one character", param_hint="--delimiter")
    if summary_file is not None and (
        not summary_file.parent.is_dir() or summary_file.resolve() in (source.resolve(), target.resolve())
    ):
        raise DataError(f"{summary_file}: expected a file of its own in a folder that exists.")
    if engine == "local" and (actors is not None or actor_cpus != 1):
        raise typer.BadParameter("expected --engine ray beside it", param_hint="--actors and --actor-cpus")
    with raising_stopped():
        from serving.score import Job, score

        job = Job(
            source=source,
            target=target,
            text_column=text_column,
            format=form,
            columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
            chunk=chunk,
            resume=resume,
            on_error=on_error,
            encoding=encoding,
            delimiter=delimiter,
        )
        with _engine(engine, model=model, actors=actors, processors=actor_cpus) as predictor, rows_progress() as progress:
            summary = score(job, predictor=predictor, progress=progress, warn=_warn)
    if summary_file is not None:
        _write_summary(summary_file, json.dumps(asdict(summary), indent=2, ensure_ascii=False) + "\n")
    shares = ", ".join(f"{label} {count} ({summary.shares[label]:.1%})" for label, count in summary.stances.items())
    speed = f"{summary.texts_per_second:.0f} texts a second"
    typer.echo(f"{summary.rows} rows, {summary.rejected} rejected; {shares}; {speed}", err=True)
    for reason, count in summary.rejected_by_reason.items():
        typer.echo(f"rejected: {count}, {reason}", err=True)
    if summary.rejected:
        if target != PIPE:
            typer.echo(f"rejected rows: {job.rejects}", err=True)
        raise typer.Exit(3)


def analyze(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="An article as plain text in UTF-8, or - for stdin.")],
    output: Annotated[Path | None, typer.Option(help="Where to write; stdout by default.", metavar="FILE")] = None,
    form: Annotated[
        Literal["json", "csv", "html"] | None,
        typer.Option("--format", help="json by default, or what the name of --output tells; csv has a line a sentence."),
    ] = None,
    model: Model = None,
) -> None:
    """Read a whole article: its sentences with their places, the stance of each, who voices it, and the sum of it.

    The HTML report is one file that opens offline. Lines that a page puts around an article are neutral at most and not counted.

    Example: stance analyze article.txt --output article.html
    """
    from serving import report
    from serving.article import answer, read
    from serving.durable import replace_file
    from serving.errors import DataError
    from serving.predictor import Predictor

    form = form or ("json" if output is None else report.form_of(output))
    if output is not None and not output.parent.is_dir():
        raise DataError(f"{output}: expected a file in a folder that exists.")
    try:
        content = (sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: expected text in UTF-8, found byte 0x{error.object[error.start]:02x}.") from None
    sentences = read(content)
    predictor = Predictor.load(model)
    found = answer(sentences, predictor.predict([sentence.text for sentence in sentences]), model=predictor.tag)
    rendered = report.render(found, form=form, text=content, title="stdin" if str(source) == "-" else source.name)
    if output is None:
        sys.stdout.write(rendered)
    else:
        replace_file(output, rendered)


@contextmanager
def _engine(name: str, *, model: str | None, actors: int | None, processors: int) -> Iterator["Predictor | Engine"]:
    """Yield what scores: the predictor in this process, or an engine on Ray."""
    if name == "local":
        from serving.predictor import Predictor

        yield Predictor.load(model)
        return
    from serving.ray_engine import ray_engine

    with ray_engine(model, actors=actors, processors=processors, warn=_warn) as engine:
        yield engine


def _write_summary(path: Path, content: str) -> None:
    from serving.durable import replace_file
    from serving.errors import DataError

    try:
        if path.is_file() or not path.exists():
            replace_file(path, content)
        else:  # a pipe or a terminal: nothing may take its place
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: the summary cannot be written ({error.strerror or error}); the output is complete.") from None


def _warn(told: str) -> None:
    typer.echo(f"stance: {told}", err=True)


def serve(
    host: Annotated[str, typer.Option(help="IP address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one, the default, uses every core already.")] = None,
    monitor: Annotated[
        bool, typer.Option("--monitor", help="Record label, confidence and length of each prediction for `stance drift`.")
    ] = False,
) -> None:
    """Serve the champion over HTTP until interrupted.

    Example: stance serve --port 8080
    """
    from serving import registry
    from serving.settings import settings

    if workers is not None:
        os.environ["STANCE_WORKERS"] = str(workers)
    if monitor:
        os.environ["STANCE_MONITOR"] = "true"
    settings()  # a wrong one is told here, not by a worker
    model = registry.served()
    typer.echo(f"serving {model.tag} on http://{host}:{port} (the page: http://{host}:{port}/ui)", err=True)
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:StanceService"]
    where = ["--host", host, "--port", str(port), "--working-dir", str(Path(__file__).parents[1])]
    os.execv(sys.executable, [*command, *where])  # noqa: S606  the server takes over this process and its signals
