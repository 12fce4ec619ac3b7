"""Which "no" outranks what, and what may lift it: ``data/precedence.yaml`` read and checked.

What enters: the shipped file. What leaves: a ``Precedence`` that the gate follows and whose digest names it. Order:
erasure and restriction, a standing directive (Global Privacy Control, 11 CCR 7025(c)), withdrawal of a channel, the
latest explicit act, what a consent string says, the default of the jurisdiction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from consent.errors import PurposesInvalid
from consent.purposes import DEFAULT, EVERYTHING, SALE_SHARE, Basis, PurposeTree
from consent.reasons import Reason
from kernel.canonical import digest

SHIPPED: Final = Path(__file__).parent / "data" / "precedence.yaml"
_MOST_PLACES: Final = 1_000  # sets of jurisdictions that are remembered; acts may name any


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Class(_Strict):
    """A kind of denial. Its place in the list is its rank."""

    name: str
    source: str
    mechanisms: frozenset[str]
    reason: Reason
    lifted_by: frozenset[str]
    pack: str | None = None


class Pack(_Strict):
    """What the law of a jurisdiction lets the gate do, and where it says so."""

    title: str
    source: str
    directive_override: bool
    unverified_import_permits: bool

    def allows(self, name: str) -> bool:
        """Whether the named permission is given here; a name it lacks is a no."""
        return getattr(self, name, False) is True


class Precedence(_Strict):
    """The whole table."""

    version: str
    classes: tuple[Class, ...]
    mechanisms: frozenset[str]
    jurisdictions: dict[str, Pack]

    def pack(self, jurisdiction: str) -> Pack:
        """The pack of that jurisdiction, the default's when it has none."""
        return self.jurisdictions.get(jurisdiction, self.jurisdictions[DEFAULT])

    def rank(self, mechanism: str) -> int:
        """Place of a denial that came by this mechanism; lower is stronger."""
        return self._ranks.get(mechanism, self._rest)

    def ranks_as_withdrawal(self, mechanism: str) -> bool:
        """Whether a denial by this mechanism is a withdrawal of a channel."""
        return self.classes[self.rank(mechanism)].name == "channel_withdrawal"

    @cached_property
    def _rest(self) -> int:
        """The class that takes every mechanism no other names."""
        return next(place for place, kind in enumerate(self.classes) if not kind.mechanisms)

    @cached_property
    def _ranks(self) -> dict[str, int]:
        return {mechanism: place for place, kind in enumerate(self.classes) for mechanism in kind.mechanisms}

    @cached_property
    def digest(self) -> str:
        """Names this table in evidence."""
        return digest(
            {
                "version": self.version,
                "classes": [kind.model_dump_json() for kind in self.classes],
                "jurisdictions": {name: pack.model_dump() for name, pack in self.jurisdictions.items()},
            }
        )


class Ground(NamedTuple):
    """What an act may be about to bear on a purpose (itself, those above it, the words for many), and its bases."""

    reach: tuple[str, ...]
    bases: frozenset[Basis]


@dataclass(frozen=True)
class Rules:
    """All the gate goes by besides the acts."""

    purposes: PurposeTree
    precedence: Precedence
    jurisdiction: str = DEFAULT  # always asked too, beside those of the acts: the strictest answers

    def grounds(self, places: frozenset[str]) -> Mapping[str, Ground]:
        """For each purpose what bears on it and what it rests on, in these jurisdictions."""
        known = self._grounds.get(places)
        if known is None:
            known = {
                key: Ground(self._reach(key), frozenset(purpose.basis_in(place) for place in places))
                for key, purpose in self.purposes.by_key.items()
            }
            if len(self._grounds) < _MOST_PLACES:
                self._grounds[places] = known
        return known

    def _reach(self, key: str) -> tuple[str, ...]:
        line = self.purposes.lineage(key)
        shared = (SALE_SHARE,) if any(self.purposes.by_key[one].sale_share for one in line) else ()
        return (*line, EVERYTHING, *shared)

    @cached_property
    def _grounds(self) -> dict[frozenset[str], Mapping[str, Ground]]:
        return {}


def load() -> Precedence:
    """The shipped table.

    Raises:
        PurposesInvalid: it does not hold together.
    """
    try:
        table = Precedence.model_validate(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as fault:
        raise PurposesInvalid(f"expected a precedence table in {SHIPPED.name}, got {fault}") from None
    if DEFAULT not in table.jurisdictions or sum(not kind.mechanisms for kind in table.classes) != 1:
        raise PurposesInvalid(
            "expected a default jurisdiction and one class for every other mechanism, got something else"
        )
    return table
