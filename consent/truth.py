"""The gate's truth table: every signal alone and every two of which one is a no, in either order, for three purposes, in every jurisdiction.

Enters: the rules. Leaves: rows that a lawyer can read, each with the rule that decided and its source (consent.C6). Nothing here decides:
each row asks the gate. ``docs/compliance/gate.csv`` is written from it and a test keeps it true.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Final

from consent.acts import ActView, Status
from consent.gate import Answer, ConsentState, Permission, permission
from consent.precedence import Rules
from consent.purposes import DEFAULT, EVERYTHING, SALE_SHARE, Purpose
from consent.reasons import Reason, text
from kernel.ids import ActId, PersonId

COLUMNS: Final = (
    "purpose", "channel", "first", "then", "jurisdictions", "legal basis", "answer", "reason", "in words", "rule", "source",
)  # fmt: skip
_MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
_ASKED: Final = _MONDAY + timedelta(days=30)
NOBODY: Final = "nothing"


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that may be said: ``act`` as it bears on a purpose, in words."""

    words: str
    act: ActView
    on: frozenset[str]

    @property
    def yes(self) -> bool:
        """Whether it may permit or lift something."""
        return self.act.status == Status.GRANTED


@dataclass(frozen=True, slots=True)
class Line:
    """One row: the same answer in these jurisdictions."""

    purpose: str
    channel: str | None
    first: str
    then: str
    jurisdictions: tuple[str, ...]
    basis: str
    permission: Permission
    rule: str
    source: str

    def cells(self) -> tuple[str, ...]:
        """As they stand in the file."""
        answer = self.permission
        return (
            self.purpose, self.channel or "any", self.first, self.then, " ".join(self.jurisdictions), self.basis,
            "yes" if answer.granted else "no", str(answer.reason), text(answer.reason), self.rule, self.source,
        )  # fmt: skip


QUESTIONS: Final[Mapping[str, str | None]] = {"marketing.email": "email", "marketing.web": "web", "sharing": None}
_OWN: Final = frozenset({"marketing.email", "marketing.web", "sharing"})
_MARKETING: Final = frozenset({"marketing.email", "marketing.web"})


def signals(purpose: str) -> list[Signal]:
    """Everything that may be said about this purpose, in the order of the file."""
    yes = _act(purpose, Status.GRANTED)
    no = _act(purpose, Status.DENIED)
    wider = replace(yes, purpose="marketing")
    found = [
        Signal("yes, on the preference page", yes, _OWN),
        Signal("yes, since run out", replace(yes, expires_at=_ASKED - timedelta(days=1)), _OWN),
        Signal("yes, imported with its notice", replace(yes, mechanism="import"), _OWN),
        Signal("yes, imported without a notice", replace(yes, mechanism="import", verified=False, has_notice=False), _OWN),
        Signal("yes, to offers in general; the notice named this", replace(wider, listed=frozenset({purpose})), _MARKETING),
        Signal("yes, to offers in general; the notice did not name this", wider, _MARKETING),
        Signal("yes, of somebody who may be the same person", replace(yes, subject="other", loose=True), _OWN),
        Signal("yes, in a TC string", replace(yes, mechanism="tcf"), frozenset({"marketing.web"})),
        Signal("yes, asked about a conflict with her browser's signal", replace(yes, purpose=SALE_SHARE, mechanism="directive_override"), frozenset({"sharing"})),
        Signal("no, on the preference page", no, _OWN),
        Signal("no, imported", replace(no, mechanism="import", verified=False, has_notice=False), _OWN),
        Signal("no, of somebody who may be the same person", replace(no, subject="other", loose=True), _OWN),
        Signal("no, in a TC string", replace(no, mechanism="tcf"), frozenset({"marketing.web"})),
        Signal("a TC string that cannot be read", replace(no, mechanism="tcf", status=Status.UNREADABLE), frozenset({"marketing.web"})),
        Signal("an opt-out in a GPP string", replace(no, purpose=SALE_SHARE, mechanism="gpp"), frozenset({"sharing"})),
        Signal("a GPP string that cannot be read", replace(no, purpose=SALE_SHARE, mechanism="gpp", status=Status.UNREADABLE), frozenset({"sharing"})),
        Signal("an imported choice that cannot be read", replace(no, mechanism="import", status=Status.UNREADABLE), _OWN),
        Signal("unsubscribed by one click", replace(no, mechanism="one_click"), frozenset({"marketing.email"})),
        Signal("complained of spam", replace(no, mechanism="spam_complaint"), frozenset({"marketing.email"})),
        Signal("Global Privacy Control", replace(no, purpose=SALE_SHARE, mechanism="gpc"), _OWN),
        Signal("asked not to sell or share", replace(no, purpose=SALE_SHARE, mechanism="opt_out_request"), frozenset({"sharing"})),
        Signal("asked for restriction", replace(no, purpose=EVERYTHING, mechanism="restriction"), _OWN),
        Signal("lifted the restriction", replace(yes, purpose=EVERYTHING, mechanism="restriction_lifted"), _OWN),
        Signal("asked for erasure", replace(no, purpose=EVERYTHING, mechanism="erasure"), _OWN),
    ]  # fmt: skip
    return [one for one in found if purpose in one.on]


