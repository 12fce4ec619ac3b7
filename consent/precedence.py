"""Which "no" outranks what, and what may lift it: ``data/precedence.yaml`` and the packs of jurisdictions, read and checked.

What enters: the shipped table, the shipped packs, and by settings a folder of packs of one's own. What leaves: a ``Precedence`` that the gate
follows. Order: erasure and restriction, a standing directive (Global Privacy Control, 11 CCR 7025(c)), withdrawal of a channel, the
latest explicit act, what a consent string says, the default of the jurisdiction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consent.errors import PurposesInvalid
from consent.lifecycle import Right
from consent.purposes import DEFAULT, EVERYTHING, PAUSE, SALE_SHARE, Basis, Purpose, PurposeTree, read
from consent.reasons import Reason

SHIPPED: Final = Path(__file__).parent / "data" / "precedence.yaml"
PACKS: Final = Path(__file__).parent / "data" / "packs"
IMPORTED: Final = "import"  # the mechanism of a file's rows
OVERRIDE: Final = "directive_override"
UNVERIFIED: Final = "unverified_import_permits"
Source = Annotated[str, Field(min_length=3)]
_MOST_PLACES: Final = 1_000  # sets of jurisdictions that are remembered; acts may name any


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Class(_Strict):
    """A kind of denial. Its place in the list is its rank."""

    name: str
    source: Source
    mechanisms: frozenset[str]
    reason: Reason
    lifted_by: frozenset[str]
    pack: str | None = None


class Rule(_Strict):
    """One thing that the law lets the gate do, or not, and where it says so."""

    allowed: bool
    source: Source


class Pack(_Strict):
    """What the law of a jurisdiction lets the gate do, and why each legal basis may carry a purpose there."""

    version: str
    title: str
    source: Source
    rules: dict[Literal["directive_override", "unverified_import_permits"], Rule]
    bases: dict[Basis, Source]
    rights: dict[Right, Source] = Field(default_factory=dict)  # what a person may ask for here

    def allows(self, name: str) -> bool:
        """Whether the named permission is given here; a name it lacks is a no."""
        return name in self._allowed

    @cached_property
    def _allowed(self) -> frozenset[str]:
        return frozenset(name for name, rule in self.rules.items() if rule.allowed)


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

    def spares(self, standing: str, told: str, *, again: bool) -> bool:
        """Whether a denial that stands makes one told now needless. Not when a file's yes could lift the one and not the other: where the one that stands is a
        file's word, or ``again`` she says it at another time.
        """
        if self.rank(standing) != self.rank(told):
            return self.rank(standing) < self.rank(told)
        for_good = IMPORTED not in self.classes[self.rank(told)].lifted_by
        return for_good or (standing != IMPORTED and not again)

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
    digest: str = ""  # names them all in evidence; empty while nobody put them in force

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

    def source_of(self, purpose: Purpose, place: str) -> str:
        """Where the law says that the purpose rests on its basis there."""
        given = purpose.sources.get(place) if place in purpose.basis else purpose.sources.get(DEFAULT)
        return given or self.precedence.pack(place).bases[purpose.basis_in(place)]

    def _reach(self, key: str) -> tuple[str, ...]:
        line = self.purposes.lineage(key)
        shared = (SALE_SHARE,) if any(self.purposes.by_key[one].sale_share for one in line) else ()
        asked = self.purposes.by_key[key]
        quiet = (PAUSE,) if asked.channels and asked.takes_choice() else ()
        return (*line, EVERYTHING, *shared, *quiet)

    @cached_property
    def _grounds(self) -> dict[frozenset[str], Mapping[str, Ground]]:
        return {}


def load(packs: Path | None = None) -> Precedence:
    """The shipped table with the shipped packs, and those of the folder ``packs``, which come instead of one of the same name.

    Raises:
        PurposesInvalid: a file is unreadable or does not hold together; the message names file and place.
    """
    return parse(read(SHIPPED), {name: read(path) for name, path in pack_files(packs).items()})


def pack_files(packs: Path | None = None) -> Mapping[str, Path]:
    """The file of each jurisdiction, by its name."""
    if packs is not None and not packs.is_dir():
        raise PurposesInvalid(f"expected a folder of packs at {packs.name}, got none")
    found = {
        path.stem: path for folder in (PACKS, packs) if folder is not None for path in sorted(folder.glob("*.yaml"))
    }
    return dict(sorted(found.items()))


def parse(table: object, packs: Mapping[str, object]) -> Precedence:
    """The table and packs, from what their files say.

    Raises:
        PurposesInvalid: they do not hold together.
    """
    try:
        made = Precedence.model_validate({**table, "jurisdictions": packs} if isinstance(table, dict) else table)
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise PurposesInvalid(f"expected a precedence table and packs, got at {place}: {first['msg']}") from None
    if DEFAULT not in made.jurisdictions or sum(not kind.mechanisms for kind in made.classes) != 1:
        raise PurposesInvalid(
            "expected a default jurisdiction and one class for every other mechanism, got something else"
        )
    return made
