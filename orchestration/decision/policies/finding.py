"""Finds the policy of a placement, in the state of this moment, and that of a record, in the state of then.

Enters: the placement's rule, or the form in a record. Leaves: `Chosen`. What learners know comes from learning, by the protocol `Learners`. A state that cannot be used never stops a
decision: the placement is decided greedily by the ranking meanwhile, under that name.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from kernel.canonical import Json
from kernel.errors import CandorError
from kernel.log import get_logger
from orchestration.decision.catalogue import Placement
from orchestration.decision.policies.learned import NOTHING_LEARNED, Learned
from orchestration.decision.policies.rules import Rule, learns, recorded, ruled
from orchestration.decision.policy import EpsilonGreedy, Policy, policy_digest

_MOST: Final = 64  # policies in a state that are kept: a Thompson policy remembers what it has worked out
_log = get_logger("decision.policies")


class Learners(Protocol):
    """What was learned online. Safe to call for every decision: it answers from memory and looks for news a few times a second."""

    async def newest(self, placement: str, rule: Rule) -> Learned:
        """What is known now; `policies.learned.NOTHING_LEARNED` before the first lesson. Raises a `CandorError` when it cannot be used."""
        ...

    async def state(self, digest: str) -> Learned:
        """What this digest names, for replays; never another state.

        Raises:
            UnknownState: none is kept under it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """A policy, its digest, and the form in which a record names it; None for greedy by the ranking, which old records do not name either."""

    policy: Policy
    digest: str
    form: Mapping[str, Json] | None


_GREEDY: Final = Chosen(EpsilonGreedy(), policy_digest(EpsilonGreedy()), None)


class Policies:
    """One per process and event loop. `default` rules where a placement names none."""

    def __init__(self, learners: Learners, default: str) -> None:
        self._learners = learners
        self._default = ruled(default)
        self._made: OrderedDict[tuple[str, Rule, str | None], Chosen] = OrderedDict()

    async def of(self, placement: Placement) -> Chosen:
        """The policy of this moment."""
        rule = placement.policy or self._default
        if not learns(rule):
            return _GREEDY
        try:
            state = await self._learners.newest(placement.name, rule)
        except CandorError as fault:
            _log.error("policy_without_state", placement=placement.name, code=fault.code, remedy=fault.remedy)
            return _GREEDY
        return self._chosen(rule, state, placement.name)

    async def recorded(self, form: Mapping[str, Json] | None) -> Policy:
        """The policy of a record, in the state it acted on. Raises as `Learners.state`."""
        if form is None:
            return EpsilonGreedy()
        digest = form.get("learned")
        state = await self._learners.state(str(digest)) if digest is not None else NOTHING_LEARNED
        return recorded(form).make(state)

    def _chosen(self, rule: Rule, state: Learned, placement: str) -> Chosen:
        key = (placement, rule, state.digest)
        found = self._made.get(key)
        if found is None:
            policy = rule.make(state)
            form: dict[str, Json] = {
                "name": policy.name, "parameters": dict(policy.parameters), "learned": policy.learned,
            }  # fmt: skip
            found = self._made[key] = Chosen(policy, policy_digest(policy), form)
            if len(self._made) > _MOST:
                self._made.popitem(last=False)
        return found
