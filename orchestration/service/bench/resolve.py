"""`candor bench resolve`: who holds this identifier, asked in process and over HTTP.

Enters: how many people, how many questions, a rate. Leaves: a `Report`. Everybody is known by an address and a login; a question names one of them, both,
or (every tenth) somebody unknown. Each answer is compared with what it has to be.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from audit.access.principal import Scope
from identity.identifiers import Identifier
from identity.people import Resolution
from identity.records import NewRecord
from kernel.ids import PersonId
from orchestration.service.bench import harness
from orchestration.service.bench.figures import Bar, Cost, Figures, Spread, spread
from orchestration.service.bench.harness import Shots
from orchestration.service.bench.seeding import SOURCE
from orchestration.wiring import House

BAR_HTTP_MS: Final = 10.0
_CHUNK: Final = 2_000  # people a transaction
_WARM_SECONDS: Final = 2.0
_UNKNOWN: Final = 10  # every tenth question is about nobody

Subject = tuple[Identifier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Times of one question each: asked of Postgres, of the hot index, over HTTP. `wrong` counts answers that are not what they have to be."""

    people: int
    postgres: Spread
    hot: Spread
    http: Figures
    http_cost: Cost
    wrong: int

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        return (
            Bar("over HTTP p99, ms", BAR_HTTP_MS, self.http.latency.p99),
            Bar("requests that failed", 0, sum(self.http.errors.values())),
            Bar("answers that are wrong", 0, self.wrong),
        )


async def run(
    *, people: int, calls: int, rps: float, seconds: float, told: Callable[[str], None] = lambda _: None, seed: int = 1
) -> Report:
    """Measure on engines of its own."""
    draw = random.Random(seed)  # noqa: S311 - whom the questions are about
    async with harness.rig() as rig:
        told(f"{people} people")
        async with rig.house() as house:
            who = await crowd(house, people)
            key = await house.access.create_key(
                [Scope.COLLECT], actor="system:bench", name="bench resolve", source=SOURCE
            )
            asked = [_subject(draw, people, place) for place in range(calls)]
            told("in process")
            postgres, wrong = await _asked(asked, who, lambda one: _from_postgres(house, one))
            hot, strange = await _asked(asked, who, lambda one: _from_index(house, one))
        told(f"over HTTP at {rps:g} a second")
        async with rig.serve() as served:
            plan = [_request(served.url, key.secret, one) for one in asked]
            await harness.shoot(rig.folder, served.url, plan, rps=rps, seconds=_WARM_SECONDS)
            shots, cost = await harness.measured(rig, served, plan, rps=rps, seconds=seconds)
    return Report(
        people=people,
        postgres=spread(postgres),
        hot=spread(hot),
        http=shots.figures,
        http_cost=cost,
        wrong=wrong + strange + _wrong(shots, asked, who),
    )


async def crowd(house: House, count: int) -> Mapping[str, PersonId]:
    """People who are known by an address and a login, the hot index full; by login, who each is."""
    at = house.kernel.clock.now() - timedelta(days=30)
    for start in range(0, count, _CHUNK):
        records = [
            NewRecord(
                source=SOURCE, source_key=str(number), identifiers=_names(number), traits={}, kinds={}, observed_at=at,
                purpose="service", basis="contract",
            )
            for number in range(start, min(start + _CHUNK, count))
        ]  # fmt: skip
        async with house.kernel.db.transaction() as conn:
            await house.identity.add_records(conn, records)
    await house.identity.analyse()
    await house.identity.fill_index()
    who: dict[str, PersonId] = {}
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(start + _CHUNK, count))
        async with house.kernel.db.reading() as conn:
            found = await house.identity.resolve(conn, [_names(number) for number in numbers])
        who |= {f"u{number}": one.person for number, one in zip(numbers, found, strict=True) if one.person is not None}
    assert len(set(who.values())) == count  # nobody was taken for somebody else
    return who


def _names(number: int) -> Subject:
    return (Identifier("email", f"person{number}@example.org"), Identifier("login_id", f"u{number}"))


def _subject(draw: random.Random, people: int, place: int) -> Subject:
    address, login = _names(draw.randrange(people) + (people if place % _UNKNOWN == 0 else 0))
    return ((address,), (login,), (address, login))[place % 3]


def _expected(subject: Subject, who: Mapping[str, PersonId]) -> PersonId | None:
    value = subject[-1].value
    return who.get(value if subject[-1].kind == "login_id" else f"u{value.removeprefix('person').partition('@')[0]}")


async def _asked(
    subjects: Sequence[Subject], who: Mapping[str, PersonId], ask: Callable[[Subject], Awaitable[Resolution]]
) -> tuple[list[float], int]:
    """Seconds of each question, one after the other; how many answers were wrong."""
    took, wrong = [], 0
    for subject in subjects:
        begin = time.perf_counter()
        found = await ask(subject)
        took.append(time.perf_counter() - begin)
        wrong += found.person != _expected(subject, who)
        await asyncio.sleep(0)
    return took, wrong


async def _from_postgres(house: House, subject: Subject) -> Resolution:
    async with house.kernel.db.reading() as conn:
        return (await house.identity.resolve(conn, [subject]))[0]


async def _from_index(house: House, subject: Subject) -> Resolution:
    return (await house.identity.resolve_hot([subject]))[0]


def _request(url: str, secret: str, subject: Subject) -> str:
    named = [{"kind": one.kind, "value": one.value} for one in subject]
    return harness.request(url, "POST", "/v1/people/resolve", secret=secret, body={"subjects": [named]})


def _wrong(shots: Shots, asked: Sequence[Subject], who: Mapping[str, PersonId]) -> int:
    return sum(
        json.loads(body)["results"][0]["person"] != _expected(asked[number % len(asked)], who)
        for status, number, body in zip(shots.status, shots.number, shots.bodies, strict=True)
        if status == 200
    )
