"""Which arms may be chosen: ten questions in a fixed order, and every loser leaves at exactly one (decision.D10).

Enters: `Inputs`. Leaves: the eligible arms, and one `Rejection` with stage, number and reason code for each other arm. Pure and total.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from orchestration.decision.inputs import BESIDE, Arm, Inputs
from orchestration.decision.market import Market


class Stage(StrEnum):
    """Where a candidate may be lost, in the order of asking. `SCORE` is for an eligible arm that was not drawn."""

    BLOCKED = "blocked"
    CONSENT = "consent"
    REACH = "reach"
    SUPPRESSION = "suppression"
    SEGMENT = "segment"
    PUBLICATION = "publication"
    CAP = "cap"
    HOLDOUT = "holdout"
    SURE = "sure"
    DIVERSITY = "diversity"
    SCORE = "score"

    @property
    def number(self) -> int:
        """The place in the order of asking, from 1."""
        return _ORDER[self]


_ORDER = {stage: number for number, stage in enumerate(Stage, 1)}


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one arm may not be chosen. `act` is the consent act that said so, where one did."""

    stage: Stage
    reason: str
    act: str | None = None


_SUPPRESSED = "suppressed"
_HOLDS = Rejection(Stage.DIVERSITY, "another_choice_holds")
NOT_INTERESTED = "not_interested"
EXPERIMENT = "experiment:"
"""What begins the reason against an arm that an experiment keeps from this person."""
_UNREACHABLE = frozenset({"no_connector", "contact_gone", "no_key", "expired"})


def _refusal(state: Inputs, arm: Arm) -> str:
    """What channels said of this arm, empty when nothing."""
    return (state.refused or {}).get(arm.id, "")


def _is_cap(reason: str) -> bool:
    return reason == "cap" or reason.startswith("cap:")


def _blocked(state: Inputs, arm: Arm) -> Rejection | None:
    del arm
    return Rejection(Stage.BLOCKED, state.blocked) if state.blocked else None


def _consent(state: Inputs, arm: Arm) -> Rejection | None:
    permit = state.permit(arm)
    return None if permit.answer == "granted" else Rejection(Stage.CONSENT, permit.reason, permit.act)


def _reach(state: Inputs, arm: Arm) -> Rejection | None:
    if (reason := _refusal(state, arm)) in _UNREACHABLE:
        return Rejection(Stage.REACH, reason)
    return None if arm.channel in state.reach else Rejection(Stage.REACH, "no_contact_point")


def _suppression(state: Inputs, arm: Arm) -> Rejection | None:
    if arm.channel in state.suppressed or _refusal(state, arm) == _SUPPRESSED:
        return Rejection(Stage.SUPPRESSION, _SUPPRESSED)
    return None


def _segment(state: Inputs, arm: Arm) -> Rejection | None:
    del arm
    if not state.segments.issuperset(state.segment_all):
        return Rejection(Stage.SEGMENT, "not_in_segment")
    if state.segment_any and state.segments.isdisjoint(state.segment_any):
        return Rejection(Stage.SEGMENT, "in_no_segment_of")
    if not state.segments.isdisjoint(state.segment_none):
        return Rejection(Stage.SEGMENT, "in_excluded_segment")
    return None


def _publication(state: Inputs, arm: Arm) -> Rejection | None:
    if not arm.published:
        return Rejection(Stage.PUBLICATION, "not_published")
    if arm.stock == 0:
        return Rejection(Stage.PUBLICATION, "out_of_stock")
    if arm.id in state.declined:
        return Rejection(Stage.PUBLICATION, NOT_INTERESTED)
    if (wrong := misfit(state.market, arm)) is not None:
        return Rejection(Stage.PUBLICATION, wrong)
    reason = _refusal(state, arm)
    # What is left are words that cannot be rendered for this person.
    later = not reason or reason in BESIDE or _is_cap(reason) or reason.startswith(EXPERIMENT)
    return None if later else Rejection(Stage.PUBLICATION, reason)


