"""Idempotency-Keys: one answer a key, kept with the act or not at all."""

import asyncio
from datetime import timedelta

import pytest

from audit.access import asking
from audit.access.asking import KEPT, KeyReused, asked
from audit.access.asking_store import claim, find, release
from kernel.errors import InvalidInput

pytestmark = pytest.mark.anyio


def made(kernel, key="k1", *, actor="key_1", what="send", content="hello"):
    found = asked(kernel.vault, key, actor=actor, what=what, content=content)
    assert found is not None
    return found


async def keep(kernel, *wishes):
    async with kernel.db.transaction() as conn:
        return await claim(conn, wishes, kernel.clock.now())


async def look(kernel, one):
    async with kernel.db.reading() as conn:
        return await find(conn, one)


async def test_the_first_asking_is_kept_and_found_again(kernel):
    assert await look(kernel, made(kernel)) is None
    assert await keep(kernel, (made(kernel), "dec_1")) == {"dec_1"}
    assert await keep(kernel, (made(kernel), "dec_2")) == set()
    assert await look(kernel, made(kernel)) == "dec_1"


async def test_another_actor_another_act_and_another_key_are_other_askings(kernel):
    await keep(kernel, (made(kernel), "dec_1"))
    for other in (made(kernel, "k2"), made(kernel, actor="key_2"), made(kernel, what="decision:home")):
        assert await look(kernel, other) is None


async def test_the_same_key_with_other_content_is_refused(kernel):
    await keep(kernel, (made(kernel), "dec_1"))
    with pytest.raises(KeyReused):
        await look(kernel, made(kernel, content="goodbye"))


async def test_what_is_rolled_back_was_never_asked(kernel):
    with pytest.raises(RuntimeError):
        async with kernel.db.transaction() as conn:
            assert await claim(conn, [(made(kernel), "dec_1")], kernel.clock.now())
            raise RuntimeError
    assert await look(kernel, made(kernel)) is None


async def test_what_is_given_back_can_be_asked_again(kernel):
    async with kernel.db.transaction() as conn:
        await claim(conn, [(made(kernel), "dec_1")], kernel.clock.now())
        await release(conn, [made(kernel).key])
    assert await keep(kernel, (made(kernel), "dec_2")) == {"dec_2"}


async def test_of_many_at_the_same_time_and_in_one_group_one_is_first(kernel):
    assert len(await keep(kernel, *[(made(kernel), f"dec_{n}") for n in range(5)])) == 1
    found = await asyncio.gather(*[keep(kernel, (made(kernel, "k2"), f"dec_{n}")) for n in range(20)])
    assert sum(map(len, found)) == 1


async def test_keys_past_their_time_go_as_new_ones_come(kernel):
    async with kernel.db.transaction() as conn:
        await claim(
            conn,
            [(made(kernel, f"old{n}"), f"dec_{n}") for n in range(5)],
            kernel.clock.now() - KEPT - timedelta(hours=1),
        )
    await keep(kernel, (made(kernel), "dec_9"))
    assert await look(kernel, made(kernel, "old0")) is None
    assert await look(kernel, made(kernel)) == "dec_9"


async def test_nothing_of_the_key_or_the_content_is_stored(kernel):
    await keep(kernel, (made(kernel, "ada@example.org", content={"person": "email:ada@example.org"}), "dec_1"))
    async with kernel.db.reading() as conn:
        row = await (await conn.execute("SELECT asked::text AS words FROM audit.asked")).fetchone()
    assert b"ada".hex() not in row["words"]
    assert "ada" not in row["words"]


async def test_no_header_is_no_asking_and_an_empty_one_is_refused(kernel):
    assert asked(kernel.vault, None, actor="a", what="send", content={}) is None
    for bad in ("", '""', "x" * (asking.LONGEST + 1)):
        with pytest.raises(InvalidInput):
            asked(kernel.vault, bad, actor="a", what="send", content={})
