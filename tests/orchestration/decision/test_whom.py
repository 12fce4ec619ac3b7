"""Whom a request is about: the hot store may advise who she was, and the commit finds out who she is."""

import numpy as np
import pytest

from identity.clusters import Clusters

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("by_contact", [False, True])
async def test_where_the_hot_store_was_not_told_of_a_merge_the_commit_finds_out(shop, monkeypatch, by_contact):
    async def lost(*_):
        return None

    monkeypatch.setattr(type(shop.consent._invalidation), "forget", lost)
    monkeypatch.setattr(type(shop.identity._hot), "clear", lost)
    monkeypatch.setattr(type(shop.identity._hot), "forget", lost)
    ada, bea = await shop.person("ada"), await shop.person("bea")
    for one, name in ((ada, "ada"), (bea, "bea")):
        await shop.decide(one)
        await shop.decide(f"email:{name}@example.org")
    async with shop.kernel.db.transaction() as conn:
        records = [record for one in (ada, bea) for record in (await shop.identity.owned(conn, [one]))[one]]
        await shop.identity.publish(conn, Clusters(np.zeros(len(records), dtype=np.int64), ()), records)
    async with shop.kernel.db.reading() as conn:
        live = (await shop.identity.current(conn, [ada]))[ada]
    old, name = (ada, "ada") if live == bea else (bea, "bea")
    assert await shop.profiles.warm([old], "marketing.personalize")  # the trap is set
    made = await shop.decide(f"email:{name}@example.org" if by_contact else old)
    assert made.person == live
    assert made.attempts == 2
