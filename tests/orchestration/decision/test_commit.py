"""The group commit: a refused decision writes nothing and harms nobody, whichever way its neighbours go."""

import asyncio
from dataclasses import replace

import pytest

from kernel.ids import new_id
from orchestration.decision.request import DecisionRequest

pytestmark = pytest.mark.anyio


async def test_a_refused_decision_leaves_its_neighbours_in_the_group_unharmed(shop):
    for name in ("ada", "bob", "cyd"):
        await shop.person(name)
        await shop.decide(f"email:{name}@example.org")
    committer, items = shop.decisions._committer, []
    for name in ("ada", "bob", "cyd"):
        request = DecisionRequest(person=shop.made[name], placement="open", seed="n")
        pending = []

        async def catch(item, pending=pending):
            pending.append(item)
            raise asyncio.CancelledError

        real, committer.submit = committer.submit, catch
        with pytest.raises(asyncio.CancelledError):
            await shop.decisions.decide(request)
        committer.submit = real
        items.append(pending[0])
    await shop.withdraw("bob")
    ada, _, cyd = items
    items[2] = replace(cyd, row=replace(cyd.row, channel="email"))  # whoever looks at her page hears of it
    items.append(replace(ada, row=replace(ada.row, id=new_id("dec"), catalogue="sha256:other")))
    ids = [one.row.id for one in items]

    async def kept():
        found = await shop.rows(
            "SELECT id, (SELECT count(*) FROM audit.refs WHERE ref = id) AS entries FROM decision.decisions WHERE id = ANY(%s)",
            ids,
        )
        return {row["id"]: row["entries"] for row in found}

    async with shop.kernel.db.transaction() as conn:
        await conn.execute("INSERT INTO channels.pages (person, seq) VALUES (%s, 0)", (shop.made["cyd"],))
    # The short way keeps what asks for nothing more, and leaves the others to the long one.
    quick = await committer.short(items)
    assert [type(one).__name__ for one in quick] == ["Committed", "NoneType", "NoneType", "NoneType"]
    assert await kept() == {ids[0]: 1}
    async with shop.kernel.db.transaction() as conn:
        answers = await committer.flush(conn, items[1:])
    assert [getattr(one, "what", None) for one in answers] == ["fence", None, "catalogue"]
    assert await kept() == {ids[0]: 1, ids[2]: 1}
    told = await shop.rows("SELECT decision_id FROM channels.page_changes WHERE person = %s", shop.made["cyd"])
    assert [row["decision_id"] for row in told] == [ids[2]]
