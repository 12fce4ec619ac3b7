"""Withdrawal against commit: after a withdrawal is acknowledged, nothing commits that rests on the state before it."""

import asyncio
import random
from datetime import timedelta

import pytest

from consent.gate import permission
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


async def decide(house: House, person, log: list, rng: random.Random) -> None:
    """A decision: reads the state, thinks, then commits under the fence."""
    async with house.kernel.db.reading() as conn:
        state = (await house.consent.states(conn, [person]))[person]
    allowed = permission(state, "marketing.email", "email", house.kernel.clock.now()).granted
    await asyncio.sleep(rng.random() * 0.004)
    async with house.kernel.db.transaction() as conn:
        moved = await house.consent.fence(conn, {person: state.version})
        await asyncio.sleep(rng.random() * 0.002)
        committing = allowed and not moved
        if committing:
            log.append("commit")  # still inside: a withdrawal that is acknowledged before this line would be violated
    log.append("sent" if committing else "stopped")


async def withdraw(house: House, email, log: list, rng: random.Random) -> None:
    await asyncio.sleep(rng.random() * 0.006)
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(conn, email, "marketing.email", "email", mechanism="one_click", actor="person")
    log.append("acknowledged")


async def test_no_commit_after_the_acknowledgement_in_random_interleavings(house: House) -> None:
    rng = random.Random(7)
    person, _, email = await house.person("ada@example.org")
    seen = {"sent": 0, "stopped": 0}
    for _ in range(200):
        house.kernel.clock.advance(timedelta(seconds=1))
        await house.record(house.grant(email))
        assert await house.may(person) == "consent.granted"
        house.kernel.clock.advance(timedelta(seconds=1))
        log: list[str] = []
        await asyncio.gather(
            withdraw(house, email, log, rng), decide(house, person, log, rng), decide(house, person, log, rng)
        )
        assert "commit" not in log[log.index("acknowledged") :], log
        for word in seen:
            seen[word] += log.count(word)
        assert await house.may(person) == "withdrawn.channel"
    assert min(seen.values()) > 20, seen  # both outcomes were really met


async def test_a_first_withdrawal_cannot_slip_by_a_person_without_a_version(house: House) -> None:
    """The fence makes and holds the missing row; the withdrawal waits for the commit."""
    person, _, email = await house.person("ada@example.org")
    ended: list[str] = []
    async with house.kernel.db.transaction() as conn:
        version = (await house.versions(person))[person]
        assert await house.consent.fence(conn, {person: version}) == set()
        waiting = asyncio.create_task(withdraw(house, email, ended, random.Random(1)))
        await asyncio.sleep(0.15)
        assert ended == []
    await waiting
    assert ended == ["acknowledged"]


async def test_the_fence_names_only_those_who_moved(house: House) -> None:
    ada, _, email = await house.person("ada@example.org", "1")
    ben, _, _ = await house.person("ben@example.org", "2")
    versions = await house.versions(ada, ben)
    await house.record(house.grant(email))
    async with house.kernel.db.transaction() as conn:
        assert await house.consent.fence(conn, versions) == {ada}


async def test_opposite_orders_do_not_deadlock(house: House) -> None:
    people = [await house.person(f"p{n}@example.org", str(n)) for n in range(6)]

    async def fence(order: int) -> None:
        async with house.kernel.db.transaction() as conn:
            await house.consent.fence(conn, {p: 0 for p, _, _ in people[::order]})

    async def change(order: int) -> None:
        async with house.kernel.db.transaction() as conn:
            await house.consent.touch(conn, [p for p, _, _ in people[::order]])

    await asyncio.gather(*(act(order) for _ in range(10) for act in (fence, change) for order in (1, -1)))


async def test_the_same_withdrawal_twice_at_once_is_one_act(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    log: list[str] = []
    await asyncio.gather(*(withdraw(house, email, log, random.Random(n)) for n in range(4)))
    async with house.kernel.db.reading() as conn:
        assert len(await house.consent.history(conn, person)) == 1
