"""What a decision weighs beside the score, gathered for one person at one placement (decision.D12).

Enters: the catalogue's rules, her hot profile, messages of late. Leaves: the profile as far as it may be used yet, and the `Balance` of the decision. Pure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from kernel.canonical import Json
from orchestration.decision.balance import Balance
from orchestration.decision.catalogue import Placement
from orchestration.decision.inputs import Arm
from orchestration.decision.shelf import Shelved
from profiles.features import FeatureSet
from profiles.hot import HotProfile

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def signals(placement: Placement, hot: HotProfile, features: FeatureSet) -> float | None:
    """How many signals there are of her; None where the placement asks for none."""
    if placement.activation is None:
        return None
    return placement.activation.signals(dict(zip(features.names, hot.features, strict=True)))


def usable(placement: Placement, hot: HotProfile, found: float | None) -> HotProfile:
    """The profile as the decision may use it: below the signals that the placement asks for, that of somebody of whom nothing is known."""
    if placement.activation is None or found is None or found >= placement.activation.least:
        return hot
    return replace(hot, features=(math.nan,) * len(hot.features), origins=(), interests=())


def balance(
    shelved: Shelved,
    placement: Placement,
    arms: Sequence[Arm],
    *,
    at: datetime,
    context: Mapping[str, Json],
    recent: Mapping[str, Sequence[int]],
    found: float | None,
    holds: str | None = None,
) -> Balance:
    """Boosts and deductions of this moment. `recent`: messages by channel, in microseconds since 1970; `found`: signals; `holds`: a choice that holds."""
    rules = shelved.catalogue.arbitration
    offered = sorted({arm.channel for arm in arms})
    charged = rules.fatigue.charge(recent, offered, (at - _EPOCH) // _MICROSECOND) if rules.fatigue else {}
    return Balance(
        unit=rules.unit,
        boosts=rules.boosts(placement.name, arms, shelved.since, at=at, context=context),
        channel_costs={name: cost for name, cost in rules.channel_costs.items() if name in offered and cost},
        # A web page is no message: it neither tires nor is dearer for it.
        fatigue={name: cost for name, cost in charged.items() if name != "web"},
        signals=found,
        least_signals=placement.activation.least if placement.activation is not None else 0.0,
        holds=holds,
    )
