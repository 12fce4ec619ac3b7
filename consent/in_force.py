"""Putting rules in force: a change of them is an entry of the log, and nothing that rested on the old ones outlives it.

Enters: the rules that a process started with. Leaves: an entry with their digest, versions, signers and every rule with its source, when they differ from those in
force before; a new consent version for everybody, so that commits under way decide again and the hot store forgets. Also the rules of
an earlier moment, built from what their files said then.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import rulebook, rules_store
from consent.errors import PurposesInvalid, RulesOfThen
from consent.precedence import Rules
from consent.rulebook import Rulebook
from consent.rules_store import InForce
from consent.settings import ConsentSettings
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel

ACTOR: Final = "system:start"
Touch = Callable[[Conn, Iterable[PersonId]], Awaitable[None]]
_PART: Final = 5_000  # people whose versions move in one statement


class Book:
    """The rules of this process, and those that were in force earlier."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, settings: ConsentSettings, touch: Touch
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._touch = touch
        self._settings = settings
        self.mine = rulebook.load(settings)
        self._earlier: dict[str, Rules] = {self.mine.digest: self.mine.rules}

    async def put_in_force(self) -> bool:
        """At every start, once: whether anything changed. Two that start together do it one after the other."""
        async with self._kernel.db.reading() as conn:
            if await rules_store.newest(conn) == self.mine.digest:
                return False
        async with self._kernel.db.transaction() as conn:
            await rules_store.alone(conn)
            before = await rules_store.newest(conn)
            if before == self.mine.digest:
                return False
            await rules_store.add(conn, self.mine, self._kernel.clock.now())
            await self._audit.append(conn, [self._entry(before)])
            if before is not None:
                everyone = await self._identity.people(conn)
                for start in range(0, len(everyone), _PART):
                    await self._touch(conn, everyone[start : start + _PART])
        return True

    async def of(self, conn: Conn, moment: datetime) -> Rules:
        """The rules that were in force at a moment.

        Raises:
            RulesOfThen: this version cannot read them any more.
        """
        return (await self.of_each(conn, [moment]))[0]

    async def of_each(self, conn: Conn, moments: Sequence[datetime]) -> list[Rules]:
        """The same for many moments; each change of the rules is read once.

        Raises:
            RulesOfThen: as ``of``.
        """
        return [self._built(held) for held in await rules_store.at(conn, moments)]

    def _built(self, held: InForce | None) -> Rules:
        if held is None:
            return self.mine.rules
        if held.digest not in self._earlier:
            try:
                built = rulebook.build(held.says, held.jurisdiction)
            except PurposesInvalid as fault:
                raise RulesOfThen(
                    f"expected rules {held.digest[:19]} in a form of today, got others: {fault.message}"
                ) from None
            if built.digest != held.digest:
                raise RulesOfThen(
                    f"expected rules {held.digest[:19]}, got {built.digest[:19]} from what is stored of them"
                )
            self._earlier[held.digest] = built.rules
        return self._earlier[held.digest]

    def on_file(self) -> Rulebook:
        """What the files say now: what a restart would put in force.

        Raises:
            PurposesInvalid, RulesUnsigned: a restart would be refused; the message names the file.
        """
        return rulebook.load(self._settings)

    async def history(self, conn: Conn) -> list[InForce]:
        """Every time that rules were put in force, oldest first."""
        return await rules_store.history(conn)

    def _entry(self, before: str | None) -> NewEntry:
        facts: dict[str, Json] = {**self.mine.as_json(), "before": before}
        return NewEntry(Tag.POLICY_CHANGED, {"policy": self.mine.digest}, facts, actor=ACTOR)
