"""The receipt: a record in the form of dpv-27560, as a page and as a file that the log has signed."""

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator

from audit.receipt import parse, verify
from consent import receipts
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio
SCHEMA = json.loads((Path(receipts.__file__).parent / "data" / "receipt.schema.json").read_text())
FORM = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def link(house: House, identifier: str, **claims: object) -> str:
    return f"/preferences/{house.kernel.tokens.issue('preferences', identifier, timedelta(days=30), **claims)}"


async def talked(house: House, client: httpx.AsyncClient) -> tuple[str, str, str]:
    """A person who said yes, then no to email, no to analytics, and of whom a file brought a poor yes; her page's address."""
    person, record, email = await house.person("ada@example.org")
    url = link(house, email)
    await client.post(url, data={"marketing.email|email": "granted", "analytics|": "denied"})
    house.kernel.clock.advance(timedelta(hours=1))
    await client.post(url, data={"marketing.email|email": "denied"})
    await house.record(
        house.grant(record, "marketing.push", channel="push", mechanism="import", notice=None, verified=False),
        house.grant(email, "marketing.web", expires_at=house.kernel.clock.now() + timedelta(days=5)),
        house.grant(email, "marketing.personalize", status="unreadable", notice=None, raw=b"??"),
    )
    async with house.kernel.db.transaction() as conn:
        await house.consent.apply_gpc(conn, [email], raw=b"Sec-GPC: 1", actor="browser")
    return person, email, url


def said(record: dict) -> dict[str, list[str]]:
    return {
        one["dpv:hasPurpose"][0]["dct:identifier"]: [event["@type"][0] for event in one["dpv:hasConsentStatus"]]
        for one in record["dpv:hasProcess"]
    }


async def test_the_file_is_a_record_in_its_form_and_the_log_proves_it(house: House, client: httpx.AsyncClient) -> None:
    _, email, url = await talked(house, client)
    taken = await client.post(f"{url}/receipt")
    assert taken.status_code == 200
    assert taken.headers["content-disposition"] == 'attachment; filename="consent-receipt-2026-03-05.json"'
    assert taken.headers["cache-control"] == "no-store"
    receipt = parse(taken.text)
    (key,) = [one.text for one in await house.audit.verifier_keys()]
    verdict = verify(receipt, key)
    assert verdict.ok, verdict.lines
    assert verdict.trusted

    record = receipt.evidence["receipt"]
    assert [f"{'/'.join(map(str, one.path))}: {one.message}" for one in FORM.iter_errors(record)] == []
    assert record["dpv:hasDataSubject"]["dpv:hasIdentifier"] == email
    assert said(record) == {
        "marketing.email": ["dpv:ConsentGiven", "dpv:ConsentWithdrawn"],
        "analytics": ["dpv:ConsentRefused"],
        "marketing.push": ["dpv:ConsentStatusInvalidForProcessing"],
        "marketing.web": ["dpv:ConsentGiven"],
        "marketing.personalize": ["dpv:ConsentUnknown"],
        "sale_share": ["dpv:ConsentRefused"],
    }
    one = next(
        one for one in record["dpv:hasProcess"] if one["dpv:hasPurpose"][0]["dct:identifier"] == "marketing.email"
    )
    assert one["dpv:hasPurpose"][0]["skos:broader"] == "dpv:DirectMarketing"
    assert one["dpv:hasPersonalData"][0]["skos:broader"] == ["pd:EmailAddress"]
    assert one["dpv:hasLegalBasis"] == ["dpv:Consent", "eu-gdpr:A6-1-a"]
    assert one["dpv:hasRight"][0] == "eu-gdpr:A7-3"
    assert one["dpv:hasStorageCondition"][1]["dpv:hasDuration"]["rdf:value"] == "P1095D"
    shown = {notice["dpv:hasIdentifier"]: notice for notice in record["dpv:hasNotice"]}
    given = one["dpv:hasConsentStatus"][0]
    assert given["dpv:isIndicatedAtTime"] == "2026-03-05T12:00:00+00:00"
    assert (
        "Offers and news sent to your email address." in shown[given["dpv:hasNotice"]["dpv:hasIdentifier"]]["rdf:value"]
    )
    web = next(one for one in record["dpv:hasProcess"] if one["dpv:hasPurpose"][0]["dct:identifier"] == "marketing.web")
    assert web["dpv:hasConsentStatus"][0]["dpv:hasDuration"]["rdf:value"] == "2026-03-10T13:00:00+00:00"
    assert "ada@example.org" not in taken.text  # her contact stands for her as a code


