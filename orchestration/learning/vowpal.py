"""Vowpal Wabbit's contextual bandit over action features, and the one place that knows it.

Enters: arms, features of a person, what an arm cost. Leaves: shares of arms, and the model in the library's own format (its objects cannot be pickled). Arms are known by name only, so a new
one can be chosen at once; interactions of person and arm are asked for by name, since the library makes none by itself.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from vowpalwabbit import Workspace

from orchestration.decision.policies.rules import LibraryRule
from orchestration.learning.errors import StateBroken

_EXPLORATION: Final = {
    "squarecb": "--squarecb",
    "epsilon": "--epsilon 0.1",
    "softmax": "--softmax --lambda 10",
}
_SPACE: Final = str.maketrans({" ": "_", ":": "_", "|": "_", "\n": "_", "\t": "_", "\r": "_"})

_PRIME: Final = 16_777_619  # of the library's hash
_WORD: Final = 0xFFFF_FFFF_FFFF_FFFF


class Vowpal:
    """A learner that learns. Not safe for two threads at once."""

    def __init__(self, rule: LibraryRule, model: bytes | None) -> None:
        self._columns = rule.features
        self._space = _opened(model, "--quiet") if model is not None else Workspace(
            f"--cb_explore_adf {_EXPLORATION[rule.exploration]} --cb_type {rule.estimator} -l {rule.rate!r} "
            "-b 14 -q pa --random_seed 1 --quiet"
        )  # fmt: skip

    def learn(
        self, arms: Sequence[str], features: Mapping[str, float], *, chosen: int, reward: float, probability: float
    ) -> None:
        """One decision: the arms it was between, the one that was chosen, what it earned, how probable it was."""
        lines = _lines(arms, self._columns, features)
        lines[chosen + 1] = f"0:{-reward!r}:{probability!r} {lines[chosen + 1]}"
        self._space.learn(lines)

    def saved(self) -> bytes:
        """The model in the library's format."""
        with tempfile.TemporaryDirectory(prefix="candor-vw-") as folder:
            path = Path(folder) / "model"
            self._space.save(str(path))
            return path.read_bytes()


class Frozen:
    """A model that only answers (protocol `decision.policies.learned.Library`)."""

    def __init__(self, model: bytes, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._space = _opened(model, "--quiet -t")

    def shares(self, arms: Sequence[str], features: Mapping[str, float]) -> tuple[float, ...]:
        """Its probabilities of these arms, in order."""
        said = cast("Sequence[float]", self._space.predict(_lines(arms, self._columns, features)))
        if len(arms) == 1:
            return (1.0,)
        whole = math.fsum(said)  # it counts in single precision
        return tuple(float(one) / whole for one in said)

    def parts(self, arm: str, features: Mapping[str, float]) -> tuple[tuple[str, float, float], ...]:
        """What it expects of an arm, as (name, weight, value): the sum of the products is the reward, to the library's single precision.

        For a given arm the library is linear in what is known of the person: a column's weight is its own and that of its interaction with the arm.
        "" is the constant, `arm` what is the arm's own.
        """
        lines = _lines([arm], self._columns, features)
        shared, one = examples = self._space.parse(lines)
        try:
            places = [shared.feature(0, at) for at in range(shared.num_features_in(0))]
            values = [shared.feature_weight(0, at) for at in range(shared.num_features_in(0))]
            (own,) = (one.feature(0, at) for at in range(one.num_features_in(0)))
            always = one.feature(1, 0)
        finally:
            self._space.finish_example(examples)
        told = [name for name in self._columns if _said(features, name)]
        weights = [self._weight(place) + self._weight(_crossed(place, own)) for place in places]
        # Learned is a cost: what is earned, with the other sign. The first of the shared line is the constant that meets the arm.
        return (
            ("", -self._weight(always) - self._weight(places[0]), 1.0),
            ("arm", -self._weight(own) - self._weight(_crossed(places[0], own)), 1.0),
            *((name, -weight, float(value)) for name, weight, value in zip(told, weights[1:], values[1:], strict=True)),
        )

    def _weight(self, place: int) -> float:
        return float(self._space.get_weight(place & (self._space.num_weights() - 1), 0))


def _opened(model: bytes, options: str) -> Workspace:
    with tempfile.TemporaryDirectory(prefix="candor-vw-") as folder:
        path = Path(folder) / "model"
        path.write_bytes(model)
        try:
            return Workspace(f"{options} -i {path}")
        except RuntimeError as fault:
            raise StateBroken("expected a model that Vowpal Wabbit reads, got one that it refuses") from fault


def _lines(arms: Sequence[str], columns: Sequence[str], features: Mapping[str, float]) -> list[str]:
    """The library's text form: a shared line about the person, a line an arm."""
    told = [f"{name.translate(_SPACE)}:{math.asinh(features[name])!r}" for name in columns if _said(features, name)]
    return [f"shared |p one {' '.join(told)}", *(f"|a {arm.translate(_SPACE)}" for arm in arms)]


def _said(features: Mapping[str, float], name: str) -> bool:
    """Whether the library is told of it: what is absent or zero is left out."""
    value = features.get(name, math.nan)
    return math.isfinite(value) and value != 0


def _crossed(shared: int, own: int) -> int:
    """Where the library keeps the weight of an interaction (its FNV hash of the two places)."""
    return (shared * _PRIME) & _WORD ^ own
