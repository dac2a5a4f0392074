"""The registry's database: opened by its URL, held by one service, brought up to date, its errors made ours."""

import errno
import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from adapters.errors import BadInput, Conflict, StorageFull, Unavailable

_RETRY_AFTER = 5.0
_FIRST = "0001"
# The advisory lock of PostgreSQL that the service using a database holds; the number stands for nothing.
_POSTGRES_LOCK = 7_282_201_504
_POSTGRES_DISK_FULL = "53100"


class Database:
    """An open database with today's tables, which this process alone uses until `close`.

    Raises:
        BadInput: the URL names no SQLite or PostgreSQL database, or the tables are those of a later version.
        Conflict: another service uses it.
        Unavailable: it does not answer.
    """

    def __init__(self, url: str) -> None:
        self.engine = _open(url)
        with errors_are_ours():
            self._release = _claim(self.engine)
            try:
                with self.engine.begin() as connection:
                    _upgrade(connection)
            except BaseException:  # whatever it was: a database that is not used is not held
                self.close()
                raise

    def close(self) -> None:
        """Lets another service have it."""
        self._release()
        self.engine.dispose()


@contextmanager
def errors_are_ours() -> Iterator[None]:
    """Translates what a database raises while it works: no room, or no answer."""
    try:
        yield
    except DBAPIError as error:
        if _is_full(error.orig):
            raise StorageFull("the registry's disk is full; nothing was changed. Free some room and try again") from error
        if error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError"):
            raise Unavailable(f"the registry's database does not answer: {error.orig}", retry_after=_RETRY_AFTER) from error
        raise


def _is_full(error: object) -> bool:
    return (
        getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(error, "sqlstate", None) == _POSTGRES_DISK_FULL
    )


def _open(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        if parsed.get_backend_name() == "postgresql":
            # The driver that is installed; a connection that broke meanwhile is opened again.
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise BadInput(f"--database cannot be read as a URL: {error}", param="database") from error
    raise BadInput(
        f"--database {parsed.render_as_string()}: give sqlite:////path/to/registry.db or postgresql://user@host/name",
        param="database",
    )


def _sqlite(url: URL) -> Engine:
    if not url.database or not Path(url.database).parent.is_dir():
        raise BadInput(f"--database {url}: there is no folder for the file {url.database!r}; make it first", param="database")
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # Python's module would end a transaction before each CREATE TABLE; SQLAlchemy begins and ends them itself.
        connection.isolation_level = None
        # What was acknowledged is on the disk, even when the machine stops: hence FULL.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _claim(engine: Engine) -> Callable[[], None]:
    """Takes the database for this process; what it returns gives it back. The lock ends with the process, however that ends."""
    taken = Conflict(f"another service uses the database {engine.url.render_as_string()}; stop it, or give another --database")
    if engine.dialect.name == "sqlite":
        lock = Path(f"{engine.url.database}.lock").open("w")  # noqa: SIM115 (held until the process gives it back)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            if error.errno == errno.EWOULDBLOCK:
                raise taken from error
            raise
        return lock.close
    # A connection of its own, which stays open and is no one else's.
    connection = engine.connect()
    if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _POSTGRES_LOCK}):
        connection.close()
        raise taken
    connection.commit()

    def release() -> None:
        connection.invalidate()
        connection.close()

    return release


def _upgrade(connection: Connection) -> None:
    """Runs the migrations that have not been run; all of them or none."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    tables = inspect(connection).get_table_names()
    if "adapters" in tables and "alembic_version" not in tables:
        command.stamp(config, _FIRST)  # made before there were migrations
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise BadInput(
            f"the registry's tables are those of another version of Patchbay ({error}); use that version, or another --database",
            param="database",
        ) from error
