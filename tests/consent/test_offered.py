"""Rights that a person starts on her page: those that her law gives, once, and what ends a use at once."""

import re
from datetime import timedelta

import httpx
import pytest

from consent import precedence, purposes
from consent.lifecycle import Right, State
from consent.offered import AT_ONCE, offers
from consent.precedence import Rules
from consent.wording import LANGUAGES, words
from kernel.kernel import Kernel
from tests.consent.conftest import House, build
from tests.consent.test_gate import GPC, act, day, state

EUROPE = ["access", "portability", "rectification", "erasure", "restriction", "objection", "admt_opt_out"]
CALIFORNIA = ["access", "portability", "rectification", "erasure", "opt_out", "limit_sensitive", "admt_opt_out", "admt_access"]  # fmt: skip


def rules(place: str) -> Rules:
    return Rules(purposes.load(), precedence.load(), place)


@pytest.mark.parametrize(("place", "given"), [
    ("gdpr", EUROPE), ("uk", EUROPE), ("us-ca", CALIFORNIA),
    ("default", [*EUROPE[:-1], "opt_out", "limit_sensitive", "admt_opt_out"]),
    ("atlantis", [*EUROPE[:-1], "opt_out", "limit_sensitive", "admt_opt_out"]),
])  # fmt: skip
def test_the_rights_of_a_place_are_those_of_its_pack_with_a_source_each(place: str, given: list[str]) -> None:
    found = offers(state(rules=rules(place)), day(1))
    assert [str(one.right) for one in found] == given
    pack = rules(place).precedence.pack(place)
    assert {one.right for one in found} == set(pack.rights)
    assert all(len(source) > 5 for source in pack.rights.values())


def test_who_named_another_place_has_its_rights_too_under_its_clock() -> None:
    found = {one.right: one.regime for one in offers(state(act(jurisdiction="us-ca"), rules=rules("gdpr")), day(1))}
    assert {*map(str, found)} == {*EUROPE, *CALIFORNIA}
    assert (found[Right.ERASURE], found[Right.OPT_OUT]) == ("gdpr", "us-ca")


def test_what_holds_already_is_not_offered() -> None:
    assert Right.OPT_OUT not in {one.right for one in offers(state(act(**GPC), rules=rules("us-ca")), day(1))}
    refused = [act(key, "denied") for key, one in purposes.load().by_key.items() if one.takes_choice()]
    assert Right.OBJECTION not in {one.right for one in offers(state(*refused, rules=rules("gdpr")), day(1))}
    assert Right.OBJECTION in {one.right for one in offers(state(*refused[1:], rules=rules("gdpr")), day(1))}


def test_every_right_has_its_words_in_every_language() -> None:
    given = {right for pack in precedence.load().jurisdictions.values() for right in pack.rights}
    for say in map(words, LANGUAGES):
        for right in given:
            assert all(say(f"right.{right}{part}") for part in ("", "_text", "_ask"))


def page_of(house: House, email: str, **claims: object) -> str:
    return f"/preferences/{house.kernel.tokens.issue('preferences', email, timedelta(days=9), **claims)}"


def offered(page: str) -> list[str]:
    return re.findall(r'name="request" value="(\w+)"', page)


@pytest.fixture
def house(kernel: Kernel) -> House:
    return build(kernel, jurisdiction="us-ca")


@pytest.mark.anyio
async def test_what_ends_a_use_is_done_at_once_and_is_one_request(house: House, client: httpx.AsyncClient) -> None:
    person, _, email = await house.person("ada@example.org")
    url = page_of(house, email)
    assert offered((await client.get(url)).text) == CALIFORNIA
    assert await house.may(person, "sharing", None) == "basis.legitimate_interests"
    for right in ("opt_out", "limit_sensitive", "admt_opt_out"):
        for _ in range(2):  # the second press finds that it holds
            back = await client.post(url, data={"request": right})
        assert back.headers["location"].endswith("/" + url.rpartition("/")[2])
    shown = (await client.get(f"{url}?saved=d")).text
    assert "It holds from now on" in shown
    assert "Opt-Out Request Honored" in shown
    for purpose in ("sharing", "sensitive", "marketing.personalize"):
        assert await house.may(person, purpose, None) == "directive.gpc"
    asked = await house.rights.list_requests()
    assert [(one.right, one.state, one.manner, one.opened_by) for one in asked] == [
        (right, State.FULFILLED, "preference_page", "person") for right in ("opt_out", "limit_sensitive", "admt_opt_out")
    ]  # fmt: skip
    assert offered((await client.get(url)).text) == [one for one in CALIFORNIA if Right(one) not in AT_ONCE]


@pytest.mark.anyio
async def test_a_correction_names_a_detail_of_hers_and_waits_for_staff(house: House, client: httpx.AsyncClient) -> None:
    _, _, email = await house.person("ada@example.org")
    url = page_of(house, email)
    assert '<option value="first_name">First name</option>' in (await client.get(url)).text
    for told in ({}, {"detail": "first_name"}, {"detail": "salary", "better": "9"}, {"detail": "first_name", "better": " "}):  # fmt: skip
        back = await client.post(url, data={"request": "rectification", **told})
        assert "saved=w" in back.headers["location"]
    assert await house.rights.list_requests() == []
    assert "Nothing was sent" in (await client.get(back.headers["location"])).text
    back = await client.post(url, data={"request": "rectification", "detail": "first_name", "better": " Ada "})
    assert "saved=r&by=" in back.headers["location"]
    (asked,) = await house.rights.list_requests()
    assert (asked.right, asked.regime, asked.state) == ("rectification", "us-ca", State.OPEN)
    async with house.kernel.db.reading() as conn:
        assert dict((await house.rights.correcting.told(conn, asked))["traits"]) == {"first_name": "Ada"}  # type: ignore[arg-type]
    passed_on = (await client.get(page_of(house, email, history=False))).text
    assert "rectification" not in offered(passed_on)  # not even what kinds of things are held
    assert "First name" not in passed_on


@pytest.mark.anyio
async def test_what_is_not_offered_opens_nothing(house: House, client: httpx.AsyncClient) -> None:
    _, _, email = await house.person("ada@example.org")
    for right in ("restriction", "objection", "opt_in", "withdrawal", "access_categories", "nonsense"):
        back = await client.post(page_of(house, email), data={"request": right})
        assert "saved" not in back.headers["location"]
    assert await house.rights.list_requests() == []
