"""What counted, over time: small counts by day, placement and kind of information, about nobody (the drift of reasons).

Enters: explanations as they are kept. Leaves: courses by day or week, and how far the newest stretch is from the one before it. A tally row holds counts and sums, no id: rows are added in
the commit that keeps the explanations and put together once a day, so that nothing leads back to one of them; a stretch of few explanations is not told of.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import log
from typing import Final, Literal

from explain import tally_store as store
from explain.concepts import UNNAMED
from explain.concepts import told as told_of
from explain.explanation import Content
from explain.reasons import Procedure
from explain.settings import ExplainSettings
from explain.tally_store import Tally
from kernel.canonical import Json
from kernel.db import Conn, Database

FEWEST: Final = 20  # explanations of a stretch that is told of: fewer tell of their people
ALL: Final = "*"  # the row of all explanations of a day and placement
_SMOOTH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Share:
    """A kind of information in a stretch: of the explanations that a model ruled, how many told it, told it first; its mean contribution."""

    told: float
    first: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A day or a week. `concepts` is empty where too few explanations are in it."""

    begin: date
    made: int
    ruled: int
    concepts: Mapping[str, Share]


@dataclass(frozen=True, slots=True)
class Course:
    """A placement over time. `psi` and `variation` are between the newest days and those before, `noise` is what chance alone makes of `psi`; None: too few."""

    placement: str
    by: str
    stretches: tuple[Stretch, ...]
    psi: float | None
    noise: float
    variation: float | None
    warned: bool
    moved: tuple[tuple[str, float, float], ...] = field(default=())

    def to_json(self) -> dict[str, Json]:
        """As answered."""
        return {
            "placement": self.placement, "by": self.by, "psi": self.psi, "noise": self.noise, "variation": self.variation, "warned": self.warned,
            "moved": [{"concept": name, "before": before, "now": now} for name, before, now in self.moved],
            "stretches": [
                {"begin": one.begin.isoformat(), "made": one.made, "ruled": one.ruled,
                 "concepts": {name: {"told": share.told, "first": share.first, "contribution": share.contribution}
                              for name, share in one.concepts.items()}}
                for one in self.stretches
            ],
        }  # fmt: skip


def tallied(contents: Sequence[Content]) -> list[Tally]:
    """The rows that these explanations add, in one order: two that are kept at once wait for each other nowhere."""
    told: Counter[tuple[date, str, str]] = Counter()
    first: Counter[tuple[date, str, str]] = Counter()
    moved: dict[tuple[date, str, str], float] = {}
    for one in contents:
        day, placement = one.facts.at.astimezone(UTC).date(), one.facts.placement
        every = (day, placement, ALL)
        told[every] += 1
        if one.procedure is not Procedure.MODEL:
            continue
        first[every] += 1  # of the row of all: how many a model ruled
        for place, each in enumerate(told_of(one.concepts)):
            key = (day, placement, each.key)
            told[key] += 1
            first[key] += place == 0
            moved[key] = moved.get(key, 0.0) + each.contribution
    return [
        Tally(day=day, placement=placement, concept=name, told=count, first=first[day, placement, name],
              contribution=moved.get((day, placement, name), 0.0))
        for (day, placement, name), count in sorted(told.items())
    ]  # fmt: skip


