"""The triggers that rule, kept in memory for a moment; their publication, pauses and resumptions.

Enters: the text of a triggers file, names. Leaves: `Shelved`. Postgres is the authority: a process looks again after `rules_seconds`, so that a publication or a pause made at a
terminal is the server's within a second. Each of these acts is an entry of the log.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from kernel.db import Conn, after_commit
from kernel.kernel import Kernel
from orchestration.triggers import store
from orchestration.triggers.rules import OnSchedule, OnSegment, Rules
from orchestration.triggers.settings import TriggersSettings


@dataclass(frozen=True, slots=True)
class Shelved:
    """The file that rules, and which of its triggers rest. Nothing published: no triggers."""

    rules: Rules = field(default_factory=Rules)
    digest: str = ""
    paused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing did. `changed` is false when the same file ruled already."""

    digest: str
    triggers: int
    changed: bool


class Shelf:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, audit: Audit, settings: TriggersSettings) -> None:
        self._kernel = kernel
        self._audit = audit
        self._settings = settings
        self._held = Shelved()
        self._read_at = float("-inf")

    async def current(self, conn: Conn) -> Shelved:
        """What rules, at most `rules_seconds` old; read on the caller's connection."""
        if time.monotonic() - self._read_at >= self._settings.rules_seconds:
            found = await store.ruling(conn)
            if found is not None:
                digest, document = found
                rules = self._held.rules if digest == self._held.digest else Rules.model_validate(document)
                self._held = Shelved(rules, digest, await store.paused(conn))
            self._read_at = time.monotonic()
        return self._held

    def forget(self) -> None:
        """Look again the next time."""
        self._read_at = float("-inf")

    async def publish(self, conn: Conn, rules: Rules, *, actor: str) -> Publication:
        """Let these triggers rule from the commit on. Calendars and segments that are new, or changed, begin at this moment."""
        name, now = rules.digest, self._kernel.clock.now()
        await store.lock_rules(conn)
        self.forget()
        held = await self.current(conn)
        after_commit(conn, self._forgetting)
        self.forget()
        if held.digest == name:
            return Publication(name, len(rules.triggers), changed=False)
        await store.publish(conn, name, rules.document(), actor=actor, at=now)
        await self._clocks(conn, held.rules, rules, now)
        entry = NewEntry(Tag.TRIGGERS_PUBLISHED, {"triggers": name}, {"triggers": len(rules.triggers)}, actor=actor)
        await self._audit.append(conn, [entry])
        return Publication(name, len(rules.triggers), changed=True)

    async def pause(self, conn: Conn, trigger: str, *, actor: str) -> bool:
        """Nothing sets it off and nothing of it is decided until it is resumed; what waits goes on waiting. False: it rests already.

        Raises:
            UnknownTrigger: none of that name rules.
        """
        (await self.current(conn)).rules.rule(trigger)
        changed = await store.pause(conn, trigger, actor, self._kernel.clock.now())
        return await self._changed(conn, trigger, "paused", actor, changed=changed)

    async def resume(self, conn: Conn, trigger: str, *, actor: str) -> bool:
        """Go on: what became due meanwhile is decided, unless that is too late by its rule. False: it does not rest."""
        (await self.current(conn)).rules.rule(trigger)
        changed = await store.resume(conn, trigger)
        return await self._changed(conn, trigger, "resumed", actor, changed=changed)

    async def _changed(self, conn: Conn, trigger: str, what: str, actor: str, *, changed: bool) -> bool:
        after_commit(conn, self._forgetting)
        if changed:
            entry = NewEntry(Tag.TRIGGER_CHANGED, {"trigger": trigger}, {"what": what}, actor=actor)
            await self._audit.append(conn, [entry])
        return changed

    async def _clocks(self, conn: Conn, before: Rules, after: Rules, now: datetime) -> None:
        timed = [one for one in after.triggers if isinstance(one.when, OnSchedule | OnSegment)]
        await store.stop_clocks(conn, [one.name for one in timed])
        for one in timed:
            known = before.by_name.get(one.name)
            if known is None or (known.when, known.placement) != (one.when, one.placement):
                await store.start_clock(conn, one.name, now)

    async def _forgetting(self) -> None:
        self.forget()
