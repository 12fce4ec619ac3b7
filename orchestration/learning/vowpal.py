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
    told = [
        f"{name.translate(_SPACE)}:{math.asinh(value)!r}"
        for name in columns
        if math.isfinite(value := features.get(name, math.nan)) and value
    ]
    return [f"shared |p one {' '.join(told)}", *(f"|a {arm.translate(_SPACE)}" for arm in arms)]
