"""What one decision weighs beside the score: boosts and deductions, and what they make of every arm (decision.D12).

    utility = score x value x boost x boost ... - cost - cost of the channel - fatigue

Factors are multiplied in the order they are kept in, so a replay has the same bits; their logarithms add up to the logarithm of the gain, which is how
they are shown. Enters: factors and amounts. Leaves: utilities, and `Terms` of one arm. Pure; it has a JSON form inside the decision's inputs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from kernel.canonical import Json

if TYPE_CHECKING:
    from orchestration.decision.inputs import Arm


@dataclass(frozen=True, slots=True)
class Boost:
    """A factor on the worth of some arms, by id; `arms` None: of all. `kind` is lever, context or freshness."""

    name: str
    kind: str
    factor: float
    arms: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Everything but scores, values and costs of arms. Amounts are in `unit`; `signals` is None where nothing asks for any; `holds` is the variant that
    another decision chose at this placement a while ago, where such a choice holds.
    """

    unit: str = ""
    boosts: tuple[Boost, ...] = ()
    channel_costs: Mapping[str, float] = field(default_factory=dict)
    fatigue: Mapping[str, float] = field(default_factory=dict)
    signals: float | None = None
    least_signals: float = 0.0
    holds: str | None = None

    @property
    def active(self) -> bool:
        """Whether enough is known to personalise."""
        return self.signals is None or self.signals >= self.least_signals

    def to_json(self) -> dict[str, Json]:
        """The canonical form; `read_balance` gives the same value back."""
        return {
            "unit": self.unit,
            "boosts": [
                {"name": one.name, "kind": one.kind, "factor": one.factor.hex(),
                 "arms": None if one.arms is None else list(one.arms)}
                for one in self.boosts
            ],
            "channel_costs": {name: cost.hex() for name, cost in self.channel_costs.items()},
            "fatigue": {name: cost.hex() for name, cost in self.fatigue.items()},
            "signals": None if self.signals is None else self.signals.hex(),
            "least_signals": self.least_signals.hex(),
            **({"holds": self.holds} if self.holds is not None else {}),
        }  # fmt: skip


def read_balance(form: Mapping[str, Json]) -> Balance:
    """What `to_json` wrote."""
    boosts = cast("Sequence[Mapping[str, Json]]", form["boosts"])
    return Balance(
        unit=str(form["unit"]),
        boosts=tuple(
            Boost(
                str(one["name"]),
                str(one["kind"]),
                float.fromhex(str(one["factor"])),
                None if one["arms"] is None else tuple(str(name) for name in cast("Sequence[Json]", one["arms"])),
            )
            for one in boosts
        ),
        channel_costs=_amounts(form["channel_costs"]),
        fatigue=_amounts(form["fatigue"]),
        signals=None if form["signals"] is None else float.fromhex(str(form["signals"])),
        least_signals=float.fromhex(str(form["least_signals"])),
        holds=None if form.get("holds") is None else str(form["holds"]),
    )


def _amounts(form: Json) -> dict[str, float]:
    return {name: float.fromhex(str(one)) for name, one in cast("Mapping[str, Json]", form).items()}


_PLAIN: Final = Balance()


def utilities(balance: Balance | None, arms: Sequence["Arm"], gains: Sequence[float]) -> list[float]:
    """The utility of each arm, of which `gains` are score times value."""
    held = balance or _PLAIN
    found = [gain - arm.cost for gain, arm in zip(boosted(held, arms, gains), arms, strict=True)]
    for amounts in (held.channel_costs, held.fatigue):
        if amounts:
            found = [one - amounts.get(arm.channel, 0.0) for one, arm in zip(found, arms, strict=True)]
    return found


def boosted(balance: Balance, arms: Sequence["Arm"], gains: Sequence[float]) -> list[float]:
    """Gains times the boosts that mean their arms, in the order of the boosts."""
    found = list(gains)
    for one in balance.boosts:
        if one.arms is None:
            found = [gain * one.factor for gain in found]
        else:
            meant = frozenset(one.arms)
            found = [gain * one.factor if arm.id in meant else gain for gain, arm in zip(found, arms, strict=True)]
    return found


def stakes(balance: Balance | None, arms: Sequence["Arm"]) -> list[tuple[float, float]]:
    """For a policy that learns by itself what an arm brings: what one unit of it is worth on each arm, and what the arm takes whatever it brings."""
    held = balance or _PLAIN
    gains = boosted(held, arms, [arm.value for arm in arms])
    return [
        (gain, arm.cost + held.channel_costs.get(arm.channel, 0.0) + held.fatigue.get(arm.channel, 0.0))
        for gain, arm in zip(gains, arms, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Why an arm is worth what it is: factors by name, whose product in this order is the gain, then what is taken off."""

    factors: tuple[tuple[str, float], ...]
    deductions: tuple[tuple[str, float], ...]

    @property
    def gain(self) -> float:
        """The product of the factors."""
        return math.prod(factor for _, factor in self.factors)

    @property
    def utility(self) -> float:
        """The gain less the deductions: the very number that the decision used."""
        left = self.gain
        for _, amount in self.deductions:
            left -= amount
        return left

    def to_json(self) -> dict[str, Json]:
        """With every bit, for a record."""
        return {
            "factors": [[name, factor.hex()] for name, factor in self.factors],
            "deductions": [[name, amount.hex()] for name, amount in self.deductions],
        }

    def shown(self) -> dict[str, Json]:
        """In plain numbers. `log` is there for a positive factor: their sum is the gain's; of the others there is no logarithm."""
        return {
            "factors": [
                {"name": name, "factor": factor, "log": math.log(factor) if factor > 0 else None}
                for name, factor in self.factors
            ],
            "gain": self.gain,
            "deductions": [{"name": name, "amount": amount} for name, amount in self.deductions],
            "utility": self.utility,
        }


def terms(balance: Balance | None, arm: "Arm", score: float | None) -> Terms:
    """The terms of one arm; without a score (rules ranked) its value stands for the gain."""
    held = balance or _PLAIN
    factors = [("value", arm.value), *((("score", score),) if score is not None else ())]
    factors += [(one.name, one.factor) for one in held.boosts if one.arms is None or arm.id in one.arms]
    deductions = [("cost", arm.cost)]
    if held.channel_costs:
        deductions.append(("channel_cost", held.channel_costs.get(arm.channel, 0.0)))
    if held.fatigue:
        deductions.append(("fatigue", held.fatigue.get(arm.channel, 0.0)))
    return Terms(factors=tuple(factors), deductions=tuple(deductions))
