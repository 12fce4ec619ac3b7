"""Global Privacy Control: header, support resource, and what the signal binds."""

import json
from datetime import timedelta

import pytest

from consent.signals import gpc
from tests.consent.conftest import House
from tests.support.shared import shared_path


def cases(name: str) -> list[dict]:
    return json.loads(shared_path("cases/gpc.json").read_text())[name]


def test_header_cases() -> None:
    found = cases("header_cases")
    assert len(found) == 8
    for case in found:
        assert gpc.sent([(n, v) for n, v in case["headers"]]) is case["signal"], case


def test_support_resource_cases() -> None:
    found = cases("support_resource_cases")
    assert len(found) == 7
    for case in found:
        said = gpc.read_support(case["content_type"], case["body"])
        assert said.support == case["support"], case
        given = case["body"].get("lastUpdate") if isinstance(case["body"], dict) else None
        if case.get("lastUpdate") == "unknown":
            assert said.last_update is None
        elif given is not None:
            assert said.last_update is not None
            assert given.startswith(said.last_update.isoformat())


@pytest.mark.parametrize("date", ["2026-02-30", "2026-13-01", "", "20260101", "2026-01-01x"])
def test_a_date_that_is_none_tells_nothing(date: str) -> None:
    assert gpc.read_support("application/json", {"gpc": True, "lastUpdate": date}).last_update is None


@pytest.mark.anyio
async def test_the_signal_binds_device_and_person_after_log_in(house: House) -> None:
    """The signal came while she was unknown; it holds for the person the device is tied to later."""
    from identity.identifiers import Identifier

    async with house.kernel.db.transaction() as conn:
        (device,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", "v-1")])
        assert len(await house.consent.apply_gpc(conn, [device], raw=b"Sec-GPC: 1", actor="browser")) == 1
    house.kernel.clock.advance(timedelta(hours=1))
    person, _, email = await house.person("ada@example.org", "1", anonymous_id="v-1")
    await house.record(house.grant(email, "sharing"))
    assert await house.may(person, "sharing", None) == "directive.gpc"
    assert await house.may(person, "service", "email") == "basis.contract"


@pytest.mark.anyio
async def test_a_repeated_signal_adds_nothing(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    for expected in (1, 0, 0):
        async with house.kernel.db.transaction() as conn:
            assert len(await house.consent.apply_gpc(conn, [email, email], raw=b"", actor="browser")) == expected
    assert (await house.versions(person))[person] >= 1


@pytest.mark.anyio
async def test_an_override_where_the_law_lets_is_not_undone_by_the_same_browser(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.apply_gpc(conn, [email], raw=b"", actor="browser")
    house.kernel.clock.advance(timedelta(days=1))
    await house.record(
        house.grant(email, "sharing"),
        house.grant(email, "sale_share", mechanism="directive_override", jurisdiction="us-ca"),
    )
    assert await house.may(person, "sharing", None) == "consent.granted"
    async with house.kernel.db.transaction() as conn:
        assert await house.consent.apply_gpc(conn, [email], raw=b"", actor="browser") == []
