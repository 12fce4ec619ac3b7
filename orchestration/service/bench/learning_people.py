"""People with histories, made from a seed: what features are measured on (spec features.F44, F45).

Enters: a seed. Leaves: raw profiles whose events come late, twice in one moment, out of order, corrected, and with odd values; a state that permits. Nothing is stored.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from consent import precedence, purposes
from consent.acts import ActView
from consent.gate import ConsentState
from consent.precedence import Rules
from events.log import Event
from kernel.canonical import Json
from kernel.ids import ActId, EventId, GraphVersion, IdentifierId, PersonId, RecordId
from orchestration.service.bench.learning_rows import generator
from profiles import survivorship
from profiles.raw import RawProfile, RawRecord

PURPOSE: Final = "marketing.personalize"
END: Final = datetime(2026, 11, 1, tzinfo=UTC)
_DAYS: Final = 200
_LATE: Final = 0.2
_NAMES: Final = (
    "Product Viewed", "Product Added", "Order Completed", "Products Searched", "Content Viewed", "Content Clicked", "Email Opened",
    "Email Link Clicked", "Product Added to Wishlist", "Page Viewed",
)  # fmt: skip
_KINDS: Final = ("books", "Toys ", "garden", "sport", "", "?")
_ODD: Final[tuple[Json, ...]] = ("nan", "inf", "-1e999", "cheap", None, True, [1], 1e308, -3)


def state(person: PersonId) -> ConsentState:
    """Somebody who permits personalisation from before everything."""
    return ConsentState(person=person, version=1, acts=(_YES,), rules=_RULES)


_RULES: Final = Rules(purposes.load(), precedence.load(), "gdpr")
_SURVIVE: Final = survivorship.load()
_YES: Final = ActView(
    id=ActId("act_1"), subject=IdentifierId("idn_1"), purpose=PURPOSE, channel=None, status="granted", basis="consent",
    jurisdiction="gdpr", mechanism="form", given_at=datetime(1996, 1, 1, tzinfo=UTC),
)  # fmt: skip


def chance(*words: int) -> random.Random:
    """Draws of one place, that anyone can draw again with the seed of the run."""
    return random.Random(int(generator(*words).integers(2**62)))  # noqa: S311 - no secret


def people(count: int, seed: int, *, most: int = 40) -> Iterator[RawProfile]:
    """So many people with up to `most` events each, and records of two sources with corrections."""
    rng = chance(seed)
    for number in range(count):
        events = [_event(rng, f"{number}_{place}") for place in range(rng.randrange(most + 1))]
        for one in rng.sample(
            events, len(events) // 10
        ):  # told again, later, with another number: a correction of its own
            at = one.known_time + timedelta(hours=rng.randrange(1, 400))
            events.append(replace(one, event_id=EventId(f"{one.event_id}_c"), known_time=at, properties={**one.properties, "revenue": 7}))  # fmt: skip
        rng.shuffle(events)
        records = [_record(rng, number, place) for place in range(rng.randrange(4))]
        yield RawProfile(
            PersonId(f"per_{number:07}"), tuple(records), tuple(events), rng.random(), GraphVersion(1), _SURVIVE
        )


def known_by(raw: RawProfile, at: datetime) -> RawProfile:
    """The part of a history that had happened and was known by a moment: taken out by hand, as an answer to compare with."""
    return replace(
        raw,
        events=tuple(one for one in raw.events if one.event_time <= at and one.known_time <= at),
        records=tuple(one for one in raw.records if one.observed_at <= at and one.recorded_at <= at),
    )


def _event(rng: random.Random, name: str) -> Event:
    # Whole hours: many events of one moment. Some are later than END: clocks are wrong.
    at = END - timedelta(hours=rng.randrange(-48, _DAYS * 24))
    late = timedelta(hours=rng.expovariate(1 / 90)) if rng.random() < _LATE else timedelta(0)
    amount: Json = rng.choice(_ODD) if rng.random() < 0.05 else rng.choice((round(rng.uniform(1, 200), 2), "19.99"))
    return Event(
        event_id=EventId(f"evt_{name}"), record_id=RecordId(f"rec_{rng.randrange(3)}"), type="track", name=rng.choice(_NAMES), event_time=at,
        known_time=at + late, received_at=at + late, source=rng.choice(("web", "shop")), purpose=PURPOSE, basis="consent",
        properties={"revenue": amount, "price": amount, "category": rng.choice(_KINDS), "product_id": f"i{rng.randrange(30)}",
                    "scroll_depth": rng.randrange(-10, 120), "dwell_seconds": rng.random() * 100},
        traits={}, context={"device": {"type": rng.choice(("mobile", "desktop", "fridge"))}, "screen": {"width": rng.randrange(0, 3000)}},
        machine=rng.random() < 0.05, confidence=1.0,
    )  # fmt: skip


def _record(rng: random.Random, number: int, place: int) -> RawRecord:
    seen = END - timedelta(days=rng.randrange(_DAYS))
    return RawRecord(
        id=RecordId(f"rec_{number}_{place}"), row=("shop", str(number)), version=place + 1, source="shop", observed_at=seen,
        recorded_at=seen + timedelta(days=rng.choice((0, 0, 20))), purposes=frozenset({PURPOSE}), traits={"age": rng.randrange(18, 90)},
    )  # fmt: skip
