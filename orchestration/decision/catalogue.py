"""The catalogue: contents with variants, placements, rewards. What a marketer may say, as data.

Enters: YAML text. Leaves: a frozen `Catalogue` with a digest over its canonical form, or `CatalogueInvalid` that names every
faulty place and, for an unknown key, the nearest known one. Spec decision.D44, D46, D47 (a published variant is immutable).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from kernel.canonical import Json, canonical, digest
from kernel.errors import Problem
from kernel.yaml_text import read_yaml
from orchestration.decision.arbitration import Activation, Arbitration, Diversity, Fatigue, Freshness, Lever
from orchestration.decision.errors import CatalogueInvalid, UnknownPlacement
from orchestration.decision.parts import Amount, Channel, Name, Names, Part, Seconds, Words, listed, nearest
from orchestration.decision.policies.rules import FIELDS, PolicyRule
from orchestration.decision.sourcing import Audience, BundleRule, ItemRules, SourceRule
from orchestration.decision.variants import Button, Content, SlotSource, Variant, name_parts

NOTHING = "nothing"
"""The arm that sends nothing; no variant may take its name."""


class Cap(Part):
    """At most `limit` messages per person within `window`; `scope` says which messages count."""

    limit: int = Field(ge=1)
    window: Seconds | Literal["day"] = Field(description="A rolling time, or the calendar day in `zone`.")
    zone: str = "UTC"
    scope: Literal["placement", "channel", "all"] = "placement"


class Holdout(Part):
    """A share of people who get nothing, so that lift can be measured. Placements with the same name share its people."""

    name: Name
    share: float = Field(ge=0, lt=1)


class SegmentRule(Part):
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


class Placement(Part):
    """A place and moment at which one choice is made."""

    name: Name
    purpose: str | Mapping[Channel, str]
    personalize_under: str = "marketing.personalize"
    channels: Annotated[tuple[Channel, ...], BeforeValidator(listed), Field(min_length=1)]
    variants: Names = ()
    sources: tuple[SourceRule, ...] = ()
    items: ItemRules = ItemRules()
    segment: SegmentRule | None = None
    caps: tuple[Cap, ...] = ()
    epsilon: Mapping[Channel, Annotated[float, Field(ge=0, le=1)]] = {}
    policy: PolicyRule | None = Field(default=None, description="How it chooses; None: as `decision.policy` says.")
    holdout: Holdout | None = None
    trigger: str | None = None
    time_to_live: Seconds = 86_400
    min_sure: float = Field(default=0.0, ge=0, le=1)
    activation: Activation | None = None
    holds: bool = Field(
        default=False,
        description="What was chosen here for somebody holds on every channel until its time to live is over, unless it may not be chosen any more.",
    )
    significant_decision: bool = Field(
        default=False,
        description="Its choices have legal or similarly significant effects: told before, answered and reviewed by people after, and made about nobody who does not let a machine choose.",
    )
    nothing_logged_as: Words = ()
    nothing_value: Amount = Field(default=1.0, description="Worth of one unit of reward that comes without a message.")
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


class Catalogue(Part):
    """The whole file. Variant ids are unique in it; every name a placement uses is declared."""

    version: Literal[1] = 1
    controller: str = Field(default="", description="Who decides, as named to people.")
    contents: tuple[Content, ...] = Field(min_length=1)
    placements: tuple[Placement, ...] = Field(min_length=1)
    rewards: Mapping[str, Amount] = {}
    audience: Audience = Audience()
    regions: Mapping[str, str] = Field(default={}, description="How a region is called in a section's title.")
    categories: Mapping[str, str] = Field(default={}, description="How a category is called in a section's title.")
    bundles: tuple[BundleRule, ...] = ()
    arbitration: Arbitration = Arbitration()
    page: Diversity = Field(
        default=Diversity(), description="Shares of a page that asks for several placements at once."
    )

    @model_validator(mode="after")
    def _names_meet(self) -> "Catalogue":
        _once("variant id", [one.id for one in self.variants()])
        if NOTHING in self._families:
            msg = f"expected another variant id than '{NOTHING}', which names the arm that sends nothing"
            raise ValueError(msg)
        _once("placement name", [one.name for one in self.placements])
        _once("bundle id", [one.id for one in self.bundles])
        shares: dict[str, float] = {}
        for place in self.placements:
            self._place_meets(place)
            if place.holdout and shares.setdefault(place.holdout.name, place.holdout.share) != place.holdout.share:
                msg = f"expected one share for holdout '{place.holdout.name}', got several"
                raise ValueError(msg)
        return self

    def _place_meets(self, place: Placement) -> None:
        if not place.variants and not place.sources:
            msg = f"expected variants or sources in placement '{place.name}', got neither"
            raise ValueError(msg)
        for name in (*place.variants, *(one.template for one in place.sources)):
            if name not in self._families:
                msg = f"expected a declared variant in placement '{place.name}', got '{name}'{nearest(name, list(self._families))}"
                raise ValueError(msg)
        for name in place.variants:
            if self._families[name].template:
                msg = f"expected a source for '{name}' in placement '{place.name}': items fill its slots"
                raise ValueError(msg)
        for rule in place.sources:
            if not self._families[rule.template].template:
                msg = f"expected a template with slots for an item in placement '{place.name}', got '{rule.template}'"
                raise ValueError(msg)
        if not isinstance(place.purpose, str):
            for channel in place.channels:
                if channel not in place.purpose:
                    msg = f"expected a purpose for channel {channel} in placement '{place.name}'"
                    raise ValueError(msg)

    @cached_property
    def _families(self) -> Mapping[str, Variant]:
        """Every id that a placement may name, with its variant as declared."""
        found: dict[str, Variant] = {}
        for content in self.contents:
            for declared in content.variants:
                found |= {one.id: declared for one in declared.permutations()} | {declared.id: declared}
        return found

    @cached_property
    def _made(self) -> Mapping[str, Variant]:
        """Every variant that can be chosen as it is, and every template, by id."""
        return {
            one.id: one for content in self.contents for declared in content.variants for one in declared.permutations()
        }

    @property
    def names(self) -> list[str]:
        """Every id of a variant that a part of the file may name."""
        return list(self._families)

    def variants(self) -> Iterator[Variant]:
        """Every variant, in declared order: permutations instead of what makes them, templates as they are."""
        for content in self.contents:
            for declared in content.variants:
                yield from declared.permutations()

    def variant(self, name: str) -> Variant:
        """The variant with this id, or the template that an item fills; `KeyError` cannot happen for names of placements, which are checked."""
        family = name_parts(name)[0]
        return self._made.get(family) or self._families[family]

    def family(self, name: str) -> str:
        """The id that the file gives the variant: of a permutation, of a filled template."""
        head = name_parts(name)[0]
        return self._families[head].id if head in self._families else head

    def offered(self, placement: Placement) -> tuple[Variant, ...]:
        """The variants of a placement, permutations one by one; what items make of its templates is not among them."""
        found: dict[str, Variant] = {}
        for name in placement.variants:
            one = self._made.get(name)
            for variant in (one,) if one is not None else self._families[name].permutations():
                found.setdefault(variant.id, variant)
        return tuple(found.values())

    def content_of(self, variant: str) -> Content:
        """The content a variant belongs to."""
        return self._contents[self.family(variant)]

    @cached_property
    def _contents(self) -> Mapping[str, Content]:
        return {one.id: content for content in self.contents for one in content.variants}

    def placement(self, name: str) -> Placement:
        """The placement with this name.

        Raises:
            UnknownPlacement: none has it; the message offers the nearest name.
        """
        for place in self.placements:
            if place.name == name:
                return place
        known = [one.name for one in self.placements]
        raise UnknownPlacement(f"expected a declared placement, got '{name[:64]}'{nearest(name, known)}")

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
        raw = read_yaml(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "an unknown line"
        raise CatalogueInvalid(f"expected YAML, got something else at {where}") from None
    if not isinstance(raw, dict):
        raise CatalogueInvalid(f"expected a mapping at the top of the catalogue, got {type(raw).__name__}")
    try:
        made = Catalogue.model_validate(raw)
    except ValidationError as fault:
        raise _invalid([_problem(dict(one)) for one in fault.errors(include_url=False, include_input=False)]) from None
    if problems := [*_idle_levers(made), *_unknown_zones(made)]:
        raise _invalid(problems)
    return made


def _invalid(problems: list[Problem]) -> CatalogueInvalid:
    shown = "; ".join(f"{one.pointer}: {one.reason}" for one in problems[:5])
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return CatalogueInvalid(f"expected a valid catalogue, got {shown}{more}", problems=problems)


# What is asked of a file that is to be published, and not of one that was published before it was asked.


def _idle_levers(made: Catalogue) -> Iterator[Problem]:
    """A lever of a name that nothing has would never do anything."""
    places, variants = [one.name for one in made.placements], made.names
    for at, lever in enumerate(made.arbitration.levers):
        for part, known, names in (("placements", places, lever.placements), ("variants", variants, lever.variants)):
            for name in names:
                if name not in known:
                    yield Problem(
                        f"/arbitration/levers/{at}/{part}",
                        f"expected a declared name, got '{name}'{nearest(name, known)}",
                    )


def _unknown_zones(made: Catalogue) -> Iterator[Problem]:
    """A cap in a zone that this machine does not know would stop every decision of its placement."""
    for at, place in enumerate(made.placements):
        for which, cap in enumerate(place.caps):
            try:
                ZoneInfo(cap.zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
                yield Problem(
                    f"/placements/{at}/caps/{which}/zone",
                    f"expected a time zone such as Europe/Berlin, got '{cap.zone[:64]}'",
                )


def refuse_unknown_features(made: Catalogue, known: Sequence[str]) -> None:
    """A policy or an activation over a feature that nobody has would learn, or count, nothing.

    Raises:
        CatalogueInvalid: it names one; one problem per place.
    """
    if problems := [
        Problem(where, f"expected features that are declared, got '{name}'{nearest(name, known)}")
        for where, name in named_features(made)
        if name not in known
    ]:
        raise _invalid(problems)


def named_features(made: Catalogue) -> Iterator[tuple[str, str]]:
    """Every feature that a placement's policy or activation names, after its place in the file."""
    for at, place in enumerate(made.placements):
        parts = (("policy", place.policy.columns if place.policy else ()), ("activation", place.activation.features if place.activation else ()))  # fmt: skip
        for part, names in parts:
            for which, name in enumerate(names):
                yield f"/placements/{at}/{part}/features/{which}", name


_KNOWN = sorted({
    name
    for part in (
        Catalogue, Content, Variant, SlotSource, Button, Placement, Cap, Holdout, SegmentRule, SourceRule, ItemRules, Audience, BundleRule,
        Arbitration, Lever, Fatigue, Freshness, Activation, Diversity,
    )
    for name in part.model_fields
} | set(FIELDS))  # fmt: skip


def _problem(error: Mapping[str, object]) -> Problem:
    place = error["loc"]
    steps = place if isinstance(place, tuple) else ()
    pointer = "/" + "/".join(str(step) for step in steps)
    if error["type"] == "extra_forbidden":
        return Problem(pointer, f"unknown key '{steps[-1]}'{nearest(str(steps[-1]), _KNOWN)}")
    return Problem(pointer, str(error["msg"]).removeprefix("Value error, "))


def _once(what: str, names: list[str]) -> None:
    if doubled := sorted(name for name, count in Counter(names).items() if count > 1):
        msg = f"expected every {what} once, got again: {', '.join(doubled[:5])}"
        raise ValueError(msg)
