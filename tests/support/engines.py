"""Real engines for tests: one Postgres cluster and one Valkey a test run, a database as fresh as the migrated template for each test.

Workers of pytest-xdist share the run's engines; the last one to leave stops them and removes the folder. Folders of runs
that were killed are swept by the next run.
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from kernel.engines import Addresses, EmbeddedPostgres, EmbeddedValkey
from kernel.engines.postgres import APP, OWNER, let_turn_the_log, make_database
from kernel.engines.process import locked, own_folder
from kernel.keys import FileKeys
from kernel.migrate import KEYS_MIGRATIONS, MIGRATIONS, migrate
from tests.support.kept import Kept
from tests.support.washing import Fresh, look, wash

_HOME = Path("/var/tmp")
_PREFIX = "candor-tests-"
_OF_A_TEST = "t_"
_TEMPLATES = ("template_data", "template_keys")
# A test's cluster need not survive a power cut.
_TUNING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "file_copy_method": "clone" if os.environ.get("CANDOR_TESTS_CLONE") else "copy",
}


@dataclass(frozen=True, slots=True)
class _Pair:
    """A data and a keys database, a superuser's connection into each, and how each looked when it was new.

    The connections stay open from test to test: most of what washing costs is a new backend reading the catalogue.
    """

    names: tuple[str, str]
    inside: tuple[psycopg.Connection, ...]
    fresh: tuple[Fresh, ...]

    def close(self) -> None:
        """Leave both databases."""
        for conn in self.inside:
            conn.close()


class RunEngines:
    """The engines of one test run."""

    def __init__(self, run: str, worker: int) -> None:
        self.folder = _HOME / f"{_PREFIX}{run}"
        self.postgres = EmbeddedPostgres(self.folder / "postgres", _TUNING)
        self.valkey = EmbeddedValkey(self.folder / "valkey", append_only=False)
        self.key_file = self.folder / "secrets" / "keys.json"
        self.worker = worker
        self._admin: psycopg.Connection | None = None
        self._spare: list[_Pair] = []
        self._kept = Kept(_OF_A_TEST)
        self._open = ExitStack()

    def start(self, migrations: Sequence[Path]) -> None:
        own_folder(self.folder, 0o711, give=False)
        self.postgres.start()
        self.valkey.start()
        self._admin = psycopg.connect(self.postgres.url("postgres", "postgres"), autocommit=True)
        with locked(self.folder / ".template.lock"):
            if not self.key_file.exists():
                FileKeys.create(self.key_file)
            done = self.folder / "template-done"
            if not done.exists():
                self._build(migrations)
                done.touch()

        self._open.enter_context(self._kept.keeping())

    def stop(self) -> None:
        self._open.close()
        for pair in self._spare:
            pair.close()
        if self._admin is not None:
            self._admin.close()
        self.valkey.stop()
        self.postgres.stop()
        if self.postgres.pid() is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def admin(self) -> psycopg.Connection:
        """A superuser's connection, for making databases and for breaking things on purpose."""
        assert self._admin is not None
        return self._admin

    @contextmanager
    def clone(self) -> Iterator[Addresses]:
        """Addresses of a fresh data database, a fresh keys database and this worker's flushed Valkey database."""
        pair = self._spare.pop() if self._spare else self._make()
        try:
            yield self.addresses(*pair.names)
        finally:
            if self._washed(pair):
                self._spare.append(pair)
            else:
                pair.close()
                self._kept.drop(*pair.names)
                for name in pair.names:
                    self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _make(self) -> "_Pair":
        """A new data and a new keys database, and how they look."""
        word = secrets.token_hex(6)
        names = (f"{_OF_A_TEST}{word}", f"{_OF_A_TEST}{word}_keys")
        for name, template in zip(names, _TEMPLATES, strict=True):
            make_database(self.admin, name, template)
        inside = tuple(psycopg.connect(self.postgres.url(name, "postgres"), autocommit=True) for name in names)
        return _Pair(names, inside, tuple(look(conn) for conn in inside))

    def _washed(self, pair: "_Pair") -> bool:
        """Whether nobody else is in these databases any more and they look as they did at first."""
        own = [*(conn.info.backend_pid for conn in pair.inside), *self._kept.pids()]
        try:
            self.admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> ALL(%s)",
                (list(pair.names), own),
            )
            return all(wash(conn, fresh) for conn, fresh in zip(pair.inside, pair.fresh, strict=True))
        except psycopg.OperationalError:  # a test that takes whole databases, or the cluster, away from everybody
            return False

    def addresses(self, data: str, keys: str) -> Addresses:
        url = self.postgres.url
        return Addresses(
            database=url(data, APP),
            keys=url(keys, APP),
            redis=self.valkey.url(self.worker % 64),
            owner=url(data, OWNER),
            keys_owner=url(keys, OWNER),
        )

    def _build(self, migrations: Sequence[Path]) -> None:
        for name in _TEMPLATES:
            self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            make_database(self.admin, name)
        with psycopg.connect(self.postgres.url(_TEMPLATES[1], "postgres"), autocommit=True) as keys:
            let_turn_the_log(keys)
        migrate(self.postgres.url(_TEMPLATES[0], OWNER), [MIGRATIONS, *migrations], schema="kernel")
        migrate(self.postgres.url(_TEMPLATES[1], OWNER), [KEYS_MIGRATIONS], schema="keys")


def sweep() -> None:
    """Stop and remove what killed runs left behind: folders that nobody holds and that are not brand new."""
    for folder in _HOME.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < 120:
                continue
        except FileNotFoundError:
            continue
        held = [EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")]
        if any(engine.in_use() for engine in held):
            continue
        for engine in held:
            engine.halt()
        shutil.rmtree(folder, ignore_errors=True)
