"""Commands on the model store: `stance models ...`. Imports the rest when a command runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(
    help="List, show, compare, promote and roll back the models of the store.", no_args_is_help=True, rich_markup_mode=None
)


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
            verdict = manifest.metrics.get("verdict", {}).get("word", "not judged")
            typer.echo(f"{mark} {model.tag}  {manifest.task}  {manifest.form}  {manifest.created}  {verdict}")


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
def promote(
    tag: Annotated[str, typer.Argument(help="Tag of the model to serve.", metavar="TAG")],
    force: Annotated[bool, typer.Option("--force", help="Even if it was judged to be worse; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept in runs.jsonl.", metavar="TEXT")] = None,
) -> None:
    """Make a model the champion, after checking that it loads.

    Example: stance models promote stance:20260101t120000-ab12cd
    """
    from serving import registry, runs
    from serving.predictor import Predictor

    check_force(force, reason)
    Predictor.load(tag)
    before = registry.champion()
    model = registry.promote(tag, forced=force)
    if force:
        runs.record({"command": "models promote", "model": model.tag, "champion_before": before, "reason": reason})
    typer.echo(model.tag)


def check_force(force: bool, reason: str | None) -> None:
    """Check that who forces says why, and that a reason is given for nothing else.

    Raises:
        BadParameter: one stands there without the other.
    """
    if force != bool(reason and reason.strip()):
        raise typer.BadParameter("--force and --reason TEXT go together")


@models.command("rollback")
def rollback() -> None:
    """Make the champion before this one the champion again.

    Example: stance models rollback
    """
    from serving import registry

    typer.echo(registry.rollback().tag)


@models.command("prune")
def prune(
    keep: Annotated[int, typer.Option(min=0, help="Champions before this one that stay, to roll back to.", metavar="N")] = 3,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only listed.")] = False,
) -> None:
    """List what may go: all but the champion, N champions before it, and what is newer than it; --yes removes it.

    Example: stance models prune --keep 1 --yes
    """
    from serving import retention

    found = retention.plan(keep)
    if yes:
        retention.carry_out(found)
    for model, why in found.kept:
        typer.echo(f"stays  {model.tag}  {why}")
    for model in found.removed:
        typer.echo(f"{'gone' if yes else 'goes'}   {model.tag}")
    if found.removed and not yes:
        typer.echo("--yes removes what goes", err=True)


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
