"""The learner of a library between two states: what it has learned so far, kept in memory, and thrown away when the transaction that was to keep it failed.

Enters: lessons with the decisions they came from. Leaves: the library's model. The library itself is loaded when a placement first names it: it is large.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestration.decision.policies.learned import Library, model_in
from orchestration.decision.policies.rules import LibraryRule
from orchestration.decision.sealed import Opened
from orchestration.learning.lessons import Lesson
from orchestration.learning.online_store import StateRow
from orchestration.learning.rewards import MICRO

if TYPE_CHECKING:
    from orchestration.learning.vowpal import Vowpal


class LibraryLearner:
    """One per process. Used by one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str | None, Vowpal]] = {}

    def learn(
        self, placement: str, rule: LibraryRule, before: StateRow | None, content: bytes | None,
        opened: Sequence[Opened], lessons: Sequence[Lesson],
    ) -> bytes:  # fmt: skip
        """The model after these lessons, learned in their order upon the state `before`."""
        name = before.digest if before is not None else None
        held = self._held.pop(placement, None)
        learner = held[1] if held is not None and held[0] == name and name is not None else _begun(rule, content)
        by_id = {one.row.id: one for one in opened}
        for lesson in lessons:
            decision = by_id.get(lesson.decision)
            if decision is None or decision.inputs.attempt > 1:
                # Erased meanwhile; or decided anew after a race, so that the recorded probability is not that of the whole walk.
                continue
            shares = [(arm, share) for arm, share in decision.probabilities() if share > 0.0]
            arms = [arm for arm, _ in shares]
            features = dict(zip(decision.inputs.feature_names, decision.inputs.features, strict=True))
            chosen = arms.index(lesson.arm)
            learner.learn(
                arms, features, chosen=chosen, reward=lesson.reward / MICRO, probability=shares[chosen][1]
            )  # fmt: skip
        model = learner.saved()
        self._held[placement] = ("", learner)
        return model

    def kept(self, placement: str, digest: str) -> None:
        """The state is kept under this digest: what is in memory goes on from it."""
        if placement in self._held:
            self._held[placement] = (digest, self._held[placement][1])


def untaught(rule: LibraryRule) -> bytes:
    """The library's model before its first lesson."""
    return _begun(rule, None).saved()


def opened_library(model: bytes, columns: tuple[str, ...]) -> Library:
    """The library's model as one that only answers."""
    from orchestration.learning.vowpal import Frozen

    return Frozen(model, columns)


def _begun(rule: LibraryRule, content: bytes | None) -> "Vowpal":
    from orchestration.learning.vowpal import Vowpal

    return Vowpal(rule, None if content is None else model_in(content))
