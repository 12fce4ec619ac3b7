"""Purposes as data: what data may be used for, on which channels, on which legal basis where.

What enters: ``data/purposes.yaml`` and, by settings, a file of custom children in the same form. What leaves: a
``PurposeTree``. Keys follow fideslang's dotted form and each purpose names its fideslang ``data_use``; the six bases are
those of GDPR Art. 6(1), exactly one per purpose and jurisdiction. A legitimate interest without the id of its balancing
test does not load.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consent.errors import PurposesInvalid, UnknownPurpose
from kernel.yaml_text import read_yaml

SHIPPED: Final = Path(__file__).parent / "data" / "purposes.yaml"
DEFAULT: Final = "default"

# These words stand where a purpose stands, in acts that bind more than one purpose, or none.
EVERYTHING: Final = "*"  # erasure and restriction: every purpose there is
SALE_SHARE: Final = "sale_share"  # an opt-out of sale and sharing: every purpose flagged sale_share
PAUSE: Final = "pause"  # a channel is quiet for a time: every purpose on it that takes a choice
USE: Final = "use:"  # before a kind of information (profiles.kinds): it is not used to choose for her
RESERVED: Final = frozenset({EVERYTHING, SALE_SHARE, PAUSE})
_KIND: Final = re.compile(r"use:[a-z][a-z0-9_]{0,63}")

TRACKING: Final = "tracking"  # the shipped purpose that opens and clicks of a message are seen under


def is_reserved(key: str) -> bool:
    """Whether this is a word that acts may be about and no declared purpose may be called: it stands for many purposes, or for none."""
    return key in RESERVED or _KIND.fullmatch(key) is not None


class Basis(StrEnum):
    """The six legal bases."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)]
Channel = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]


class Translation(BaseModel):
    """What a purpose is called in another language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str


class Purpose(BaseModel):
    """One purpose, as written in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    title: str
    description: str
    data_use: Key
    parent: Key | None = None
    channels: tuple[Channel, ...] = ()
    categories: tuple[Key, ...]
    basis: dict[str, Basis]
    sources: dict[str, Annotated[str, Field(min_length=3)]] = Field(default_factory=dict)
    balancing_test: str | None = None
    sale_share: bool = False
    automated: bool = False  # decides by machine what a person is shown: an opt-out of automated decisions ends it
    sensitive: bool = False  # uses sensitive data: a limit of its use ends it
    double_opt_in: tuple[Channel, ...] = ()  # on these channels a yes counts once it is confirmed
    translations: dict[str, Translation] = {}

    def told(self, language: str) -> tuple[str, str]:
        """Title and description in this language, in English where it has none."""
        found = self.translations.get(language)
        return (found.title, found.description) if found else (self.title, self.description)

    def basis_in(self, jurisdiction: str) -> Basis:
        """The one basis that holds there; an unnamed jurisdiction has the default's."""
        return self.basis.get(jurisdiction, self.basis[DEFAULT])

    def takes_choice(self) -> bool:
        """Whether a person is asked: some jurisdiction rests it on consent or on an interest one may object to."""
        return any(basis in {Basis.CONSENT, Basis.LEGITIMATE_INTERESTS} for basis in self.basis.values())


