"""Connections that go on from test to test: most of what a test asks of Postgres is new backends reading the catalogue.

What a program sees is a connection that was closed and one that is new: everything of the session is discarded at the close (settings,
prepared statements, locks, LISTEN, temporary tables). What stays is the backend's own memory of the catalogue.
"""

import select
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import AsyncConnection, pq
from psycopg.conninfo import conninfo_to_dict

_MOST = 4  # of one kind; what a test opens beyond is closed
_PATIENCE = 2.0  # seconds for the answer of a backend that may be gone

_connect = AsyncConnection._connect_gen.__func__
_close = AsyncConnection.close


class Kept:
    """Connections of asyncio that nobody uses at present, by what they were asked for with."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix  # of the databases that are a test's own
        self._free: dict[str, list[pq.abc.PGconn]] = {}
        self._gone = pq.PGconn.connect_start(b"host=/nowhere")
        self._gone.finish()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Within the block a close keeps, and a connect takes what was kept."""

        def opened(cls: type[AsyncConnection[Any]], conninfo: str = "") -> Generator[Any, Any, AsyncConnection[Any]]:
            found = self._take(conninfo)
            conn = cls(found) if found is not None else (yield from _connect(cls, conninfo))
            conn.asked_for = conninfo
            return conn

        async def closed(conn: AsyncConnection[Any]) -> None:
            if not conn.closed and self._keep(conn):
                conn._closed = True
                conn.pgconn = self._gone
            await _close(conn)

        AsyncConnection._connect_gen = classmethod(opened)
        AsyncConnection.close = closed
        try:
            yield
        finally:
            AsyncConnection._connect_gen = classmethod(_connect)
            AsyncConnection.close = _close
            self.drop()

    def pids(self) -> list[int]:
        """The backends of what is kept."""
        return [one.backend_pid for free in self._free.values() for one in free]

    def drop(self, *names: str) -> None:
        """Really close what is kept: all, or what leads into these databases."""
        for asked in [one for one in self._free if not names or conninfo_to_dict(one).get("dbname") in names]:
            for one in self._free.pop(asked):
                one.finish()

    def _keep(self, conn: AsyncConnection[Any]) -> bool:
        pgconn, asked = conn.pgconn, getattr(conn, "asked_for", "")
        if not str(conninfo_to_dict(asked).get("dbname", "")).startswith(self._prefix):
            return False
        if pgconn.transaction_status != pq.TransactionStatus.IDLE or pgconn.pipeline_status != pq.PipelineStatus.OFF:
            return False
        free = self._free.setdefault(asked, [])
        if len(free) >= _MOST:
            return False
        pgconn.send_query(b"DISCARD ALL")
        pgconn.flush()
        free.append(pgconn)
        return True

    def _take(self, asked: str) -> pq.abc.PGconn | None:
        free = self._free.get(asked, [])
        while free:
            one = free.pop()
            if _clean(one):
                return one
            one.finish()
        return None


def _clean(one: pq.abc.PGconn) -> bool:
    """Whether the backend is there and has discarded the session."""
    fine = True
    while one.status == pq.ConnStatus.OK:
        while one.is_busy():
            if not select.select([one.socket], [], [], _PATIENCE)[0]:
                return False
            one.consume_input()
        result = one.get_result()
        if result is None:
            break
        fine = fine and result.status == pq.ExecStatus.COMMAND_OK
    while one.status == pq.ConnStatus.OK and one.notifies() is not None:
        pass
    return fine and one.status == pq.ConnStatus.OK and one.transaction_status == pq.TransactionStatus.IDLE
