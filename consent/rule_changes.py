"""What differs between two sets of rules, rule by rule: those in force and those on file, or those of today and of then.

Enters: what the files of each said, by part. Leaves: ``Change``s, each with its place in the file. A list whose members have a key or a name is told by them, so
that a purpose that moved is not taken for another. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kernel.canonical import Json

_NAMES: Final = ("key", "name")


@dataclass(frozen=True, slots=True)
class Change:
    """One place of one file. ``before`` or ``after`` is None where there is nothing."""

    part: str
    place: str
    before: str | None
    after: str | None

    def as_json(self) -> dict[str, Json]:
        """As the console shows it."""
        return {"part": self.part, "place": self.place, "before": self.before, "after": self.after}


def changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    """Every place that says something else, by part and place."""
    found = []
    for part in sorted(before.keys() | after.keys()):
        old, new = dict(_flat(before.get(part))), dict(_flat(after.get(part)))
        found += [
            Change(part, place, old.get(place), new.get(place))
            for place in sorted(old.keys() | new.keys())
            if old.get(place) != new.get(place)
        ]
    return found


def _flat(said: Json, place: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with the way to it."""
    if isinstance(said, dict):
        for name, value in said.items():
            yield from _flat(value, f"{place} / {name}" if place else str(name))
    elif isinstance(said, list) and any(isinstance(one, dict) for one in said):
        for number, one in enumerate(said):
            yield from _flat(one, f"{place} / {_named(one) or number}")
    elif isinstance(said, list):
        yield place, ", ".join(str(one) for one in said)
    elif said is not None:
        yield place, "yes" if said is True else "no" if said is False else str(said)


def _named(one: Json) -> str:
    told = one if isinstance(one, dict) else {}
    return next((str(told[name]) for name in _NAMES if name in told), "")
