"""Secrets rotate by name; what was cut off goes on; each act is an entry of the log."""

import asyncio

import pytest

from audit.tags import Tag
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