def misfit(market: Market, arm: Arm) -> str | None:
    """Why this arm is not for where the person is, what she reads, or the items this placement takes; None when it is.

    What is sold somewhere only is not for who may be anywhere; what an item does not say, a rule about it cannot be met by.
    """
    if arm.regions and market.region not in arm.regions:
        return "region_unknown" if market.region is None else "wrong_region"
    if arm.locale and market.locale and _language(arm.locale) != _language(market.locale):
        return "wrong_locale"
    if arm.item is None:
        return None
    if market.content_ratings and arm.content_rating not in market.content_ratings:
        return "not_rated" if arm.content_rating is None else "content_rating"
    return _overpriced(market, arm)


def _overpriced(market: Market, arm: Arm) -> str | None:
    if market.currency is None:
        return None
    if arm.price is None or arm.currency is None:
        return "no_price"
    if arm.currency != market.currency:
        return "other_currency"
    price = Decimal(arm.price)
    low = market.min_price is not None and price < Decimal(market.min_price)
    high = market.max_price is not None and price > Decimal(market.max_price)
    return "price_out_of_bounds" if low or high else None


def _language(locale: str) -> str:
    """`de` of `de`, `de-AT` and `de_AT`: who reads one reads the other."""
    return locale.replace("_", "-").partition("-")[0].lower()


def _cap(state: Inputs, arm: Arm) -> Rejection | None:
    reason = _refusal(state, arm)
    return Rejection(Stage.CAP, reason) if _is_cap(reason) else None


def _holdout(state: Inputs, arm: Arm) -> Rejection | None:
    if state.holdout is not None and state.holdout.member:
        return Rejection(Stage.HOLDOUT, f"holdout:{state.holdout.name}")
    # An arm of an experiment that shows other variants: the comparison is made here, as with a comparison group.
    reason = _refusal(state, arm)
    return Rejection(Stage.HOLDOUT, reason) if reason.startswith(EXPERIMENT) else None


def _sure(state: Inputs, arm: Arm) -> Rejection | None:
    # profiles.V15: below the threshold only non-personal content is eligible.
    if arm.personal and state.sure < state.min_sure:
        return Rejection(Stage.SURE, "person_unsure")
    quiet = arm.personal and state.balance is not None and not state.balance.active
    return Rejection(Stage.SURE, "too_few_signals") if quiet else None


def _diversity(state: Inputs, arm: Arm) -> Rejection | None:
    reason = _refusal(state, arm)
    return Rejection(Stage.DIVERSITY, reason) if reason in BESIDE else None


QUESTIONS: tuple[Callable[[Inputs, Arm], Rejection | None], ...] = (
    _blocked, _consent, _reach, _suppression, _segment, _publication, _cap, _holdout, _sure, _diversity,
)  # fmt: skip


def judge(state: Inputs, arm: Arm) -> Rejection | None:
    """The first question this arm fails, or None when it may be chosen."""
    for question in QUESTIONS:
        rejection = question(state, arm)
        if rejection is not None:
            return rejection
    return None


def verdicts(state: Inputs) -> list[tuple[Arm, Rejection | None]]:
    """Every arm and its judgement. Arms that the questions cannot tell apart are judged once: of fifty, mostly two or three."""
    refused = state.refused or {}
    known: dict[object, Rejection | None] = {}
    found: list[tuple[Arm, Rejection | None]] = []
    for arm in state.arms:
        alike = (arm.asked, refused.get(arm.id), arm.id in state.declined)
        if alike not in known:
            known[alike] = judge(state, arm)
        found.append((arm, known[alike]))
    return _holding(state, found)


def _holding(state: Inputs, found: list[tuple[Arm, Rejection | None]]) -> list[tuple[Arm, Rejection | None]]:
    """A choice that holds leaves no room for another one, unless consent, a cap, stock or any other question stops it on every channel (decision.D48)."""
    held = state.balance.holds if state.balance is not None else None
    if held is None or not any(arm.variant == held and rejection is None for arm, rejection in found):
        return found
    return [(arm, _HOLDS if rejection is None and arm.variant != held else rejection) for arm, rejection in found]
