"""Questions that arrive while one is under way are asked as one; an accident stays with the key that caused it."""

import asyncio

import pytest

from kernel.errors import Unavailable
from kernel.together import Together

pytestmark = pytest.mark.anyio


class Shop:
    """Answers when it is opened; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.open = asyncio.Event()
        self.faults: dict[str, Exception] = {}

    async def find(self, keys: list[str]) -> dict[str, str]:
        self.asked.append(keys)
        await self.open.wait()
        for key in keys:
            if key in self.faults:
                raise self.faults[key]
        return {key: key.upper() for key in keys if key != "none"}


async def _begun(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_asked_meanwhile_is_asked_together_and_once():
    shop = Shop()
    together = Together(shop.find, at_once=1)
    first = asyncio.create_task(together.ask("a"))
    await _begun(3)
    others = [asyncio.create_task(together.ask(key)) for key in ("b", "c", "b", "none", "a")]
    await _begun(3)
    assert shop.asked == [["a"]]
    shop.open.set()
    assert await first == "A"
    assert await asyncio.gather(*others) == ["B", "C", "B", None, "A"]
    assert shop.asked == [
        ["a"],
        ["b", "c", "none", "a"],
    ]  # "a" anew: its first answer was begun before it was asked for


async def test_a_question_has_no_more_keys_than_it_may():
    shop = Shop()
    shop.open.set()
    together = Together(shop.find, most=2, at_once=1)
    assert await asyncio.gather(*(together.ask(key) for key in "abcde")) == list("ABCDE")
    assert [len(one) for one in shop.asked] == [2, 2, 1]


async def test_only_the_key_at_fault_gets_the_accident():
    shop = Shop()
    shop.open.set()
    shop.faults["b"] = ValueError("no")
    together = Together(shop.find)
    found = await asyncio.gather(*(together.ask(key) for key in "abc"), return_exceptions=True)
    assert (found[0], found[2]) == ("A", "C")
    assert isinstance(found[1], ValueError)


async def test_a_store_that_is_not_there_is_asked_once():
    shop = Shop()
    shop.open.set()
    shop.faults["b"] = Unavailable("down", code="down", remedy="start it")
    together = Together(shop.find)
    found = await asyncio.gather(*(together.ask(key) for key in "abc"), return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in found)
    assert len(shop.asked) == 1


async def test_what_is_asked_in_the_turn_in_which_the_last_worker_ends_is_answered():
    shop = Shop()
    together = Together(shop.find, most=1, at_once=2)  # a worker for each of the first two
    first = [asyncio.create_task(together.ask(key)) for key in "ab"]
    await _begun(3)

    async def after() -> str | None:
        await shop.open.wait()  # goes on after both workers, in their turn
        return await together.ask("c")

    late = asyncio.create_task(after())
    await _begun(3)
    shop.open.set()
    await _begun(20)
    assert [one.done() for one in (*first, late)] == [True, True, True]
    assert late.result() == "C"


async def test_one_who_goes_takes_nobodys_answer_away():
    shop = Shop()
    together = Together(shop.find)
    gone, stays = asyncio.create_task(together.ask("a")), asyncio.create_task(together.ask("a"))
    await _begun(3)
    gone.cancel()
    await _begun(3)
    shop.open.set()
    assert await stays == "A"
    assert gone.cancelled()
