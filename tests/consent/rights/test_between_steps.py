"""What comes between the steps of a request: a word taken back, a hold, a merge, a split, two at once (consent.D2, D7, D11)."""

import asyncio

import numpy as np
import pytest

from consent import retention_store
from consent.errors import HeldBack, Replanned, RequestState
from consent.holds import Ground
from consent.ledger import Ledger
from consent.rights.checks import Method
from identity.clusters import Clusters
from identity.linkage import Edges
from kernel.errors import CandorError
from kernel.ids import PersonId, RequestId
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


async def publish(house: House, labels: list[int], *, sure: bool = False) -> None:
    """Records in order of their ids belong to people by these labels."""
    async with house.kernel.db.transaction() as conn:
        found = await (await conn.execute("SELECT record_id FROM identity.records ORDER BY 1")).fetchall()
        edges = Edges(np.array([0]), np.array([1]), np.array([20.0])) if sure else None
        records = [row["record_id"] for row in found]
        await house.identity.publish(conn, Clusters(np.array(labels), ()), records, *([edges] if edges else []))


async def approved(house: House, who: str) -> str:
    request = await house.rights.open("erasure", who, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    return request.id


async def test_what_was_taken_back_since_it_was_read_is_not_done(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    read = await house.rights.show(await approved(house, person))
    await house.rights.revoke(read.id, actor="person")
    with pytest.raises(RequestState):
        await house.rights._erasing.erase(read, "staff:a")
    assert house.rights.ledger.lines() == []
    assert await house.may(person, "service") == "basis.contract"


async def test_one_whose_approval_fell_since_it_was_read_is_not_done(house: House) -> None:
    ada, _, _ = await house.person("ada@example.org", "1")
    ben, _, _ = await house.person("ben@example.org", "2")
    read = await house.rights.show(await approved(house, min(ada, ben)))
    await publish(house, [0, 0])
    for refused in (Replanned, RequestState):
        with pytest.raises(refused):
            await house.rights._erasing.erase(read, "staff:a")
    assert house.rights.ledger.lines() == []


async def test_an_erasure_waits_for_a_hold_that_is_being_placed(house: House, monkeypatch) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await approved(house, person)
    insert, begun, go = retention_store.insert_hold, asyncio.Event(), asyncio.Event()

    async def slowly(conn, hold):
        begun.set()
        await go.wait()
        await insert(conn, hold)

    monkeypatch.setattr(retention_store, "insert_hold", slowly)
    placing = asyncio.create_task(house.rights.holds.place(person, Ground.LEGAL_CLAIM, actor="staff:c"))
    await begun.wait()
    running = asyncio.create_task(house.rights.run(request, actor="staff:a"))
    for _ in range(200):
        if running.done() or await waits_for_a_lock(house):
            break
        await asyncio.sleep(0.01)
    go.set()
    await placing
    with pytest.raises(HeldBack):
        await running
    assert house.rights.ledger.lines() == []


async def waits_for_a_lock(house: House) -> bool:
    async with house.kernel.db.reading() as conn:
        got = await conn.execute(
            "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND NOT l.granted"
            " AND d.datname = current_database()"
        )
        return await got.fetchone() is not None


async def test_two_erasures_at_once_each_leave_their_line(house: House, tmp_path) -> None:
    """Two processes, two files open on one ledger: neither cuts the other's line off."""
    ledgers = [Ledger(tmp_path, house.kernel.vault) for _ in range(2)]
    at = house.kernel.clock.now()

    def write(number: int) -> None:
        ledgers[number % 2].write(RequestId(f"req_{number}"), [PersonId(f"per_{number}")], at)

    await asyncio.gather(*(asyncio.to_thread(write, number) for number in range(60)))
    assert {line.request for line in ledgers[0].lines()} == {f"req_{number}" for number in range(60)}


@pytest.mark.parametrize("right", ["access", "objection"])
async def test_who_asked_by_a_contact_is_answered_about_whoever_has_it_now(house: House, right: str) -> None:
    """Ada and Ben were one by mistake when Ben asked; since then they are two, and Ada kept the id."""
    ada, _, _ = await house.person("ada@example.org", "1")
    await house.person("ben@example.org", "2")
    await publish(house, [0, 0], sure=True)
    request = await house.rights.open(right, "email:ben@example.org", actor="person", check=Method.LOGIN)
    assert request.person == ada
    await publish(house, [0, 1])
    done = await house.rights.run(request.id, actor="staff:a")
    if right == "access":
        assert done.package is not None
        told = done.package.model_dump_json()
        assert "ben@example.org" in told
        assert "ada@example.org" not in told
    else:
        async with house.kernel.db.reading() as conn:
            ben = await house.identity.lookup(conn, "email:ben@example.org")
        assert await house.may(ada, "marketing.email") != "consent.denied"
        assert await house.may(ben, "marketing.email") == "consent.denied"


async def test_an_erasure_is_of_whoever_has_the_contact_that_asked(house: House) -> None:
    ada, _, _ = await house.person("ada@example.org", "1")
    await house.person("ben@example.org", "2")
    await publish(house, [0, 0])
    request = await house.rights.open("erasure", "email:ben@example.org", actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    await publish(house, [0, 1])
    with pytest.raises(Replanned):
        await house.rights.run(request.id, actor="staff:a")
    await house.rights.approve(request.id, actor="staff:b")
    await house.rights.run(request.id, actor="staff:a")
    assert await house.may(ada, "service") == "basis.contract"
    with pytest.raises(CandorError):
        async with house.kernel.db.reading() as conn:
            await house.identity.lookup(conn, "email:ben@example.org")


async def test_a_hold_stays_on_what_was_hers_after_a_split(house: House) -> None:
    await house.person("ada@example.org", "1")
    await house.person("ben@example.org", "2")
    await publish(house, [0, 0])
    hold = await house.rights.holds.place("email:ada@example.org", Ground.LEGAL_CLAIM, actor="staff:c")
    await publish(house, [0, 1])
    for who in ("email:ada@example.org", "email:ben@example.org"):
        request = await house.rights.open("erasure", who, actor="person")
        await house.rights.approve(request.id, actor="staff:b")
        with pytest.raises(HeldBack):
            await house.rights.run(request.id, actor="staff:a")
    async with house.kernel.db.reading() as conn:
        held = await house.rights.holds.held(conn)
    assert (len(held.records), held.reasons["hold"]) == (2, 2)
    await house.rights.holds.lift(hold.id, actor="staff:c")
    assert (await house.rights.run(request.id, actor="staff:a")).counts["keys"] > 0
