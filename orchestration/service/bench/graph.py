"""`candor bench graph`: what must hold of people whatever is done to them, tried at random on a house of its own.

Enters: how many orders of events, how many stories of merges. Leaves: a `Report`: people who got two values of an identifier of which nobody has two, in
streams of every order and in graphs that were published over hostile edges; stories after which somebody is not as if she had never been merged; pairs
that were joined again after they had been parted; and, where a folder with the set is given, what the review queue is worth.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from identity.identifiers import Identifier
from identity.judgements import Reason
from identity.records import NewRecord
from identity.regrouping import By
from kernel.ids import PersonId, RecordId
from orchestration.service.bench import harness
from orchestration.service.bench.figures import Bar

if TYPE_CHECKING:
    from orchestration.service.bench.review import Review
    from orchestration.wiring import House

BY: Final = By("system:bench", Reason.LOOKED)
HISTORICAL: Final = "historical_figures_with_errors_50k.parquet"
_CHUNK: Final = 2_000
_KEYS: Final = "abcdefgh"
_ACTS: Final = 8
RERUNS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Counts of what must not be, each of so many tries."""

    orders: int
    records: int
    twofold_stream: int
    twofold_batch: int
    stories: int
    merges: int
    never_merged: int
    rejoined: int
    reruns: int
    review: "Review | None"

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What is asked of it."""
        found = [
            Bar("people with two logins, streams in any order", 0, self.twofold_stream),
            Bar("people with two logins, published over hostile edges", 0, self.twofold_batch),
            Bar("stories after which an unmerged person is not as before", 0, self.never_merged),
            Bar("parted pairs that a later run joined again", 0, self.rejoined),
        ]
        if self.review is not None:
            found.append(Bar("gain of the queue over questions by lot", 2.0, self.review.ratio, least=True))
        return tuple(found)


async def run(
    *,
    orders: int,
    stories: int,
    shared: Path | None = None,
    told: Callable[[str], None] = lambda _: None,
    seed: int = 1,
) -> Report:
    """Try."""
    chance = random.Random(seed)  # noqa: S311 - which order, which merge
    tally = _Tally()
    async with harness.rig() as rig, rig.house() as house:
        told(f"{stories} stories")
        for number in range(stories):
            await _story(house, f"s{number}", chance, tally)
    async with harness.rig() as rig, rig.house() as house:
        told(f"{orders} orders of events")
        records, stream, batch = await _orders(house, orders, chance)
    review = None
    if (found := _found(shared)) is not None:
        from orchestration.service.bench import review as reviewing

        review = reviewing.run(found, "cluster", told=told)
    return Report(
        orders=orders, records=records, twofold_stream=stream, twofold_batch=batch, stories=stories, merges=tally.merges,
        never_merged=tally.wrong, rejoined=tally.rejoined, reruns=tally.reruns, review=review,
    )  # fmt: skip


def _found(shared: Path | None) -> Path | None:
    """The set whose truth is known, wherever in the folder it lies."""
    return None if shared is None else next(iter(sorted(shared.rglob(HISTORICAL))), None)


async def _orders(house: "House", orders: int, chance: random.Random) -> tuple[int, int, int]:
    """Little worlds of two people with a login each, who share a mailbox, a browser, a customer number; their rows come in any order."""
    import numpy as np

    from identity.clusters import guarded
    from identity.facts import Evidence
    from identity.linkage import Edges

    rows: list[NewRecord] = []
    for number in range(orders):
        made = [_row(house, f"o{number}-{place}", held) for place, held in enumerate(_world(number))]
        rows += chance.sample(made, len(made))
    ids: list[RecordId] = []
    for start in range(0, len(rows), _CHUNK):
        async with house.kernel.db.transaction() as conn:
            ids += await house.identity.add_records(conn, rows[start : start + _CHUNK])
    async with house.kernel.db.reading() as conn:
        stream = len(await house.identity.counts.twofold(conn))
    login = {value: code for code, value in enumerate(sorted({_login(row) for row in rows} - {""}))}
    codes = np.array([login.get(_login(row), -1) for row in rows], np.int32)
    count = len(rows)
    left = np.array([chance.randrange(count - 1) for _ in range(4 * count)], np.int64)
    right = np.minimum(left + np.array([chance.randint(1, 6) for _ in range(4 * count)]), count - 1)
    kept = left < right
    weight = np.array([chance.choice((2.0, 9.0, 60.0)) for _ in range(4 * count)])
    hostile = Edges(left[kept], right[kept], weight[kept])
    async with house.kernel.db.transaction() as conn:
        await house.identity.publish(conn, guarded(hostile, Evidence(count, (codes,))), ids, hostile)
    async with house.kernel.db.reading() as conn:
        return count, stream, len(await house.identity.counts.twofold(conn))


def _world(number: int) -> Sequence[Sequence[tuple[str, str]]]:
    one, other, mail, visitor = f"u{number}", f"v{number}", f"m{number}@example.org", f"browser-{number}"
    return (
        [("login_id", one), ("email", mail)],
        [("login_id", other), ("email", mail)],
        [("email", mail), ("anonymous_id", visitor)],
        [("login_id", one), ("anonymous_id", visitor)],
        [("login_id", other), ("anonymous_id", visitor), ("customer_id", f"c{number}")],
        [("customer_id", f"c{number}")],
    )


def _login(row: NewRecord) -> str:
    return next((one.value for one in row.identifiers if one.kind == "login_id"), "")


def _row(house: "House", key: str, held: Sequence[tuple[str, str]]) -> NewRecord:
    return NewRecord(
        source="bench", source_key=key, identifiers=tuple(Identifier(kind, value) for kind, value in held), traits={}, kinds={},
        observed_at=house.kernel.clock.now(), purpose="service", basis="contract",
    )  # fmt: skip


@dataclass(slots=True)
class _Tally:
    merges: int = 0
    wrong: int = 0
    rejoined: int = 0
    reruns: int = 0


@dataclass(slots=True)
class _People:
    """The records of one story: whose each is by the evidence, and its id."""

    house: "House"
    name: str
    ids: dict[str, RecordId] = field(default_factory=dict)
    home: dict[str, str] = field(default_factory=dict)

    async def come(self, key: str, at: str) -> None:
        """A record that carries the address of ``at``."""
        row = _row(self.house, f"{self.name}-{key}", [("email", f"{self.name}-{at}@example.org")])
        async with self.house.kernel.db.transaction() as conn:
            (self.ids[key],) = await self.house.identity.add_records(conn, [row])
        self.home[key] = self.home.get(at, key)

    async def whose(self) -> dict[str, PersonId]:
        """The person of each record."""
        async with self.house.kernel.db.reading() as conn:
            found = await self.house.identity.subjects(conn, list(self.ids.values()))
        return {key: found[one].people[0] for key, one in self.ids.items()}

    async def publish(self) -> None:
        """A run that sees this story's records and finds what the evidence says."""
        import numpy as np

        from identity.clusters import Clusters
        from identity.linkage import Edges

        keys = sorted(self.ids)
        place = {key: n for n, key in enumerate(keys)}
        pairs = [(place[self.home[key]], n) for n, key in enumerate(keys) if self.home[key] != key]
        links = [(min(pair), max(pair)) for pair in pairs]
        edges = Edges(
            np.array([a for a, _ in links], np.int64),
            np.array([b for _, b in links], np.int64),
            np.full(len(links), 30.0),
        )
        clusters = Clusters(np.array([place[self.home[key]] for key in keys], np.int64), ())
        async with self.house.kernel.db.transaction() as conn:
            await self.house.identity.publish(conn, clusters, [self.ids[key] for key in keys], edges)


