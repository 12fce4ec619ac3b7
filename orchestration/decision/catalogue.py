"""The catalogue: contents with variants, placements, rewards. What a marketer may say, as data.

Enters: YAML text. Leaves: a frozen `Catalogue` with a digest over its canonical form, or `CatalogueInvalid` that names every
faulty place and, for an unknown key, the nearest known one. Spec decision.D44, D46, D47 (a published variant is immutable).
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from kernel.canonical import Json, canonical, digest
from kernel.errors import Problem
from orchestration.decision.errors import CatalogueInvalid, UnknownPlacement

NOTHING = "nothing"
"""The arm that sends nothing; no variant may take its name."""

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(value: object) -> object:
    """`30m`, `12h`, `7d`, `2w` as whole seconds; a number is seconds already."""
    if isinstance(value, str) and value != "day":
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            msg = "expected a duration such as 30m, 12h, 7d or 2w"
            raise ValueError(msg)
        return int(match[1]) * _SECONDS[match[2]]
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Seconds = Annotated[int, BeforeValidator(_seconds), Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
Channel = Literal["web", "email", "push"]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SlotSource(_Part):
    """The trait that fills a slot of the words, and neutral words for when the purpose may not see it. No fallback: required."""

    trait: str
    fallback: str | None = None


class Button(_Part):
    """The one button of a message."""

    label: str = Field(min_length=1, max_length=80)
    url: str = Field(min_length=1)


class Variant(_Part):
    """One version of a content: its words, with slots written as `{{ name }}`, and its economics.

    `body` is split into paragraphs at empty lines. `logged_as` are names under which imported logs know this arm.
    """

    id: Name
    label: str = Field(min_length=1, max_length=200)
    channels: Annotated[tuple[Channel, ...], BeforeValidator(_listed), Field(min_length=1)]
    subject: str = ""
    heading: str = ""
    preheader: str = ""
    body: str = Field(min_length=1)
    action: Button | None = None
    slots: Mapping[str, SlotSource] = {}
    locale: str | None = None
    is_advertisement: bool = True
    on_behalf_of: str = ""
    paid_by: str = ""
    value: float = Field(default=1.0, description="Worth of one unit of reward, in the placement's currency.")
    cost: float = Field(default=0.0, ge=0, description="Cost of showing it once, in the same currency.")
    tags: Names = ()
    personal: bool = True
    stock: int | None = Field(default=None, ge=0)
    logged_as: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()

    @model_validator(mode="after")
    def _can_be_sent(self) -> "Variant":
        if "email" in self.channels and not self.subject:
            msg = f"expected a subject in variant '{self.id}', which goes out by email"
            raise ValueError(msg)
        return self

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The body, paragraph by paragraph."""
        return tuple(part.strip() for part in re.split(r"\n\s*\n", self.body) if part.strip())

    def words(self) -> dict[str, Json]:
        """What is published and immutable: everything a reader could see."""
        told: dict[str, Json] = self.model_dump(mode="json", exclude=_ECONOMICS)
        return told


_ECONOMICS = {"channels", "value", "cost", "tags", "personal", "stock", "logged_as"}


class Content(_Part):
    """A message that may be said in several ways."""

    id: Name
    category: Name | None = None
    variants: tuple[Variant, ...] = Field(min_length=1)


class Cap(_Part):
    """At most `limit` messages per person within `window`; `scope` says which messages count."""

    limit: int = Field(ge=1)
    window: Seconds | Literal["day"] = Field(description="A rolling time, or the calendar day in `zone`.")
    zone: str = "UTC"
    scope: Literal["placement", "channel", "all"] = "placement"


class Holdout(_Part):
    """A share of people who get nothing, so that lift can be measured. Placements with the same name share its people."""

    name: Name
    share: float = Field(ge=0, lt=1)


class SegmentRule(_Part):
    """Membership by segment names that profiles computed: in all of `all`, in some of `any`, in none of `none`."""

    all: Names = ()
    any: Names = ()
    none: Names = ()

    def holds(self, segments: frozenset[str]) -> bool:
        """Whether a person in exactly these segments is meant."""
        return (
            segments.issuperset(self.all)
            and (not self.any or not segments.isdisjoint(self.any))
            and segments.isdisjoint(self.none)
        )


class Placement(_Part):
    """A place and moment at which one choice is made."""

    name: Name
    purpose: str | Mapping[Channel, str]
    personalize_under: str = "marketing.personalize"
    channels: Annotated[tuple[Channel, ...], BeforeValidator(_listed), Field(min_length=1)]
    variants: Annotated[tuple[Name, ...], BeforeValidator(_listed), Field(min_length=1)]
    segment: SegmentRule | None = None
    caps: tuple[Cap, ...] = ()
    epsilon: Mapping[Channel, Annotated[float, Field(ge=0, le=1)]] = {}
    holdout: Holdout | None = None
    trigger: str | None = None
    time_to_live: Seconds = 86_400
    min_sure: float = Field(default=0.0, ge=0, le=1)
    nothing_logged_as: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    nothing_value: float = Field(default=1.0, description="Worth of one unit of reward that comes without a message.")
    reward: str | None = Field(
        default=None, description="The outcome that this placement's ranker learns; none: the rewards table, summed."
    )

    def purpose_on(self, channel: str) -> str:
        """The purpose a message on this channel is sent under."""
        if isinstance(self.purpose, str):
            return self.purpose
        return next(purpose for name, purpose in self.purpose.items() if name == channel)

    @property
    def lifetime(self) -> timedelta:
        """How long a choice stands."""
        return timedelta(seconds=self.time_to_live)


