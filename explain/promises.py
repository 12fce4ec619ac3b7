"""Whether levers keep what they promise: how many are shown, how many flip when they are pulled again, and what happened to people who used one.

Enters: explanations as they are kept, controls as they are pressed, the decisions that follow. Leaves: `Honesty`. A control that pulls a lever which the page showed is a
use of it; the next decision of the same person at the same placement is held against the promise, as the page worded it. A choice that was drawn by
chance to learn something is passed over: it tells nothing of the lever.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from explain import promises_store as store
from explain.belonging import Whose
from explain.controls import lever_of
from explain.explanation import Content
from explain.facts import NOTHING, Decide, DecisionFacts
from explain.feedback import Said
from explain.levers import Lever, change_of
from explain.promises_store import Use
from kernel.canonical import Json
from kernel.db import Conn, Database
from kernel.ids import DecisionId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Honesty:
    """Counts over everything that is kept. `shown` levers on explanations; of these `replayed` were pulled once more since, and `flipped` the choice again;
    `used` by people; `followed` by another decision there; `changed` as promised.
    """

    shown: int = 0
    replayed: int = 0
    flipped: int = 0
    used: int = 0
    followed: int = 0
    changed: int = 0

    def as_json(self) -> dict[str, Json]:
        """As answered."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pressed:
    """A control that was pressed on a page, ``under`` the id that the decision was made for."""

    control: str
    about: str
    at: datetime
    under: PersonId | None

    def as_json(self) -> dict[str, Json]:
        """As told."""
        return {"control": self.control, "about": self.about, "at": self.at.isoformat()}


def as_promised(use: Use, then: DecisionFacts) -> bool:
    """Whether the decision that followed is what the page said: nothing, the other channel, or another message."""
    if use.promised == NOTHING or use.promised_channel is None:
        return then.nothing_chosen
    if use.promised_channel != use.was_channel:
        return then.channel == use.promised_channel
    return then.choice != use.was


class Promises:
    """Stands at `Explain.promises`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def shown(self, conn: Conn, made: Sequence[Content]) -> None:
        """These explanations are kept in this transaction."""
        await store.insert_tallies(conn, [(one.facts.decision_id, len(one.levers)) for one in made if one.levers])
        await self._followed(conn, [one.facts for one in made])

    async def used(self, conn: Conn, content: Content, said: Said, at: datetime, *, flipped: bool | None) -> bool:
        """A control was pressed; False when it was pressed before on this page. `flipped`: its lever, pulled again just now."""
        facts, lever = content.facts, lever_of(content, said)
        use = Use(
            decision_id=facts.decision_id, kind=said.kind, subject=said.subject, person=facts.person, key_id=facts.key_id,
            placement=facts.placement, at=at,
            was=facts.choice, was_channel=facts.channel, promised=lever.choice if lever is not None else None,
            promised_channel=lever.channel if lever is not None else None, flipped=flipped,
        )  # fmt: skip
        return await store.insert_use(conn, use)

    async def said_before(self, decision_id: DecisionId, said: Said) -> bool:
        """Whether this control of this page was pressed."""
        async with self._db.reading() as conn:
            return await store.has_use(conn, decision_id, said.kind, said.subject)

    async def again(self, decide: Decide, decision_id: DecisionId, lever: Lever, was: str) -> bool | None:
        """Pull a lever once more: whether it flips the choice; None where the record cannot tell any more."""
        verdict = await decide.again(decision_id, change_of(lever))
        return verdict.choice != was if verdict.told else None

    async def recheck(self, decide: Decide, content: Content) -> int:
        """Pull all levers of an explanation once more and count what they do; how many."""
        facts = content.facts
        pulled = [await self.again(decide, facts.decision_id, one, facts.choice) for one in content.levers]
        worked = [one for one in pulled if one is not None]
        async with self._db.transaction() as conn:
            await store.replayed(conn, facts.decision_id, len(worked), sum(worked))
        return len(worked)

    async def pressed(self, conn: Conn, whose: Whose) -> dict[DecisionId, list[Pressed]]:
        """What she pressed, by decision: for a copy of her data."""
        found: dict[DecisionId, list[Pressed]] = {}
        for decision_id, kind, subject, at, under in await store.of_person(conn, whose):
            found.setdefault(decision_id, []).append(Pressed(kind, subject, at, under))
        return found

    async def unchecked(self, limit: int) -> list[DecisionId]:
        """The newest explanations whose levers were not pulled a second time."""
        async with self._db.reading() as conn:
            return await store.unchecked(conn, limit)

    async def honesty(self) -> Honesty:
        """The counts as of now."""
        async with self._db.reading() as conn:
            return Honesty(**await store.counts(conn))

    async def _followed(self, conn: Conn, then: Sequence[DecisionFacts]) -> None:
        """Hold what people were promised against what was decided for them next."""
        told = [one for one in then if one.person is not None and not one.policy.explored]
        if not told:
            return
        for use in await store.waiting(conn, sorted({one.person for one in told if one.person is not None})):
            later = [
                one for one in told
                if (one.person, one.placement) == (use.person, use.placement) and one.at > use.at
                and (use.followed_at is None or one.at < use.followed_at)
            ]  # fmt: skip
            if later:
                following = min(later, key=lambda one: one.at)
                changed = as_promised(use, following)
                await store.follow(conn, use, following.decision_id, following.at, changed=changed)
