"""The probability of every arm, after every constraint (DESIGN 5.5, decision.D5-D7).

Enters: the utilities of the eligible arms and of sending nothing, each with its exploration share. Leaves: a probability vector that
sums to 1 within 1e-12 and gives every eligible arm at least eps_min over the number of arms; the choice is drawn from that very vector.

A policy is anything with `name`, `parameters`, `learned` and `probabilities(options, context, seed)`; those that a catalogue may name are in `policies/`.
It is handed everything it may look at, so that a replay with the same options, context and learned state gives the same bits.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from kernel.canonical import Json, digest


class Option(NamedTuple):  # a decision has one an arm, and a frozen class of fields takes three times as long to make
    """What a policy may know of an eligible arm. `gain` and `burden` turn a reward that was learned into a utility: gain x reward - burden."""

    id: str
    utility: float
    epsilon: float
    gain: float = 1.0
    burden: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """The floor under every probability, which option is best after ties were broken, and what may be known of the person, by feature."""

    eps_min: float
    best: int
    features: Mapping[str, float] = field(default_factory=dict)


class Policy(Protocol):
    """Pure: the same arguments give the same bits. `probabilities` is called only with at least one option."""

    @property
    def name(self) -> str:
        """Short and stable; written into every record."""
        ...

    @property
    def parameters(self) -> Mapping[str, Json]:
        """What makes this policy itself, apart from the per-arm shares in the inputs."""
        ...

    @property
    def learned(self) -> str | None:
        """The digest of the state it acts on; None when it has learned nothing, or never does."""
        ...

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """One probability per option, in order."""
        ...


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """The best arm, except that each arm keeps its channel's exploration share over the number of arms."""

    name: str = "epsilon_greedy"

    @property
    def parameters(self) -> Mapping[str, Json]:
        """It has none of its own: shares come with the arms."""
        return {"version": 1}

    @property
    def learned(self) -> None:
        """Nothing: it acts on the ranking of the moment."""
        return

    def probabilities(self, options: Sequence[Option], context: PolicyContext, seed: str) -> tuple[float, ...]:
        """epsilon/K for each arm but the best, the rest for the best."""
        del seed
        count = len(options)
        vector = [min(1.0, max(one.epsilon, context.eps_min)) / count for one in options]
        vector[context.best] = 0.0
        vector[context.best] = 1.0 - math.fsum(vector)
        return tuple(vector)


_GRID: Final = float(2**30)


def floored(shares: Sequence[float], eps_min: float) -> tuple[float, ...]:
    """The shares, each at least `eps_min` over their number, in sum 1 within an ulp or two.

    They are put on a grid of 2**-30 first: what two machines work out differently in the last bits becomes the same number.
    """
    count = len(shares)
    low = min(1.0, eps_min) / count
    vector = [low + (1.0 - low * count) * (round(max(share, 0.0) * _GRID) / _GRID) for share in shares]
    top = max(range(count), key=lambda place: (vector[place], -place))
    vector[top] = 0.0
    vector[top] = 1.0 - math.fsum(vector)
    return tuple(vector)


def leading(policy: Policy, vector: Sequence[float], best: int) -> int:
    """The option that the policy holds for the best one: the ranking's, unless it acts on what it has learned itself."""
    if isinstance(policy, EpsilonGreedy):
        return best
    return max(range(len(vector)), key=lambda place: (vector[place], place == best, -place))


def policy_digest(policy: Policy) -> str:
    """`sha256:` of name and parameters."""
    return digest({"name": policy.name, "parameters": dict(policy.parameters)})


def uniform(seed: str, purpose: str) -> float:
    """A number in [0, 1) with 53 bits, from SHA-256 of seed and purpose: the same everywhere, no global generator."""
    word = hashlib.sha256(f"candor|{purpose}|{seed}".encode()).digest()
    return (int.from_bytes(word[:8], "big") >> 11) / 9007199254740992.0  # 2**53


def draw(vector: Sequence[float], at: float) -> int:
    """The place whose stretch of [0, 1) holds `at`; rounding at the end falls to the last place with any probability."""
    total = 0.0
    last = 0
    for place, share in enumerate(vector):
        if share <= 0.0:
            continue
        last = place
        total += share
        if at < total:
            return place
    return last