class Catalogue(_Part):
    """The whole file. Variant ids are unique in it; every name a placement uses is declared."""

    version: Literal[1] = 1
    controller: str = Field(default="", description="Who decides, as named to people.")
    contents: tuple[Content, ...] = Field(min_length=1)
    placements: tuple[Placement, ...] = Field(min_length=1)
    rewards: Mapping[str, float] = {}

    @model_validator(mode="after")
    def _names_meet(self) -> "Catalogue":
        ids = [one.id for one in self.variants()]
        if doubled := sorted({one for one in ids if ids.count(one) > 1}):
            msg = f"expected every variant id once, got again: {', '.join(doubled)}"
            raise ValueError(msg)
        if NOTHING in ids:
            msg = f"expected another variant id than '{NOTHING}', which names the arm that sends nothing"
            raise ValueError(msg)
        names = [one.name for one in self.placements]
        if doubled := sorted({one for one in names if names.count(one) > 1}):
            msg = f"expected every placement name once, got again: {', '.join(doubled)}"
            raise ValueError(msg)
        shares: dict[str, float] = {}
        for place in self.placements:
            self._place_meets(place, ids)
            if place.holdout and shares.setdefault(place.holdout.name, place.holdout.share) != place.holdout.share:
                msg = f"expected one share for holdout '{place.holdout.name}', got several"
                raise ValueError(msg)
        return self

    def _place_meets(self, place: Placement, ids: list[str]) -> None:
        for name in place.variants:
            if name not in ids:
                msg = f"expected a declared variant in placement '{place.name}', got '{name}'{_nearest(name, ids)}"
                raise ValueError(msg)
        if not isinstance(place.purpose, str):
            for channel in place.channels:
                if channel not in place.purpose:
                    msg = f"expected a purpose for channel {channel} in placement '{place.name}'"
                    raise ValueError(msg)

    def variants(self) -> Iterator[Variant]:
        """Every variant, in declared order."""
        for content in self.contents:
            yield from content.variants

    def variant(self, name: str) -> Variant:
        """The variant with this id; `KeyError` cannot happen for names of placements, which are checked."""
        return next(one for one in self.variants() if one.id == name)

    def content_of(self, variant: str) -> Content:
        """The content a variant belongs to."""
        return next(one for one in self.contents if any(two.id == variant for two in one.variants))

    def placement(self, name: str) -> Placement:
        """The placement with this name.

        Raises:
            UnknownPlacement: none has it; the message offers the nearest name.
        """
        for place in self.placements:
            if place.name == name:
                return place
        known = [one.name for one in self.placements]
        raise UnknownPlacement(f"expected a declared placement, got '{name[:64]}'{_nearest(name, known)}")

    def document(self) -> dict[str, Json]:
        """The canonical form: every default written out."""
        plain: dict[str, Json] = self.model_dump(mode="json")
        return plain

    @property
    def digest(self) -> str:
        """`sha256:` of the canonical form."""
        return digest(self.document())

    def __hash__(self) -> int:
        return hash(canonical(self.document()))


def parse(text: str) -> Catalogue:
    """The catalogue that `text` declares.

    Raises:
        CatalogueInvalid: not YAML, unknown keys, missing or impossible values; one problem per place.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "an unknown line"
        raise CatalogueInvalid(f"expected YAML, got something else at {where}") from None
    if not isinstance(raw, dict):
        raise CatalogueInvalid(f"expected a mapping at the top of the catalogue, got {type(raw).__name__}")
    try:
        return Catalogue.model_validate(raw)
    except ValidationError as fault:
        problems = [_problem(dict(one)) for one in fault.errors(include_url=False, include_input=False)]
        shown = "; ".join(f"{one.pointer}: {one.reason}" for one in problems[:5])
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CatalogueInvalid(f"expected a valid catalogue, got {shown}{more}", problems=problems) from None


_KNOWN = sorted({
    name for part in (Catalogue, Content, Variant, SlotSource, Button, Placement, Cap, Holdout, SegmentRule) for name in part.model_fields
})  # fmt: skip


def _problem(error: Mapping[str, object]) -> Problem:
    place = error["loc"]
    steps = place if isinstance(place, tuple) else ()
    pointer = "/" + "/".join(str(step) for step in steps)
    if error["type"] == "extra_forbidden":
        return Problem(pointer, f"unknown key '{steps[-1]}'{_nearest(str(steps[-1]), _KNOWN)}")
    return Problem(pointer, str(error["msg"]).removeprefix("Value error, "))


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known[:12])}"
