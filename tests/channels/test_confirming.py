"""The mail of a double opt-in on the ordinary way out: ledger, gate, rendering, outbox, and back through its link."""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from channels.service import Channels
from consent import endpoints
from consent.service import Consent
from consent.settings import ConsentSettings
from consent.staff import Desk, Word
from tests.channels.conftest import World, files

pytestmark = pytest.mark.anyio


@pytest.fixture
def asking(world: World, tmp_path: Path) -> tuple[World, Channels]:
    """The house, asking for a confirmation of offers by email."""
    own = tmp_path / "purposes.yaml"
    own.write_text("version: a\ndouble_opt_in: {marketing.email: [email]}\npurposes: []\n")
    settings = ConsentSettings(controller="Blue Shop", purposes_file=own)
    made = replace(world, consent=Consent(world.kernel, world.audit, world.identity, settings))
    room = made.channels()
    made.consent.confirmations.post = room.confirming.post
    return made, room


async def sign_up(world: World, contact: str = "email:ada@example.org", **more: object) -> None:
    word = Word(
        purpose="marketing.email", status="granted", notice_text="Offers by email?", notice_version="v1",
        mechanism="form", **more,
    )  # fmt: skip
    async with world.kernel.db.transaction() as conn:
        await Desk(world.consent, world.identity, world.clock).record(conn, contact, word, actor="shop")


def mail(world: World) -> tuple[dict[str, str], str, str]:
    """The only mail in the outbox: headers, text, HTML."""
    (file,) = files(world.kernel).values()
    read = message_from_bytes(file.read_bytes(), policy=policy.default)
    parts = {part.get_content_type(): part.get_content() for part in read.walk() if not part.is_multipart()}
    return dict(read.items()), parts["text/plain"], parts["text/html"]


async def test_the_mail_leaves_as_a_message_people_need_and_its_link_confirms(asking: tuple[World, Channels]) -> None:
    world, room = asking
    await sign_up(world)
    report = await room.dispatch()
    assert dict(report.states) == {"accepted": 1}
    (row,) = await _rows(world)
    assert (row["purpose"], row["channel"], row["cap_keys"]) == ("service", "email", [])
    headers, text, html = mail(world)
    assert headers["Subject"] == "Please confirm: Blue Shop"
    assert headers["To"] == "ada@example.org"
    assert "Advertisement" not in text
    (link,) = set(re.findall(r"http://[^\s\"<>]+/confirm/[^\s\"<>]+", text))
    assert 'clicktracking="off" href="' + link in html.replace("&amp;", "&")
    assert text.count(link) == 2  # the button, and why it came
    token = headers["List-Unsubscribe"].strip("<>").rsplit("/", 1)[1]
    assert world.kernel.tokens.read(token, "unsubscribe").claims["purpose"] == "marketing.email"

    app = FastAPI()
    app.state.house = world
    app.include_router(endpoints.router)
    path = link.partition("/confirm/")[2]
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as client:
        assert (await client.get(f"/confirm/{path}")).status_code == 200
        assert await may(world) == "consent.unconfirmed"
        assert (await client.post(f"/confirm/{path}", data={"answer": "yes"})).status_code == 200
    assert await may(world) == "consent.granted"


async def test_a_mail_in_german_has_german_pages_behind_all_its_links(asking: tuple[World, Channels]) -> None:
    world, room = asking
    await sign_up(world, notice_language="de")
    await room.dispatch()
    headers, text, html = mail(world)
    assert headers["Subject"] == "Bitte bestätigen: Blue Shop"
    assert '<html lang="de"' in html
    for page in ("confirm", "preferences", "u"):
        (link,) = set(re.findall(rf"http://[^\s\"<>]+/{page}/[^\s\"<>]+", text))
        assert link.endswith("?lang=de"), page


async def test_an_address_on_the_suppression_list_is_not_written_to(asking: tuple[World, Channels]) -> None:
    world, room = asking
    _, contact = await world.person(consents=False)
    async with world.kernel.db.transaction() as conn:
        await room.suppress(conn, [contact], "email", "bounced", actor="provider")
    await sign_up(world, "email:ada1@example.org")
    assert await _rows(world) == []


async def test_who_asks_not_to_be_used_meanwhile_gets_no_mail(asking: tuple[World, Channels]) -> None:
    world, room = asking
    await sign_up(world)
    async with world.kernel.db.transaction() as conn:
        person = await world.identity.lookup(conn, "email:ada@example.org")
        await world.consent.withdraw(
            conn, (await world.identity.identifiers(conn, [person]))[person][0].id, "*", None,
            mechanism="restriction", actor="officer",
        )  # fmt: skip
    await room.dispatch()
    assert files(world.kernel) == {}
    assert [row["state"] for row in await _rows(world)] == ["withheld"]


async def may(world: World) -> str:
    async with world.kernel.db.reading() as conn:
        person = await world.identity.lookup(conn, "email:ada@example.org")
        return str((await world.consent.check(conn, person, "marketing.email", "email")).permission.reason)


async def _rows(world: World) -> list[dict]:
    async with world.kernel.db.reading() as conn:
        return await (
            await conn.execute("SELECT purpose, channel, cap_keys, state FROM channels.deliveries")
        ).fetchall()
