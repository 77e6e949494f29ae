"""The `stance` command: the commands of `serving` and, where it is installed, of `training`, each loaded when it is called."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import typer

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")


def main() -> None:
    """Run the command line; a failure a person can mend is one line on stderr and exit status 1."""
    from serving.errors import StanceError

    try:
        build()()
    except StanceError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(f"this command needs the package {error.name!r}, which is not installed: pip install '.[train]' here")
    except UnicodeDecodeError as error:
        _fail(f"stdin: expected UTF-8, found byte 0x{error.object[error.start]:02x}")
    except OSError as error:
        _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    print(f"stance: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(1)


def build() -> "typer.Typer":
    """Return the Typer app that joins both packages' commands."""
    import typer

    app = typer.Typer(
        name="stance",
        help="Classify the stance of sentences toward a report. `stance COMMAND --help` shows an example.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for package in ("training.cli", "serving.cli"):
        try:
            import_module(package).register(app)
        except ModuleNotFoundError as error:
            if error.name != package.split(".")[0]:
                raise
    return app


if __name__ == "__main__":
    main()
