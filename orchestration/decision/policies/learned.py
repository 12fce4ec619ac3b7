"""What a learner knows at one moment, as a value with a digest: the state that a policy acts on and a replay reads again.

Enters: sums by arm, made by learning from outcomes. Leaves: canonical bytes and back; estimates with their spread. Floats travel as `float.hex`.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol, cast

from kernel.canonical import Json, canonical, digest_of

_LEAST_VARIANCE: Final = 1e-6  # before anything differs


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmState:
    """Sums over the decisions that showed an arm, faded where the policy forgets: how many, their rewards, the squares of these.

    `theta` and `inverse` (a square matrix by rows) are a linear learner's, over `Learned.columns`.
    """

    n: float = 0.0
    reward: float = 0.0
    squares: float = 0.0
    theta: tuple[float, ...] = ()
    inverse: tuple[float, ...] = ()


class Library(Protocol):
    """A learner of a library, frozen in the state that a digest names."""

    def shares(self, arms: Sequence[str], features: Mapping[str, float]) -> tuple[float, ...]:
        """Its probabilities of these arms, in order, before any floor. The same state and arguments give the same numbers."""
        ...

    def parts(self, arm: str, features: Mapping[str, float]) -> tuple[tuple[str, float, float], ...]:
        """What it expects an arm to earn, as (name, weight, value) whose products add up to it: weights of this state."""
        ...


@dataclass(frozen=True, kw_only=True)  # without slots: what follows from it is worked out once
class Learned:
    """A state. `digest` None: nothing was learned yet."""

    digest: str | None = None
    arms: Mapping[str, ArmState] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    library: Library | None = None

    def arm(self, name: str) -> ArmState:
        """What is known of an arm; nothing of one that was never shown."""
        return self.arms.get(name, _UNKNOWN)

    @cached_property
    def total(self) -> float:
        """Decisions that were learned from."""
        return math.fsum(one.n for one in self.arms.values())

    @cached_property
    def mean(self) -> float:
        """The mean reward over all arms: what an arm is expected to earn before it was shown."""
        return math.fsum(one.reward for one in self.arms.values()) / self.total if self.total > 0 else 0.0

    @cached_property
    def variance(self) -> float:
        """The variance of a reward within its arm, over all arms."""
        if self.total <= 0:
            return 0.25  # of a coin: the most that rewards within [0, 1] can have
        within = math.fsum(
            max(0.0, one.squares - one.reward * one.reward / one.n) for one in self.arms.values() if one.n > 0
        )
        return max(_LEAST_VARIANCE, within / self.total)

    def estimate(self, name: str) -> float:
        """The mean reward of an arm, with the mean of all as one decision beforehand."""
        known = self.arm(name)
        return (known.reward + self.mean) / (known.n + 1.0)

    def error(self, name: str) -> float:
        """The standard error of the estimate."""
        return math.sqrt(self.variance / (self.arm(name).n + 1.0))


_UNKNOWN: Final = ArmState()
NOTHING_LEARNED: Final = Learned()


def to_bytes(learned: Learned, *, model: bytes | None = None) -> bytes:
    """The canonical form. `model`: what the learner of a library saved, in its own format."""
    arms: dict[str, Json] = {}
    for name, one in sorted(learned.arms.items()):
        sums: dict[str, Json] = {"n": one.n.hex(), "reward": one.reward.hex(), "squares": one.squares.hex()}
        if one.theta:
            sums["theta"] = [value.hex() for value in one.theta]
            sums["inverse"] = [value.hex() for value in one.inverse]
        arms[name] = sums
    form: dict[str, Json] = {"v": 1, "arms": arms}
    if learned.columns:
        form["columns"] = list(learned.columns)
    if model is not None:
        form["model"] = base64.b64encode(model).decode()
    return canonical(form)


def from_bytes(content: bytes, opened: Callable[[bytes, tuple[str, ...]], Library] | None = None) -> Learned:
    """The state that `to_bytes` wrote, under the digest of these bytes. `opened` makes a library's learner of its model and the columns.

    Trusts its argument: its digest was checked, or it was just written.
    """
    form = cast("Mapping[str, Json]", json.loads(content))
    columns = tuple(str(one) for one in cast("Sequence[Json]", form.get("columns") or ()))
    model = model_in(content)
    return Learned(
        digest=digest_of(content),
        arms={name: _arm(one) for name, one in cast("Mapping[str, Mapping[str, Json]]", form["arms"]).items()},
        columns=columns,
        library=None if model is None or opened is None else opened(model, columns),
    )


def model_in(content: bytes) -> bytes | None:
    """The library's model within a state; None where it has none."""
    model = cast("Mapping[str, Json]", json.loads(content)).get("model")
    return None if model is None else base64.b64decode(str(model))


def _arm(form: Mapping[str, Json]) -> ArmState:
    return ArmState(
        n=float.fromhex(str(form["n"])),
        reward=float.fromhex(str(form["reward"])),
        squares=float.fromhex(str(form["squares"])),
        theta=_floats(form.get("theta")),
        inverse=_floats(form.get("inverse")),
    )


def _floats(values: Json) -> tuple[float, ...]:
    return tuple(float.fromhex(str(one)) for one in cast("Sequence[Json]", values or ()))
