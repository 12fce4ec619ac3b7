"""A real dump from before an erasure is restored: who was erased is erased again, under every id she had (consent.D11)."""

import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from psycopg import sql

from consent.lifecycle import State
from identity.clusters import Clusters
from kernel.clock import FrozenClock
from kernel.engines.postgres import make_database
from kernel.kernel import open_at
from orchestration.pipeline.checking.keeping import nobody_came_back
from orchestration.pipeline.steps.keeping import erasure_replay
from orchestration.settings import Settings
from orchestration.wiring import begin, build
from tests.orchestration.pipeline.conftest import NOW, YES, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return FrozenClock(NOW)


@asynccontextmanager
async def opened(kernel_settings, addresses, clock):
    async with open_at(kernel_settings, addresses, clock=clock) as kernel:
        house = build(Settings(kernel=kernel_settings), kernel)
        yield house
        await house.events.close()
        await house.decisions.close()


def tool(engines, name: str, *words: str) -> None:
    subprocess.run([engines.postgres.binaries / name, *words], check=True, capture_output=True, timeout=120)


@pytest.fixture
def restored(engines, addresses, tmp_path):
    """Dump what is there now; later, the dump in a database of its own."""
    name = urlsplit(addresses.database).path.lstrip("/")
    dump = tmp_path / "before.dump"
    again = f"{name}_again"

    def keep() -> None:
        tool(engines, "pg_dump", "-Fc", "-f", str(dump), "-d", engines.postgres.url(name, "postgres"))

    def bring_back():
        make_database(engines.admin, again, "template0")
        tool(engines, "pg_restore", "-d", engines.postgres.url(again, "postgres"), str(dump))
        other = {field: getattr(addresses, field).replace(f"/{name}?", f"/{again}?") for field in ("database", "owner")}
        return replace(addresses, **other)

    yield keep, bring_back
    engines.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(again)))


async def erase(house, person: str):
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    return await house.rights.run(request.id, actor="staff:a")


async def merged(house, *people: str) -> None:
    """All records of these people become one person; the others stay who they are."""
    async with house.kernel.db.transaction() as conn:
        members = await house.identity.members(conn, list(people))
        records = [record for held in members.values() for record in held.records]
        await house.identity.publish(conn, Clusters(np.zeros(len(records), dtype=np.int64), ()), records)


async def test_who_was_erased_is_erased_again_under_every_id(kernel_settings, addresses, clock, restored):
    keep, bring_back = restored
    kernel_settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with opened(kernel_settings, addresses, clock) as house:
        people = await settle(house, {"ada": YES, "ada2": YES, "bob": YES})
        keep()
        await merged(house, people["ada"], people["ada2"])
        survivor = min(people["ada"], people["ada2"])
        outcome = await erase(house, survivor)
        assert outcome.counts["keys"] > 0
        assert len(house.rights.ledger.lines()) == 2, "her id, and the one that was retired into it"
        assert (await nobody_came_back(house)).passed
    async with opened(kernel_settings, bring_back(), clock) as house:
        async with house.kernel.db.reading() as conn:
            assert set(await house.identity.people(conn)) == set(people.values()), "the dump brought both ids back"
        found = await nobody_came_back(house)
        assert (found.passed, found.figures["came_back"]) == (False, 2)
        await begin(house)  # as every start does
        async with house.kernel.db.reading() as conn:
            assert await house.identity.people(conn) == [people["bob"]]
            left = await (
                await conn.execute(
                    "SELECT count(*) AS n FROM events.events e JOIN identity.records r USING (record_id) WHERE r.body IS NULL"
                )
            ).fetchone()
            kept = await (await conn.execute("SELECT count(*) AS n FROM identity.records WHERE body IS NOT NULL")).fetchone()  # fmt: skip
        assert (left["n"], kept["n"]) == (0, 1)
        assert (await nobody_came_back(house)).passed
        assert (await erasure_replay(house))["erased_again"] == 0
        assert {one.state for one in await house.rights.list_requests()} == {State.FULFILLED}


async def test_a_start_ends_what_a_crash_broke_off(kernel_settings, addresses, clock, monkeypatch):
    kernel_settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with opened(kernel_settings, addresses, clock) as house:
        people = await settle(house, {"ada": YES})
        async with house.kernel.db.reading() as conn:
            keys = (await house.identity.members(conn, [people["ada"]]))[people["ada"]].key_ids

        async def dies(_):
            raise ConnectionResetError

        with monkeypatch.context() as patch:
            patch.setattr(house.kernel.vault, "destroy", dies)
            with pytest.raises(ConnectionResetError):
                await erase(house, people["ada"])
        assert len(await house.kernel.vault.unwrap(keys)) == len(keys) > 0
    async with opened(kernel_settings, addresses, clock) as house:
        (done,) = await house.rights.finish()
        assert await house.kernel.vault.unwrap(keys) == {}
        assert (await house.rights.show(done)).state is State.FULFILLED
        assert await house.rights.finish() == []


async def test_an_erasure_takes_her_edges_out_of_the_file(house):
    """What a linkage run left behind tells no reader of her from then on, and once it is written anew does not name her."""
    from identity.linkage import Edges

    people = await settle(house, {"ada": YES, "bob": YES, "cyd": YES})
    async with house.kernel.db.reading() as conn:
        members = await house.identity.members(conn, list(people.values()))
    ids = [members[people[name]].records[0] for name in ("ada", "bob", "cyd")]
    house.identity.linkage.write_edges(Edges(np.array([0, 1]), np.array([1, 2]), np.array([3.0, 4.0])), ids)
    await erase(house, people["ada"])
    assert set(house.identity.linkage.ends()) == set(ids[1:])
    assert house.identity.linkage.compact() == 1
    assert set(house.identity.linkage.ends()) == set(ids[1:])
    assert ids[0].encode() not in (house.kernel.settings.data_dir / "linkage" / "edges.parquet").read_bytes()


async def test_an_erasure_takes_her_rows_out_of_files_from_before_a_merge(house, clock):
    people = await settle(house, {"ada": YES, "ada2": YES, "bob": YES})
    async with house.kernel.db.transaction() as conn:
        await house.profiles.write_features(conn, "marketing.personalize", clock.now())
    await merged(house, people["ada"], people["ada2"])
    await erase(house, min(people["ada"], people["ada2"]))
    async with house.kernel.db.reading() as conn:
        (table,) = await house.profiles.feature_tables(conn)
    assert house.profiles.read_features(table)[0] == [people["bob"]]
