"""A real PostgreSQL for tests: a server of its own in a temporary folder, reached by a Unix socket alone."""

from __future__ import annotations

import glob
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from pg8000.dbapi import connect
from pg8000.exceptions import DatabaseError, InterfaceError

PORT = 5432  # of the socket's name
SETTINGS = ("listen_addresses=", "fsync=off", "max_connections=40", "log_min_messages=fatal")


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian keeps them off the path."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else []
    folders += map(Path, sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True))
    return next((folder for folder in folders if all((folder / n).exists() for n in ("initdb", "postgres"))), None)


class PostgresServer:
    """Started by the first `start`; PostgreSQL refuses to be root, so root starts it as somebody else."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user = _somebody() if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        self._run("initdb", "--pgdata", str(self.folder / "data"), "--username=test", "--auth=trust", "--no-sync")

    def start(self) -> None:
        options = [part for setting in SETTINGS for part in ("-c", setting)]
        places = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        command = [*places, "-p", str(PORT), *options]
        self._process = subprocess.Popen(command, user=self._user, stderr=subprocess.DEVNULL, cwd="/")
        self._wait()

    def stop(self, how: str = "fast") -> None:
        """`immediate`: as if it had crashed."""
        self._run("pg_ctl", "stop", "--pgdata", str(self.folder / "data"), "--mode", how, "--wait")
        if self._process is not None:
            self._process.wait(20)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"store{next(self._names)}"
        connection = self._connect()
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        connection.close()
        return f"postgresql://test:secret@/{name}?host={self.folder}"

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def _connect(self) -> Any:
        return connect("test", database="postgres", unix_sock=str(self.folder / f".s.PGSQL.{PORT}"), timeout=5)

    def _wait(self) -> None:
        end = time.monotonic() + 30.0
        while True:
            try:
                self._connect().close()
                return
            except (DatabaseError, InterfaceError, OSError):
                assert time.monotonic() < end, "PostgreSQL does not start"
                time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], user=self._user, capture_output=True, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def _somebody() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
