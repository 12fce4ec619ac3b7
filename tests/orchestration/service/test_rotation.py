"""Secrets rotate by name; what was cut off goes on; each act is an entry of the log."""

import asyncio

import pytest

from audit.tags import Tag
from identity.identifiers import Identifier
from kernel.keys import KeyInUse, UnknownSecret
from kernel.removal import LogState
from orchestration.service import rotation
from orchestration.service.workers import removing

pytestmark = pytest.mark.anyio


@pytest.fixture
def kernel_settings(kernel_settings, tmp_path):
    """A key file of the test's own: the run's is shared."""
    return kernel_settings.model_copy(update={"kek_file": tmp_path / "secrets" / "keys.json", "removal_seconds": 0.0})


def names(found, kind):
    return [(one.name, one.state, one.uses) for one in found.secrets if one.kind == kind]


async def test_a_rotation_that_was_cut_off_is_ended_without_another_key(shop, monkeypatch):
    await shop.kernel.vault.create_keys(3)
    house, real, steps = shop, shop.kernel.vault.rewrap, []

    async def dies():
        if steps:
            raise RuntimeError("killed")
        steps.append(await real(1))
        return steps[0]

    with monkeypatch.context() as patch:
        patch.setattr(shop.kernel.vault, "rewrap", dies)
        with pytest.raises(RuntimeError):
            await rotation.rotate_keks(house, actor="staff:ann")
    under = await shop.kernel.vault.keks()
    assert set(under) == {"kek-1", "kek-2"}
    with pytest.raises(KeyInUse):
        await rotation.retire(house, "kek-1", actor="staff:ann")
    told = []
    done = await rotation.rotate_keks(house, actor="staff:ann", told=lambda *seen: told.append(seen))
    assert (done.name, done.begun, done.done, done.overlap) == ("kek-2", False, under["kek-1"], ["kek-1"])
    assert told[-1] == (under["kek-1"], under["kek-1"])
    await rotation.retire(house, "kek-1", actor="staff:ann")
    assert names(await rotation.standing(house), "key-encryption key") == [("kek-2", "current", sum(under.values()))]
    assert (await rotation.rotate_keks(house, actor="staff:ann")).name == "kek-3"
    entries = await shop.audit.entries(tag=Tag.SECRET_ROTATED, limit=10)
    assert len(entries) == 2
    assert [
        await shop.audit.open_entry(one.entry_id) for one in await shop.audit.entries(tag=Tag.SECRET_RETIRED, limit=10)
    ] == [{"actor": "staff:ann", "name": "kek-1"}]


async def test_tokens_rotate_and_strangers_are_not_secrets(shop):
    assert (await rotation.rotate_tokens(shop, actor="staff:ann")).overlap == ["tok-1"]
    assert names(await rotation.standing(shop), "token key") == [("tok-1", "overlap", None), ("tok-2", "current", None)]
    with pytest.raises(UnknownSecret):
        await rotation.retire(shop, "kek-9", actor="staff:ann")
    with pytest.raises(KeyInUse):
        await rotation.retire(shop, "tok-2", actor="staff:ann")
    await rotation.retire(shop, "tok-1", actor="staff:ann")
    assert names(await rotation.standing(shop), "token key") == [("tok-2", "current", None)]


async def test_the_worker_removes_what_was_destroyed_and_the_log_says_so(shop):
    await shop.kernel.vault.destroy(await shop.kernel.vault.create_keys(2))
    stop = asyncio.Event()
    worker = asyncio.create_task(removing(shop, stop))
    for _ in range(200):
        if (last := await shop.kernel.removal.last()) is not None:
            break
        await asyncio.sleep(0.05)
    stop.set()
    await worker
    assert last is not None
    assert (last.keys, last.log) == (2, LogState.CLEARED)
    (entry,) = await shop.audit.entries(tag=Tag.KEYS_REMOVED, limit=10)
    facts = await shop.audit.open_entry(entry.entry_id)
    assert (facts["keys"], facts["log"]) == (2, "cleared")
    assert (await rotation.remove(shop, actor="staff:ann")).log is None
    assert len(await shop.audit.entries(tag=Tag.KEYS_REMOVED, limit=10)) == 1


async def index_columns(shop):
    found = await shop.rows("SELECT index IS NOT NULL AS odd, index_even IS NOT NULL AS even FROM identity.identifiers WHERE erased_at IS NULL")  # fmt: skip
    return {(row["odd"], row["even"]) for row in found}


async def who(shop, name: str):
    async with shop.kernel.db.reading() as conn:
        return (await shop.identity.resolve(conn, [[Identifier("email", f"{name}@example.org")]]))[0].person


async def test_the_index_secret_rotates_while_identifiers_are_found_and_stored(shop, monkeypatch):
    ada, bea = await shop.person("ada"), await shop.person("bea")
    real, steps = type(shop.identity.indexing).hash_anew, 0

    async def dies(self, after="", limit=1):
        nonlocal steps
        steps += 1
        if steps == 3:
            raise RuntimeError("killed")
        return await real(self, after, 1)

    with monkeypatch.context() as patch:
        patch.setattr(type(shop.identity.indexing), "hash_anew", dies)
        with pytest.raises(RuntimeError):
            await rotation.rotate_index(shop, actor="staff:ann")
    assert await index_columns(shop) == {(True, False), (True, True)}, "cut off half way"
    cyd = await shop.person("cyd")
    assert [await who(shop, name) for name in ("ada", "bea", "cyd")] == [ada, bea, cyd]
    assert await shop.person("ada") == ada, "nobody is stored twice"
    with pytest.raises(KeyInUse):
        await rotation.retire(shop, "idx-1", actor="staff:ann")
    done = await rotation.rotate_index(shop, actor="staff:ann")
    assert (done.name, done.begun, done.overlap) == ("idx-2", False, ["idx-1"])
    assert await index_columns(shop) == {(True, True)}
    assert (await shop.identity.resolve_hot([[Identifier("email", "bea@example.org")]]))[0].person == bea
    await rotation.retire(shop, "idx-1", actor="staff:ann")
    assert await index_columns(shop) == {(False, True)}
    assert [await who(shop, name) for name in ("ada", "bea", "cyd")] == [ada, bea, cyd]
    assert await shop.person("bea") == bea
    assert (await rotation.rotate_index(shop, actor="staff:ann")).name == "idx-3"
    assert await who(shop, "ada") == ada
    await rotation.retire(shop, "idx-2", actor="staff:ann")
    assert await index_columns(shop) == {(True, False)}
    assert await shop.identity.fill_index() > 0
    assert [await who(shop, name) for name in ("ada", "bea", "cyd")] == [ada, bea, cyd]


async def test_a_process_that_knows_only_the_old_secret_stores_nobody_twice(shop, addresses):
    """It read the key file before the rotation; what it stores is found by both."""
    ada = await shop.person("ada")
    shop.kernel.secrets.add("idx")
    (name, secret) = shop.kernel.secrets.indexes()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.kernel.secrets, "indexes", lambda: ((name, secret),))
        bea = await shop.person("bea")
        assert await shop.person("ada") == ada
    assert await who(shop, "bea") == bea
    assert await shop.person("bea") == bea
    assert (await rotation.rotate_index(shop, actor="staff:ann")).done > 0
    await rotation.retire(shop, "idx-1", actor="staff:ann")
    assert await who(shop, "bea") == bea
