"""Commands of the way back from the service to the data: corrections, sample, drift. Imports the rest when a command runs."""

import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli_options import TaskFile, TextColumn, tell, write

if TYPE_CHECKING:
    from training.monitored import Window
    from training.sets import Reserved
    from training.task import Task

corrections = typer.Typer(
    help="List and export the corrections that the service was sent.", no_args_is_help=True, rich_markup_mode=None
)
Model = Annotated[str | None, typer.Option("--model", help="Tag of the model; the champion by default.", metavar="TAG")]
Moment = Annotated[
    datetime.datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], help="Local time, as 2026-01-31 or 2026-01-31T18:00."
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.add_typer(corrections, name="corrections")
    app.command()(sample)
    app.command()(drift)


@corrections.command("list")
def list_corrections() -> None:
    """Print every correction as a JSON line, the newest last.

    Example: stance corrections list
    """
    from dataclasses import asdict

    from serving.corrections import Store

    for stored in Store.configured().corrections():
        line = {"number": stored.number, "received": stored.received, **asdict(stored.correction)}
        typer.echo(json.dumps(line, ensure_ascii=False))


@corrections.command("export")
def export_corrections(
    file: Annotated[Path, typer.Argument(help="A file to write; .jsonl or .csv by its name.", metavar="FILE")],
    task: TaskFile = None,
) -> None:
    """Write the corrected texts as labelled rows, which check, train and retrain read.

    Of an annotator's corrections of a text the last counts, of several annotators the majority; ties are told and left out,
    and so are texts of the sets that the task reserves.

    Example: stance corrections export corrections.jsonl
    """
    from serving.corrections import Store
    from training.corrections import as_csv, as_json_lines, corrected
    from training.task import DEFAULT_TASK, read_task

    writers = {".csv": as_csv, ".jsonl": as_json_lines}
    if file.suffix.lower() not in writers:
        raise typer.BadParameter(f"FILE: expected a name that ends in .jsonl or .csv, found {str(file)!r}")
    found = corrected(Store.configured().corrections(), task=read_task(task or DEFAULT_TASK))
    for tie in found.ties:
        tell(tie)
    write(file, writers[file.suffix.lower()](found.rows))
    tell(str(found))


def sample(
    source: Annotated[
        Path, typer.Argument(help="CSV, TSV, JSON Lines, Parquet or plain lines, as `stance score` reads them.", metavar="FILE")
    ],
    target: Annotated[Path, typer.Argument(help="Where to write the tasks for Label Studio: a .json file.", metavar="OUTPUT")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many texts.", metavar="N")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="A file that is labelled already; repeat it for more.", metavar="FILE")
    ] = None,
    text_column: TextColumn = "text",
    model: Model = None,
    task: TaskFile = None,
) -> None:
    """Pick the texts that are most worth labelling next, unsure and unlike one another, as an import for Label Studio.

    The model's label is shown there as a suggestion, which is never read as a label. Repeats are left out, and texts that
    stand in the corpus, in the sets that the task reserves or in --data. Of more than 10,000 others so many are drawn at random.

    Example: stance sample articles.csv tasks.json --n 100
    """
    import numpy as np

    from serving.errors import DataError
    from serving.predictor import Predictor
    from serving.progress import rows_progress
    from training import sample as sampling
    from training.config import read_config
    from training.sets import Reserved
    from training.task import DEFAULT_TASK, read_task

    if target.suffix.lower() != ".json":
        raise typer.BadParameter(f"OUTPUT: expected a name that ends in .json, found {str(target)!r}")
    chosen = read_task(task or DEFAULT_TASK)
    predictor = Predictor.load(model)
    reserved = Reserved.of(chosen, labels=chosen.label_names)
    known = _known(chosen, reserved, labelled=data or [])
    most = max(count, sampling.MOST_CANDIDATES)
    found, passed = sampling.read_candidates(source, text_column=text_column, known=known, seed=seed, most=most)
    candidates = sampling.apart(found, reserved, near_duplicate=read_config().split.near_duplicate)
    if not candidates:
        raise DataError("expected texts that are not labelled yet, found none.")
    predictions = []
    with rows_progress() as progress:
        for prediction in predictor.stream(candidate.text for candidate in candidates):
            predictions.append(prediction)
            progress(len(predictions), len(candidates))
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    picked = sampling.choose([candidate.text for candidate in candidates], probabilities, count=count, seed=seed)
    pairs = [candidates[place] for place in picked], [predictions[place] for place in picked]
    write(target, sampling.as_label_studio(*pairs, model=predictor.tag) + "\n")
    tell(f"{len(picked)} of {len(candidates)} texts; {passed + len(found) - len(candidates)} rows left out")
    tell(f"labelling interface: {sampling.labelling_interface(predictor.labels)}")


