"""What the commands of this package share: options by their meaning, and how they speak and write."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from training.sources import Columns

TaskFile = Annotated[Path | None, typer.Option("--task", help="Target and labels; data/task.toml by default.", metavar="FILE")]
DataFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="Labelled CSV, TSV, JSON Lines or Parquet with text and label, or an export of Label Studio, Argilla, Prodigy or"
        " doccano; repeat it for more files.",
        metavar="FILE",
    ),
]
TextColumn = Annotated[str, typer.Option(help="The column that holds the text.", metavar="NAME")]
LabelColumn = Annotated[str, typer.Option(help="The column that holds the label.", metavar="NAME")]
LabelMap = Annotated[list[str] | None, typer.Option(help="Read the label OLD as NEW; repeat it for more.", metavar="OLD=NEW")]
ConfigFile = Annotated[Path | None, typer.Option(help="Values that differ from training/default.toml.", metavar="FILE")]
Seed = Annotated[int | None, typer.Option(min=0, help="In place of the configuration's.")]
BaseModelName = Annotated[str | None, typer.Option(help="The packaged all-MiniLM-L6-v2, a folder or a hub id.", metavar="NAME")]
TrackWith = Annotated[
    Literal["mlflow"] | None,
    typer.Option("--track", help="Report the progress there too; mlflow has to be installed, its MLFLOW_... variables count."),
]


def columns_of(text: str, label: str, label_map: list[str] | None) -> "Columns":
    """Return how the files name their columns and labels.

    Raises:
        BadParameter: a label is not mapped to another.
    """
    from training.sources import Columns

    pairs = [item.partition("=") for item in label_map or []]
    if wrong := [old for old, equals, new in pairs if not (old and equals and new)]:
        raise typer.BadParameter(f"--label-map: expected OLD=NEW, found {wrong[0]!r}")
    return Columns(text=text, label=label, label_map={old: new for old, _, new in pairs})


def tell(line: str) -> None:
    """Print a line of progress on stderr."""
    typer.echo(line, err=True)


def write(path: Path, content: str) -> None:
    """Write a whole file or none.

    Raises:
        DataError: it cannot be written.
    """
    from serving.durable import replace_file
    from serving.errors import DataError

    try:
        replace_file(path, content)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from None
    typer.echo(f"wrote {path}", err=True)


def calm() -> None:
    """Keep the training libraries from talking over the progress."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
