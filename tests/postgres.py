"""A PostgreSQL server of the tests' own: on a folder of its own, on a socket in it, gone with the tests."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg


class Postgres:
    """Runs as the user `postgres` where the tests run as root, which PostgreSQL refuses to."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="patchbay-postgres-"))
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        data = self.folder / "data"
        subprocess.run(
            [program("initdb"), "-D", data, "-A", "trust", "-N", "-E", "UTF8", "--no-locale"],
            check=True,
            capture_output=True,
            user=self.user,
            cwd=self.folder,
        )
        self.process = subprocess.Popen(
            [program("postgres"), "-D", data, "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("w"),
            user=self.user,
            cwd=self.folder,
        )
        self._wait()

    def _wait(self) -> None:
        ends = time.monotonic() + 30
        while True:
            try:
                self._run("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > ends:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def _run(self, statement: str) -> None:
        with psycopg.connect(host=str(self.folder), user=self.user, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"registry_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name}")
        return f"postgresql://{self.user}@/{name}?host={self.folder}"

    def drop_connections(self) -> None:
        """As a restart of the server, or of what lies between, does."""
        self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'registry_%'")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # a fast shutdown; SIGTERM would wait for clients
        self.process.wait(30)
        shutil.rmtree(self.folder)


def program(name: str) -> str:
    """One of PostgreSQL's programs; Debian keeps them out of the PATH."""
    places = [Path(found)] if (found := shutil.which(name)) else sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not places:
        raise AssertionError(f"PostgreSQL's {name} is not on this machine; scripts/postgres installs it")
    return str(places[-1])
