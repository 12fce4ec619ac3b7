"""Strings become acts on what they came with, once, before anything is read; her own later word outranks them."""

from datetime import timedelta

import httpx
import pytest

from audit.access.principal import Principal, Scope
from consent.acts import Status
from consent.signals.hearing import Hearing, Strings
from identity.identifiers import Identifier
from orchestration.service.bench import consent_strings as strings
from tests.consent.conftest import NOW, House, build

pytestmark = pytest.mark.anyio

VISITOR = "visitor-0123456789abcdef"
YES = strings.tc(NOW - timedelta(days=1), publisher=range(1, 12))
NO = strings.tc(NOW - timedelta(hours=1), publisher=[])


async def hear(house: House, *, tcf: str | None = None, gpp: str | None = None) -> dict[str, Status]:
    async with house.kernel.db.transaction() as conn:
        ids = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", VISITOR)])
        hearing = Hearing(house.consent, house.audit, house.kernel.clock)
        return await hearing.hear(conn, ids, Strings(tcf, gpp), actor="browser")


async def may(house: House, purpose: str) -> tuple[str, str]:
    async with house.kernel.db.transaction() as conn:
        ids = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", VISITOR)])
        state = await house.consent.state_of_identifiers(conn, ids)
    from consent.gate import permission

    found = permission(state, purpose, None, house.kernel.clock.now())
    return str(found.answer), str(found.reason)


async def acts(house: House) -> list[tuple[str, str, str]]:
    async with house.kernel.db.transaction() as conn:
        ids = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", VISITOR)])
        return [
            (line.act.purpose, line.act.status, line.act.mechanism)
            for line in await house.consent.history_of(conn, ids)
        ]


async def test_a_string_grants_and_a_later_one_takes_back(house: House) -> None:
    assert (await hear(house, tcf=YES))["marketing.web"] is Status.GRANTED
    assert await may(house, "marketing.web") == ("granted", "consent.granted")
    assert (await may(house, "marketing.email"))[0] == "undetermined"
    assert (await hear(house, tcf=NO))["marketing.web"] is Status.DENIED
    assert (await may(house, "marketing.web"))[0] == "denied"
    await hear(house, tcf=YES)  # the older string comes again, from a cache: the newer word still holds
    assert (await may(house, "marketing.web"))[0] == "denied"


async def test_the_same_string_again_adds_nothing(house: House) -> None:
    for _ in range(3):
        await hear(house, tcf=YES, gpp="DBABTA~1YYN")
        await hear(house, tcf="cut short")
    assert (
        len(await acts(house)) == 3 + 1 + 3
    )  # a yes to three purposes, one opt-out, a no to three that could not be read


async def test_an_unreadable_string_closes_what_a_readable_one_opened(house: House) -> None:
    await hear(house, tcf=YES)
    await hear(house, tcf=YES[:40])
    assert await may(house, "analytics") == ("denied", "signal.undecodable")


async def test_her_own_word_outranks_a_string_and_a_string_never_lifts_her_no(house: House) -> None:
    async with house.kernel.db.transaction() as conn:
        (one,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", VISITOR)])
    await hear(house, tcf=NO)
    assert await may(house, "analytics") == ("denied", "signal.denied")
    await house.record(house.grant(one, "analytics"))
    assert (await may(house, "analytics"))[0] == "granted"
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(conn, one, "analytics", None, mechanism="preference_page", actor="person")
    later = strings.tc(NOW, publisher=range(1, 12))
    house.kernel.clock.advance(timedelta(minutes=1))  # type: ignore[attr-defined]
    await hear(house, tcf=later)
    assert (await may(house, "analytics"))[0] == "denied"


async def test_what_came_along_hears_of_the_opt_out_of_sale_and_of_nothing_else(house: House) -> None:
    _, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        device = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", VISITOR)])
        hearing = Hearing(house.consent, house.audit, house.kernel.clock)
        await hearing.hear(conn, device, Strings(YES, "DBABTA~1YYN"), actor="browser", along=[email])
        said = await house.consent.said_of(conn, [email, *device])
    assert {one.purpose for one in said[email]} == {"sale_share"}
    assert {one.purpose for one in said[device[0]]} > {"sale_share", "analytics"}


async def test_a_consent_of_a_string_runs_out(house: House) -> None:
    await hear(house, tcf=YES)
    house.kernel.clock.advance(timedelta(days=396))  # type: ignore[attr-defined]
    assert await may(house, "analytics") == ("undetermined", "consent.expired")


async def test_the_global_signal_in_a_gpp_string_stands_whatever_is_saved_later(house: House) -> None:
    await hear(house, gpp=strings.gpp(7, "CAAAAAAAAABA.YA"))
    await hear(house, gpp=strings.gpp(7, "CAAAAAAAAABA.QA"))
    assert ("sale_share", "denied", "gpc") in await acts(house)
    assert await may(house, "sharing") == ("denied", "directive.gpc")


async def test_a_string_is_read_as_vendor_where_we_are_one(house: House) -> None:
    ours = build(house.kernel, tcf_vendor_id=7)
    await hear(ours, tcf=strings.tc(NOW - timedelta(days=1), purposes=range(1, 12), vendors=[7], disclosed=[7]))
    assert (await may(ours, "analytics"))[0] == "granted"


async def test_the_string_itself_is_kept_sealed_and_comes_with_the_export(house: House) -> None:
    person, _, _ = await house.person("ada@example.org", anonymous_id=VISITOR)
    await hear(house, tcf=YES)
    async with house.kernel.db.reading() as conn:
        told = await house.consent.export(conn, person)
        row = await (await conn.execute("SELECT raw FROM consent.acts WHERE mechanism = 'tcf' LIMIT 1")).fetchone()
    assert {act["raw"] for act in told["acts"]} == {YES}  # type: ignore[call-overload, index, union-attr]
    assert row is not None
    assert YES.encode() not in bytes(row["raw"])


@pytest.fixture
def visitor_client(client: httpx.AsyncClient) -> httpx.AsyncClient:
    class Browser:
        async def authenticate(self, secret: str) -> Principal:
            return Principal("key:page", frozenset({Scope.BROWSER}), origin="https://shop.example")

    client._transport.app.state.house.access = Browser()  # type: ignore[attr-defined]
    client.headers.update({"Authorization": "Bearer x", "Origin": "https://shop.example"})
    return client


async def test_a_page_hands_over_what_its_consent_manager_keeps(
    visitor_client: httpx.AsyncClient, house: House
) -> None:
    answer = await visitor_client.post("/v1/visitor/consents", json={"anonymousId": VISITOR, "tcf": YES})
    assert answer.status_code == 200, answer.text
    assert answer.json()["permissions"] == {
        "analytics": "granted", "marketing.personalize": "granted", "marketing.web": "granted",
    }  # fmt: skip
    answer = await visitor_client.post("/v1/visitor/consents", json={"anonymousId": VISITOR, "gpp": "DBABTA~"})
    assert set(answer.json()["permissions"].values()) == {"denied"}
    assert (await visitor_client.post("/v1/visitor/consents", json={"anonymousId": VISITOR})).status_code == 422
    assert (await may(house, "marketing.web"))[0] == "denied"
