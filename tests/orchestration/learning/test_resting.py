"""Learners that have a backlog go on at once, and rest where nothing moves: the loop is everybody's."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from kernel.errors import Unavailable
from orchestration.learning.following import Reached
from orchestration.learning.online import Online

pytestmark = pytest.mark.anyio
THEN = datetime(2026, 1, 1, tzinfo=UTC)


class Shelf:
    """A catalogue where nothing learns, or none to be had."""

    def __init__(self, fault: Exception | None) -> None:
        self.fault = fault
        self.asked = 0

    async def current(self) -> SimpleNamespace:
        self.asked += 1
        assert self.asked < 1_000, "asked without a rest"
        if self.fault is not None:
            raise self.fault
        return SimpleNamespace(catalogue=SimpleNamespace(placements=()))


@pytest.mark.parametrize("fault", [None, Unavailable("expected Postgres, got none")], ids=["nothing-learns", "down"])
async def test_with_a_backlog_of_before_others_get_their_turn(fault):
    shelf = Shelf(fault)
    settings = SimpleNamespace(online_seconds=3_600.0)
    learners = Online(None, None, None, shelf, None, None, None, settings, default="epsilon_greedy")
    learners.following.reached["home"] = Reached(THEN, 60.0, more=True)
    learners.following.waits = True
    learners._listening = frozenset()
    stop = asyncio.Event()
    running = asyncio.create_task(learners.run(stop))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()  # it rests
    stop.set()
    await running
    assert shelf.asked == 1
    assert (fault is None) == (learners.following.reached == {})  # nobody is behind at what learns no more