def lines(rules: Rules) -> Iterator[Line]:
    """Every row."""
    for purpose, channel in QUESTIONS.items():
        known = signals(purpose)
        pairs: list[tuple[Signal, ...]] = [(), *((one,) for one in known)]
        pairs += [pair for pair in permutations(known, 2) if not (pair[0].yes and pair[1].yes)]
        for said in pairs:
            yield from _answers(rules, purpose, channel, said)


def as_csv(rules: Rules) -> str:
    """The file."""
    written = io.StringIO()
    out = csv.writer(written, lineterminator="\n")
    out.writerow(COLUMNS)
    out.writerows(line.cells() for line in lines(rules))
    return written.getvalue()


def _answers(rules: Rules, purpose: str, channel: str | None, said: Sequence[Signal]) -> Iterator[Line]:
    """One row for each answer, with the jurisdictions that give it."""
    declared = rules.purposes.expect(purpose)
    found: dict[tuple[str, Answer, str], tuple[list[str], Permission]] = {}
    for place in sorted(rules.precedence.jurisdictions, key=lambda name: (name == DEFAULT, name)):
        answer = permission(_state(rules, place, said), purpose, channel, _ASKED)
        places, _ = found.setdefault((declared.basis_in(place), answer.answer, answer.reason), ([], answer))
        places.append(place)
    first, then = (*(one.words for one in said), *("", "")[len(said) :])
    for (basis, _, _), (places, answer) in found.items():
        rule, source = _rule(rules, declared, answer, said, places)
        yield Line(purpose, channel, first or NOBODY, then, tuple(places), basis, answer, rule, source)


def _state(rules: Rules, place: str, said: Sequence[Signal]) -> ConsentState:
    acts = tuple(
        replace(
            one.act,
            id=ActId(f"act_{number}"),
            jurisdiction=place,
            basis="consent",
            given_at=_MONDAY + timedelta(days=number),
        )
        for number, one in enumerate(said)
    )
    return ConsentState(PersonId("per_x"), 1, acts, Rules(rules.purposes, rules.precedence, place))


def _rule(
    rules: Rules, purpose: Purpose, answer: Permission, said: Sequence[Signal], places: Sequence[str]
) -> tuple[str, str]:
    """Which rule decided: the class of the denial, or what the purpose rests on."""
    table = rules.precedence
    decided = next((one.act for number, one in enumerate(said) if answer.act == f"act_{number}"), None)
    if answer.answer is Answer.DENIED and decided is not None:
        kind = table.classes[table.rank(decided.mechanism)]
        return kind.name, kind.source
    basis = "consent needs an act" if answer.reason != Reason.LEGITIMATE_INTERESTS else "interest without objection"
    return basis, " | ".join(dict.fromkeys(rules.source_of(purpose, place) for place in places))


def _act(purpose: str, status: Status) -> ActView:
    return ActView(
        id=ActId("act_"), subject="one", purpose=purpose, channel=None, status=status, basis="consent", jurisdiction=DEFAULT,
        mechanism="preference_page", given_at=_MONDAY,
    )  # fmt: skip
