"""Postgres connections: one pool for transactions, one for reading, both as role app.

What enters: an address. What leaves: ``Conn``, a psycopg ``AsyncConnection`` whose rows are dicts. A transaction is an
argument in Candor: whatever must commit together takes ``conn`` first. The pool refuses to open as a superuser or as the
owner of a table, because then the grants and triggers that keep acts and entries append-only would not bind us.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from kernel.errors import Conflict, IntegrityError, InvalidInput, NotPermitted, Unavailable
from kernel.log import get_logger

Conn = AsyncConnection[dict[str, Any]]

# What to do after the commit of the transaction that each connection is in.
_Later = list[tuple[Callable[[], Awaitable[None]], bool]]
_later: Final[WeakKeyDictionary[Conn, _Later]] = WeakKeyDictionary()

_ACQUIRE_SECONDS: Final = 5.0

_log = get_logger("kernel.db")

_ROLE = """
SELECT current_user AS role,
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS super,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$)'
                 AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS owner
"""


_OLDEST = """
SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0) AS seconds
FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
"""


# Text that no column holds: as psycopg says it (without a SQLSTATE), as a parameter, and as an escape within JSON.
_UNSTORABLE = {
    None,
    psycopg.errors.CharacterNotInRepertoire.sqlstate,
    psycopg.errors.UntranslatableCharacter.sqlstate,
}


class DatabaseUnavailable(Unavailable):
    """Postgres does not answer, or broke off."""

    code = "database_unavailable"
    remedy = "Nothing was half-written. See whether Postgres runs: `candor doctor`; then try again."


class StatementTimeout(Unavailable):
    """A statement ran into ``statement_timeout_ms``."""

    code = "statement_timeout"
    remedy = "Try again with less at a time, or raise kernel.statement_timeout_ms."


class TransactionConflict(Conflict):
    """Postgres ended the transaction in favour of another one."""

    code = "transaction_conflict"
    remedy = "Run the whole transaction again."


class UnstorableText(InvalidInput):
    """A text with a NUL, or with half a surrogate pair: no text of Postgres can be that."""

    code = "unstorable_text"
    remedy = "Send text without U+0000 and without lone surrogates."


class AfterCommitFailed(IntegrityError):
    """The transaction committed, then an act that was to follow it failed. Nothing may be tried again."""

    code = "after_commit_failed"
    remedy = "What was written stands. Run `candor rebuild-cache`, and report the defect that the log names."


class UnsafeRole(NotPermitted):
    """The application would run with more power over the database than it may have."""

    code = "unsafe_role"
    remedy = "Connect as role candor_app, which is neither superuser nor owner of any table."


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a statement that several rooms make together, so that it is one round trip: SQL from the room's own store, and its values by name.

    Names of relations and values begin with the room's name, so that no two rooms mean different things by one.
    """

    sql: str
    values: Mapping[str, object]


