"""What the policy of a decision compared of each arm, as terms that add up to that very number (issue of explanations; decision.D10, D12).

Enters: the inputs, the outcome, the policy in the state it acted on. Leaves: a `Worth` for every arm that came as far as the policy. Ranking policies compare
utilities; learners compare what an arm earned (`estimate`), a hopeful bound of that (`bound`) or what they expect (`expected`). Thompson sampling compares
distributions: its terms are those of the mean, and the record's propensity says how often that wins. Pure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from explain.facts import Compared, Term, TermKind
from explain.sums import closed
from kernel.errors import IntegrityError
from orchestration.decision.balance import Terms, stakes, terms
from orchestration.decision.engine import Judged, Outcome
from orchestration.decision.inputs import Inputs
from orchestration.decision.policies.bounds import LinearBound, UpperBound
from orchestration.decision.policies.greedy import Greedy
from orchestration.decision.policies.library import ByLibrary
from orchestration.decision.policies.linear import row
from orchestration.decision.policies.square import Square
from orchestration.decision.policies.thompson import Thompson
from orchestration.decision.policy import Policy

_ROUNDING = 1e-9  # of the number itself: what factors multiplied in another order may differ by


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """`terms` of an arm in the order in which they were taken in; their amounts sum to `compared` (`math.fsum`)."""

    compared: float
    by: Compared
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a policy knows of an arm: the estimate, in parts where it is linear; what is added for hope, as a share of the gain's size."""

    estimate: float
    by: Compared
    parts: tuple[Term, ...] = ()
    hope: float = 0.0
    staked: bool = True
    """Whether values, boosts and costs are weighed at all."""


def worths(state: Inputs, made: Outcome, policy: Policy) -> Mapping[str, Worth]:
    """By arm. Empty where nothing was eligible.

    Raises:
        IntegrityError: terms that miss the number in the record.
    """
    live = [one for one in made.judged if one.utility is not None]
    if not live:
        return {}
    seen = dict(zip(state.feature_names, state.features, strict=True)) if state.policy is not None else {}
    return {one.id: _worth(state, one, policy, seen) for one in live}


def _worth(state: Inputs, one: Judged, policy: Policy, seen: Mapping[str, float]) -> Worth:
    said = _said(policy, one.id, seen)
    if said is None:
        return _ranked(state, one)
    if not said.staked:
        return Worth(compared=said.estimate, by=said.by, terms=summing(said.parts, said.estimate))
    if one.arm is None:
        gain, burden, found = state.nothing_value, 0.0, Terms(factors=(("value", state.nothing_value), ("score", said.estimate)), deductions=())  # fmt: skip
    else:
        ((gain, burden),) = stakes(state.balance, [one.arm])
        found = terms(state.balance, one.arm, said.estimate)
    told = _told(found, said.parts)
    if said.hope:
        told.append(Term(name="uncertainty", kind=TermKind.UNCERTAINTY, amount=abs(gain) * said.hope, value=said.hope))
    compared = gain * said.estimate + abs(gain) * said.hope - burden
    return Worth(compared=compared, by=said.by, terms=summing(told, compared))


def _ranked(state: Inputs, one: Judged) -> Worth:
    """By the ranking: the utility in the record."""
    assert one.utility is not None  # callers look
    if one.arm is not None:
        found = _told(terms(state.balance, one.arm, one.score), ())
    elif one.score is not None:
        found = _told(Terms(factors=(("value", state.nothing_value), ("score", one.score)), deductions=()), ())
    else:  # nobody has a word on sending nothing: it is worth nothing
        found = [Term(name="nothing", kind=TermKind.VALUE, amount=0.0)]
    return Worth(compared=one.utility, by=Compared.UTILITY, terms=summing(found, one.utility))


def _said(policy: Policy, arm: str, seen: Mapping[str, float]) -> _Said | None:
    """What the policy goes by, apart from the ranking; None where it goes by the ranking."""
    match policy:
        case Greedy() | Square() if policy.by == "outcomes":
            return _Said(estimate=policy.state.estimate(arm), by=Compared.ESTIMATE)
        case UpperBound():
            return _Said(estimate=policy.state.estimate(arm), by=Compared.BOUND, hope=policy.hope(arm))
        case LinearBound():
            mean, spread = policy.known(arm, row(policy.columns, seen))
            return _Said(estimate=mean, by=Compared.BOUND, parts=_linear(policy, arm, seen), hope=policy.width * spread)
        case Thompson():
            return _Said(estimate=policy.mean(arm), by=Compared.EXPECTED)
        case ByLibrary():
            parts = policy.parts(arm, seen)
            found = tuple(
                Term(name=name, kind=TermKind.LINEAR, amount=weight * value, value=value, weight=weight)
                for name, weight, value in parts
            )
            return _Said(
                estimate=math.fsum(one.amount for one in found), by=Compared.EXPECTED, parts=found, staked=False
            )
        case _:
            return None


def _linear(policy: LinearBound, arm: str, seen: Mapping[str, float]) -> tuple[Term, ...]:
    """Weight times value of each column, the constant first; nothing of an arm that was never shown."""
    theta = policy.state.arm(arm).theta
    x = row(policy.columns, seen)
    if len(theta) != len(x):
        return ()
    return tuple(
        Term(name=name, kind=TermKind.LINEAR, amount=weight * value, value=value, weight=weight)
        for name, weight, value in zip(("", *policy.columns), theta, x, strict=True)
    )


def _told(found: Terms, parts: Sequence[Term]) -> list[Term]:
    """Factors as what each one changed when it was multiplied in: value and score together first, then boost by boost; then what is taken off."""
    (_, value), *rest = found.factors
    told: list[Term] = []
    running = value
    if rest and rest[0][0] == "score":
        score = rest.pop(0)[1]
        running = value * score
        if parts:
            told += [replace(one, amount=value * one.amount, weight=value * (one.weight or 0.0)) for one in parts]
        else:
            told.append(Term(name="score", kind=TermKind.SCORE, amount=running, value=score, weight=value))
    else:
        told.append(Term(name="value", kind=TermKind.VALUE, amount=running, value=value))
    for name, factor in rest:
        told.append(Term(name=name, kind=TermKind.BOOST, amount=running * factor - running, value=factor))
        running *= factor
    told += [
        Term(name=name, kind=TermKind.DEDUCTION, amount=-amount, value=amount)
        for name, amount in found.deductions
        if amount
    ]
    return told


def summing(told: Sequence[Term], compared: float) -> tuple[Term, ...]:
    """The terms with the last bit where it belongs: their amounts sum to the number exactly.

    Raises:
        IntegrityError: they miss it by more than rounding.
    """
    missing = compared - math.fsum(one.amount for one in told)
    if not missing:
        return tuple(told)
    if not abs(missing) <= _ROUNDING * max(1.0, abs(compared)):  # written so that NaN fails
        raise IntegrityError(
            f"expected terms that sum to what was compared, got {missing:.3g} more or less", code="terms_off"
        )
    made, rest = closed([one.amount for one in told], compared)
    whole = [replace(one, amount=value) for one, value in zip(told, made, strict=True)]
    return (*whole, *([Term(name="rounding", kind=TermKind.DEDUCTION, amount=rest)] if rest else []))
