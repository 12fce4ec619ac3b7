"""A word that is told again: by her, by a file, by a string of the same day, by staff under other rules."""

from datetime import timedelta
from pathlib import Path

import pytest

from consent.acts import Confirmation
from consent.page import Preferences
from consent.signals.hearing import Hearing, Strings
from consent.wording import words
from identity.identifiers import Identifier
from kernel.kernel import Kernel
from orchestration.service.bench import consent_strings as strings
from tests.consent.conftest import NOW, House, build
from tests.consent.test_imports import GIVEN, load, row

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


async def said_no(house: House, email: object, mechanism: str = "api") -> None:
    async with house.kernel.db.transaction() as conn:
        await house.consent.withdraw(conn, email, "marketing.email", "email", mechanism=mechanism, actor="person")  # type: ignore[arg-type]


async def test_a_yes_that_a_file_dates_between_two_noes_lifts_neither(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    await said_no(house, email)
    await said_no(house, email)  # the same day: one word
    house.kernel.clock.advance(10 * DAY)
    await said_no(house, email)
    await load(house, row(given_at=NOW + DAY))
    assert await house.may(person) == "consent.withdrawn"
    async with house.kernel.db.reading() as conn:
        assert len(await house.consent.history(conn, person)) == 3
    house.kernel.clock.advance(10 * DAY)
    await load(house, row(given_at=NOW + 11 * DAY))
    assert await house.may(person) == "consent.granted"


async def test_a_stronger_no_is_kept_beside_a_weaker_one_and_a_weaker_adds_nothing(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    for mechanism in ("preference_page", "one_click", "form", "one_click"):
        await said_no(house, email, mechanism)
    async with house.kernel.db.reading() as conn:
        said = [line.act.mechanism for line in await house.consent.history(conn, person)]
    assert sorted(said) == ["one_click", "preference_page"]
    house.kernel.clock.advance(2 * DAY)
    await said_no(house, email, "one_click")  # no file lifts it, so it need not be told again
    async with house.kernel.db.reading() as conn:
        assert len(await house.consent.history(conn, person)) == 2


async def test_a_yes_of_a_file_is_a_file_s_yes_whatever_way_it_names(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    assert isinstance((await load(house, row(mechanism="one_click")))[0], str)
    async with house.kernel.db.reading() as conn:
        (line,) = await house.consent.history(conn, person)
    assert (line.act.mechanism, line.act.variant) == ("import", "one_click")


async def test_a_no_does_not_run_out(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email, status="denied", notice=None, expires_at=NOW + DAY))
    house.kernel.clock.advance(30 * DAY)
    assert await house.may(person) == "consent.denied"
    async with house.kernel.db.reading() as conn:
        (line,) = await house.consent.history(conn, person)
    assert line.act.expires_at is None


async def test_her_own_no_is_kept_beside_one_that_a_file_told_of(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    await load(house, row(status="y", given_at=GIVEN))
    house.kernel.clock.advance(timedelta(hours=1))
    await said_no(house, email)
    await load(house, row(given_at=GIVEN + DAY))
    assert await house.may(person) == "consent.withdrawn"


@pytest.mark.parametrize("on_page", [False, True])
async def test_a_no_that_she_says_within_the_hour_of_a_file_s_is_hers_all_the_same(house: House, on_page: bool) -> None:
    person, _, email = await house.person("ada@example.org")
    await load(house, row(status="denied", given_at=NOW - timedelta(hours=1)))
    if on_page:
        page = Preferences(house.consent, house.identity, house.kernel.clock)
        async with house.kernel.db.transaction() as conn:
            for _ in range(2):
                await page.save(conn, email, {"marketing.email|email": "denied"}, words("en"))
    else:
        await said_no(house, email)
    await load(house, row(given_at=NOW - timedelta(minutes=30)))
    assert await house.may(person) == "consent.withdrawn"
    async with house.kernel.db.reading() as conn:
        assert len(await house.consent.history(conn, person)) == 3


@pytest.mark.parametrize("change", [
    {"status": "denied", "given_at": None},
    {"status": "y", "given_at": None},
    {"given_at": None},
    {"status": "denied", "mechanism": "spam_complaint"},
    {"status": "denied", "mechanism": "one_click", "given_at": None},
])  # fmt: skip
async def test_a_row_without_a_time_or_with_a_rank_of_its_own_is_one_act_however_often_it_is_read(
    house: House, change
) -> None:
    person, _, _ = await house.person("ada@example.org")
    first = await load(house, row(**change), row(**change))
    before = await house.versions(person)
    house.kernel.clock.advance(DAY)
    assert await load(house, row(**change)) == first[:1] == first[1:]
    assert await house.versions(person) == before


async def test_a_no_without_a_time_that_she_lifted_since_is_a_no_again_when_the_file_says_it_again(
    house: House,
) -> None:
    person, _, email = await house.person("ada@example.org")
    await load(house, row(status="denied", given_at=None))
    house.kernel.clock.advance(DAY)
    await house.record(house.grant(email))
    assert await house.may(person) == "consent.granted"
    house.kernel.clock.advance(DAY)
    await load(house, row(status="denied", given_at=None))
    assert await house.may(person) == "consent.withdrawn"


@pytest.mark.parametrize("year", [1, 1900, 1970])
async def test_a_time_that_cannot_be_is_none(house: House, year: int) -> None:
    person, _, _ = await house.person("ada@example.org")
    then = GIVEN.replace(year=year, month=1, day=1)
    await load(house, row(given_at=then))
    assert await house.may(person) == "consent.unverified"
    await load(house, row(given_at=GIVEN), row(status="denied", given_at=then))
    assert await house.may(person) == "consent.withdrawn"  # an opt-out holds, whatever stands beside it


@pytest.mark.parametrize("channel", ["newsletter", "sms", "E-Mail", ""])
async def test_a_no_to_a_channel_that_is_not_ours_is_not_lost(house: House, channel: str) -> None:
    person, _, _ = await house.person("ada@example.org")
    await load(house, row())
    answers = await load(house, row(status="denied", channel=channel, given_at=NOW))
    assert isinstance(answers[0], str)
    assert await house.may(person) == "consent.withdrawn"
    fault, _ = await load(house, row(channel="sms"), row(channel="e-mail"))
    assert not isinstance(fault, str)  # a yes to it is refused as before


def doubly(kernel: Kernel, tmp_path: Path, *, asked: bool = True) -> House:
    """The room with or without a confirmation that is asked for."""
    if not asked:
        return build(kernel)
    file = tmp_path / "purposes.yaml"
    file.write_text("version: shop-1\ndouble_opt_in: {marketing.email: [email]}\npurposes: []\n")
    return build(kernel, purposes_file=file)


async def test_a_yes_that_is_brought_again_with_its_confirmation_counts(kernel: Kernel, tmp_path: Path) -> None:
    house = doubly(kernel, tmp_path)
    person, _, _ = await house.person("ada@example.org")
    (first,) = await load(house, row())
    assert await house.may(person) == "consent.unverified"
    proof = {"confirmed_at": GIVEN + timedelta(hours=1), "confirmation": "mail 4711"}
    (second,) = await load(house, row(**proof))
    assert await house.may(person) == "consent.granted"
    assert await load(house, row(**proof), row()) == [second, first]  # and neither is stored again
    async with house.kernel.db.reading() as conn:
        lines = await house.consent.history(conn, person)
    assert [(line.pending, line.confirmed is not None) for line in lines] == [(True, False), (False, True)]


async def test_whether_a_yes_waited_is_told_by_the_rules_of_then(kernel: Kernel, tmp_path: Path) -> None:
    strict, mild = doubly(kernel, tmp_path), doubly(kernel, tmp_path, asked=False)
    await strict.consent.book.put_in_force()
    person, _, email = await strict.person("ada@example.org")
    (asked,) = await strict.record(strict.grant(email))
    kernel.clock.advance(DAY)  # type: ignore[attr-defined]
    await mild.consent.book.put_in_force()
    assert await mild.may(person) == "consent.unconfirmed"  # a change of the rules makes no yes of what was none
    (counts,) = await mild.record(mild.grant(email, "marketing.push"))
    kernel.clock.advance(DAY)  # type: ignore[attr-defined]
    await strict.consent.book.put_in_force()
    for house in (strict, mild):
        async with kernel.db.reading() as conn:
            told = {line.act.id: line.pending for line in await house.consent.history(conn, person)}
        assert told == {asked: True, counts: False}


async def test_as_known_then_nothing_had_confirmed_it_yet(kernel: Kernel, tmp_path: Path) -> None:
    house = doubly(kernel, tmp_path)
    person, _, email = await house.person("ada@example.org")
    (asked,) = await house.record(house.grant(email))
    then = kernel.clock.advance(DAY)  # type: ignore[attr-defined]
    kernel.clock.advance(DAY)  # type: ignore[attr-defined]
    link = Confirmation("link", kernel.clock.now(), pending=asked, evidence=b"pressed")  # type: ignore[arg-type]
    await house.record(house.grant(email, confirmation=link))
    async with kernel.db.reading() as conn:
        (old,) = await house.consent.history(conn, person, known_at=then)
        first, _ = await house.consent.history(conn, person)
    assert (old.pending, old.answered) == (True, False)
    assert (first.pending, first.answered) == (True, True)


async def test_the_same_words_under_another_version_are_in_the_registry_too(house: House) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.consent.publish_notice(conn, "Offers?", version="v1", language="en", listed=["analytics"])
        house.kernel.clock.advance(DAY)
        await house.consent.publish_notice(conn, "Offers?", version="v2", language="en", listed=["marketing.web"])
        await house.consent.publish_notice(conn, "Offers?", version="v2", language="en", listed=["marketing.web"])
    async with house.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT version, listed, first_used FROM consent.notices ORDER BY version")).fetchall()  # fmt: skip
    assert [(one["version"], one["listed"], one["first_used"]) for one in rows] == [
        ("v1", ["analytics"], NOW), ("v2", ["marketing.web"], NOW + DAY),
    ]  # fmt: skip


async def test_of_strings_that_tell_the_day_only_the_one_heard_last_that_day_counts(house: House) -> None:
    day = (NOW + DAY).replace(hour=0)
    yes = strings.tc(day, publisher=range(1, 12))
    no = strings.tc(day, publisher=[])
    async with house.kernel.db.transaction() as conn:
        (one,) = await house.identity.register_identifiers(conn, [Identifier("anonymous_id", "v-1")])
    hearing = Hearing(house.consent, house.audit, house.kernel.clock)

    async def heard(text: str) -> tuple[str, int]:
        house.kernel.clock.advance(timedelta(hours=1))
        async with house.kernel.db.transaction() as conn:
            await hearing.hear(conn, [one], Strings(tcf=text), actor="key:page")
            permitted = await hearing.permissions(conn, [one], ["analytics"])
            said = await house.consent.said_of(conn, [one])
        return permitted["analytics"], sum(a.purpose == "analytics" for a in said[one])

    house.kernel.clock.advance(timedelta(hours=20))  # the morning of that day
    await house.record(house.grant(one, "analytics"))
    assert await heard(no) == ("denied", 2)  # not undone by the yes of an hour ago
    assert await heard(no) == ("denied", 2)
    assert await heard(yes) == ("granted", 3)
    assert await heard(yes) == ("granted", 3)
    assert await heard(no) == ("denied", 4)
    house.kernel.clock.advance(2 * DAY)
    assert await heard(no) == ("denied", 4)
