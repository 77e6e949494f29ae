"""Pages that are filled in: what is put into them is escaped, and a name that is not there is an error."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


@cache
def template(path: Path) -> "jinja2.Template":
    """Return the page of a file; it may include others of its folder."""
    import jinja2

    files = jinja2.FileSystemLoader(path.parent)
    environment = jinja2.Environment(
        loader=files, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(path.name)
