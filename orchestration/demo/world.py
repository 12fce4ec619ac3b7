"""The demo world as files: what a company would bring on its first day, maps included.

Enters: a number of people, a seed, the time to call now. Leaves: a folder of CSV files with one MAP.yaml each, the catalogue, and a
`World` that keeps the truth apart from anything Candor reads.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile

from orchestration.demo import behaviour, households
from orchestration.demo.behaviour import Habits, Happening
from orchestration.demo.households import DAYS, Someone
from orchestration.demo.records import COLUMNS, SOURCES, Row, records

HERE = Path(__file__).parent
NOTICE = "v3"


@dataclass(frozen=True)
class World:
    """The truth: people, what each source wrote, natures, and today's carts."""

    people: list[Someone]
    rows: list[Row]
    natures: Mapping[int, Habits]
    carts: list[Happening]
    said: list[behaviour.Said]
    seed: int
    now: datetime

    @property
    def logins(self) -> dict[str, int]:
        """Shop login to person number."""
        return {p.login: p.number for p in self.people if p.login}


def make(count: int, seed: int, now: datetime) -> World:
    """The world of `count` people under `seed`; the same arguments give the same world."""
    everyone = households.people(count, seed)
    natures = behaviour.habits(everyone, seed)
    return World(
        people=everyone,
        rows=records(everyone, seed),
        natures=natures,
        carts=behaviour.abandoned_carts(dict(natures), seed, now),
        said=behaviour.consents(everyone, seed, now),
        seed=seed,
        now=now,
    )


def write(world: World, folder: Path) -> list[tuple[str, Path, Path]]:
    """Write every file; returns `(what, file, map)` in the order they must be imported."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[tuple[str, Path, Path]] = []

    def add(what: str, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        path, plan = folder / f"{name}.csv", folder / f"{name}.map.yaml"
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(columns)
            writer.writerows(rows)
        copyfile(HERE / "maps" / f"{name}.map.yaml", plan)
        files.append((what, path, plan))

    start = world.now - timedelta(days=DAYS + 1)
    for source in SOURCES:
        rows = (
            [
                index if c == "row_id" else (start + timedelta(days=r.day)).isoformat() if c == "day" else r.cells[c]
                for c in COLUMNS
            ]
            for index, r in enumerate(world.rows)
            if r.source == source
        )
        add("people", source, COLUMNS, rows)
    by_number = {p.number: p for p in world.people}
    forms = [s for s in world.said if s.how == "form"]
    add(
        "consents",
        "consents",
        ("email", "purpose", "status", "given_at", "notice"),
        (
            (by_number[s.person].email, s.purpose, "granted" if s.granted else "denied", s.at.isoformat(), NOTICE)
            for s in forms
        ),
    )
    add(
        "consents",
        "bought_list",
        ("email", "purpose", "status"),
        ((by_number[s.person].email, s.purpose, "granted") for s in world.said if s.how == "list"),
    )
    add(
        "suppressions",
        "suppressions",
        ("email", "reason"),
        ((p.email, "bounced") for p in world.people if p.number % 97 == 5),
    )
    past = behaviour.history(dict(world.natures), world.seed, world.now)
    add(
        "events",
        "shop_events",
        ("login_id", "event", "at", "product_id", "category", "price", "order_id", "revenue", "coupon_used"),
        (
            [
                by_number[h.person].login,
                h.name,
                h.at.isoformat(),
                *(
                    h.properties.get(k, "")
                    for k in ("product_id", "category", "price", "order_id", "revenue", "coupon_used")
                ),
            ]
            for h in past
        ),
    )
    add(
        "decisions",
        "past_campaign",
        ("login_id", "at", "arm", "bought"),
        (
            (by_number[s.person].login, s.at.isoformat(), s.arm, int(s.bought))
            for s in behaviour.past_campaign(dict(world.natures), world.seed, world.now)
        ),
    )
    copyfile(HERE / "catalogue.yaml", folder / "catalogue.yaml")
    return files


def truth_of_rows(world: World) -> dict[tuple[str, str], int]:
    """`(source, row id)` to the true person, for the scorer only."""
    return {(row.source, str(index)): row.truth for index, row in enumerate(world.rows)}
