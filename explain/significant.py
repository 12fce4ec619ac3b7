"""Choices that matter a lot to a person: told before, answered after, looked at by a person when asked, and never against a no (spec explain.E8).

Enters: which decisions and placements are such, by a protocol that wiring registers. Leaves: a notice before use (11 CCR 7220), the way out (7221), an answer in plain words (7222): what for, how, what came
of it, how that was used, what she can do; and reviews that people asked for. Words are templates in files; nothing is said that the record does not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from explain import significant_store as store
from explain.errors import NotSignificant
from explain.explanation import Content
from explain.facts import DecisionFacts
from explain.reasons import PersonView, Procedure
from explain.significant_store import Review
from explain.wording import words
from kernel.canonical import Json
from kernel.ids import DecisionId
from kernel.kernel import Kernel

Outcome = Literal["stands", "decided_anew", "withdrawn"]
OUTCOMES: Final[Sequence[Outcome]] = ("stands", "decided_anew", "withdrawn")
_LOGIC: Final[Mapping[Procedure, str]] = {
    Procedure.MODEL: "machine", Procedure.ALIKE: "machine", Procedure.OUTCOMES: "outcomes", Procedure.EXPLORATION: "chance",
    Procedure.HOLDOUT: "chance",
}  # fmt: skip
"""Which words tell how it was made; the rest are rules."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a significant placement is for: the purposes of its messages, the purpose under which the machine looks at people, who decides."""

    placement: str
    purposes: tuple[str, ...]
    machine: str
    controller: str


class Source(Protocol):
    """Which decisions and placements are significant."""

    async def of_decision(self, decision_id: str) -> Use | None:
        """As it was declared when it was decided."""
        ...

    async def of_placement(self, name: str) -> Use | None:
        """As it is declared now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What 11 CCR 7222 asks to be told, one plain paragraph each."""

    locale: str
    purpose: str
    logic: tuple[str, ...]
    outcome: str
    used: str
    rights: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """As answered."""
        return {
            "locale": self.locale, "purpose": self.purpose, "logic": list(self.logic), "outcome": self.outcome, "used": self.used,
            "rights": list(self.rights),
        }  # fmt: skip


def answer(facts: DecisionFacts, view: PersonView, use: Use) -> Answer:
    """The answer of one decision, out of what the person's page says. Pure."""
    say = words(view.locale)
    purposes = ", ".join(say.of("purpose", one) for one in use.purposes)
    logic = [say(f"significant.logic_{_LOGIC.get(Procedure(view.procedure), 'rules')}"), view.headline]
    logic += [
        say("significant.weighed", what=one.name, way=one.contribution, source=one.source)
        for one in view.main_parameters
    ]
    logic += view.rules
    outcome = "significant.outcome_nothing" if facts.nothing_chosen else "significant.outcome_shown"
    return Answer(
        locale=view.locale,
        purpose=say("significant.purpose", purposes=purposes, who=use.controller or view.on_behalf_of),
        logic=tuple(logic),
        outcome=say(outcome, title=facts.title),
        used=say("significant.used"),
        rights=tuple(say(f"significant.right_{one}") for one in ("review", "opt_out", "correct", "same")),
    )


class Significant:
    """Stands at ``Explain.significant``."""

    def __init__(self, kernel: Kernel, audit: Audit) -> None:
        self._kernel = kernel
        self._audit = audit
        self._source: Source | None = None

    def register(self, source: Source) -> None:
        """What knows which placements are such; wiring calls this once."""
        self._source = source

    async def use(self, decision_id: str) -> Use | None:
        """The use of a decision; None where it is not significant."""
        return None if self._source is None else await self._source.of_decision(decision_id)

    async def expect(self, decision_id: str) -> Use:
        """The same.

        Raises:
            NotSignificant: the placement is not switched to significant_decision.
        """
        found = await self.use(decision_id)
        if found is None:
            raise NotSignificant("expected a decision at a placement of significant decisions, got another")
        return found

    async def notice(self, placement: str) -> Use:
        """What is to be told before a placement is used; raises as `expect` does."""
        found = None if self._source is None else await self._source.of_placement(placement)
        if found is None:
            raise NotSignificant("expected a placement of significant decisions, got another")
        return found

    async def ask_review(self, content: Content) -> bool:
        """Somebody is to look at this decision; False when that was asked before."""
        facts = content.facts
        entry = NewEntry(
            Tag.HUMAN_REVIEW_ASKED, {"decision": facts.decision_id}, {}, key_id=facts.key_id, actor="person"
        )
        async with self._kernel.db.transaction() as conn:
            if not await store.ask(
                conn, facts.decision_id, self._kernel.clock.now(), person=facts.person, key_id=facts.key_id
            ):
                return False
            await self._audit.append(conn, [entry])
        return True

    async def reviews(self, *, closed: bool = False, limit: int = 100) -> list[Review]:
        """What people asked for, the oldest first; `closed`: what was looked at, the newest first."""
        async with self._kernel.db.reading() as conn:
            return await store.listed(conn, closed=closed, limit=limit)

    async def close(self, decision_id: str, outcome: Outcome, *, actor: str) -> bool:
        """Somebody looked; False when nobody waits for it."""
        entry = NewEntry(Tag.HUMAN_REVIEW_CLOSED, {"decision": decision_id}, {"outcome": str(outcome)}, actor=actor)
        async with self._kernel.db.transaction() as conn:
            if not await store.close(conn, DecisionId(decision_id), outcome, actor, self._now()):
                return False
            await self._audit.append(conn, [entry])
        return True

    def _now(self) -> datetime:
        return self._kernel.clock.now()
