"""Acts on a real database: complete, immutable, in the caller's transaction, read as known then."""

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from audit.tags import Tag
from consent.acts import Notice
from consent.errors import ActIncomplete, UnknownPurpose, UnknownSubject
from consent.gate import permission
from kernel.ids import IdentifierId
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_recorded_grant_permits_and_is_audited(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    assert await house.may(person) == "consent.missing"
    (act,) = await house.record(house.grant(email, raw=b'{"email": true}'))
    assert await house.may(person) == "consent.granted"
    assert await house.may(person, "marketing.push", "push") == "consent.missing"
    (entry,) = await house.audit.lineage([("act", act)], depth=1)
    assert entry.tag == Tag.CONSENT_RECORDED
    opened = await house.audit.open_entry(entry.entry_id)
    assert opened["purpose"] == "marketing.email"
    assert opened["actor"] == "person"


@pytest.mark.parametrize("statement", [
    "UPDATE consent.acts SET status = 'granted'",
    "DELETE FROM consent.acts",
    "TRUNCATE consent.acts CASCADE",
])  # fmt: skip
@pytest.mark.parametrize("role", ["app", "owner", "superuser"])
async def test_nobody_changes_or_removes_an_act(house: House, addresses, engines, statement: str, role: str) -> None:
    _, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email, status="denied", notice=None))
    name = addresses.database.rsplit("/", 1)[1].split("?")[0]
    url = {
        "app": addresses.database, "owner": addresses.owner, "superuser": engines.postgres.url(name, "postgres"),
    }[role]  # fmt: skip
    with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement)


async def test_replaying_the_acts_gives_the_same_state(house: House) -> None:
    person, record, email = await house.person("ada@example.org")
    await house.record(house.grant(email), house.grant(record, "analytics"))
    house.kernel.clock.advance(timedelta(days=1))
    await house.record(house.grant(email, status="denied"))
    async with house.kernel.db.reading() as conn:
        first = await house.consent.state(conn, person)
        again = await house.consent.state(conn, person)
    at = house.kernel.clock.now()
    for purpose in house.consent.rules.purposes.by_key:
        assert permission(first, purpose, None, at) == permission(again, purpose, None, at)


@pytest.mark.parametrize(("change", "word"), [
    ({"notice": None}, "notice"),
    ({"notice": Notice("", "v1", "en")}, "notice"),
    ({"notice": Notice.named("v1")}, "notice"),
    ({"basis": ""}, "basis"),
    ({"jurisdiction": ""}, "jurisdiction"),
    ({"mechanism": ""}, "mechanism"),
    ({"mechanism": "telepathy"}, "mechanism"),
    ({"actor": ""}, "actor"),
    ({"variant": ""}, "variant"),
    ({"status": "perhaps"}, "status"),
    ({"channel": "push"}, "channel"),
    ({"subject": "per_01J0000000000000000000000A"}, "subject"),
])  # fmt: skip
async def test_a_grant_that_lacks_a_field_is_refused_and_nothing_is_stored(house: House, change, word: str) -> None:
    person, _, email = await house.person("ada@example.org")
    with pytest.raises(ActIncomplete, match=word):
        await house.record(house.grant(email, "analytics"), replace(house.grant(email), **change))
    async with house.kernel.db.reading() as conn:
        assert await house.consent.history(conn, person) == []


async def test_unknown_purpose_and_unknown_subject_are_refused(house: House) -> None:
    _, _, email = await house.person("ada@example.org")
    with pytest.raises(UnknownPurpose):
        await house.record(house.grant(email, "marketing.fax"))
    with pytest.raises(UnknownSubject):
        await house.record(house.grant(IdentifierId("idn_01J0000000000000000000000A")))


async def test_a_grant_dated_ahead_is_refused_and_a_denial_dated_ahead_counts_now(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    ahead = house.kernel.clock.now() + timedelta(days=3)
    with pytest.raises(ActIncomplete, match="present"):
        await house.record(house.grant(email, given_at=ahead))
    await house.record(house.grant(email))
    house.kernel.clock.advance(timedelta(seconds=1))
    await house.record(house.grant(email, status="denied", given_at=ahead))
    assert await house.may(person) == "consent.withdrawn"


async def test_state_as_known_then(house: House) -> None:
    """A withdrawal given on Monday and recorded on Friday was not known on Wednesday."""
    person, _, email = await house.person("ada@example.org")
    clock = house.kernel.clock
    await house.record(house.grant(email))
    monday = clock.advance(timedelta(days=1))
    wednesday = clock.advance(timedelta(days=2))
    clock.advance(timedelta(days=2))
    await house.record(house.grant(email, status="denied", given_at=monday))
    async with house.kernel.db.reading() as conn:
        then = await house.consent.state(conn, person, known_at=wednesday)
        now = await house.consent.state(conn, person)
    assert permission(then, "marketing.email", "email", wednesday).granted
    assert not permission(now, "marketing.email", "email", wednesday).granted
    assert permission(now, "marketing.email", "email", monday - timedelta(hours=1)).granted


async def test_the_raw_signal_lies_sealed_and_comes_back_in_an_export(house: House, addresses) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email, raw=b"CANARY-signal"))
    with psycopg.connect(addresses.owner) as conn:
        stored = conn.execute("SELECT raw, to_jsonb(a)::text FROM consent.acts a").fetchone()
    assert stored is not None
    assert b"CANARY" not in stored[0]
    assert "CANARY" not in stored[1]
    async with house.kernel.db.reading() as conn:
        exported = await house.consent.export(conn, person)
    assert exported["acts"][0]["raw"] == "CANARY-signal"  # type: ignore[index,call-overload]


async def test_a_notice_keeps_its_words_for_the_history(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        notice = await house.consent.publish_notice(conn, "Offers by email?", version="v9", language="en")
        await house.consent.record(conn, [house.grant(email, notice=notice)])
    async with house.kernel.db.reading() as conn:
        (line,) = await house.consent.history(conn, person)
    assert line.notice_text == "Offers by email?"
    assert line.act.notice == notice
    assert line.act.categories == ("user.contact.email",)
    assert line.act.controller == "this organisation"
