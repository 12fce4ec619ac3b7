"""A house that knows how people are reached and nobody's name: a run keeps whom a mailbox joined, and settling agrees."""

import pytest

from tests.identity.running import run, take

pytestmark = pytest.mark.anyio


async def test_a_run_over_addresses_alone_keeps_whom_a_mailbox_joined(kernel, identity, record) -> None:
    mail = [("email", f"{name}{n}@example.org") for n in range(12) for name in ("ada", "bo", "cem", "dora")]
    rows = [record(f"{n}", one, source=source) for n, one in enumerate(mail) for source in ("shop", "crm")]
    await take(kernel, identity, rows)
    made = await run(kernel, identity)
    assert made.verdict == "published"
    async with kernel.db.reading() as conn:
        assert len(await identity.people(conn)) == len(mail)
        await identity.meeting.terms(conn)
    await take(kernel, identity, [record("late", mail[3], source="web"), record("new", ("email", "eve@example.org"))])
    assert (await identity.settler.round()).settled == 2
    async with kernel.db.reading() as conn:
        people = await identity.people(conn)
        assert len(people) == len(mail) + 1
        assert max(len(held) for held in (await identity.owned(conn, people)).values()) == 3