def _known(task: "Task", reserved: "Reserved", *, labelled: list[Path]) -> set[str]:
    """Return the normal forms of the texts that are labelled or reserved already."""
    from training.rows import normal_form
    from training.sources import read_source

    texts = list(reserved.texts)
    for path in [*([task.corpus] if task.corpus else []), *labelled]:
        source = read_source(path, labels=task.label_names)
        texts += [text for cells in source.cells if isinstance(text := cells.cells.get(source.columns.text), str)]
    return {normal_form(text) for text in texts}


def drift(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files or folders of recorded predictions; where `stance serve --monitor` writes by default.",
            metavar="[LOGS]...",
        ),
    ] = None,
    since: Moment = None,
    until: Moment = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare with the predictions of another time, as 2026-01-01..2026-02-01, not with the model's own reference.",
            metavar="FROM..TO",
        ),
    ] = None,
    model: Model = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure there.", metavar="FILE")] = None,
) -> None:
    """Say how the recorded predictions moved, and how sure that is.

    A window of time is compared with the model's reference, which is its predictions on texts that it was not trained on, or with
    another window: labels, confidence and length of the text. Each text counts once.

    Example: stance drift --since 2026-02-01 --against 2026-01-01..2026-02-01
    """
    from dataclasses import asdict

    from serving import monitor, registry
    from serving.artifact import read_manifest
    from serving.errors import DataError
    from training.drift import compare, reference_of_window
    from training.monitored import Window, find_logs, read_window

    stored = registry.resolve(model)
    manifest = read_manifest(stored.path)
    files = find_logs(logs or [monitor.folder()])
    window = Window(since, until)
    records, repeats = read_window(files, window, model=stored.tag)
    if against is not None:
        other = _window(against)
        before, _ = read_window(files, other, model=stored.tag)
        reference = reference_of_window(before, labels=manifest.label_names, source=str(other))
    elif manifest.reference is None:
        raise DataError(f"{stored.tag} was made without a reference of its own: compare two times with --against FROM..TO.")
    else:
        reference = manifest.reference
    changes = compare(records, reference)
    told = f"{window} of {stored.tag}: {len(records)} texts, {repeats} repeats left out"
    typer.echo(f"{told}; reference: {reference.source}, {reference.texts} texts")
    for change in changes:
        typer.echo(str(change))
    if json_file:
        found = [{**asdict(change), "verdict": change.verdict} for change in changes]
        content = {"model": stored.tag, "window": str(window), "texts": len(records), "repeats": repeats}
        write(json_file, json.dumps({**content, "reference": reference.model_dump(), "changes": found}, indent=1) + "\n")


def _window(value: str) -> "Window":
    """Read FROM..TO, where either may be left out."""
    from training.monitored import Window

    since, dots, until = value.partition("..")
    try:
        if not dots or not (since or until):
            raise ValueError
        return Window(*(_local(datetime.datetime.fromisoformat(end)) if end else None for end in (since, until)))
    except ValueError:
        raise typer.BadParameter(f"--against: expected FROM..TO, as 2026-01-01..2026-02-01, found {value!r}") from None


def _local(moment: datetime.datetime) -> datetime.datetime:
    """Return the moment as the local time that the records hold."""
    return moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment
