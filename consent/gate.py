"""May I? One pure answer for one person, purpose, channel and moment.

What enters: a ``ConsentState`` (the acts that touch a person, and the rules). What leaves: a ``Permission``: granted,
denied or undetermined, with a reason and the act behind it. Anything but granted means no. Never raises, whatever it is
asked. Follows consent.C4-C7 and GDPR Art. 6, 7, 18, 21; the order of precedence is data (``precedence.py``). After fides'
policy-based access control: allow, deny, cannot say.

Two properties hold by construction and are tested: for a purpose resting on consent nothing is granted without a valid
grant, and one more denial never turns a no into a yes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from consent.acts import IMPORT, ActView, Status
from consent.precedence import UNVERIFIED, Ground, Rules
from consent.purposes import DEFAULT, EVERYTHING, PAUSE, RESERVED, USE, Basis, Purpose
from consent.reasons import Reason
from kernel.ids import ActId, PersonId


class Answer(StrEnum):
    """Three values. Undetermined means no."""

    GRANTED = "granted"
    DENIED = "denied"
    UNDETERMINED = "undetermined"


class Permission(NamedTuple):  # a hot profile has one for every purpose and channel, and is unpacked for every decision
    """An answer, why, and the act it rests on, if one."""

    answer: Answer
    reason: str
    act: ActId | None = None

    @property
    def granted(self) -> bool:
        """The only yes there is."""
        return self.answer is Answer.GRANTED


@dataclass(frozen=True, slots=True, eq=False)
class ConsentState:
    """Everything that bears on one person's permissions, at one consent version.

    ``known`` is false for a person of whom nothing is held. Answers are worked out once per purpose, channel and stretch
    of time between two acts, then looked up.
    """

    person: PersonId | None
    version: int
    acts: tuple[ActView, ...]
    rules: Rules
    known: bool = True
    erased_at: datetime | None = None
    boundaries: tuple[datetime, ...] = field(init=False)
    jurisdictions: frozenset[str] = field(init=False)
    by_purpose: Mapping[str, list[ActView]] = field(init=False)
    grounds: Mapping[str, Ground] = field(init=False)
    _answers: dict[tuple[str, str | None, int], Permission] = field(init=False, default_factory=dict)

    def grounds_at(self, at: datetime) -> Mapping[str, Ground]:
        """What bears on each purpose at a moment: the law of a place counts from the first word that names it."""
        if not self.boundaries or self.boundaries[-1] <= at or all(act.given_at <= at for act in self.acts):
            return self.grounds
        places = {act.jurisdiction for act in self.acts if act.given_at <= at}
        return self.rules.grounds(frozenset({self.rules.jurisdiction, *places}))

    def __post_init__(self) -> None:
        moments = {act.given_at for act in self.acts}
        moments.update(act.expires_at for act in self.acts if act.expires_at is not None)
        if self.erased_at is not None:
            moments.add(self.erased_at)
        object.__setattr__(self, "boundaries", tuple(sorted(moments)))
        places = {act.jurisdiction for act in self.acts}
        object.__setattr__(self, "jurisdictions", frozenset({self.rules.jurisdiction, *places}))
        object.__setattr__(self, "grounds", self.rules.grounds(self.jurisdictions))
        found: dict[str, list[ActView]] = {}
        for act in self.acts:
            found.setdefault(act.purpose, []).append(act)
        object.__setattr__(self, "by_purpose", found)


_MALFORMED: Final = Permission(Answer.UNDETERMINED, Reason.MALFORMED)
_UNKNOWN_PURPOSE: Final = Permission(Answer.UNDETERMINED, Reason.UNKNOWN_PURPOSE)
_UNKNOWN_PERSON: Final = Permission(Answer.UNDETERMINED, Reason.UNKNOWN_PERSON)
_NOT_GOVERNED: Final = Permission(Answer.DENIED, Reason.CHANNEL_NOT_GOVERNED)
_ERASED: Final = Permission(Answer.DENIED, Reason.ERASED)
_MISSING: Final = Permission(Answer.UNDETERMINED, Reason.MISSING)
_BASES: Final[Mapping[Basis, Reason]] = {
    Basis.LEGITIMATE_INTERESTS: Reason.LEGITIMATE_INTERESTS,
    Basis.CONTRACT: Reason.CONTRACT,
    Basis.PUBLIC_TASK: Reason.PUBLIC_TASK,
    Basis.LEGAL_OBLIGATION: Reason.LEGAL_OBLIGATION,
    Basis.VITAL_INTERESTS: Reason.VITAL_INTERESTS,
}
_BY_BASIS: Final = {basis: Permission(Answer.GRANTED, reason) for basis, reason in _BASES.items()}
_BEST_FIRST: Final = (Answer.GRANTED, Answer.DENIED, Answer.UNDETERMINED)
# A no of the person does not stop what the law commands or what saves a life; everything else it stops.
_UNSTOPPABLE: Final = frozenset({Basis.LEGAL_OBLIGATION, Basis.VITAL_INTERESTS})


def permission(state: ConsentState, purpose: str, channel: str | None, at: datetime) -> Permission:
    """Whether this purpose may be served on this channel at this moment. Pure and total.

    Without a channel: whether the purpose may be served at all, that is on at least one of the channels it governs.
    """
    if not (
        isinstance(state, ConsentState)
        and isinstance(purpose, str)
        and (channel is None or isinstance(channel, str))
        and isinstance(at, datetime)
        and (at.tzinfo is UTC or at.utcoffset() is not None)
    ):
        return _MALFORMED
    question = (purpose, channel, bisect_right(state.boundaries, at))
    found = state._answers.get(question)  # noqa: SLF001 (the state's memory is the gate's own)
    if found is not None:
        return found
    declared = state.rules.purposes.get(purpose)
    if declared is None:
        return _UNKNOWN_PURPOSE
    if channel is not None and channel not in declared.channels:
        return _NOT_GOVERNED
    found = _judge(state, declared, channel, at)
    state._answers[question] = found  # noqa: SLF001
    return found


def table(state: ConsentState, at: datetime) -> dict[str, Permission]:
    """Every declared purpose, alone (``purpose|``) and with each channel it governs (``purpose|channel``)."""
    answers = {}
    for purpose in state.rules.purposes.by_key.values():
        for channel in (None, *purpose.channels):
            answers[f"{purpose.key}|{channel or ''}"] = permission(state, purpose.key, channel, at)
    return answers


def standing(acts: Iterable[ActView], rules: Rules, purpose: str, channel: str | None, at: datetime) -> list[ActView]:
    """Denials of exactly this purpose and channel that nothing has lifted: what a page shows, what a repeat need not add."""
    on = rules.purposes.channel_of(purpose, channel)
    said = [
        a
        for a in acts
        if a.given_at <= at and a.purpose == purpose and rules.purposes.channel_of(a.purpose, a.channel) == on
    ]
    grants = [a for a in said if _valid(a, rules, at)]
    return [a for a in said if a.status != Status.GRANTED and not _lifted(a, grants, rules)]


def pauses(acts: Iterable[ActView], rules: Rules, at: datetime) -> list[ActView]:
    """Pauses that go on: not over, and not ended by her."""
    held = [a for a in acts if a.purpose == PAUSE]
    return [
        a
        for a in held
        if a.status != Status.GRANTED and not _over(a, at) and a in standing(held, rules, PAUSE, a.channel, at)
    ]


def unused(state: ConsentState, at: datetime) -> frozenset[str]:
    """Kinds of information that are not used to choose for this person, because she said so."""
    return frozenset(
        key.removeprefix(USE)
        for key, acts in state.by_purpose.items()
        if key.startswith(USE) and standing(acts, state.rules, key, None, at)
    )


def outlived(
    acts: Iterable[ActView],
    rules: Rules,
    purpose: str,
    channel: str | None,
    *,
    mechanism: str,
    since: datetime,
    at: datetime,
) -> bool:
    """Whether something among ``acts`` took back a no that came by this mechanism at ``since``: a list of others that still names it tells nothing new."""
    kind, on = rules.precedence.classes[rules.precedence.rank(mechanism)], rules.purposes.channel_of(purpose, channel)
    return any(
        a.given_at > since
        and a.purpose == purpose
        and rules.purposes.channel_of(a.purpose, a.channel) == on
        and a.mechanism in kind.lifted_by
        and _valid(a, rules, at)
        for a in acts
    )


def _judge(state: ConsentState, purpose: Purpose, channel: str | None, at: datetime) -> Permission:
    if state.erased_at is not None and state.erased_at <= at:
        return _ERASED
    if not state.known:
        return _UNKNOWN_PERSON
    rules, acts = state.rules, state.by_purpose
    reach, bases = state.grounds_at(at)[purpose.key]
    said = [a for key in reach if key in acts for a in acts[key] if a.given_at <= at]
    if not said:
        return _unspoken(bases)
    if channel is not None or not purpose.channels:
        return _judge_one(purpose, channel, said, bases, rules, at)
    each = [_judge_one(purpose, one, said, bases, rules, at) for one in purpose.channels]
    return next(found for answer in _BEST_FIRST for found in each if found.answer is answer)


def _judge_one(
    purpose: Purpose,
    channel: str | None,
    every: list[ActView],
    bases: frozenset[Basis],
    rules: Rules,
    at: datetime,
) -> Permission:
    """One purpose on one channel: standing denials by rank, then the basis. ``every`` act that was said of it by then."""
    said = [a for a in every if a.channel is None or a.channel == channel]
    if not said:
        return _unspoken(bases)
    grants = [a for a in said if a.status == Status.GRANTED and _valid(a, rules, at)]

    denials = [a for a in said if a.status != Status.GRANTED and not _over(a, at) and not _lifted(a, grants, rules)]
    if bases <= _UNSTOPPABLE:
        denials = [a for a in denials if a.purpose == EVERYTHING]
    if denials:
        return _denial(denials, grants, bases, rules)
    if Basis.CONSENT in bases:
        return _consent(purpose, said, grants, at)
    return _unspoken(bases)


@cache
def _unspoken(bases: frozenset[Basis]) -> Permission:
    """What holds without a word of the person: nothing where consent is asked, else the strictest basis that is not consent."""
    if Basis.CONSENT in bases:
        return _MISSING
    return next(_BY_BASIS[basis] for basis in _BASES if basis in bases)


def _valid(act: ActView, rules: Rules, at: datetime) -> bool:
    """A grant that may permit something, or lift a denial, at this moment."""
    if act.status != Status.GRANTED or (act.expires_at is not None and act.expires_at <= at):
        return False
    if act.verified and act.has_notice:
        return True
    if act.mechanism != IMPORT or rules.purposes.confirmed_on(act.purpose, act.channel, act.listed):
        return False
    return rules.precedence.pack(act.jurisdiction).allows(UNVERIFIED)


def _over(denial: ActView, at: datetime) -> bool:
    """Whether a pause has ended by itself; no other no does."""
    return denial.purpose == PAUSE and denial.expires_at is not None and denial.expires_at <= at


def _lifted(denial: ActView, grants: Iterable[ActView], rules: Rules) -> bool:
    """Whether a newer valid grant of the same subject, purpose and channel, of a kind that may, took it back."""
    kind = rules.precedence.classes[rules.precedence.rank(denial.mechanism)]
    on = rules.purposes.channel_of(denial.purpose, denial.channel)
    return any(
        grant.given_at > denial.given_at
        and grant.subject == denial.subject
        and grant.purpose == denial.purpose
        and rules.purposes.channel_of(grant.purpose, grant.channel) == on
        and grant.mechanism in kind.lifted_by
        and (kind.pack is None or _let(kind.pack, denial, grant, rules))
        for grant in grants
    )


def _let(rule: str, denial: ActView, grant: ActView, rules: Rules) -> bool:
    """Whether the law lets a grant lift a denial of this kind: where the grant was given, and where the denial was said to belong."""
    places = {grant.jurisdiction, denial.jurisdiction} - {DEFAULT} or {DEFAULT}
    return all(rules.precedence.pack(place).allows(rule) for place in places)


def _denial(denials: list[ActView], grants: list[ActView], bases: frozenset[Basis], rules: Rules) -> Permission:
    """The strongest standing denial, the newest among equals."""
    rank = rules.precedence.rank
    best = max(denials, key=lambda act: (-rank(act.mechanism), act.given_at, act.id))
    reason = rules.precedence.classes[rank(best.mechanism)].reason
    if best.status != Status.DENIED:
        reason = Reason.UNDECODABLE
    elif reason is Reason.DENIED and Basis.CONSENT not in bases:
        reason = Reason.OBJECTION
    elif reason is Reason.DENIED and any(
        g.subject == best.subject and g.purpose == best.purpose and g.given_at <= best.given_at for g in grants
    ):
        reason = Reason.WITHDRAWN
    return Permission(Answer.DENIED, reason, best.id)


def _waits(act: ActView) -> bool:
    """Whether a grant lacks nothing but its confirmation. One that was said to us can lack nothing else, whatever is asked today."""
    if act.verified or not act.has_notice:
        return False
    return act.mechanism != IMPORT


def _consent(purpose: Purpose, said: list[ActView], grants: list[ActView], at: datetime) -> Permission:
    """A grant of this very purpose, or of one above it whose notice listed it."""

    def covers(act: ActView) -> bool:
        asked = act.purpose == purpose.key or (purpose.key in act.listed and act.purpose not in RESERVED)
        return asked and act.basis == Basis.CONSENT and not act.loose

    covering = [act for act in grants if covers(act)]
    if covering:
        act = max(covering, key=lambda a: (a.purpose == purpose.key, a.given_at, a.id))
        own = act.purpose == purpose.key
        return Permission(Answer.GRANTED, Reason.CONSENT_GRANTED if own else Reason.CONSENT_GRANTED_BY_PARENT, act.id)
    near = [
        a
        for a in said
        if a.status == Status.GRANTED and not a.loose and a.basis == Basis.CONSENT and a.purpose not in RESERVED
    ]
    expired = [a for a in near if covers(a) and a.expires_at is not None and a.expires_at <= at]
    waiting = [a for a in near if covers(a) and _waits(a)]
    for found, reason in (
        (expired, Reason.EXPIRED),
        (waiting, Reason.UNCONFIRMED),
        ([a for a in near if covers(a)], Reason.UNVERIFIED),
        (near, Reason.PARENT_ONLY),
    ):
        if found:
            return Permission(Answer.UNDETERMINED, reason, max(found, key=lambda a: (a.given_at, a.id)).id)
    return _MISSING
