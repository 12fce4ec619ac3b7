"""Group commit: many small writes that arrive together share one transaction.

What enters: items, one at a time, from many tasks. What leaves: exactly one answer for each, after its commit. One flush at
a time; what arrives meanwhile forms the next group, so the group grows with the load and a lone item waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from kernel.db import AfterCommitFailed, Conn, Database, DatabaseUnavailable, TransactionConflict
from kernel.errors import IntegrityError, Unavailable
from kernel.log import get_logger

T = TypeVar("T")
R = TypeVar("R")

Flush = Callable[[Conn, list[T]], Awaitable[Sequence[R | Exception]]]
Short = Callable[[list[T]], Awaitable[Sequence[R | None]]]

_CROWD = (
    4  # a group of so many, just now, promises that waiting a little saves a commit; a lone item would wait for nothing
)
_TRIES = 3  # of a lone item; two transactions that wait for each other rarely meet again
_log = get_logger("kernel.batcher")


class WrongAnswerCount(IntegrityError):
    """A flush answered a group with more or fewer answers than items; the group was rolled back."""

    code = "wrong_answer_count"
    remedy = "A defect of Candor: the flush must answer every item, in order."


class BatcherClosed(Unavailable):
    """The process is going down and takes no more work."""

    code = "shutting_down"
    remedy = "Send it again; another process or the restarted one will take it."


class GroupCommit(Generic[T, R]):
    """Collects items into transactions.

    ``flush(conn, items)`` does the writes of a group on one connection and answers each item in order: a value, or an
    exception *as a value* for an item that is refused without harm to its neighbours. When ``flush`` or the commit raises,
    everything was rolled back, and each item is tried again alone, so that only the failing one gets the exception; where Postgres
    ended the transaction in favour of another one, a few times. When
    Postgres is not there (``DatabaseUnavailable``) nothing is tried again: after a lost commit nobody knows whether it happened, so
    every item gets that error, and items must be idempotent for a caller who repeats them.

    ``short(items)`` is tried first, where there is one: it keeps what it can in one statement that commits by itself, and answers None for every item that it
    left as it was; those go the long way of ``flush``, which says why.

    A cancelled ``submit`` withdraws its item if its group has not begun; afterwards the write happens and nobody is told.
    """

    def __init__(
        self,
        db: Database,
        flush: Flush[T, R],
        *,
        max_items: int = 64,
        max_wait: float = 0.0,
        pipelined: Callable[[list[T]], bool] | bool = False,
        short: Short[T, R] | None = None,
    ) -> None:
        """``max_wait`` seconds are waited before a group begins, to let it fill, where the one before was a crowd; 0 relies on the load alone.

        ``pipelined``: as for ``Database.transaction``; asked of each group where it is a function.
        """
        self._pipelined = pipelined
        self._db = db
        self._flush = flush
        self._short = short
        self._max_items = max_items
        self._max_wait = max_wait
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._full = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._last = 0  # items of the group before

    async def submit(self, item: T) -> R:
        """Hand in one item and wait for its answer; the answer comes after the commit."""
        if self._closed:
            msg = "expected an open batcher, got one that is closing"
            raise BatcherClosed(msg)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._waiting) >= self._max_items:
            self._full.set()
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        return await answer

    async def close(self) -> None:
        """Take nothing more, finish what is waiting."""
        self._closed = True
        self._full.set()
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        try:
            while self._waiting:
                if (
                    self._max_wait > 0
                    and self._last >= _CROWD
                    and len(self._waiting) < self._max_items
                    and not self._closed
                ):
                    self._full.clear()
                    await _event_or_time(self._full, self._max_wait)
                group = self._take()
                self._last = len(group)
                if group:
                    await self._commit(group)
        finally:
            # No pause between the last look at the queue and this line, so no item can be left behind. Should this task
            # itself be cancelled, whoever waits must hear of it.
            self._worker = None
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        group: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(group) < self._max_items:
            pair = self._waiting.popleft()
            if not pair[1].done():  # withdrawn by cancellation
                group.append(pair)
        return group

    async def _commit(self, group: list[tuple[T, asyncio.Future[R]]], tries: int = _TRIES) -> None:
        try:
            group = await self._shortly(group)
            answers = await self._transact([item for item, _ in group]) if group else ()
        except DatabaseUnavailable as fault:
            for _, answer in group:
                _settle(answer, fault)
        except Exception as fault:  # noqa: BLE001  # broad: handed to the one who submitted, never swallowed
            if len(group) == 1 and isinstance(fault, TransactionConflict) and tries > 1:
                await self._commit(group, tries - 1)
                return
            if len(group) == 1:
                _settle(group[0][1], fault)
                return
            for pair in group:
                await self._commit([pair])
        except BaseException:
            for _, answer in group:
                answer.cancel()
            raise
        else:
            for (_, answer), value in zip(group, answers, strict=True):
                _settle(answer, value)

    async def _shortly(self, group: list[tuple[T, asyncio.Future[R]]]) -> list[tuple[T, asyncio.Future[R]]]:
        """Answer what the short way keeps; the others."""
        if self._short is None:
            return group
        kept = await self._short([item for item, _ in group])
        for (_, answer), value in zip(group, kept, strict=True):
            if value is not None:
                _settle(answer, value)
        return [pair for pair, value in zip(group, kept, strict=True) if value is None]

    async def _transact(self, items: list[T]) -> Sequence[R | Exception]:
        answers: Sequence[R | Exception] = ()
        try:
            pipelined = self._pipelined(items) if callable(self._pipelined) else self._pipelined
            async with self._db.transaction(pipelined=pipelined) as conn:
                answers = await self._flush(conn, items)
                if len(answers) != len(items):
                    msg = f"expected {len(items)} answers from the flush, got {len(answers)}"
                    raise WrongAnswerCount(msg)
        except AfterCommitFailed:
            _log.exception("after_commit_failed")  # committed: the answers are true, and trying again would write twice
        return answers


def _settle(answer: asyncio.Future[R], value: R | Exception) -> None:
    if answer.done():
        return
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)


async def _event_or_time(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
