"""What the person behind a link may ask for: the rights that the law gives her where she may be, and have not been carried out already.

Enters: her state, the rules. Leaves: ``Offer``s for the page, in one order. Which law gives what is data (``rights`` in ``data/packs/``); she has the rights of the
installation's place and of every place that her own words name. An opt-out, a limit and an objection need no proof (consent.P3) and are carried out at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent import gate
from consent.gate import Answer, ConsentState
from consent.lifecycle import Right
from consent.purposes import Purpose
from consent.reasons import Reason

_ORDER: Final = (
    Right.ACCESS, Right.PORTABILITY, Right.RECTIFICATION, Right.ERASURE, Right.RESTRICTION, Right.OBJECTION, Right.OPT_OUT,
    Right.LIMIT_SENSITIVE, Right.ADMT_OPT_OUT, Right.ADMT_ACCESS,
)  # fmt: skip
AT_ONCE: Final = frozenset({Right.OBJECTION, Right.OPT_OUT, Right.LIMIT_SENSITIVE, Right.ADMT_OPT_OUT})


@dataclass(frozen=True, slots=True)
class Offer:
    """A right she may use, and the place whose law gives it: its clock is that law's."""

    right: Right
    regime: str

    @property
    def at_once(self) -> bool:
        """Whether nobody needs to look at it first."""
        return self.right in AT_ONCE


def offers(state: ConsentState, at: datetime) -> list[Offer]:
    """What she may ask for; nothing of what holds already, and nothing where the link stands for nobody or for several people."""
    if state.person is None:
        return []
    home = state.rules.jurisdiction
    places = [home, *sorted(state.jurisdictions - {home})]
    found = []
    for right in _ORDER:
        given = [place for place in places if right in state.rules.precedence.pack(place).rights]
        if given and not _holds(right, state, at):
            found.append(Offer(right, given[0]))
    return found


def _holds(right: Right, state: ConsentState, at: datetime) -> bool:
    """Whether there is nothing left that it would end."""
    every = state.rules.purposes.by_key.values()
    match right:
        case Right.OPT_OUT:
            return _directed((one for one in every if one.sale_share), state, at)
        case Right.LIMIT_SENSITIVE:
            return _directed((one for one in every if one.sensitive), state, at)
        case Right.ADMT_OPT_OUT:
            return _directed((one for one in every if one.automated), state, at)
        case Right.OBJECTION:
            return all(
                gate.permission(state, one.key, None, at).answer is Answer.DENIED
                for one in every
                if one.parent is None and one.takes_choice()
            )
        case _:
            return False


def _directed(purposes: Iterable[Purpose], state: ConsentState, at: datetime) -> bool:
    """Whether a standing directive, or what outranks it, ends each of these."""
    strong = {Reason.GPC, Reason.RESTRICTED, Reason.ERASED}
    return all(gate.permission(state, one.key, None, at).reason in strong for one in purposes)
