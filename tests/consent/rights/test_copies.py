"""Copies of the keys database go on their day, and the log says how (consent.D12)."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from consent.errors import CopyInvalid, CopyNotFound
from consent.rights.copies import How
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


def copied(folder: Path, name: str = "keys.dump") -> Path:
    file = folder / name
    file.write_bytes(b"WRAPPED-CANARY " * 100)
    return file


async def log(house: House, copy: str) -> list[dict]:
    entries = await house.audit.lineage([("key_copy", copy)], depth=1)
    return [dict(await house.audit.open_entry(one.entry_id)) for one in entries if one.tag == "key_copy.gone"]


async def test_a_copy_goes_on_its_day_is_looked_for_and_the_log_has_the_proof(house: House, tmp_path: Path) -> None:
    file, copies = copied(tmp_path), house.rights.copies
    one = await copies.note(str(file), actor="staff:a", days=10)
    assert one.purge_on == date(2026, 3, 15)
    (tmp_path / "twin").hardlink_to(file)  # whoever kept another name for the same bytes finds zeros
    house.kernel.clock.advance(timedelta(days=9))
    assert await house.rights.tidy() == {"packages": 0, "key_copies": 0}
    house.kernel.clock.advance(timedelta(days=1))
    assert (await house.rights.tidy())["key_copies"] == 1
    assert not file.exists()
    assert (tmp_path / "twin").read_bytes().strip(b"\0") == b""
    (proof,) = await log(house, one.id)
    assert (proof["how"], proof["digest"], proof["late_days"]) == (How.OVERWRITTEN, one.digest, 0)
    assert (await house.rights.tidy())["key_copies"] == 0
    assert await copies.overdue() == []
    copied(tmp_path)  # put back from a tape
    assert [late.id for late in await copies.overdue()] == [one.id]


async def test_a_newer_file_under_the_same_name_is_left_alone(house: House, tmp_path: Path) -> None:
    file = copied(tmp_path)
    one = await house.rights.copies.note(str(file), actor="staff:a", days=0)
    file.write_bytes(b"of tonight")
    (ended,) = await house.rights.copies.purge()
    assert ended.id == one.id
    assert file.read_bytes() == b"of tonight"
    assert [proof["how"] for proof in await log(house, one.id)] == [How.ABSENT]


async def test_one_that_lies_elsewhere_waits_for_staff_to_say_that_it_is_gone(house: House, tmp_path: Path) -> None:
    copies = house.rights.copies
    one = await copies.note("the vault in Basle", actor="staff:a", here=False, days=1)
    here = await copies.note(str(copied(tmp_path)), actor="staff:a")
    house.kernel.clock.advance(timedelta(days=2))
    assert await copies.purge() == []
    assert [late.id for late in await copies.overdue()] == [one.id]
    await copies.tell_gone(one.id, actor="staff:b")
    assert await copies.overdue() == []
    assert [(proof["how"], proof["late_days"]) for proof in await log(house, one.id)] == [(How.TOLD, 1)]
    with pytest.raises(CopyNotFound):
        await copies.tell_gone(one.id, actor="staff:b")
    with pytest.raises(CopyInvalid, match="still"):
        await copies.tell_gone(here.id, actor="staff:b")


async def test_a_copy_that_only_destroyed_keys_open_is_done_with(house: House) -> None:
    vault, copies = house.kernel.vault, house.rights.copies
    await house.person("ada@example.org")
    one = await copies.note("a tape", actor="staff:a", here=False)
    assert await copies.purge() == []
    old = house.kernel.secrets.current
    await vault.rotate_kek()
    while await vault.rewrap():
        continue
    assert await copies.purge() == []  # the old one still opens it
    await vault.retire_kek(old)
    assert [ended.id for ended in await copies.purge()] == [one.id]
    assert [proof["how"] for proof in await log(house, one.id)] == [How.UNOPENABLE]


async def test_an_erasure_says_which_copies_hold_her_keys_still(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    await house.rights.copies.note("a tape", actor="staff:a", here=False, days=5)
    last = await house.rights.copies.note("another", actor="staff:a", here=False)
    request = await house.rights.open("erasure", person, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    done = await house.rights.run(request.id, actor="staff:a")
    assert done.copies is not None
    assert (done.copies.copies, done.copies.until) == (2, last.purge_on)
    (entry,) = [
        one for one in await house.audit.lineage([("request", request.id)], depth=1) if one.tag == "erasure.done"
    ]
    facts = await house.audit.open_entry(entry.entry_id)
    assert (facts["key_copies"], facts["key_copies_until"]) == (2, last.purge_on.isoformat())


@pytest.mark.parametrize(
    ("place", "more"), [("/nothing/there", {}), ("x", {"here": False, "days": 31}), (" ", {"here": False})]
)
async def test_what_is_no_copy_is_refused(house: House, place: str, more: dict) -> None:
    with pytest.raises(CopyInvalid):
        await house.rights.copies.note(place, actor="staff:a", **more)
