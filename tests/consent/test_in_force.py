"""Rules in force: written down once, in the log, and nothing that rested on others outlives them."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from audit.tags import Tag
from consent import precedence
from consent.errors import RulesOfThen
from kernel.clock import FrozenClock
from kernel.engines import Addresses
from kernel.kernel import Kernel
from tests.consent.conftest import NOW, House, build

GDPR = (precedence.PACKS / "gdpr.yaml").read_text(encoding="utf-8")


def lenient(tmp_path: Path) -> Path:
    """Packs under which an imported yes without a notice permits."""
    (tmp_path / "gdpr.yaml").write_text(
        GDPR.replace("unverified_import_permits: {allowed: false", "unverified_import_permits: {allowed: true"),
        encoding="utf-8",
    )
    return tmp_path


async def changes(house: House) -> list[str]:
    async with house.kernel.db.reading() as conn:
        rows = await (
            await conn.execute(
                "SELECT entry_id FROM audit.entries WHERE tag = %s ORDER BY entry_id", (str(Tag.POLICY_CHANGED),)
            )
        ).fetchall()
    return [row["entry_id"] for row in rows]


async def test_a_start_writes_the_rules_down_once_with_every_source(house: House) -> None:
    assert await house.consent.book.put_in_force()
    assert not await house.consent.book.put_in_force()
    assert not await build(house.kernel).consent.book.put_in_force()
    (entry,) = await changes(house)
    facts = await house.audit.open_entry(entry)
    assert facts["digest"] == house.consent.rules.digest
    assert facts["before"] is None
    assert {part["name"] for part in facts["parts"]} >= {"pack/gdpr", "pack/us-ca", "precedence", "purposes", "signals"}
    assert all(rule["source"] for rule in facts["rules"])


async def test_other_rules_move_everybodys_version_and_are_an_entry(house: House, tmp_path: Path) -> None:
    ada, _, _ = await house.person("ada@example.org")
    await house.consent.book.put_in_force()
    before = await house.versions(ada)
    other = build(house.kernel, packs_dir=lenient(tmp_path))
    assert await other.consent.book.put_in_force()
    assert (await house.versions(ada))[ada] > before[ada]
    assert len(await changes(house)) == 2
    async with house.kernel.db.transaction() as conn:
        assert await house.consent.fence(conn, before) == {ada}


async def test_as_known_then_is_under_the_rules_of_then(kernel: Kernel, clock: FrozenClock, tmp_path: Path) -> None:
    house = build(kernel, packs_dir=lenient(tmp_path))
    await house.consent.book.put_in_force()
    ada, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email, mechanism="import", notice=None, verified=False))
    clock.advance(timedelta(days=1))
    strict = build(kernel)
    await strict.consent.book.put_in_force()
    async with kernel.db.reading() as conn:
        then = await strict.consent.check(
            conn, ada, "marketing.email", "email", at=NOW, known_at=NOW + timedelta(hours=1)
        )
        now = await strict.consent.check(conn, ada, "marketing.email", "email", at=NOW)
    assert then.permission.granted
    assert not now.permission.granted


async def test_rules_of_then_that_cannot_be_read_any_more_are_an_error(house: House) -> None:
    async with house.kernel.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO consent.rulebooks (digest, jurisdiction, says, signed_by, began_at)"
            " VALUES ('sha256:old', 'default', '{\"purposes\": 1}', '{}', %s)", (NOW - timedelta(days=9),)
        )  # fmt: skip
        with pytest.raises(RulesOfThen):
            await house.consent.book.of(conn, NOW)


async def test_the_rules_of_a_moment_hold_from_their_first_moment_on_and_the_first_ever_before(
    kernel: Kernel, clock: FrozenClock, tmp_path: Path
) -> None:
    first, second = build(kernel), build(kernel, packs_dir=lenient(tmp_path))
    for house in (first, second):
        await house.consent.book.put_in_force()
        clock.advance(timedelta(days=1))
    day = timedelta(days=1)
    moments = [NOW - day, NOW, NOW + day - timedelta(microseconds=1), NOW + day, NOW + 9 * day]
    async with kernel.db.reading() as conn:
        found = await build(kernel).consent.book.of_each(conn, moments)
        assert await first.consent.book.of_each(conn, []) == []
    old, new = first.consent.rules.digest, second.consent.rules.digest
    assert [rules.digest for rules in found] == [old, old, old, new, new]


async def test_rules_of_then_that_were_changed_in_the_store_are_an_error(house: House, addresses: Addresses) -> None:
    await house.consent.book.put_in_force()
    with psycopg.connect(addresses.owner) as conn:
        conn.execute("UPDATE consent.rulebooks SET digest = 'sha256:other'")
    async with house.kernel.db.reading() as conn:
        with pytest.raises(RulesOfThen, match="from what is stored"):
            await house.consent.book.of(conn, NOW)
