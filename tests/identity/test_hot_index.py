"""The hot index: a reader who was overtaken by a change does not write the old answer back."""

from datetime import timedelta

import numpy as np
import pytest

from identity.clusters import Clusters
from identity.hot_index import HotIndex
from identity.identifiers import Identifier
from identity.settings import IdentitySettings
from kernel.ids import PersonId, RecordId

ADDRESS = [[Identifier("email", "a@example.org")]]


async def add(kernel, identity, *records):
    async with kernel.db.transaction() as conn:
        return await identity.add_records(conn, list(records))


def overtaken(identity, monkeypatch, meanwhile):
    """The next question that Postgres answers is answered before `meanwhile`, and heard after it."""
    real = identity._asking._postgres

    async def slow(conn, wanted):
        found = await real(conn, wanted)
        monkeypatch.setattr(identity._asking, "_postgres", real)
        await meanwhile()
        return found

    monkeypatch.setattr(identity._asking, "_postgres", slow)


async def test_an_answer_that_was_overtaken_by_a_new_record_is_not_kept(kernel, identity, record, monkeypatch):
    await add(kernel, identity, record("1", ("login_id", "u1"), ("email", "a@example.org")))

    async def meanwhile():
        await add(kernel, identity, record("2", ("login_id", "u2"), ("email", "a@example.org")))

    overtaken(identity, monkeypatch, meanwhile)
    assert (await identity.resolve_hot(ADDRESS))[0].person is not None  # true when it was read
    assert (await identity.resolve_hot(ADDRESS))[0].person is None  # two hold it now


async def test_an_answer_that_was_overtaken_by_a_published_graph_is_not_kept(kernel, identity, record, monkeypatch):
    ids = await add(kernel, identity, *(record(str(n), ("login_id", f"u{n}")) for n in range(2)))
    asked = [[Identifier("login_id", "u1")]]

    async def meanwhile():
        async with kernel.db.transaction() as conn:
            await identity.publish(conn, Clusters(np.zeros(2, np.int64), ()), ids)

    overtaken(identity, monkeypatch, meanwhile)
    (before,) = await identity.resolve_hot(asked)
    (after,) = await identity.resolve_hot(asked)
    assert before.person != after.person == (await identity.resolve_hot([[Identifier("login_id", "u0")]]))[0].person


@pytest.mark.parametrize("drop", ["forget", "clear"])
async def test_what_was_read_before_a_drop_is_not_written_and_what_is_read_after_it_is(kernel, identity, drop):
    hot = HotIndex(kernel.cache, IdentitySettings())
    index = identity._collector.index(ADDRESS[0][0])
    held = {index: {PersonId("per_1"): RecordId("rec_1")}}
    _, before = await hot.read([index])
    await (hot.forget([index]) if drop == "forget" else hot.clear())
    await hot.write(held, since=before)
    found, after = await hot.read([index])
    assert found == {}
    await hot.write(held, since=after)
    assert (await hot.read([index]))[0] == held


async def test_without_the_stores_moment_nothing_is_written(kernel, identity):
    hot = HotIndex(kernel.cache, IdentitySettings())
    index = identity._collector.index(ADDRESS[0][0])
    await hot.write({index: {PersonId("per_1"): RecordId("rec_1")}}, since=None)
    assert (await hot.read([index]))[0] == {}


async def test_a_dropped_entry_is_counted_once_by_a_rebuild(kernel, identity):
    hot = HotIndex(kernel.cache, IdentitySettings(index_ttl_seconds=int(timedelta(minutes=5).total_seconds())))
    index = identity._collector.index(ADDRESS[0][0])
    _, since = await hot.read([index])
    await hot.write({index: {PersonId("per_1"): RecordId("rec_1")}}, since=since)
    assert await hot.clear() == 1
