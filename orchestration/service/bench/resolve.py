"""`candor bench resolve`: who holds this identifier, asked in process and over HTTP, and an event of theirs made durable.

Enters: how many people, how many questions, a rate; how many records lie in memory. Leaves: a `Report`. Everybody is known by an address and a login; a
question names one of them, both, or (every tenth) somebody unknown. Each answer is compared with what it has to be. The part in memory asks while
another process's room joins new records, as it would be served.
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
from events.log import Source as CollectSource
from identity.identifiers import Identifier
from identity.people import Resolution
from identity.records import NewRecord
from kernel.ids import PersonId
from orchestration.service.bench import harness, resolve_world
from orchestration.service.bench.figures import Bar, Cost, Figures, Spread, spread
from orchestration.service.bench.harness import Shots
from orchestration.service.bench.seeding import SOURCE
from orchestration.wiring import House

BAR_HTTP_MS: Final = 10.0
BAR_MEMORY_MS: Final = 1.0  # the 99th percentile; half of the answers in a tenth of that
BAR_MEMORY_P50_MS: Final = 0.1
_JOINS: Final = 50  # records that somebody else joins while memory is asked
_FILL_SECONDS: Final = 600.0
_CHUNK: Final = 2_000  # people a transaction
_WARM_SECONDS: Final = 2.0
_UNKNOWN: Final = 10  # every tenth question is about nobody

_NEW_SECONDS: Final = 6.0
_KILLED_AFTER: Final = 4.0  # of which the load generator needs a part to begin
_LEAST_NEW: Final = 60

_PAIR: Final = 2  # identifiers of each

Subject = tuple[Identifier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Questions that the resident index answered: of how many records and identifiers, in how many MiB, and how long it took to fill."""

    records: int
    identifiers: int
    mib: float
    fill_seconds: float
    asked: Spread
    elsewhere: int
    wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Times of one question each: asked of memory, of Postgres, of the hot index, over HTTP; and of an event of a known person, over HTTP, committed.

    `wrong` counts answers that are not what they have to be. `newcomers`: people whose first event was answered while the server and Postgres were killed; `lost`: those of
    them whom nobody holds afterwards.
    """

    people: int
    memory: Memory | None
    postgres: Spread
    hot: Spread
    http: Figures
    http_cost: Cost
    event: Figures
    event_cost: Cost
    wrong: int
    newcomers: int
    lost: int

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        found = [
            Bar("over HTTP p99, ms", BAR_HTTP_MS, self.http.latency.p99),
            Bar("an event over HTTP, committed, p99, ms", BAR_HTTP_MS, self.event.latency.p99),
            Bar("requests that failed", 0, sum(self.http.errors.values()) + sum(self.event.errors.values())),
            Bar("answers that are wrong", 0, self.wrong),
            Bar("people answered for and lost by a kill", 0, self.lost),
        ]
        if self.memory is not None:
            found += [
                Bar("in process p50, ms", BAR_MEMORY_P50_MS, self.memory.asked.p50),
                Bar("in process p99, ms", BAR_MEMORY_MS, self.memory.asked.p99),
                Bar("in process, answers that are wrong", 0, self.memory.wrong),
            ]
        return tuple(found)


async def run(
    *, people: int, calls: int, rps: float, seconds: float, records: int = 0, told: Callable[[str], None] = lambda _: None, seed: int = 1,
) -> Report:  # fmt: skip
    """Measure on engines of its own; with ``records``, in memory too."""
    draw = random.Random(seed)  # noqa: S311 - whom the questions are about
    held = await memory(records, calls, draw, told) if records else None
    async with harness.rig() as rig:
        told(f"{people} people")
        async with rig.house() as house:
            who = await crowd(house, people)
            async with house.kernel.db.transaction() as conn:
                await house.events.register_source(conn, CollectSource(SOURCE, "service", "contract"))
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
            told(f"events at {rps:g} a second")
            events = [_event(draw, served.url, key.secret, people, number) for number in range(round(rps * seconds))]
            sent, sent_cost = await harness.measured(rig, served, events, rps=rps, seconds=seconds)
            told("newcomers, and a kill among them")
            came = await _killed(rig, served, key.secret, rps)
        async with rig.house() as house:
            found = [await _from_postgres(house, one) for one in came]
            await house.identity.fill_index()
            lost = sum(one.person is None for one in found)
            lost += sum([(await _from_index(house, one)).person is None for one in came])
    return Report(
        people=people,
        memory=held,
        event=sent.figures,
        event_cost=sent_cost,
        postgres=spread(postgres),
        hot=spread(hot),
        http=shots.figures,
        http_cost=cost,
        wrong=wrong + strange + _wrong(shots, asked, who),
        newcomers=len(came),
        lost=lost,
    )


async def _killed(rig: harness.Rig, served: harness.Served, secret: str, rps: float) -> list[Subject]:
    """Events of people whom nobody knows, the server and Postgres killed among them: who was answered for."""
    count = max(_LEAST_NEW, round(rps * _NEW_SECONDS))
    plan = [
        harness.request(
            served.url, "POST", "/v1/track", secret=secret,
            body={"userId": f"new{number}", "event": "Product Viewed", "messageId": f"new-{number}", "properties": {}},
        )
        for number in range(count)
    ]  # fmt: skip
    load = asyncio.create_task(
        harness.shoot(rig.folder, served.url, plan, rps=count / _NEW_SECONDS, seconds=_NEW_SECONDS, keep=True, patience=_NEW_SECONDS)
    )  # fmt: skip
    await asyncio.sleep(_KILLED_AFTER)
    await asyncio.to_thread(rig.crash, served)
    shots = await load
    answered = {number for status, number in zip(shots.status, shots.number, strict=True) if status == 200}
    return [(Identifier("login_id", f"new{number}"),) for number in sorted(answered)]


async def memory(records: int, calls: int, draw: random.Random, told: Callable[[str], None]) -> Memory:
    """Ask the resident index of one process, while another room on the same Postgres joins new records."""
    async with harness.rig() as rig, rig.house() as house, rig.house() as other:
        known = await resolve_world.fill(house, records, _names, told)
        who = {f"u{number}": person for number, person in known.items()}
        stop = asyncio.Event()
        began = time.perf_counter()
        follower = asyncio.create_task(house.identity.residing.run(stop))
        try:
            async with asyncio.timeout(_FILL_SECONDS):
                await house.identity.residing.full.wait()
            took = time.perf_counter() - began
            size = house.identity.residing.index.memory
            told(f"in memory after {took:.1f} s")
            subjects = [_subject(draw, records, place) for place in range(calls)]
            await _asked(subjects[:100], who, lambda one: _from_index(house, one))
            joining = asyncio.create_task(_join(other, records))
            asked, wrong = await _asked(subjects, who, lambda one: _from_index(house, one))
            joined = await joining
            await house.identity.residing.settle()
            _, late = await _asked([_names(number) for number in joined], {}, lambda one: _from_index(house, one))
        finally:
            stop.set()
            await follower
        return Memory(
            records=records, identifiers=_PAIR * records, mib=round(size / 2**20, 1), fill_seconds=round(took, 1),
            asked=spread(asked), elsewhere=len(joined), wrong=wrong + len(joined) - late,
        )  # fmt: skip


async def _join(house: House, first: int) -> Sequence[int]:
    """New people, one transaction each, from another room; their numbers."""
    at = house.kernel.clock.now()
    for number in (joined := range(first * 2, first * 2 + _JOINS)):
        one = NewRecord(
            source=SOURCE, source_key=str(number), identifiers=_names(number), traits={}, kinds={}, observed_at=at,
            purpose="service", basis="contract",
        )  # fmt: skip
        async with house.kernel.db.transaction() as conn:
            await house.identity.add_records(conn, [one])
        await asyncio.sleep(0)
    return joined


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


def _event(draw: random.Random, url: str, secret: str, people: int, number: int) -> str:
    body = {
        "userId": f"u{draw.randrange(people)}",
        "event": "Product Viewed",
        "messageId": f"resolve-{number}",
        "properties": {"product_id": "p1"},
    }
    return harness.request(url, "POST", "/v1/track", secret=secret, body=body)


def _request(url: str, secret: str, subject: Subject) -> str:
    named = [{"kind": one.kind, "value": one.value} for one in subject]
    return harness.request(url, "POST", "/v1/people/resolve", secret=secret, body={"subjects": [named]})


def _wrong(shots: Shots, asked: Sequence[Subject], who: Mapping[str, PersonId]) -> int:
    return sum(
        json.loads(body)["results"][0]["person"] != _expected(asked[number % len(asked)], who)
        for status, number, body in zip(shots.status, shots.number, shots.bodies, strict=True)
        if status == 200
    )
