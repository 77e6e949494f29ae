"""Corrections: what people say a text's label should have been, stored durably in SQLite or PostgreSQL for retraining.

A correction is the same as another when text, label, model and annotator are: it is one row then, with the time at which it came
last. What :meth:`Store.add` has returned for survives the end of the process and of the machine.
"""

import datetime
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from serving import registry
from serving.errors import StoreError
from serving.settings import settings

FILE = "stance-corrections.sqlite"
LOCK_SECONDS = 5
"""How long a writer waits for another one, and for a server to be reached."""
SERVER_SECONDS = 10
"""How long a server may take over a statement, or be silent."""
_LOCK_NUMBER = 7_813_226
"""An advisory lock of PostgreSQL, which two processes that create the table at the same time take in turn."""

_IN_EARNEST = sa.select(
    sa.func.set_config("synchronous_commit", "on", True), sa.func.set_config("statement_timeout", f"{SERVER_SECONDS}s", True)
)
"""Whatever PostgreSQL's defaults are, until the end of the transaction."""
TABLE = sa.Table(
    "corrections",
    sa.MetaData(),
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("received", sa.String(32), nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("predicted", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Correction:
    """Somebody's label for a text that a model had predicted another one for, or the same; ``annotator`` may be empty."""

    task: str
    text: str
    label: str
    model: str
    predicted: str
    annotator: str = ""

    @property
    def id(self) -> str:
        """The hex SHA-256 of what makes it the same as another."""
        content = json.dumps([self.text, self.label, self.model, self.annotator])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A correction with its number in the store and the time at which it came last: ISO 8601, UTC."""

    number: int
    received: str
    correction: Correction


class Store:
    """The corrections of one database; connects when it is first used. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Take the URL of a SQLite file or a PostgreSQL database, as SQLAlchemy writes them."""
        self._url = sa.make_url(url)
        self._created = False

    @classmethod
    def configured(cls) -> "Store":
        """Return the store that the settings name: a SQLite file in BentoML's home by default."""
        url = settings().corrections_url
        return cls(url.get_secret_value() if url else f"sqlite:///{registry.home() / FILE}")

    def add(self, correction: Correction) -> str:
        """Store a correction, unless it is there, and return its id once it is on the disk.

        Raises:
            StoreError: the database cannot be reached or written.
        """
        values = {field: getattr(correction, field) for field in ("task", "text", "label", "model", "predicted", "annotator")}
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        insert = (sqlite.insert if self._file else postgresql.insert)(TABLE)
        once = insert.values(id=correction.id, received=moment, **values).on_conflict_do_update(
            index_elements=["id"], set_={"received": moment}
        )
        with self._told("written"):
            self._create()
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(_IN_EARNEST)
                connection.execute(once)
        return correction.id

    def corrections(self) -> Iterator[Stored]:
        """Yield what is stored, that which came last at the end.

        Raises:
            StoreError: the database cannot be read.
        """
        file = self._file
        if file and not file.exists():
            return
        with self._told("read"), self._engine.connect() as connection:
            if not sa.inspect(connection).has_table(TABLE.name):
                return
            for row in connection.execute(sa.select(TABLE).order_by(TABLE.c.received, TABLE.c.number)).mappings():
                values = {key: value for key, value in row.items() if key not in ("number", "id", "received")}
                yield Stored(row["number"], row["received"], Correction(**values))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @property
    def _file(self) -> Path | None:
        """The file of a SQLite store."""
        return Path(self._url.database or "") if self._url.get_backend_name() == "sqlite" else None

    @cached_property
    def _engine(self) -> sa.Engine:
        hidden: dict[str, Any] = {"hide_parameters": True}  # else errors repeat the text
        if self._file:
            # Each connection opens the file anew: one that is kept would go on writing to a file that was moved away.
            engine = sa.create_engine(self._url, connect_args={"timeout": LOCK_SECONDS}, poolclass=sa.NullPool, **hidden)
            sa.event.listen(engine, "connect", _sync_to_disk)
            return engine
        patience = {"connect_timeout": LOCK_SECONDS, "tcp_user_timeout": 1000 * SERVER_SECONDS}
        return sa.create_engine(self._url, connect_args=patience, pool_pre_ping=True, **hidden)

    def _create(self) -> None:
        """Create the table where it is not there; several processes may do so at the same time."""
        if self._created:
            return
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_NUMBER)))
            connection.execute(sa.schema.CreateTable(TABLE, if_not_exists=True))
        self._created = self._file is None

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """Turn every failure of the database into one line that holds neither a text nor a password."""
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            self._created = False
            cause = getattr(error, "orig", None) or error
            reason = str(cause).strip().split("\n")[0] if isinstance(cause, OSError) or _about_the_store(error) else ""
            place = self._url.render_as_string(hide_password=True)
            raise StoreError(f"{place}: corrections cannot be {done} ({reason or type(cause).__name__}).") from None


def _about_the_store(error: Exception) -> bool:
    """Whether an error tells of the database itself, not of what was to be written, so that its words may be repeated."""
    return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)


def _sync_to_disk(connection: Any, _: Any) -> None:
    """Let a commit return when the file is on the disk, and so is the end of its journal (https://sqlite.org/pragma.html)."""
    connection.execute("PRAGMA synchronous=EXTRA")
