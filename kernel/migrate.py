"""Alembic over the rooms' folders: one chain, run as role owner.

What enters: the owner's address and the folders of the rooms. What leaves: a schema at its head, or an error that names the
faulty file. Every revision runs in a transaction of its own; two processes starting together take turns by advisory lock.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from kernel.db import DatabaseUnavailable
from kernel.errors import IntegrityError
from kernel.head import MIGRATIONS
from kernel.log import get_logger

KEYS_MIGRATIONS: Final = MIGRATIONS / "keys"
_VERSION_TABLE: Final = "schema_version"
_ADVISORY: Final = 0x63616E646F72  # "candor"

_log = get_logger("kernel.migrate")


class MigrationBroken(IntegrityError):
    """A migration file cannot be read or run, or the chain has a gap or a fork."""

    code = "migration_broken"
    remedy = "Correct the named file; nothing of its revision was kept."


def migrate(owner_url: str, folders: Sequence[Path], *, schema: str = "kernel") -> str:
    """Bring the database to the chain's one head and return that revision; does nothing when it is there already.

    Raises:
        MigrationBroken: names the file.
        DatabaseUnavailable: the owner's address does not answer.
    """
    script = _scripts(folders)
    head = _one_head(script)

    def connect() -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(owner_url, connect_timeout=5, application_name="candor-migrate")
        except psycopg.OperationalError as fault:
            msg = "expected Postgres to answer the owner role, got no connection"
            raise DatabaseUnavailable(msg) from fault

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        connection.commit()

        def steps(revision: Any, _context: MigrationContext) -> list[Any]:
            return list(script._upgrade_revs(head, revision))  # noqa: SLF001 - Alembic's recipe for running without env.py

        with EnvironmentContext(Config(), script, fn=steps, destination_rev=head) as context:
            context.configure(
                connection=connection,
                version_table=_VERSION_TABLE,
                version_table_schema=schema,
                transaction_per_migration=True,
            )
            before = context.get_context().get_current_revision()
            try:
                with context.begin_transaction():
                    context.run_migrations()
            except Exception as fault:  # broad: raised on, with the file's name
                raise MigrationBroken(_blame(fault, folders)) from fault
        connection.commit()
    engine.dispose()
    if before != head:
        _log.info("migrated", state=head, phase=before or "empty")
    return head


def _scripts(folders: Sequence[Path]) -> ScriptDirectory:
    for folder in folders:
        if not folder.is_dir():
            msg = f"expected a folder of migrations, got none at '{folder.parent.name}/{folder.name}'"
            raise MigrationBroken(msg)
        for file in sorted(folder.glob("*.py")):
            try:
                compile(file.read_bytes(), str(file), "exec")
            except SyntaxError as fault:
                msg = f"expected Python in {_short(file)}, got a syntax error in line {fault.lineno}"
                raise MigrationBroken(msg) from fault
    script = ScriptDirectory(str(folders[0]), version_locations=[str(folder) for folder in folders])
    known: dict[str, str] = {}
    try:
        for folder in folders:
            known |= {file.stem: _short(file) for file in folder.glob("*.py")}
        list(script.walk_revisions())
    except KeyError as fault:
        msg = f"expected a chain without gaps, got a revision that follows an unknown one: {fault.args[0]}"
        raise MigrationBroken(msg) from fault
    except CommandError as fault:
        msg = f"expected a chain without forks, got: {fault}"
        raise MigrationBroken(msg) from fault
    except Exception as fault:  # broad: raised on, with the file's name
        raise MigrationBroken(_blame(fault, folders)) from fault
    return script


def _one_head(script: ScriptDirectory) -> str:
    heads = script.get_heads()
    if len(heads) != 1:
        msg = f"expected one chain of migrations, got {len(heads)} ends: {', '.join(sorted(heads))}"
        raise MigrationBroken(msg)
    return heads[0]


def _blame(fault: BaseException, folders: Sequence[Path]) -> str:
    """Which file broke, found in the traceback, and what Postgres or Python said first."""
    inside = {str(folder.resolve()) for folder in folders}
    place = "an unknown file"
    for frame in traceback.extract_tb(fault.__traceback__):
        if str(Path(frame.filename).resolve().parent) in inside:
            place = f"{_short(Path(frame.filename))}, line {frame.lineno}"
    cause = fault.orig if isinstance(fault, SQLAlchemyError) and hasattr(fault, "orig") else fault
    said = cause.diag.message_primary if isinstance(cause, psycopg.Error) else str(cause).split("\n", 1)[0]
    return f"expected the migration to run, got {type(cause).__name__} in {place}: {said}"


def _short(file: Path) -> str:
    return "/".join(file.parts[-3:])
