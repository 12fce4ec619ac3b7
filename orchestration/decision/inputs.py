"""Everything a decision rests on, as one frozen value that can be stored and read back bit for bit.

Enters: what service gathered (catalogue, profile, permissions, reach, caps, versions). Leaves: `Inputs` with a canonical JSON form;
floats travel as `float.hex`, so that a replay sees the same bits. No words of a person: ids, numbers, codes only.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import cast

import orjson

from kernel.canonical import Json, canonical_of_code
from orchestration.decision.balance import Balance, read_balance
from orchestration.decision.market import Market
from orchestration.decision.origin import Origin

SHOWN, CATEGORY_FULL, BRAND_FULL = "shown_on_page", "category_full_on_page", "brand_full_on_page"
BESIDE = frozenset({SHOWN, CATEGORY_FULL, BRAND_FULL})
"""The reasons against an arm that what stands beside it on the same page forbids (decision.D38, D48)."""

_ANYWHERE = Market()

ENGINE_VERSION = 1
"""Raised whenever the same inputs and seed would no longer give the same record."""


@dataclass(
    frozen=True, kw_only=True
)  # without slots: many decisions share an arm, and what follows from it is worked out once
class Arm:
    """A candidate: one variant on one channel, with what the catalogue says of it at this moment.

    `family` is the variant as the catalogue file names it, where that is another name: of a permutation, of a template that an item fills. `source`
    found the item, `section` titles its section, `personal_source`: it was found by what is known of her. `taste` is how much she engaged with
    the item and its category: it parts arms that are equally useful, and nothing else.
    """

    variant: str
    channel: str
    purpose: str
    order: int
    epsilon: float
    value: float = 1.0
    cost: float = 0.0
    personal: bool = True
    published: bool = True
    stock: int | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    family: str | None = None
    item: str | None = None
    title: str | None = None
    source: str | None = None
    section: str | None = None
    personal_source: bool = False
    taste: float = 0.0
    regions: tuple[str, ...] = ()
    locale: str | None = None
    content_rating: str | None = None
    price: str | None = None
    currency: str | None = None
    brand: str | None = None

    @cached_property
    def id(self) -> str:
        """How the record names it."""
        return f"{self.variant}@{self.channel}"

    @cached_property
    def permit(self) -> str:
        """Under which key the gate's answer for it stands."""
        return f"{self.purpose}|{self.channel}"

    @cached_property
    def asked(self) -> tuple[object, ...]:
        """All that the questions of `eligibility` look at in an arm itself."""
        return (
            self.permit, self.channel, self.personal, self.published, self.stock == 0, self.regions, self.locale,
            self.item is None, self.content_rating, self.price, self.currency,
        )  # fmt: skip

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """The model columns that are 1 for it."""
        names = dict.fromkeys((self.variant, self.family or self.variant))
        category = () if self.category is None else (f"category={self.category}",)
        tags = (f"tag={tag}" for tag in self.tags)
        return (*(f"variant={name}" for name in names), f"channel={self.channel}", *tags, *category)

    @cached_property
    def canonical(self) -> bytes:
        """The bytes of its canonical form."""
        return canonical_of_code(_arm(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What the gate said for one purpose on one channel."""

    answer: str
    reason: str
    act: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutDraw:
    """The comparison group of the placement, and whether this person is in it."""

    name: str
    share: float
    member: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions and digests the decision stood on."""

    graph: int
    consent: int
    profile: int
    catalogue: str
    feature_set: str
    policy: str
    model: str | None
    items: int | None = None


@dataclass(frozen=True, kw_only=True)  # without slots: the digest is worked out once
class Inputs:
    """The whole state a decision may look at. `blocked` is a reason code (erased, restricted) or None.

    `refused` names arms that channels would not or did not take, with channels' reason: a full cap (`cap` or `cap:NAME`), a suppression, a
    contact or connector that is not there, words that cannot be rendered; or `SHOWN`, since another placement of the page has it.
    `declined` names arms whose content she said does not interest her. `balance` is None in records from before there was any.

    `policy` is the rule that the placement names, as recorded, with the digest of the state it acted on; None: greedy by the ranking.

    `without` names what the decision did without and asked Postgres for instead: the hot store was down, or its profile did not hold any more.

    What is newer than the first records (`declined`, `market`, `policy`, `without`, `versions.items`, fields of arms from `family` on) is written only where it says something: a record from
    before has the bytes and the digest it always had.
    """

    at: str
    person: str
    placement: str
    personalize_under: str
    arms: tuple[Arm, ...]
    permits: Mapping[str, Permit]
    reach: Mapping[str, str]
    versions: Versions
    feature_names: tuple[str, ...] = ()
    features: tuple[float, ...] = ()
    origins: tuple[Origin, ...] = ()
    blocked: str | None = None
    suppressed: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    segment_all: tuple[str, ...] = ()
    segment_any: tuple[str, ...] = ()
    segment_none: tuple[str, ...] = ()
    refused: Mapping[str, str] | None = None
    holdout: HoldoutDraw | None = None
    sure: float = 1.0
    min_sure: float = 0.0
    nothing_value: float = 1.0
    eps_min: float = 0.01
    fallback: str | None = None
    trigger: str | None = None
    context: Mapping[str, Json] | None = None
    attempt: int = 1
    declined: frozenset[str] = frozenset()
    market: Market = _ANYWHERE
    policy: Mapping[str, Json] | None = None
    balance: Balance | None = None
    without: tuple[str, ...] = ()

    def permit(self, arm: Arm) -> Permit:
        """The gate's answer for this arm; silence is no."""
        return self.permits.get(arm.permit, _SILENT)

    def to_json(self) -> dict[str, Json]:
        """The canonical form; `from_json` gives the same value back."""
        return self._form([_arm(arm) for arm in self.arms])

    def _form(self, arms: object) -> dict[str, Json]:
        ver = self.versions
        return {
            "engine": ENGINE_VERSION,
            "at": self.at,
            "person": self.person,
            "placement": self.placement,
            "personalize_under": self.personalize_under,
            "arms": cast("Json", arms),
            "permits": {k: {"answer": p.answer, "reason": p.reason, "act": p.act} for k, p in self.permits.items()},
            "reach": dict(self.reach),
            "versions": {
                "graph": ver.graph, "consent": ver.consent, "profile": ver.profile, "catalogue": ver.catalogue,
                "feature_set": ver.feature_set, "policy": ver.policy, "model": ver.model,
                **({"items": ver.items} if ver.items is not None else {}),
            },
            "feature_names": list(self.feature_names),
            "features": [value.hex() for value in self.features],
            "origins": [
                {"feature": o.feature, "trait": o.trait, "source": o.source, "observed_at": o.observed_at,
                 "purpose": o.purpose, "record_id": o.record_id, "act": o.act,
                 **({"also": list(o.also)} if o.also else {})}
                for o in self.origins
            ],
            "blocked": self.blocked,
            "suppressed": sorted(self.suppressed),
            "segments": sorted(self.segments),
            "segment": {"all": list(self.segment_all), "any": list(self.segment_any), "none": list(self.segment_none)},
            "refused": dict(self.refused or {}),
            "holdout": None if self.holdout is None else {
                "name": self.holdout.name, "share": self.holdout.share.hex(), "member": self.holdout.member,
            },
            "sure": self.sure.hex(),
            "min_sure": self.min_sure.hex(),
            "nothing_value": self.nothing_value.hex(),
            "eps_min": self.eps_min.hex(),
            "fallback": self.fallback,
            "trigger": self.trigger,
            "context": dict(self.context or {}),
            "attempt": self.attempt,
            **({"declined": sorted(self.declined)} if self.declined else {}),
            **({"market": _said(self.market, _ANYWHERE, Market.__slots__)} if self.market != _ANYWHERE else {}),
            **({"policy": dict(self.policy)} if self.policy is not None else {}),
            **({"balance": self.balance.to_json()} if self.balance is not None else {}),
            **({"without": list(self.without)} if self.without else {}),
        }  # fmt: skip

    @cached_property
    def canonical(self) -> bytes:
        """The bytes of the canonical form. Fractions are written as hexadecimal text, so only `context` and `policy` can hold one."""
        arms = orjson.Fragment(b"[%b]" % b",".join([arm.canonical for arm in self.arms]))
        return canonical_of_code(self._form(arms), strange=("context", "policy"))

    @cached_property
    def digest(self) -> str:
        """`sha256:` of the canonical form."""
        return f"sha256:{hashlib.sha256(self.canonical).hexdigest()}"


_SILENT = Permit(answer="undetermined", reason="no_act")


def _arm(arm: Arm) -> dict[str, Json]:
    return {
        "variant": arm.variant, "channel": arm.channel, "purpose": arm.purpose, "order": arm.order,
        "epsilon": arm.epsilon.hex(), "value": arm.value.hex(), "cost": arm.cost.hex(), "personal": arm.personal,
        "published": arm.published, "stock": arm.stock, "category": arm.category, "tags": list(arm.tags),
        **_said(arm, _PLAIN, _LATER),
    }  # fmt: skip


def _said(value: Arm | Market, plain: Arm | Market, names: Sequence[str]) -> dict[str, Json]:
    """The fields of a value that differ from the plain one's."""
    found: dict[str, Json] = {}
    for name in names:
        held = getattr(value, name)
        if held != getattr(plain, name):
            found[name] = held.hex() if isinstance(held, float) else list(held) if isinstance(held, tuple) else held
    return found


_PLAIN = Arm(variant="", channel="", purpose="", order=0, epsilon=0.0)
_NAMES = [one.name for one in fields(Arm)]
_LATER = tuple(_NAMES[_NAMES.index("tags") + 1 :])


def from_json(form: Mapping[str, Json]) -> Inputs:
    """The inputs that `to_json` wrote. Trusts its argument: it comes out of a sealed record whose digest was checked."""
    part = _Reader(form)
    ver = part.inner("versions")
    segment = part.inner("segment")
    held = form["holdout"]
    return Inputs(
        at=part.text("at"),
        person=part.text("person"),
        placement=part.text("placement"),
        personalize_under=part.text("personalize_under"),
        arms=tuple(_arm_of(orjson.dumps(one)) for one in cast("Sequence[Json]", form["arms"])),
        permits={
            name: Permit(answer=one.text("answer"), reason=one.text("reason"), act=one.maybe("act"))
            for name, one in part.inner("permits").items()
        },
        reach=part.inner("reach").texts(),
        versions=Versions(
            graph=ver.whole("graph"), consent=ver.whole("consent"), profile=ver.whole("profile"),
            catalogue=ver.text("catalogue"), feature_set=ver.text("feature_set"), policy=ver.text("policy"),
            model=ver.maybe("model"), items=ver.maybe_whole("items"),
        ),
        feature_names=part.names("feature_names"),
        features=tuple(float.fromhex(one) for one in part.names("features")),
        origins=tuple(
            Origin(feature=o.text("feature"), trait=o.text("trait"), source=o.text("source"),
                   observed_at=o.text("observed_at"), purpose=o.text("purpose"), record_id=o.maybe("record_id"),
                   act=o.maybe("act"), also=o.names("also"))
            for o in part.each("origins")
        ),
        blocked=part.maybe("blocked"),
        suppressed=frozenset(part.names("suppressed")),
        segments=frozenset(part.names("segments")),
        segment_all=segment.names("all"),
        segment_any=segment.names("any"),
        segment_none=segment.names("none"),
        refused=part.inner("refused").texts(),
        holdout=None if held is None else HoldoutDraw(
            name=part.inner("holdout").text("name"), share=part.inner("holdout").real("share"),
            member=part.inner("holdout").yes("member"),
        ),
        sure=part.real("sure"),
        min_sure=part.real("min_sure"),
        nothing_value=part.real("nothing_value"),
        eps_min=part.real("eps_min"),
        fallback=part.maybe("fallback"),
        trigger=part.maybe("trigger"),
        context=cast("Mapping[str, Json]", form["context"]),
        attempt=part.whole("attempt"),
        declined=frozenset(part.names("declined")),
        market=_read_market(part.inner("market")) if "market" in form else _ANYWHERE,
        policy=cast("Mapping[str, Json] | None", form.get("policy")),
        balance=read_balance(part.inner("balance").form) if "balance" in form else None,
        without=part.names("without"),
    )  # fmt: skip


def _read_market(one: "_Reader") -> Market:
    return Market(
        region=one.maybe("region"), locale=one.maybe("locale"), profile=one.yes("profile"),
        content_ratings=one.names("content_ratings"), currency=one.maybe("currency"), min_price=one.maybe("min_price"),
        max_price=one.maybe("max_price"),
    )  # fmt: skip


@lru_cache(maxsize=4096)  # the arms of a placement are mostly those of the decision before; no id of anybody is in them
def _arm_of(words: bytes) -> Arm:
    one = _Reader(orjson.loads(words))
    return Arm(
        variant=one.text("variant"), channel=one.text("channel"), purpose=one.text("purpose"), order=one.whole("order"),
        epsilon=one.real("epsilon"), value=one.real("value"), cost=one.real("cost"), personal=one.yes("personal"),
        published=one.yes("published"), stock=one.maybe_whole("stock"),
        category=one.maybe("category"), tags=one.names("tags"), family=one.maybe("family"), item=one.maybe("item"),
        title=one.maybe("title"), source=one.maybe("source"), section=one.maybe("section"),
        personal_source=one.yes("personal_source"), taste=one.real("taste") if "taste" in one.form else 0.0,
        regions=one.names("regions"), locale=one.maybe("locale"), content_rating=one.maybe("content_rating"),
        price=one.maybe("price"), currency=one.maybe("currency"), brand=one.maybe("brand"),
    )  # fmt: skip


class _Reader:
    """Typed access to a JSON object that this module wrote."""

    def __init__(self, form: Mapping[str, Json]) -> None:
        self.form = form

    def text(self, name: str) -> str:
        return str(self.form[name])

    def maybe(self, name: str) -> str | None:
        value = self.form.get(name)
        return None if value is None else str(value)

    def maybe_whole(self, name: str) -> int | None:
        value = self.form.get(name)
        return None if value is None else int(cast("int", value))

    def whole(self, name: str) -> int:
        return int(cast("int", self.form[name]))

    def real(self, name: str) -> float:
        return float.fromhex(self.text(name))

    def yes(self, name: str) -> bool:
        return bool(self.form.get(name))

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(str(one) for one in cast("Sequence[Json]", self.form.get(name) or ()))

    def inner(self, name: str) -> "_Reader":
        return _Reader(cast("Mapping[str, Json]", self.form[name]))

    def each(self, name: str) -> list["_Reader"]:
        return [_Reader(cast("Mapping[str, Json]", one)) for one in cast("Sequence[Json]", self.form[name])]

    def items(self) -> list[tuple[str, "_Reader"]]:
        return [(name, self.inner(name)) for name in self.form]

    def texts(self) -> dict[str, str]:
        return {name: self.text(name) for name in self.form}