class PurposeFile(BaseModel):
    """A file of purposes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    purposes: tuple[Purpose, ...]
    double_opt_in: dict[Key, tuple[Channel, ...]] = {}  # the same for purposes of another file, the shipped ones


@dataclass(frozen=True)
class PurposeTree:
    """All purposes by key, checked: parents exist, no circles, every basis complete."""

    version: str
    by_key: Mapping[str, Purpose]
    double_opt_in: frozenset[tuple[str, str]] = frozenset()  # purpose and channel

    def get(self, key: str) -> Purpose | None:
        """The purpose, or None when there is none of that key."""
        return self.by_key.get(key)

    def expect(self, key: str) -> Purpose:
        """The purpose.

        Raises:
            UnknownPurpose: no purpose has this key.
        """
        found = self.by_key.get(key)
        if found is None:
            msg = f"expected one of {len(self.by_key)} known purposes, got one of {len(key)} characters that is not listed"
            raise UnknownPurpose(msg)
        return found

    def lineage(self, key: str) -> tuple[str, ...]:
        """The purpose and its ancestors, nearest first; empty when unknown."""
        return self._lineages.get(key, ())

    def children(self, key: str) -> tuple[str, ...]:
        """Every purpose below this one, at any depth."""
        return tuple(k for k, line in self._lineages.items() if key in line[1:])

    def channel_of(self, key: str, channel: str | None) -> str | None:
        """The channel an act means: a purpose with one channel is that channel."""
        if channel is None:
            purpose = self.by_key.get(key)
            if purpose is not None and len(purpose.channels) == 1:
                return purpose.channels[0]
        return channel

    def confirmed_on(self, key: str, channel: str | None, listed: Iterable[str] = ()) -> frozenset[str]:
        """The channels on which a yes to this purpose, or to one that its notice listed, must be confirmed; empty when none."""
        meant = {key, *listed}
        return frozenset(on for one, on in self.double_opt_in if one in meant and channel in {None, on})

    @cached_property
    def _lineages(self) -> Mapping[str, tuple[str, ...]]:
        lines = {}
        for key in self.by_key:
            line, at = [key], self.by_key[key].parent
            while at is not None:
                line.append(at)
                at = self.by_key[at].parent
            lines[key] = tuple(line)
        return lines


def load(custom: Path | None = None) -> PurposeTree:
    """The shipped purposes, and the custom children of ``custom`` when a file is named.

    Raises:
        PurposesInvalid: the file is unreadable or does not hold together; the message names place and fault.
    """
    return parse(read(SHIPPED), None if custom is None else read(custom))


def parse(shipped: object, custom: object | None = None) -> PurposeTree:
    """The tree, from what the files say.

    Raises:
        PurposesInvalid: they do not hold together.
    """
    own = _file(shipped, SHIPPED.name)
    if custom is None:
        return build(own.purposes, own.version, own.double_opt_in)
    added = _file(custom, "the file of purposes of your own")
    asked = {**own.double_opt_in, **added.double_opt_in}
    return build((*own.purposes, *added.purposes), f"{own.version}+{added.version}", asked)


def build(
    purposes: Iterable[Purpose], version: str, double_opt_in: Mapping[str, Iterable[str]] | None = None
) -> PurposeTree:
    """A checked tree of these purposes. ``double_opt_in``: channels by purpose, beside what the purposes say themselves."""
    by_key: dict[str, Purpose] = {}
    for purpose in purposes:
        if purpose.key in by_key:
            raise PurposesInvalid(f"expected each purpose once, got '{purpose.key}' twice")
        by_key[purpose.key] = purpose
    for purpose in by_key.values():
        _check(purpose, by_key)
    asked = {(key, on) for key, channels in (double_opt_in or {}).items() for on in channels}
    asked |= {(one.key, on) for one in by_key.values() for on in one.double_opt_in}
    if strange := sorted(key for key, on in asked if key not in by_key or on not in by_key[key].channels):
        raise PurposesInvalid(f"expected double_opt_in on channels that the purpose governs, got others for {strange}")
    return PurposeTree(version=version, by_key=by_key, double_opt_in=frozenset(asked))


def _check(purpose: Purpose, by_key: Mapping[str, Purpose]) -> None:
    key = purpose.key
    if is_reserved(key):
        raise PurposesInvalid(f"expected a key that is not reserved, got '{key}'")
    if DEFAULT not in purpose.basis:
        raise PurposesInvalid(f"expected a default basis for '{key}', got only {sorted(purpose.basis)}")
    if Basis.LEGITIMATE_INTERESTS in purpose.basis.values() and not purpose.balancing_test:
        raise PurposesInvalid(f"expected balancing_test for '{key}', which rests on legitimate interests, got none")
    seen, at = {key}, purpose.parent
    while at is not None:
        if at not in by_key:
            raise PurposesInvalid(f"expected the parent of '{key}' among the purposes, got '{at}'")
        if at in seen:
            raise PurposesInvalid(f"expected a tree, got a circle through '{key}'")
        seen.add(at)
        at = by_key[at].parent


def read(path: Path) -> object:
    """What a YAML file says.

    Raises:
        PurposesInvalid: it cannot be read; the message names it.
    """
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise PurposesInvalid(f"expected a readable file {path.name}, got {fault.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise PurposesInvalid(f"expected YAML in {path.name}, got {fault}") from None


def _file(said: object, name: str) -> PurposeFile:
    try:
        return PurposeFile.model_validate(said)
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        place = "/".join(str(step) for step in first["loc"])
        raise PurposesInvalid(f"expected a file of purposes in {name}, got at {place}: {first['msg']}") from None
