"""Commands that need the training libraries: train, evaluate, check. Imports them when a command runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from training import feedback
from training.cli_options import (
    BaseModelName,
    ConfigFile,
    DataFiles,
    LabelColumn,
    LabelMap,
    Seed,
    TaskFile,
    TextColumn,
    calm,
    columns_of,
    tell,
    write,
)


def register(app: typer.Typer) -> None:
    """Add this package's commands to the app."""
    app.command()(train)
    app.command()(evaluate)
    app.command()(check)
    feedback.register(app)


def train(
    task: TaskFile = None,
    data: DataFiles = None,
    config: ConfigFile = None,
    seed: Seed = None,
    base_model: BaseModelName = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make the new model the champion.")] = False,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_map: LabelMap = None,
) -> None:
    """Fine-tune on the shipped corpus, or on the files given, then export, evaluate and save; prints the report.

    A run that was killed goes on from its last checkpoint when the same command is given again. `torchrun --nproc-per-node 2
    stance.py train` spreads it over two processes.

    Example: stance train --task housing.toml --data housing.csv --seed 3
    """
    calm()
    from rich.console import Console

    from serving import registry
    from training.assembly import Run
    from training.build import build
    from training.config import read_config
    from training.evaluate import print_behaviour, print_figures
    from training.rows import read_rows, unique_rows
    from training.sets import Reserved
    from training.task import DEFAULT_TASK, read_task

    chosen = read_task(task or DEFAULT_TASK)
    settings = read_config(config, seed=seed, base_model=base_model)
    columns = columns_of(text_column, label_column, label_map)
    files = data or ([chosen.corpus] if chosen.corpus else [])
    if not files:
        raise typer.BadParameter("the task names no corpus: give the labelled files with --data")
    names, own = chosen.label_names, columns if data else None
    found = [row for file in files for row in read_rows(file, labels=names, columns=own, tell=tell)]
    reserved = Reserved.of(chosen, labels=names)
    apart, tested = reserved.apart(found, near_duplicate=settings.split.near_duplicate)
    unique = unique_rows(apart)
    left_out = {
        "repeat or nearly repeat a reserved sentence": tested,
        "repeat another row": unique.repeats,
        "have a text with different labels": unique.contradictions,
    }
    for kind, rows in left_out.items():
        if rows:
            typer.echo(f"{len(rows)} rows {kind} and are left out, the first at {rows[0].where}", err=True)
    built = build(
        Run(
            task=chosen,
            rows=unique.rows,
            config=settings,
            calibration=reserved.calibration,
            frozen_test=reserved.frozen_test,
            behaviour=reserved.behaviour,
            guards=unique.contradictions,
        )
    )
    if built is None:
        return
    if promote:
        registry.promote(built.model.tag)
    console = Console()
    print_figures(built.figures, model=built.model.tag, console=console)
    if built.behaviour:
        print_behaviour(built.behaviour, console=console)
    typer.echo(f"{built.model.tag}{' is the champion' if promote else ''}; report: {built.model.path / 'report.html'}")


def evaluate(
    model: Annotated[
        str | None, typer.Option("--model", help="Tag of the model; the champion by default.", metavar="TAG")
    ] = None,
    data: DataFiles = None,
    task: TaskFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure there.", metavar="FILE")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures there.", metavar="FILE")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_map: LabelMap = None,
) -> None:
    """Score a model as it is served, on labelled files or on the task's own sets.

    Example: stance evaluate --data held_out.csv --json figures.json --html report.html
    """
    from rich.console import Console

    from serving.predictor import Predictor
    from training.behaviour import Outcome, read_cases, run_cases
    from training.evaluate import evaluate, print_behaviour, print_figures
    from training.rows import read_rows
    from training.sets import own_sets
    from training.task import DEFAULT_TASK, read_task

    predictor = Predictor.load(model)
    behaviour: dict[str, Outcome] = {}
    if data:
        columns = columns_of(text_column, label_column, label_map)
        labels = predictor.labels
        given = {str(file): read_rows(file, labels=labels, columns=columns, tell=tell) for file in data}
        figures = evaluate(predictor, given)
    else:
        chosen = read_task(task or DEFAULT_TASK)
        sets, baselines = own_sets(predictor.manifest, chosen)
        figures = evaluate(predictor, sets, baselines=baselines)
        behaviour = run_cases(predictor, read_cases(chosen.behaviour)) if chosen.behaviour else {}
    console = Console()
    print_figures(figures, model=predictor.tag, console=console)
    if behaviour:
        print_behaviour(behaviour, console=console)
    if json_file:
        outcomes = {name: outcome.model_dump() for name, outcome in behaviour.items()}
        content = {"model": predictor.tag, "sets": figures, "behaviour": outcomes}
        write(json_file, json.dumps(content, indent=1) + "\n")
    if html_file:
        from training.report import render

        target, names = predictor.manifest.target, list(predictor.labels)
        page = render(figures, model=predictor.tag, target=target, labels=names, behaviour=behaviour)
        write(html_file, page)


def check(
    files: Annotated[list[Path], typer.Argument(help="Labelled files or exports of labelling tools.", metavar="FILE...")],
    task: TaskFile = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the defects there too: .csv or .jsonl.", metavar="FILE")
    ] = None,
    label_errors: Annotated[
        Path | None,
        typer.Option("--label-errors", help="Write the rows there as CSV, the likeliest label errors first.", metavar="FILE"),
    ] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_map: LabelMap = None,
) -> None:
    """Check labelled files row by row before training on them; tells every defect and changes nothing (exit status 3 with any).

    The CSV of --label-errors holds every row that can be trained on: correct its label column and train on it in place of FILE.

    Example: stance check labelled.csv --report defects.csv --label-errors to_correct.csv
    """
    from training.check import as_csv, as_json_lines, check_files, print_defects
    from training.task import DEFAULT_TASK, read_task

    writers = {".csv": as_csv, ".jsonl": as_json_lines}
    if report and report.suffix.lower() not in writers:
        raise typer.BadParameter(f"--report: expected a name that ends in .csv or .jsonl, found {str(report)!r}")
    chosen = read_task(task or DEFAULT_TASK)
    checked = check_files(files, task=chosen, columns=columns_of(text_column, label_column, label_map), tell=tell)
    print_defects(checked.defects)
    if report:
        write(report, writers[report.suffix.lower()](checked.defects))
    if label_errors:
        from training.suspects import as_csv as suspects_as_csv
        from training.suspects import rank

        write(label_errors, suspects_as_csv(rank(checked.rows, labels=chosen.label_names)))
    tell(f"{checked.places} rows, {len(checked.rows)} can be trained on, {len(checked.defects)} defects")
    if checked.defects:
        raise typer.Exit(3)
