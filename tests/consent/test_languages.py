"""The token pages over HTTP in the reader's language, and what the acts say of it."""

from datetime import timedelta

import httpx
import pytest

from identity.identifiers import Identifier
from identity.records import NewRecord
from tests.consent.conftest import House
from tests.consent.test_endpoints import FORM, ONE_CLICK, page_of, subscribed

pytestmark = pytest.mark.anyio


async def test_the_page_is_in_the_readers_language_and_the_act_says_which(
    house: House, client: httpx.AsyncClient
) -> None:
    person, _, email = await house.person("ada@example.org")
    url = await page_of(house, email)
    german = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
    shown = (await client.get(url, headers=german)).text
    assert '<html lang="de">' in shown
    assert "Angebote und Neuigkeiten an Ihre E-Mail-Adresse." in shown
    assert "Sie haben dem nicht zugestimmt." in shown
    assert '<html lang="en">' in (await client.get(url)).text
    assert '<html lang="en">' in (await client.get(f"{url}?lang=en", headers=german)).text  # she asked for it
    saved = await client.post(f"{url}?lang=de", data={"marketing.email|email": "granted"})
    assert saved.headers["location"].endswith("?saved=1&lang=de")
    async with house.kernel.db.reading() as conn:
        (line,) = await house.consent.history(conn, person)
    assert line.act.notice.language == "de"
    assert line.notice_text.startswith("Angebote per E-Mail")
    assert "Ihre Antwort auf dieser Seite jederzeit ändern" in line.notice_text
    assert await house.may(person) == "consent.granted"


async def test_what_her_sources_say_of_her_language_outranks_her_browser(
    house: House, client: httpx.AsyncClient
) -> None:
    _, _, email = await house.person("ada@example.org")
    new = NewRecord(
        source="shop", source_key="1", identifiers=(Identifier("email", "ada@example.org"),), purpose="service",
        traits={"first_name": "Name1", "locale": "de_CH"}, kinds={"first_name": "first_name"},
        observed_at=house.kernel.clock.now() + timedelta(minutes=1), basis="contract",
    )  # fmt: skip
    house.kernel.clock.advance(timedelta(minutes=2))
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(conn, [new])
    url = await page_of(house, email)
    assert '<html lang="de">' in (await client.get(url, headers={"Accept-Language": "en"})).text
    assert '<html lang="en">' in (await client.get(f"{url}?lang=en")).text


async def test_one_click_pages_speak_the_browsers_language_and_tell_nothing_of_the_token(
    house: House, client: httpx.AsyncClient
) -> None:
    _, _, token = await subscribed(house)
    german = {"Accept-Language": "de"}
    good, bad = [(await client.get(f"/u/{one}", headers=german)).text for one in (token, "nonsense")]
    assert good == bad
    assert "Diese Nachrichten beenden?" in good
    done = await client.post(f"/u/{token}?lang=de", content=ONE_CLICK, headers=FORM)
    assert "Auf diesem Weg hören Sie nichts mehr von uns." in done.text
    gone = await client.get("/preferences/nonsense", headers=german)
    assert "Dieser Link geht nicht mehr" in gone.text


async def test_a_standing_request_of_hers_is_shown_with_time_and_scope(house: House, client: httpx.AsyncClient) -> None:
    _, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(conn, email, "sale_share", None, mechanism="opt_out_request", actor="officer")
    house.kernel.clock.advance(timedelta(days=1))
    url = await page_of(house, email)
    shown = (await client.get(url, headers={"Sec-GPC": "1"})).text  # a later signal does not make it younger
    assert "Opt-Out Request Honored" in shown
    assert "You asked us on 5 March 2026, 12:00 UTC not to sell or share your data." in shown
    assert "It covers: Sharing with other companies." in shown
    german = (await client.get(f"{url}?lang=de")).text
    assert "Opt-Out Request Honored" in german
    assert "Das betrifft: Weitergabe an andere Firmen." in german