class Database:
    """Pools onto one database. ``open`` and ``close`` it in one event loop; share it freely inside that loop."""

    def __init__(
        self, url: str, *, name: str = "data", pool_size: int = 10, statement_timeout_ms: int = 30_000
    ) -> None:
        self.name = name
        self._url = url
        self._reviving: asyncio.Task[None] | None = None
        shared = {"row_factory": dict_row, "application_name": f"candor-{name}"}
        timeout = f"-c statement_timeout={statement_timeout_ms}"
        self._writers = _pool(url, pool_size, shared | {"options": timeout})
        self._singles = _pool(url, pool_size, shared | {"autocommit": True, "options": timeout}, least=0)
        # Readers run in autocommit: no BEGIN and COMMIT round trips, and Postgres itself refuses a write.
        self._readers = _pool(
            url, pool_size, shared | {"autocommit": True, "options": f"{timeout} -c default_transaction_read_only=on"}
        )

    async def open(self) -> None:
        """Connect and check the role.

        Raises:
            DatabaseUnavailable: nobody answers at the address.
            UnsafeRole: superuser, or owner of a table.
        """
        with self._translated():
            # Not through the pool, which would go on trying for a while where nobody answers.
            async with await AsyncConnection.connect(self._url, row_factory=dict_row, connect_timeout=5) as conn:
                row = await (await conn.execute(_ROLE)).fetchone()
            if row is None or row["super"] or row["owner"]:
                what = "a superuser" if row is None or row["super"] else "an owner of tables"
                msg = f"expected an ordinary role on the {self.name} database, got {what}"
                raise UnsafeRole(msg)
            await self._writers.open()
            await self._singles.open()
            await self._readers.open()

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.wait([self._reviving])
        await self._readers.close()
        await self._singles.close()
        await self._writers.close()

    @asynccontextmanager
    async def transaction(self, *, pipelined: bool = False) -> AsyncIterator[Conn]:
        """A transaction (READ COMMITTED) that commits when the block ends and rolls back when it raises.

        `pipelined`: a statement whose answer nobody reads is not waited for, and travels with the next one or the commit; its accident is
        raised there. COPY does not go through a pipeline.

        What was given to ``after_commit`` inside the block is done once it has committed, and never otherwise.
        """
        later: _Later = []
        with self._translated():
            async with self._writers.connection(_ACQUIRE_SECONDS) as conn:
                _later[conn] = later
                try:
                    if pipelined:
                        async with conn.pipeline():
                            yield conn
                            await conn.commit()
                    else:
                        yield conn
                finally:
                    del _later[conn]
        # The commit stands whatever follows; a caller who saw an accident here would write everything a second time.
        for together, acts in groupby(later, key=lambda one: one[1]):
            if together:
                done = await asyncio.gather(*(_afterwards(act) for act, _ in acts), return_exceptions=True)
                if faults := [one for one in done if one is not None]:
                    raise faults[0]
            else:
                for act, _ in acts:
                    await _afterwards(act)

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Conn]:
        """A connection on which every statement is a transaction of its own, committed when its answer is here: one round trip. No ``after_commit``."""
        with self._translated():
            async with self._singles.connection(_ACQUIRE_SECONDS) as conn:
                yield conn

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Conn]:
        """A connection that can only read; each statement sees the newest committed state."""
        with self._translated():
            async with self._readers.connection(_ACQUIRE_SECONDS) as conn:
                yield conn

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Conn]:
        """A connection that can only read, and all of whose statements see the state that the first one saw: for comparing."""
        async with self.reading() as conn, conn.transaction():
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield conn

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Conn]:
        """A connection outside the pools, in autocommit, for who keeps one for long. It closes when the block ends."""
        with self._translated():
            async with await AsyncConnection.connect(
                self._url,
                autocommit=True,
                row_factory=dict_row,
                connect_timeout=5,
                application_name=f"candor-{self.name}",
            ) as conn:
                yield conn

    async def check(self) -> None:
        """One round trip; raises ``DatabaseUnavailable`` when there is no answer."""
        async with self.reading() as conn:
            await conn.execute("SELECT 1")

    async def oldest_transaction(self) -> float:
        """Seconds since the oldest transaction began that rows must be kept for, as far as our role may see; 0 with none."""
        async with self.reading() as conn:
            row = await (await conn.execute(_OLDEST)).fetchone()
        return float(row["seconds"]) if row is not None else 0.0

    def stats(self) -> dict[str, int]:
        """Pool figures for ``/metrics``."""
        return {f"writers_{key}": value for key, value in self._writers.get_stats().items()} | {
            f"readers_{key}": value for key, value in self._readers.get_stats().items()
        }

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Postgres's accidents as ours. Its own texts may quote values, so only the SQLSTATE is passed on."""
        try:
            yield
        except PoolTimeout as fault:
            msg = f"expected a free connection within {_ACQUIRE_SECONDS:.0f} s, got none"
            raise DatabaseUnavailable(msg) from fault
        except psycopg.errors.QueryCanceled as fault:
            msg = "expected the statement to end in time, got it cancelled by Postgres"
            raise StatementTimeout(msg) from fault
        except (
            psycopg.errors.SerializationFailure,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.LockNotAvailable,
        ) as fault:
            msg = f"expected the transaction to go through, got SQLSTATE {fault.sqlstate}"
            raise TransactionConflict(msg) from fault
        except (UnicodeEncodeError, psycopg.DataError) as fault:
            # psycopg refuses a NUL itself, without a SQLSTATE; every other fault of data is ours.
            if isinstance(fault, psycopg.DataError) and fault.sqlstate not in _UNSTORABLE:
                raise
            msg = "expected text that can be stored, got a NUL or half a surrogate pair"
            raise UnstorableText(msg) from fault
        except psycopg.OperationalError as fault:
            msg = f"expected Postgres to answer, got SQLSTATE {fault.sqlstate or 'none (connection lost)'}"
            self._revive()
            raise DatabaseUnavailable(msg) from fault

    def _revive(self) -> None:
        """After a lost server every idle connection is suspect: replace the dead ones before somebody draws them."""
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.get_running_loop().create_task(self._check_idle())

    async def _check_idle(self) -> None:
        for pool in (self._writers, self._singles, self._readers):
            if not pool.closed:
                await pool.check()


async def _afterwards(act: Callable[[], Awaitable[None]]) -> None:
    try:
        await act()
    except Unavailable as fault:
        _log.warning("after_commit_skipped", code=fault.code)  # advice to a store that is not there
    except Exception as fault:  # broad: raised on, so that nobody takes the commit for undone
        msg = f"expected the act after the commit to succeed, got {type(fault).__name__}"
        raise AfterCommitFailed(msg) from fault


def after_commit(conn: Conn, act: Callable[[], Awaitable[None]], *, together: bool = False) -> None:
    """Do ``act`` once the transaction on ``conn`` has committed; not at all when it rolls back.

    Acts are done one after the other, in this order; neighbours that are all ``together`` begin in this order and wait beside each other.

    For what only advises, such as dropping cached answers: when the process dies in between, it is not done, and an act
    that raises ``Unavailable`` is skipped. Outside ``Database.transaction`` this is an error of the caller, a KeyError.
    """
    _later[conn].append((act, together))


def _pool(url: str, size: int, options: dict[str, Any], *, least: int = 1) -> AsyncConnectionPool[Conn]:
    return AsyncConnectionPool(
        url,
        kwargs=options | {"connect_timeout": 5},
        min_size=least,
        max_size=size,
        open=False,
        timeout=_ACQUIRE_SECONDS,
        # One lost server must not make every waiting request sleep through a growing back-off.
        reconnect_timeout=10.0,
        check=None,
    )