def course(rows: Sequence[Tally], *, by: Literal["day", "week"], today: date, settings: ExplainSettings) -> Course:
    """One placement's rows as a course. Pure."""
    begins: dict[date, list[Tally]] = {}
    for one in rows:
        begin = one.day if by == "day" else one.day - timedelta(days=one.day.weekday())
        begins.setdefault(begin, []).append(one)
    edge = today - timedelta(days=settings.drift_days)
    now, before = firsts([one for one in rows if one.day > edge]), firsts([one for one in rows if one.day <= edge])
    names = sorted({*now, *before})
    psi = variation = None
    noise = 0.0
    moved: list[tuple[str, float, float]] = []
    n, m = sum(now.values()), sum(before.values())
    if min(n, m) >= FEWEST and names:
        psi, variation = stability(before, now), apart(before, now)
        noise = (len(names) - 1) * (1 / n + 1 / m)
        shares = [(name, before.get(name, 0) / m, now.get(name, 0) / n) for name in names]
        moved = sorted(shares, key=lambda one: (-abs(one[2] - one[1]), one[0]))[:3]
    return Course(
        rows[0].placement if rows else "", by, tuple(_stretch(begin, begins[begin]) for begin in sorted(begins)), psi, noise, variation,
        psi is not None and psi - noise > settings.drift_alarm, tuple(moved),
    )  # fmt: skip


def firsts(rows: Sequence[Tally]) -> dict[str, int]:
    """How often each kind of information was the first reason."""
    found: Counter[str] = Counter()
    for one in rows:
        if one.concept != ALL and one.first:
            found[one.concept] += one.first
    return dict(found)


def stability(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The population stability index of two counts; what was never seen counts half."""
    names = {*before, *now}
    n, m = sum(before.values()) + _SMOOTH * len(names), sum(now.values()) + _SMOOTH * len(names)
    total = 0.0
    for name in sorted(names):
        p, q = (before.get(name, 0) + _SMOOTH) / n, (now.get(name, 0) + _SMOOTH) / m
        total += (q - p) * log(q / p)
    return total


def apart(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """Half the sum of the differences of shares: how many first reasons of a hundred are others now."""
    n, m = sum(before.values()), sum(now.values())
    return sum(abs(before.get(name, 0) / n - now.get(name, 0) / m) for name in sorted({*before, *now})) / 2


def _stretch(begin: date, rows: Sequence[Tally]) -> Stretch:
    made = sum(one.told for one in rows if one.concept == ALL)
    ruled = sum(one.first for one in rows if one.concept == ALL)
    concepts: dict[str, Share] = {}
    if ruled >= FEWEST:
        for name in sorted({one.concept for one in rows} - {ALL}):
            mine = [one for one in rows if one.concept == name]
            told = sum(one.told for one in mine)
            concepts[name] = Share(
                told / ruled, sum(one.first for one in mine) / ruled, sum(one.contribution for one in mine) / told
            )
    return Stretch(begin, made, ruled, concepts)


def leading(courses: Course, most: int = 6) -> list[str]:
    """The kinds of information that were first most often, those that are not known last."""
    total: Counter[str] = Counter()
    for one in courses.stretches:
        for name, share in one.concepts.items():
            total[name] += round(share.first * one.ruled)
    return sorted(total, key=lambda name: (name == UNNAMED, -total[name], name))[:most]


class Tallies:
    """Stands at ``Explain.tallies``."""

    def __init__(self, db: Database, settings: ExplainSettings) -> None:
        self._db = db
        self._settings = settings

    async def note(self, conn: Conn, contents: Sequence[Content]) -> None:
        """Count explanations in the commit that keeps them."""
        await store.add(conn, tallied(contents))

    async def over(
        self, now: datetime, *, days: int = 56, by: Literal["day", "week"] = "day", placement: str | None = None
    ) -> list[Course]:
        """The courses of the last days, one a placement."""
        today = now.astimezone(UTC).date()
        async with self._db.reading() as conn:
            rows = await store.since(conn, today - timedelta(days=days), placement)
        places: dict[str, list[Tally]] = {}
        for one in rows:
            places.setdefault(one.placement, []).append(one)
        return [course(places[name], by=by, today=today, settings=self._settings) for name in sorted(places)]

    async def compact(self) -> int:
        """Put the rows of a day together; the number that went."""
        async with self._db.transaction() as conn:
            return await store.compact(conn)

    async def made(self) -> int:
        """How many explanations were ever made and counted."""
        async with self._db.reading() as conn:
            return await store.total(conn, ALL)
