"""Keys made ahead: each is given once, and a stock that cannot be filled costs nobody a key."""

import asyncio
import itertools

import pytest

from kernel.errors import Unavailable
from kernel.keys_ahead import MOST, KeysAhead

pytestmark = pytest.mark.anyio


class Making:
    """Numbered keys; every call is remembered, and may be told to fail."""

    def __init__(self):
        self.numbers, self.calls, self.broken = itertools.count(), [], False

    async def __call__(self, count):
        await asyncio.sleep(0)
        if self.broken:
            raise Unavailable("expected keys, got none")
        self.calls.append(count)
        return [f"key_{next(self.numbers)}" for _ in range(count)]


async def test_each_key_is_given_once_whoever_takes_beside_and_most_askers_wait_for_nobody():
    make = Making()
    ahead = KeysAhead(make)
    taken = [
        key for _ in range(20) for part in await asyncio.gather(*(ahead.take(3) for _ in range(10))) for key in part
    ]
    taken += await ahead.take(5 * MOST)
    assert len(taken) == len(set(taken)) == 600 + 5 * MOST
    assert 5 * MOST in make.calls  # many are made for the asker alone
    assert len(make.calls) < 60
    await ahead.close()


async def test_a_stock_that_cannot_be_filled_is_used_up_and_then_the_asker_hears_why():
    make = Making()
    ahead = KeysAhead(make)
    first = await ahead.take(1)
    make.broken = True
    rest = [await ahead.take(1) for _ in range(MOST)]
    assert len({*first, *(key for part in rest for key in part)}) == MOST + 1
    with pytest.raises(Unavailable):
        await ahead.take(1)
    make.broken = False
    assert len(await ahead.take(2)) == 2
    await ahead.close()
