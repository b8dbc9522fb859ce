"""A PostgreSQL server of the tests' own, from the distribution's programs, in a folder that goes with it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from neurogrid_coordinator.store.places import Server

_START_S = 60.0
_TEMPLATE = "made"


class PostgresqlServer:
    """A running server. Its databases are gone with it."""

    def __init__(self, folder: Path, owner: str | None) -> None:
        self._folder = folder
        self._owner = owner
        self._programs = _programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def initialise(self) -> None:
        """Make its files."""
        command = ["initdb", "--pgdata", "data", "--username", "ng", "--auth", "trust"]
        command += ["--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
        with (self._folder / "initdb.log").open("wb") as log:
            subprocess.run(
                [self._programs / command[0], *command[1:]],
                cwd=self._folder,
                user=self._owner,
                stdout=log,
                stderr=log,
                check=True,
                timeout=_START_S,
            )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "max_connections": "200",
            "shared_buffers": "32MB",
            # A power cut takes the tests with it.
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
        }
        command: list[str | Path] = [self._programs / "postgres", "-D", "data"]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, user=self._owner, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self.execute("select 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT rolls back what is under way, SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_START_S)

    def restart(self, how: signal.Signals) -> None:
        """`stop` and `start`; in one call, so that no test leaves the next ones without a server."""
        self.stop(how)
        self.start()

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """One statement as the server's administrator."""
        with psycopg.connect(self.url(database), autocommit=True) as raw:
            found = raw.execute(sql.encode())
            return found.fetchall() if found.description is not None else []

    def url(self, database: str) -> str:
        """Of one of its databases."""
        return f"postgresql://ng@/{database}?host={self._folder}"

    def new(self) -> Server:
        """An empty database."""
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f"create database {name}")
        return Server(self.url(name))


def _programs() -> Path:
    """Where the newest of Debian's servers has its programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    elsewhere = shutil.which("postgres")
    assert elsewhere is not None, "no PostgreSQL here: make postgresql"
    return Path(elsewhere).resolve().parent


@contextmanager
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A server for as long as the block lasts."""
    # A short path: a Unix socket is in it.
    folder = Path(tempfile.mkdtemp(prefix="ng-pg-", dir="/tmp"))
    owner = None
    if os.geteuid() == 0:
        # It refuses to run as root.
        owner = "nobody"
        os.chown(folder, pwd.getpwnam(owner).pw_uid, -1)
    server = PostgresqlServer(folder, owner)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
