"""The gate's whole table for many people, worked out once for all whose acts say the same.

Enters: a consent state and a moment. Leaves: what ``gate.table`` answers, to the letter. An answer rests on what acts say and on the order of their times, not on whose they are:
acts are described without ids and with times as places in their order, and the ids of the answers are put back. Bounded memory; no ids are remembered.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from consent import gate
from consent.acts import ActView
from consent.gate import ConsentState, Permission
from consent.precedence import Rules

_MOST: Final = 4_096

_Shape = tuple[object, ...]
_Answer = tuple[str, Permission, int | None]  # question, answer, place of the act behind it


class Tables:
    """One per process; safe for the tasks of one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Shape, tuple[_Answer, ...]] = OrderedDict()
        self._rules: Rules | None = None

    def of(self, state: ConsentState, at: datetime) -> Mapping[str, Permission]:
        """Every declared purpose, alone and with each channel it governs."""
        if state.rules is not self._rules:  # other purposes or precedence: nothing known holds any more
            self._rules = state.rules
            self._known.clear()
        acts = sorted(state.acts, key=lambda act: act.id)
        shape = _shape(state, acts, at)
        found = self._known.get(shape)
        if found is None:
            places = {act.id: place for place, act in enumerate(acts)}
            found = tuple(
                (question, answer, None if answer.act is None else places[answer.act])
                for question, answer in gate.table(state, at).items()
            )
            self._known[shape] = found
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(shape)
        return {
            question: answer if place is None else Permission(answer.answer, answer.reason, acts[place].id)
            for question, answer, place in found
        }


def _shape(state: ConsentState, acts: Sequence[ActView], at: datetime) -> _Shape:
    """All that an answer can rest on. The gate compares times with each other and with the moment, and ids with each other, nothing more."""
    order = {moment: place for place, moment in enumerate(state.boundaries)}
    subjects: dict[str, int] = {}
    told = tuple(
        (
            subjects.setdefault(act.subject, len(subjects)), act.purpose, act.channel, act.status, act.basis, act.jurisdiction,
            act.mechanism, order[act.given_at], None if act.expires_at is None else order[act.expires_at], act.has_notice,
            act.verified, act.listed, act.loose,
        )
        for act in acts
    )  # fmt: skip
    past = sum(moment <= at for moment in state.boundaries)
    erased = None if state.erased_at is None else order[state.erased_at]
    return state.known, state.person is None, erased, past, told
