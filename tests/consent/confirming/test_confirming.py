"""Double opt-in: a yes that somebody typed in permits nothing until it is confirmed behind the link that was mailed."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from audit.receipt import parse
from consent import purposes
from consent.errors import PurposesInvalid
from tests.consent.confirming.conftest import PostBox, history, person_of, sign_up
from tests.consent.conftest import House
from tests.consent.test_endpoints import Form
from tests.consent.test_receipts import FORM

pytestmark = pytest.mark.anyio


async def answer(client: httpx.AsyncClient, path: str, word: str = "yes", **headers: str) -> httpx.Response:
    return await client.post(path, data={"answer": word}, headers=headers)


def bare(page: httpx.Response) -> str:
    """A page without the key in its link."""
    return re.sub(r"/preferences/[^?]+", "/preferences/…", page.text)


async def test_a_yes_permits_nothing_until_the_button_behind_the_link_is_pressed(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    made = await sign_up(client)
    assert made.status_code == 201
    person = await person_of(house)  # nobody knew her: she is known by her address now
    assert await house.may(person) == "consent.unconfirmed"
    (letter,) = box.letters
    assert (letter.subject, letter.language, letter.purpose) == ("Please confirm: Blue Shop", "en", "marketing.email")
    assert (
        "5 March 2026, 12:00 UTC somebody gave this address to Blue Shop and agreed to: Offers by email."
        in letter.paragraphs[0]
    )

    shown = await client.get(box.link)  # a scanner follows links: nothing happens, however often
    assert shown.status_code == 200
    assert "Nothing has changed yet" in shown.text
    assert "May we send you offers by email?" in shown.text
    assert "set-cookie" not in shown.headers
    form = Form(shown.text)
    assert (form.buttons, form.radios, form.scripts) == (
        [("answer", "yes"), ("answer", "no")],
        {},
        0,
    )  # yes and no cost the same
    for body in ({}, {"answer": "maybe"}, {"confirm": "1"}):
        assert (await client.post(box.link, data=body)).status_code == 400
    assert await house.may(person) == "consent.unconfirmed"
    refused = await answer(client, box.link, Origin="https://evil.example")
    assert refused.status_code == 403
    assert await house.may(person) == "consent.unconfirmed"

    house.kernel.clock.advance(timedelta(hours=2))
    done = await answer(client, box.link)
    assert done.status_code == 200
    assert "Thank you, it is confirmed" in done.text
    assert await house.may(person) == "consent.granted"
    first, second = await history(house)
    assert (first.act.verified, first.pending, first.answered, first.confirmed) == (False, True, True, None)
    assert second.confirmed.pending == first.act.id == made.json()["ids"][0]
    assert (second.confirmed.way, second.act.notice, second.act.given_at - first.act.given_at) == (
        "link", first.act.notice, timedelta(hours=2),
    )  # fmt: skip

    again = await answer(client, box.link)
    assert (again.status_code, bare(again)) == (200, bare(done))
    assert bare(await client.get(box.link)) == bare(done)
    assert len(await history(house)) == 2
    page = re.search(r'href="(/preferences/[^"]+)"', done.text)[1].replace("&amp;", "&")  # taking it back is as near
    house.kernel.clock.advance(timedelta(minutes=1))
    await client.post(page, data={"marketing.email|email": "denied"})
    assert await house.may(person) == "consent.withdrawn"


async def test_her_page_and_her_receipt_tell_it_as_it_went(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    await sign_up(client)
    _, _, email = await house.person("ada@example.org")
    url = f"/preferences/{house.kernel.tokens.issue('preferences', email, timedelta(days=9))}"
    assert "not confirmed, so it does not count" in (await client.get(url)).text
    house.kernel.clock.advance(timedelta(minutes=3))
    await answer(client, box.link)
    shown = (await client.get(url)).text
    for words in ("confirmed afterwards", "confirmed by the link in our mail"):
        assert words in shown
    for words in ("not confirmed, so", "not relied on", "Waiting for"):
        assert words not in shown
    record = parse((await client.post(f"{url}/receipt")).text).evidence["receipt"]
    assert list(FORM.iter_errors(record)) == []
    asked, given = record["dpv:hasProcess"][0]["dpv:hasConsentStatus"]
    assert (asked["@type"], given["@type"]) == (["dpv:ConsentRequested"], ["dpv:ConsentGiven"])
    assert given["dpv:isAfter"] == asked["dct:identifier"]
    assert given["candor:confirmation"] == {"way": "link", "at": "2026-03-05T12:03:00+00:00"}


async def test_a_no_behind_the_link_is_a_no_and_stays_one(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    await sign_up(client)
    done = await answer(client, box.link, "no")
    assert "Noted, nothing will be sent" in done.text
    assert await house.may(await person_of(house)) == "consent.denied"
    assert bare(await answer(client, box.link, "yes")) == bare(done)  # a second thought needs a new question
    assert await house.may(await person_of(house)) == "consent.denied"


async def test_a_link_runs_out_and_confirms_nothing_then(house: House, client: httpx.AsyncClient, box: PostBox) -> None:
    await sign_up(client)
    house.kernel.clock.advance(timedelta(days=7, minutes=1))
    for got in (await client.get(box.link), await answer(client, box.link)):
        assert got.status_code == 404
        assert "This link does not work any more" in got.text
    assert await house.may(await person_of(house)) == "consent.unconfirmed"


async def test_a_question_ends_at_its_second_and_with_the_yes_it_is_about(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    until = house.kernel.clock.now() + timedelta(days=2)
    await sign_up(client, expires_at=until.isoformat())
    assert box.letters[0].expires_at == until
    house.kernel.clock.advance(timedelta(days=2) - timedelta(seconds=1))
    assert "Nothing has changed yet" in (await client.get(box.link)).text
    house.kernel.clock.advance(timedelta(seconds=1))
    assert (await answer(client, box.link)).status_code == 404
    invitation = box.letters[0].invitation
    async with house.kernel.db.transaction() as conn:  # past the token's own end: the question's own
        assert str(await house.consent.confirmations.confirm(conn, invitation)) == "expired"
    assert await house.may(await person_of(house)) == "consent.expired"


async def test_a_browser_s_signal_is_heard_on_the_page_that_asks(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    await sign_up(client)
    await client.get(box.link, headers={"Sec-GPC": "0"})
    assert await house.may(await person_of(house), "sharing", None) == "consent.missing"
    for ask in (client.get(box.link, headers={"Sec-GPC": "1"}), answer(client, box.link, "yes", **{"Sec-GPC": "1"})):
        assert (await ask).status_code == 200
        assert await house.may(await person_of(house), "sharing", None) == "directive.gpc"
    assert len(await history(house)) == 3


async def test_pressed_twice_at_once_it_is_one_act(house: House, client: httpx.AsyncClient, box: PostBox) -> None:
    await sign_up(client)
    pressed = await asyncio.gather(*(answer(client, box.link) for _ in range(3)), answer(client, box.link, "no"))
    assert {one.status_code for one in pressed} == {200}
    assert len(await history(house)) == 2  # what was asked, and the first answer


async def test_a_wider_yes_whose_notice_names_the_purpose_waits_too(house: House, client: httpx.AsyncClient) -> None:
    await sign_up(client, purpose="marketing", notice_lists=["marketing.email", "marketing.push"])
    person = await person_of(house)
    assert await house.may(person) == await house.may(person, "marketing.push", "push") == "consent.unconfirmed"


async def test_a_contact_that_two_people_share_is_asked_nothing(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    for key in ("1", "2"):
        await house.person("ada@example.org", key, customer_id=key)
    async with house.kernel.db.transaction() as conn:
        (shared,) = await house.identity.register_identifiers(conn, [_email("ada@example.org")])
        assert len((await house.identity.subjects(conn, [shared]))[shared].people) == 2
    await sign_up(client, subject=shared)
    assert box.letters == []


async def test_a_purpose_that_is_gone_meanwhile_leaves_a_calm_page(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    await sign_up(client)
    tree = house.consent.rules.purposes
    fewer = purposes.build([one for key, one in tree.by_key.items() if key != "marketing.email"], "fewer")
    house.consent.rules = replace(house.consent.rules, purposes=fewer)
    assert (await client.get(box.link)).status_code == 200
    done = await answer(client, box.link)
    assert done.status_code == 404
    assert "This link does not work any more" in done.text


async def test_no_other_token_opens_it(house: House, client: httpx.AsyncClient, box: PostBox) -> None:
    await sign_up(client)
    tokens, day = house.kernel.tokens, timedelta(days=1)
    invitation = box.letters[0].invitation
    for bad in ("nonsense", tokens.issue("preferences", invitation, day), tokens.issue("confirm", "cfm_nothing", day)):
        assert (await client.get(f"/confirm/{bad}")).status_code == 404
        assert (await answer(client, f"/confirm/{bad}")).status_code == 404
    assert await house.may(await person_of(house)) == "consent.unconfirmed"


async def test_who_said_no_meanwhile_is_asked_no_further_but_may_still_say_yes(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    await sign_up(client)
    person, (line,) = await person_of(house), await history(house)
    house.kernel.clock.advance(timedelta(minutes=5))
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(
            conn, line.act.subject, "marketing.email", "email", mechanism="one_click", actor="person"
        )
    house.kernel.clock.advance(timedelta(minutes=5))
    assert await house.may(person) == "withdrawn.channel"
    await answer(client, box.link)
    assert await house.may(person) == "consent.granted"


async def test_mails_are_few(house: House, client: httpx.AsyncClient, box: PostBox) -> None:
    _, _, email = await house.person("ada@example.org")
    url = f"/preferences/{house.kernel.tokens.issue('preferences', email, timedelta(days=9))}"
    await client.post(url, data={"marketing.email|email": "granted"})
    assert len(box.letters) == 1  # a link that was not sent to her proves nothing
    shown = (await client.get(f"{url}?saved=1")).text
    assert "What needs your confirmation counts once you give it" in shown
    assert "Waiting for your confirmation." in shown
    assert ("again", "1") in Form(shown).buttons
    sent = []
    for minutes in (1, 10, 1, 10, 10, 10):
        house.kernel.clock.advance(timedelta(minutes=minutes))
        back = await client.post(url, data={"again": "1"})
        sent.append("saved=m" in back.headers["location"])
    assert sent == [False, True, False, True, False, False]  # ten minutes apart, three in all
    assert "enough" in (await client.get(back.headers["location"])).text
    for _ in range(4):  # new sign-ups do not help: five a day
        await sign_up(client)
    assert len(box.letters) == 5
    house.kernel.clock.advance(timedelta(days=1, minutes=1))
    await sign_up(client)
    assert len(box.letters) == 6


async def test_nobody_who_complained_or_asked_for_silence_is_written_to(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    _, _, email = await house.person("ada@example.org")
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(
            conn, email, "marketing.email", "email", mechanism="spam_complaint", actor="provider"
        )
    await sign_up(client)
    assert box.letters == []


async def test_a_link_that_was_mailed_to_her_is_proof_itself(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    person, _, email = await house.person("ada@example.org")
    mailed = house.kernel.tokens.issue("preferences", email, timedelta(days=9), sent="email")
    pushed = house.kernel.tokens.issue("preferences", email, timedelta(days=9), sent="push")
    await client.post(f"/preferences/{pushed}", data={"marketing.email|email": "granted"})
    assert await house.may(person) == "consent.unconfirmed"
    house.kernel.clock.advance(timedelta(minutes=1))
    await client.post(f"/preferences/{mailed}?lang=de", data={"marketing.email|email": "granted"})
    assert await house.may(person) == "consent.granted"
    assert (await history(house))[-1].confirmed.way == "own_link"
    assert (
        "gesagt hinter einem Link, der an diesen Kontakt ging"
        in (await client.get(f"/preferences/{mailed}?lang=de")).text
    )


async def test_a_confirmation_elsewhere_counts_with_its_evidence(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    proof = {"confirmed_at": "2026-03-05T11:59:00Z", "evidence": "mail 4711, pressed from the newsletter system"}
    made = await sign_up(client, given_at="2026-03-05T11:00:00Z", double_opt_in=proof)
    assert made.status_code == 201, made.text
    assert box.letters == []
    await sign_up(
        client, subject="email:bea@example.org", double_opt_in=proof | {"confirmed_at": "2027-01-01T00:00:00Z"}
    )
    async with house.kernel.db.transaction() as conn:
        new = (await house.identity.register_identifiers(conn, [_email("ada@example.org")]))[0]
        state = await house.consent.state_of_identifiers(conn, [new])
        assert [act.verified for act in state.acts] == [True]
        (line,) = await house.consent.history_of(conn, [new])
        stored = await (await conn.execute("SELECT evidence FROM consent.confirmations")).fetchall()
    assert line.confirmed.way == "told"
    assert len(stored) == 1  # the one of the future was refused
    assert b"4711" not in stored[0]["evidence"]  # sealed


async def test_what_confirms_cannot_be_changed(house: House, client: httpx.AsyncClient, box: PostBox) -> None:
    await sign_up(client)
    await answer(client, box.link)
    for order in ("UPDATE consent.confirmations SET way = 'told'", "DELETE FROM consent.confirmations"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with house.kernel.db.transaction() as conn:
                await conn.execute(order)


async def test_the_log_names_what_was_asked_and_which_act_confirms_which(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    (pending,) = (await sign_up(client)).json()["ids"]
    await answer(client, box.link)
    entries = await house.audit.lineage([("confirms", pending), ("act", pending)], depth=1)
    assert sorted(str(one.tag) for one in entries) == ["confirmation.asked", "consent.recorded", "consent.recorded"]
    assert len([one for one in entries if "confirms" in one.refs]) == 1
    export = None
    async with house.kernel.db.reading() as conn:
        export = await house.consent.export(conn, await person_of(house))
    assert export["acts"][1]["confirmation"]["confirms"] == pending
    assert "mailed 1 times" in export["acts"][1]["confirmation"]["evidence"]


async def test_the_page_is_in_the_language_of_the_question_unless_she_asks(
    house: House, client: httpx.AsyncClient, box: PostBox
) -> None:
    await sign_up(client, notice_language="de", notice_text="Dürfen wir Ihnen Angebote senden?")
    assert box.letters[0].subject == "Bitte bestätigen: Blue Shop"
    bare = box.link.partition("?")[0]
    german = (await client.get(bare, headers={"Accept-Language": "en"})).text
    assert '<html lang="de">' in german
    assert "Haben Sie dem zugestimmt?" in german
    assert '<html lang="en">' in (await client.get(f"{bare}?lang=en")).text
    await answer(client, bare)
    assert (await history(house))[-1].act.notice.language == "de"


def test_double_opt_in_is_data_and_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("version: a\ndouble_opt_in: {marketing.email: [email]}\npurposes: []\n")
    tree = purposes.load(file)
    assert tree.confirmed_on("marketing.email", None) == {"email"}
    assert tree.confirmed_on("marketing.push", None) == frozenset()
    assert tree.confirmed_on("marketing", "email", ["marketing.email"]) == {"email"}  # a wider yes that names it
    assert tree.confirmed_on("marketing", "web", ["marketing.email"]) == frozenset()
    assert purposes.load().double_opt_in == frozenset()
    for wrong in ("{marketing.email: [fax]}", "{nothing: [email]}"):
        file.write_text(f"version: a\ndouble_opt_in: {wrong}\npurposes: []\n")
        with pytest.raises(PurposesInvalid):
            purposes.load(file)


def _email(value: str) -> object:
    from identity.identifiers import Identifier

    return Identifier("email", value)
