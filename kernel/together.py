"""Asking for one thing at a time, answered for many at once: what is asked for while an answer is under way is asked for together.

What enters: keys, one at a time, from many tasks. What leaves: for each what was found of it, looked for after it was asked. A lone key waits for nobody; under load
the questions grow, and each key costs less. Two tasks that ask for one key share its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from kernel.errors import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Find = Callable[[list[K]], Awaitable[Mapping[K, V]]]


class Together(Generic[K, V]):
    """Belongs to one event loop. ``find`` answers many keys; an absent one is None.

    When it raises, each key is asked for again alone, so that only the one at fault gets the exception; where a store is not there, all get it.
    """

    def __init__(self, find: Find[K, V], *, most: int = 64, at_once: int = 2) -> None:
        """``most`` keys a question; ``at_once`` questions may be under way: while one waits for a store, the other uses the processor."""
        self._find = find
        self._most = most
        self._at_once = at_once
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def ask(self, key: K) -> V | None:
        """What is found of this key."""
        loop = asyncio.get_running_loop()
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = loop.create_future()
            if len(self._working) < self._at_once:
                work = loop.create_task(self._work())
                self._working.add(work)
                work.add_done_callback(self._working.discard)  # for one that is cancelled before it begins
        # Another task may wait for the same answer: one that is cancelled must not take it away.
        return await asyncio.shield(answer)

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = {key: self._waiting.pop(key) for key in list(self._waiting)[: self._most]}
                try:
                    await self._answer(group)
                finally:
                    for answer in group.values():
                        if not answer.done():
                            answer.cancel()
        finally:  # here and not a turn later: whoever asks in between would count on a worker that looks no more
            if (work := asyncio.current_task()) is not None:
                self._working.discard(work)

    async def _answer(self, group: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._find(list(group))
        except Exception as fault:  # noqa: BLE001  # broad: handed to whoever asked, never swallowed
            if len(group) > 1 and not isinstance(fault, Unavailable):
                for key, answer in group.items():
                    await self._answer({key: answer})
                return
            for answer in group.values():
                answer.set_exception(fault)
                answer.exception()  # whoever asked may have gone
        else:
            for key, answer in group.items():
                answer.set_result(found.get(key))