async def test_a_no_takes_back_only_a_yes_that_counted(house: House, client: httpx.AsyncClient) -> None:
    _, _, email = await house.person("ada@example.org")
    poor = house.grant(email, mechanism="import", notice=None, verified=False)
    await house.record(poor)
    house.kernel.clock.advance(timedelta(hours=1))
    await house.record(house.grant(email, status="denied", notice=None))
    record = parse((await client.post(f"{link(house, email)}/receipt")).text).evidence["receipt"]
    assert said(record) == {"marketing.email": ["dpv:ConsentStatusInvalidForProcessing", "dpv:ConsentRefused"]}


async def test_a_changed_file_is_found_out(house: House, client: httpx.AsyncClient) -> None:
    _, _, url = await talked(house, client)
    (key,) = [one.text for one in await house.audit.verifier_keys()]
    file = (await client.post(f"{url}/receipt")).text
    assert verify(parse(file), key).ok
    assert not verify(parse(file.replace("dpv:ConsentRefused", "dpv:ConsentGiven", 1)), key).ok


async def test_the_same_word_twice_is_one_receipt_and_a_new_word_another(
    house: House, client: httpx.AsyncClient
) -> None:
    _, _, url = await talked(house, client)
    first = parse((await client.post(f"{url}/receipt")).text)
    house.kernel.clock.advance(timedelta(days=3))
    again = parse((await client.post(f"{url}/receipt")).text)
    assert (again.leaf, again.evidence) == (first.leaf, first.evidence)
    await client.post(url, data={"marketing.push|push": "denied"})
    other = parse((await client.post(f"{url}/receipt")).text)
    assert other.leaf != first.leaf
    assert other.evidence["receipt"]["dpv:hasIdentifier"] != first.evidence["receipt"]["dpv:hasIdentifier"]


async def test_the_page_says_what_when_how_and_which_words_in_either_language(
    house: House, client: httpx.AsyncClient
) -> None:
    _, _, url = await talked(house, client)
    shown = (await client.get(f"{url}/receipt")).text
    for words in ("5 March 2026, 12:00 UTC", "No, taken back", "on this page", "your consent", "Could not be relied on",
                  "Offers and news sent to your email address.", "until 10 March 2026, 13:00 UTC", "1095 days"):  # fmt: skip
        assert words in shown, words
    german = (await client.get(f"{url}/receipt?lang=de")).text
    assert '<html lang="de">' in german
    for words in ("5. März 2026, 12:00 UTC", "Nein, zurückgenommen", "auf dieser Seite", "Ihre Einwilligung"):
        assert words in german, words
    assert '<p lang="en">Offers by email' in german  # she was asked in English, and the words stay what they were


async def test_no_receipt_without_the_right_link(house: House, client: httpx.AsyncClient) -> None:
    _, email, url = await talked(house, client)
    other = house.kernel.tokens.issue("why", email, timedelta(days=1))
    for bad in (link(house, email, history=False), f"/preferences/{other}", "/preferences/nonsense"):
        for answer in (await client.get(f"{bad}/receipt"), await client.post(f"{bad}/receipt")):
            assert answer.status_code == 404
            assert "Offers" not in answer.text
    refused = await client.post(f"{url}/receipt", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


async def test_who_has_said_nothing_gets_a_calm_page_and_no_file(house: House, client: httpx.AsyncClient) -> None:
    _, _, email = await house.person("ada@example.org")
    shown = await client.get(f"{link(house, email)}/receipt")
    assert shown.status_code == 200
    assert "You have told us nothing yet" in shown.text
    assert (await client.post(f"{link(house, email)}/receipt")).status_code == 404
    assert (await client.get(link(house, email))).text.count("/receipt") == 0
