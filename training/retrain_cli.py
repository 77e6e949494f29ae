"""Commands on what comes after the first model: retrain, and models compare. Imports the training libraries when one runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.models_cli import check_force, models
from training.cli_options import (
    BaseModelName,
    ConfigFile,
    LabelColumn,
    LabelMap,
    Seed,
    TaskFile,
    TextColumn,
    TrackWith,
    calm,
    columns_of,
    tell,
    write,
)

if TYPE_CHECKING:
    from training.check import Checked
    from training.rows import LabelledRow
    from training.task import Task
    from training.verdict import Judgement

Page = Annotated[Path | None, typer.Option("--html", help="Write the verdict there as a page with pictures.", metavar="FILE")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the verdict there with every figure.", metavar="FILE")]


def retrain(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Labelled files or exports of labelling tools.", metavar="FILE...")
    ] = None,
    include_corrections: Annotated[
        bool, typer.Option("--include-corrections", help="Take what POST /corrections has stored as well.")
    ] = False,
    task: TaskFile = None,
    config: ConfigFile = None,
    seed: Seed = None,
    base_model: BaseModelName = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Go on without the rows that cannot be trained on (exit status 3).")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, then print plan and time, and train nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the verdict; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why it is forced; kept in runs.jsonl.", metavar="TEXT")] = None,
    html_file: Page = None,
    json_file: Json = None,
    track: TrackWith = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_map: LabelMap = None,
) -> None:
    """Check new labelled files, train a challenger on them and all earlier rows, judge it, and promote it if it is better.

    The verdict is one of: better, no measurable change, worse within noise, worse. Only "better" promotes by itself. The champion
    serves all the while; a run that was killed goes on where it was when the same command is given again.

    The earlier rows are those that the champion was made of, or the task's corpus where it does not hold them. Configuration and
    seed are the champion's but for what --config, --seed and --base-model change.

    Example: stance retrain labelled.json --include-corrections --dry-run
    """
    check_force(force, reason)
    calm()
    from training.retrain import champion_of, only_one, plan, recipe
    from training.retrain import retrain as carry_out
    from training.task import DEFAULT_TASK, read_task

    chosen, given = read_task(task or DEFAULT_TASK), list(files or [])
    with only_one():
        champion, manifest = champion_of(chosen)
        settings = recipe(manifest, config, seed=seed, base_model=base_model)
        checked = _checked(given, task=chosen, columns=(text_column, label_column, label_map), leave_out=leave_out)
        rows = _usable(checked) if checked else []
        if include_corrections:
            rows = [*rows, *_corrections(chosen, known=rows)]
        planned = plan(rows, champion=champion, task=chosen, config=settings, track=track)
        typer.echo("\n".join(planned.lines()), err=not dry_run)
        sources = [*map(str, given), *(["corrections"] if include_corrections else [])]
        outcome = None if dry_run else carry_out(planned, files=sources, forced=reason)
    if outcome:
        _tell_verdict(outcome.judgement, target=chosen.target, html_file=html_file, json_file=json_file)
        tag, page = outcome.built.model.tag, outcome.built.model.path / "verdict.html"
        typer.echo(f"{tag} is {'the champion' if outcome.promoted else 'not promoted'}; report: {page}")
    if checked and checked.unusable:
        raise typer.Exit(3)


def _checked(files: list[Path], *, task: "Task", columns: tuple[str, str, list[str] | None], leave_out: bool) -> "Checked | None":
    """Check the files and tell their defects; None where there are no files.

    Raises:
        DataError: rows cannot be trained on, and they are not to be left out.
    """
    from serving.errors import DataError
    from training.check import check_files, print_defects

    if not files:
        return None
    checked = check_files(files, task=task, columns=columns_of(*columns), tell=tell)
    defects = [defect for defect in checked.defects if defect.row is not None]  # a file's own small classes are not all there is
    print_defects(defects)
    tell(f"{checked.places} rows, {len(_usable(checked))} can be trained on, {len(defects)} defects")
    if checked.unusable and not leave_out:
        raise DataError(
            f"{len(checked.unusable)} defects make rows unusable, the first: {checked.unusable[0]} Mend them, or --leave-out goes"
            " on without these rows."
        )
    return checked


def _corrections(task: "Task", *, known: "list[LabelledRow]") -> "list[LabelledRow]":
    """Return what people corrected; a text that stands in the files as well has the files' label.

    Raises:
        StoreError: the store cannot be read.
    """
    from serving.corrections import Store
    from training.corrections import corrected

    found = corrected(Store.configured().corrections(), task=task)
    tell(str(found))
    for tie in found.ties:
        tell(tie)
    texts = {row.text.strip() for row in known}
    return [row for row in found.rows if row.text.strip() not in texts]


def _usable(checked: "Checked") -> "list[LabelledRow]":
    places = {f"{defect.file}:{defect.row}" for defect in checked.unusable}
    return [row for row in checked.rows if row.where not in places]


def _tell_verdict(judgement: "Judgement", *, target: str, html_file: Path | None, json_file: Path | None) -> None:
    from training.verdict_page import lines, render

    typer.echo("\n".join(lines(judgement)))
    if html_file:
        write(html_file, render(judgement, target=target))
    if json_file:
        write(json_file, judgement.model_dump_json(indent=1) + "\n")


@models.command("compare")
def compare(
    champion: Annotated[str, typer.Argument(help="Tag of the one to compare with.", metavar="A")],
    challenger: Annotated[str, typer.Argument(help="Tag of the one that is judged.", metavar="B")],
    task: TaskFile = None,
    html_file: Page = None,
    json_file: Json = None,
) -> None:
    """Judge model B against model A as retraining would, on the rows that are fair to both; changes nothing.

    Example: stance models compare stance:20260101t120000-ab12cd stance:20260201t120000-cd34ef
    """
    from serving import registry
    from serving.predictor import Predictor
    from training.compare import compare, require_comparable
    from training.retrain import exam_of
    from training.task import DEFAULT_TASK, read_task

    chosen = read_task(task or DEFAULT_TASK)
    first, second = Predictor.load(champion), Predictor.load(challenger)
    require_comparable(first.manifest, second.manifest)
    exam = exam_of(registry.resolve(champion), registry.resolve(challenger), chosen)
    judgement = compare(first, second, exam)
    _tell_verdict(judgement, target=chosen.target, html_file=html_file, json_file=json_file)
