"""Consents of a file: an opt-out always holds, a grant needs its evidence, garbage is a no."""

from datetime import timedelta

import pytest

from consent.imports import ImportedConsent
from identity.identifiers import Identifier
from kernel.errors import InvalidInput
from orchestration.service.bench import consent_strings as strings
from tests.consent.conftest import NOW, House

pytestmark = pytest.mark.anyio
GIVEN = NOW - timedelta(days=30)


def row(**change: object) -> ImportedConsent:
    fields: dict[str, object] = {
        "source": "crm",
        "identifiers": (Identifier("email", "ada@example.org"),),
        "purpose": "marketing.email",
        "status": "granted",
        "mechanism": "import",
        "notice": "v3",
        "given_at": GIVEN,
    } | change
    return ImportedConsent(**fields)  # type: ignore[arg-type]


async def load(house: House, *rows: ImportedConsent) -> list:
    async with house.kernel.db.transaction() as conn:
        return await house.consent.import_rows(conn, rows)


@pytest.mark.parametrize(("change", "reason"), [
    ({}, "consent.granted"),
    ({"mechanism": "web form of 2019"}, "consent.granted"),
    ({"notice": None}, "consent.unverified"),
    ({"given_at": None}, "consent.unverified"),
    ({"mechanism": ""}, "consent.unverified"),
    ({"expires_at": NOW - timedelta(days=1)}, "consent.expired"),
    ({"status": "denied"}, "consent.denied"),
    ({"status": "denied", "notice": None, "given_at": None, "mechanism": ""}, "consent.denied"),
    ({"status": "denied", "mechanism": "spam_complaint"}, "withdrawn.channel"),
    ({"status": "y"}, "signal.undecodable"),
    ({"signal": "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", "signal_kind": "tcf"}, "signal.undecodable"),
    ({"signal": "\x00garbage"}, "signal.undecodable"),
])  # fmt: skip
async def test_what_a_row_is_worth(house: House, change, reason: str) -> None:
    person, _, _ = await house.person("ada@example.org")
    await load(house, row(**change))
    assert await house.may(person) == reason


SAYS_YES = strings.tc(GIVEN, policy=4, publisher=[1, 2], disclosed=None)
SAYS_NO = strings.tc(GIVEN, policy=4, publisher=[1], disclosed=None)


@pytest.mark.parametrize(("change", "reason"), [
    ({"signal": SAYS_YES}, "consent.granted"),
    ({"signal": SAYS_YES, "notice": None, "given_at": None}, "consent.granted"),  # the string names its notice and its time
    ({"signal": SAYS_YES, "status": ""}, "consent.granted"),
    ({"signal": SAYS_YES, "status": "denied"}, "consent.denied"),
    ({"signal": SAYS_YES, "status": "y"}, "signal.undecodable"),
    ({"signal": SAYS_NO}, "consent.denied"),
    ({"signal": SAYS_YES[:-9]}, "signal.undecodable"),
    ({"signal": SAYS_YES, "signal_kind": "other"}, "signal.undecodable"),
    ({"signal": strings.gpp(2, SAYS_YES), "signal_kind": "gpp"}, "consent.granted"),
    ({"signal": "DBABTA~1YYN", "signal_kind": "gpp"}, "signal.undecodable"),  # speaks of other purposes: no support for a yes
])  # fmt: skip
async def test_a_row_with_a_string_says_what_the_string_says(house: House, change, reason: str) -> None:
    person, _, _ = await house.person("ada@example.org")
    await load(house, row(**({"purpose": "marketing.web", "signal_kind": "tcf"} | change)))
    assert await house.may(person, "marketing.web", "web") == reason


async def test_how_it_was_given_is_a_code_or_it_is_sealed(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    await load(house, row(mechanism="told us by phone, Ada Lovelace"), row(mechanism="shop.form", purpose="analytics"))
    async with house.kernel.db.reading() as conn:
        acts = [line.act for line in await house.consent.history(conn, person)]
        exported = await house.consent.export(conn, person)
    assert sorted(act.variant for act in acts) == ["prose", "shop.form"]
    assert "told us by phone, Ada Lovelace" in [act.get("raw") for act in exported["acts"]]  # type: ignore[index,call-overload]


async def test_garbage_is_kept_raw(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    await load(house, row(signal="not a consent string"))
    async with house.kernel.db.reading() as conn:
        exported = await house.consent.export(conn, person)
    assert exported["acts"][0]["raw"] == "not a consent string"  # type: ignore[index,call-overload]
    assert exported["acts"][0]["verified"] is False  # type: ignore[index,call-overload]


async def test_garbage_lifts_no_grant_but_stops_it(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    await load(house, row(), row(signal="?", given_at=GIVEN + timedelta(days=1)))
    assert await house.may(person) == "signal.undecodable"


async def test_an_import_never_lifts_what_a_person_withdrew(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(conn, email, "marketing.email", "email", mechanism="one_click", actor="person")
    house.kernel.clock.advance(timedelta(days=2))
    await load(house, row(given_at=house.kernel.clock.now()))
    assert await house.may(person) == "withdrawn.channel"


async def test_a_file_read_twice_is_the_same_acts_and_moves_nobody(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    first = await load(house, row(), row(purpose="analytics"))
    before = await house.versions(person)
    assert await load(house, row(), row(purpose="analytics")) == first
    assert await house.versions(person) == before


async def test_a_faulty_row_is_answered_and_the_others_stored(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    good, bad, late = await load(house, row(), row(purpose="marketing.fax"), row(given_at=NOW + timedelta(days=9)))
    assert isinstance(good, str)
    assert isinstance(bad, InvalidInput)
    assert isinstance(late, InvalidInput)
    assert await house.may(person) == "consent.granted"


async def test_a_notice_whose_text_is_held_is_named_by_its_hash(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        notice = await house.consent.publish_notice(conn, "Words of v3", version="v3", language="en")
    await load(house, row())
    async with house.kernel.db.reading() as conn:
        (line,) = await house.consent.history(conn, person)
    assert line.act.notice == notice
    assert line.notice_text == "Words of v3"


async def test_a_contact_nobody_knows_yet_keeps_its_opt_out_for_the_day_it_arrives(house: House) -> None:
    await load(house, row(status="denied", notice=None))
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email, given_at=GIVEN - timedelta(days=1)))
    assert await house.may(person) == "consent.withdrawn"
