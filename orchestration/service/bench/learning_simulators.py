"""Worlds whose truth is known: contexts from a finite table, rewards with a known mean, logging policies of three tempers.

Enters: seeds and sizes. Leaves: `Log`s and, for any policy over them, its exact value by summing over the table; nothing is estimated to get it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.logs import Floats, Log
from orchestration.service.bench.learning_rows import generator


@dataclass(frozen=True, slots=True)
class World:
    """`m` kinds of people, equally many of each: `x` is `float64[m, d]`, `mean` the expected reward of every arm, `float64[m, K]`."""

    x: Floats
    mean: Floats

    def softmax(self, sharp: float, floor: float = 0.0) -> Floats:
        """A policy that prefers good arms, the more the sharper, mixed with `floor` of uniform: `float64[m, K]`."""
        # What a policy believes is near the truth, not the truth.
        logit = sharp * (self.mean - self.mean.mean(axis=1, keepdims=True)) / self.mean.std(axis=1, keepdims=True)
        power = np.exp(logit - logit.max(axis=1, keepdims=True))
        made: Floats = (1 - floor) * power / power.sum(axis=1, keepdims=True) + floor / self.mean.shape[1]
        return made

    def value(self, policy: Floats) -> float:
        """What a policy over the kinds of people earns, exactly."""
        return float((policy * self.mean).sum(axis=1).mean())

    def log(self, logging: Floats, n: int, rng: np.random.Generator) -> tuple[Log, NDArray[np.int64]]:
        """`n` logged decisions with Bernoulli rewards, and which kind of person each was about."""
        kind = rng.integers(0, len(self.x), n)
        chance = logging[kind]
        arm = (chance.cumsum(axis=1) > rng.random((n, 1)) * chance.sum(axis=1, keepdims=True)).argmax(axis=1)
        reward = (rng.random(n) < self.mean[kind, arm]).astype(np.float64)
        arms = tuple(f"arm{place}" for place in range(self.mean.shape[1]))
        names = tuple(f"x{place}" for place in range(self.x.shape[1]))
        shown = chance[np.arange(n), arm]
        return Log(arms, arm.astype(np.int64), reward, shown, self.x[kind], names), kind


def world(seed: int, *, kinds: int = 1000, arms: int = 6, features: int = 4, base: float = -0.5, spread: float = 0.8) -> World:  # fmt: skip
    """Rewards by a logistic of features and arm, bent so that no linear model is right."""
    rng = np.random.default_rng(seed)  # a world is named by its seed, whatever coins are thrown in it
    x = rng.normal(size=(kinds, features))
    slope = rng.normal(size=(features, arms)) * spread / np.sqrt(features)
    bent = rng.normal(size=(features, arms)) * spread / np.sqrt(features)
    level = base + 0.4 * rng.normal(size=arms)
    return World(x, 1 / (1 + np.exp(-(level + x @ slope + (np.abs(x) - 0.8) @ bent))))


def campaign(seed: int, *, helps: bool, arms: int = 2, an_arm: int = 20_000, features: int = 4) -> Log:
    """A uniformly logged campaign with a base rate of 10 %: choosing by person earns 10 % more than any fixed arm, or nothing more.

    Rates move with the features in both cases; only where it `helps` do arms differ by person, and no arm is better than another on the whole.
    """
    rng = generator(10, seed)
    n = an_arm * arms
    x = rng.normal(size=(n, features))
    arm = rng.integers(0, arms, n)
    level = 0.1 * (1 + 0.3 * np.tanh(x[:, 1]))
    mean = np.repeat(level[:, None], arms, axis=1)
    if helps:
        liked = np.floor(arms * (x[:, 0].argsort().argsort() + 0.5) / n).astype(np.int64)
        gain = np.full((n, arms), -0.1 / (arms - 1))
        gain[np.arange(n), liked] = 0.1
        mean *= 1 + gain
    reward = (rng.random(n) < mean[np.arange(n), arm]).astype(np.float64)
    names = tuple(f"x{place}" for place in range(features))
    return Log(tuple(f"arm{place}" for place in range(arms)), arm, reward, np.full(n, 1 / arms), x, names)
