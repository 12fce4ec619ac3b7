"""A destroyed key leaves the disk: no byte of its wrapped form in tables, indexes, log or full-page images. Nobody waits meanwhile."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from kernel import keys_store
from kernel.clock import SystemClock
from kernel.db import Database
from kernel.engines.postgres import APP, KEYS_DATABASE, OWNER, EmbeddedPostgres
from kernel.keys import FileKeys
from kernel.migrate import KEYS_MIGRATIONS, migrate
from kernel.removal import LogState, Removal
from kernel.vault import Vault

pytestmark = pytest.mark.anyio


@pytest.fixture
def removal(kernel):
    return Removal(kernel.keys_db, SystemClock(), batch=7)


async def spaces(kernel):
    async with kernel.keys_db.reading() as conn:
        return [await keys_store.size(conn, space) for space in (0, 1)], [
            await keys_store.littered(conn, space) for space in (0, 1)
        ]


async def test_living_keys_change_house_and_the_old_one_is_torn_down(kernel, removal):
    ids = await kernel.vault.create_keys(30)
    assert (await removal.run()).log is None, "nothing was destroyed"
    await kernel.vault.destroy(ids[:4])
    assert (await removal.waiting()).keys == 4
    told = []
    done = await removal.run(lambda *seen: told.append(seen))
    assert (done.keys, done.moved, done.log) == (4, 26, LogState.CLEARED)
    assert told[-1] == (26, 26)
    assert await spaces(kernel) == ([0, 26], [False, True])
    assert (await removal.waiting()).keys == 0
    assert (await removal.last()).keys == 4
    kernel.vault.forget_all()
    assert set(await kernel.vault.unwrap(ids)) == set(ids[4:])
    await kernel.vault.create_keys(1)
    assert (await spaces(kernel))[0] == [0, 27]


@pytest.mark.parametrize("killed_at", ["move", "truncate", "turn_the_log", "removed"])
async def test_a_removal_that_was_cut_off_is_ended_by_the_next_one(kernel, removal, monkeypatch, killed_at):
    ids = await kernel.vault.create_keys(30)
    await kernel.vault.destroy(ids[:4])
    calls = 0
    real = getattr(keys_store, killed_at)

    async def dies(*args):
        nonlocal calls
        calls += 1
        if calls == (3 if killed_at == "move" else 1):
            raise RuntimeError("killed")
        return await real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(keys_store, killed_at, dies)
        with pytest.raises(RuntimeError):
            await removal.run()
    await kernel.vault.destroy(ids[4:6])
    assert (await removal.waiting()).keys == 6
    assert (await removal.run()).keys == 6
    (_, littered) = await spaces(kernel)
    assert sorted(littered) == [False, True]
    kernel.vault.forget_all()
    assert set(await kernel.vault.unwrap(ids)) == set(ids[6:])


async def test_keys_are_made_found_and_destroyed_while_others_move(kernel, removal):
    ids = await kernel.vault.create_keys(200)
    await kernel.vault.destroy(ids[:1])
    made = []

    async def work():
        for place in range(1, 40):
            made.extend(await kernel.vault.create_keys(1))
            assert await kernel.vault.destroy([ids[place]]) == 1
            kernel.vault.forget_all()
            assert set(await kernel.vault.unwrap(ids[100:])) == set(ids[100:])

    await asyncio.gather(work(), removal.run())
    assert (await removal.waiting()).keys > 0, "what was destroyed meanwhile waits for the next one"
    await removal.run()
    kernel.vault.forget_all()
    assert set(await kernel.vault.unwrap([*ids, *made])) == {*ids[40:], *made}
    assert sorted((await spaces(kernel))[1]) == [False, True]


async def test_one_removal_at_a_time(kernel, removal):
    await kernel.vault.destroy(await kernel.vault.create_keys(1))
    async with keys_store.removing(kernel.keys_db) as alone:
        assert alone
        assert (await removal.run()).busy
    assert (await removal.run()).keys == 1


async def test_where_the_log_is_somebody_elses_it_is_said(kernel, removal, engines):
    await kernel.vault.destroy(await kernel.vault.create_keys(1))
    with psycopg.connect(
        engines.postgres.url(kernel.keys_db._url.split("@/")[1].split("?")[0], "postgres"), autocommit=True
    ) as conn:
        conn.execute(f"REVOKE EXECUTE ON FUNCTION pg_switch_wal() FROM {APP}")
    done = await removal.run()
    assert (done.keys, done.log) == (1, LogState.NOT_PERMITTED)


@pytest.fixture
def cluster():
    """A cluster as Candor ships it: its log is written, with full pages."""
    folder = Path(tempfile.mkdtemp(prefix="candor-removal-", dir="/var/tmp"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres", {"fsync": "off", "shared_buffers": "32MB"})
    try:
        postgres.start()
        migrate(postgres.url(KEYS_DATABASE, OWNER), [KEYS_MIGRATIONS], schema="keys")
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def files_with(postgres: EmbeddedPostgres, words: list[bytes]) -> set[str]:
    """Folders of the cluster in which one of the words stands."""
    found = set()
    for path in postgres.data.rglob("*"):
        if path.is_file() and any(word in (held := path.read_bytes()) or word.hex().encode() in held for word in words):
            found.add(path.relative_to(postgres.data).parts[0])
    return found


@pytest.mark.slow
async def test_no_byte_of_a_destroyed_key_stays_in_the_cluster(cluster, tmp_path):
    keys = FileKeys.create(tmp_path / "keys" / "keys.json")
    db = Database(cluster.url(KEYS_DATABASE))
    await db.open()
    try:
        vault, removal = Vault(db, keys, keys), Removal(db, SystemClock())
        ids = await vault.create_keys(3_000)
        hers = ids[1_000:1_010]
        async with db.transaction() as conn:
            before = [wrapped for _, _, wrapped in await keys_store.wrapped(conn, hers)]
            await keys_store.checkpoint(conn)
        assert files_with(cluster, before) == {"base", "pg_wal"}
        await vault.rotate_kek()
        while await vault.rewrap():
            continue
        async with db.transaction() as conn:
            again = [wrapped for _, _, wrapped in await keys_store.wrapped(conn, hers)]
            await keys_store.checkpoint(conn)
        await vault.destroy(hers)
        async with db.transaction() as conn:
            await keys_store.checkpoint(conn)
            assert await conn.execute("SELECT count(*) FROM keys.subject_keys")
        assert "base" in files_with(cluster, again), "a deleted row lies on in its page"
        assert (await removal.run()).log is LogState.CLEARED
        assert files_with(cluster, [*before, *again]) == set()
        assert len(await vault.unwrap(ids)) == 2_990
    finally:
        await db.close()
