"""What a file of consents would change is what it changes: foreseen, then measured."""

import random
from datetime import timedelta

import pytest

from consent import gate
from consent.effect import Effect, Foresight, questions
from consent.imports import ImportedConsent
from identity.identifiers import Identifier
from kernel.ids import PersonId
from tests.consent.conftest import NOW, House

pytestmark = pytest.mark.anyio
ALL = [f"p{n}@example.org" for n in range(8)]


async def permitted(house: House, people: list[PersonId]) -> dict[tuple[str, str | None], set[PersonId]]:
    async with house.kernel.db.reading() as conn:
        states = await house.consent.states(conn, people)
    now = house.kernel.clock.now()
    return {
        (key, channel): {p for p, s in states.items() if gate.permission(s, key, channel, now).granted}
        for key, channel in questions(house.consent.rules.purposes)
    }


async def foreseen(house: House, rows: list[ImportedConsent]) -> Effect:
    looking = Foresight(house.consent, house.identity, house.kernel.clock)
    async with house.kernel.db.reading() as conn:
        for start in range(0, len(rows), 3):
            await looking.take(conn, rows[start : start + 3])
        return await looking.effect(conn)


def drawn(draw: random.Random, people: list[str]) -> ImportedConsent:
    purpose = draw.choice(["marketing.email", "marketing", "analytics", "marketing.web", "sharing", "nothing.such"])
    return ImportedConsent(
        source="crm",
        identifiers=(Identifier("email", draw.choice([*people, "stranger@example.org"])),),
        purpose=purpose,
        status=draw.choice(["granted", "granted", "denied", "y"]),
        mechanism=draw.choice(["form", "spam_complaint", ""]),
        notice=draw.choice(["v3", "v3", None]),
        given_at=draw.choice([NOW - timedelta(days=draw.randrange(1, 90)), None]),
        expires_at=draw.choice([None, NOW - timedelta(days=1), NOW + timedelta(days=9)]),
        jurisdiction=draw.choice(["gdpr", "us-ca", None]),
    )


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_foreseen_is_what_happens(house: House, seed: int) -> None:
    draw = random.Random(seed)
    people = [
        (await house.person(mail, str(n), customer_id=f"c{n}", phone=f"+1202555014{n // 2}"))[0]
        for n, mail in enumerate(ALL)
    ]
    assert len(set(people)) == len(ALL)
    async with house.kernel.db.transaction() as conn:
        await house.consent.import_rows(conn, [drawn(draw, ALL) for _ in range(40)])
    rows = [drawn(draw, ALL) for _ in range(40)]
    before = await permitted(house, people)
    effect = await foreseen(house, rows)
    assert await permitted(house, people) == before, "looking ahead changes nothing"
    async with house.kernel.db.transaction() as conn:
        answers = await house.consent.import_rows(conn, rows)
    after = await permitted(house, people)
    for change in effect.changes:
        key = change.purpose, change.channel
        assert set(change.gaining) == after[key] - before[key], key
        assert set(change.losing) == before[key] - after[key], key
        assert change.after - change.before == change.gain - change.lose
    assert effect.refused == sum(not isinstance(one, str) for one in answers)
    strangers = {row.identifiers[0] for row, one in zip(rows, answers, strict=True) if isinstance(one, str)}
    assert effect.unheld == (Identifier("email", "stranger@example.org") in strangers)


async def test_looking_ahead_leaves_no_trace_of_a_stranger(house: House) -> None:
    stranger = Identifier("email", "stranger@example.org")
    rows = [drawn(random.Random(1), ["stranger@example.org"])]
    effect = await foreseen(house, rows)
    assert (effect.people, effect.gain, effect.lose) == (0, 0, 0)
    async with house.kernel.db.reading() as conn:
        assert not await house.identity.known_identifiers(conn, [stranger])