async def _story(house: "House", name: str, chance: random.Random, tally: _Tally) -> None:
    """People are merged over and under each other while records and runs come; then every merge is taken back, in another order."""
    people, judging = _People(house, name), house.identity.judging
    for key in _KEYS:
        await people.come(key, key)
    names = await people.whose()
    late = iter("ijklmnopqr")
    for _ in range(_ACTS):
        drawn = chance.random()
        if drawn < 0.6:
            now = await people.whose()
            one, other = chance.sample(_KEYS, 2)
            async with house.kernel.db.transaction() as conn:
                done = await judging.merge(conn, now[one], now[other], BY)
            tally.merges += done.refused is None
        elif drawn < 0.8:
            await people.come(next(late), chance.choice(_KEYS))
        else:
            await people.publish()
    while retired := await _retired(house, list(names.values())):
        async with house.kernel.db.transaction() as conn:
            await judging.unmerge(conn, chance.choice(retired), BY)
    expected = {key: names[people.home[key]] for key in people.ids}
    if await people.whose() != expected:
        tally.wrong += 1
        return
    for again in range(RERUNS if chance.random() < 0.1 else 1):
        await people.come(f"z{again}", chance.choice(_KEYS))
        await people.publish()
        now = await people.whose()
        tally.reruns += 1
        tally.rejoined += any(now[key] != names[key] for key in _KEYS)


async def _retired(house: "House", people: Sequence[PersonId]) -> list[PersonId]:
    async with house.kernel.db.reading() as conn:
        live = await house.identity.current(conn, people)
    return [one for one in people if live[one] != one]
