"""Contact points that nothing may be sent to, as keyed hashes: they hold on after an erasure, and when the contact comes back.

Enters: identifiers, by id or in clear (imports). Leaves: which are suppressed; additions and lifts with their audit entries. The hash
is the vault's pepper of the purpose "suppression"; a clear value is neither stored nor logged.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels import store
from channels.errors import UnknownContact
from identity.identifiers import Identifier
from identity.people import Subject
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId
from kernel.kernel import Kernel

EVERY: Final = "*"  # the channel of a suppression that holds on all of them
_REMEMBERED: Final = 100_000  # hashes by identifier id; an identifier's value never changes, so neither does its hash


class Suppressions:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._known: OrderedDict[IdentifierId, bytes] = OrderedDict()
        # Called in the transaction that changes what may be sent to these people.
        self.on_changed: list[Callable[[Conn, Sequence[PersonId]], None]] = []

    def hash_of(self, kind: str, value: str) -> bytes:
        """The keyed hash of a contact."""
        return self._kernel.vault.pepper("suppression", f"{kind}:{value}")

    async def hashes(self, conn: Conn, ids: Iterable[IdentifierId]) -> dict[IdentifierId, bytes]:
        """The hash of each contact; one that nobody holds (any more) is absent."""
        wanted = list(dict.fromkeys(ids))
        found = {one: self._known[one] for one in wanted if one in self._known}
        if missing := [one for one in wanted if one not in found]:
            subjects = await self._identity.subjects(conn, missing)
            people = sorted({person for subject in subjects.values() for person in subject.people})
            for held in (await self._identity.identifiers(conn, people)).values():
                for one in held:
                    self._known[one.id] = self.hash_of(one.kind, one.value)
            found |= {one: self._known[one] for one in missing if one in self._known}
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found

    async def suppressed(
        self, conn: Conn, ids: Sequence[IdentifierId], channel: str | None = None
    ) -> set[IdentifierId]:
        """Those that may not be used, on the channel or (None) on any. Advice: a send asks again under a lock."""
        return {one for one, channels in (await self.of(conn, ids)).items() if bars(channels, channel)}

    async def of(self, conn: Conn, ids: Sequence[IdentifierId]) -> dict[IdentifierId, set[str]]:
        """The channels on which each of these may not be used (`*`: none at all); one that is free is absent."""
        if not ids or not await store.any_suppressed(conn):
            return {}
        hashes = await self.hashes(conn, ids)
        barred = await store.suppressions(conn, list(hashes.values()))
        return {one: set(barred[word]) for one, word in hashes.items() if barred.get(word)}

    async def barred(self, conn: Conn, contacts: Sequence[Identifier], channel: str) -> set[str]:
        """The values of those contacts, known here or not, that may not be used on the channel."""
        words = {self.hash_of(one.kind, one.value): one.value for one in contacts}
        found = await store.suppressions(conn, list(words))
        return {value for word, value in words.items() if bars(found.get(word, {}), channel)}

    async def suppress(self, conn: Conn, ids: Sequence[IdentifierId], channel: str, reason: str, *, actor: str) -> int:
        """From this commit on nothing leaves to these contacts on the channel; how many were not suppressed before.

        Raises:
            UnknownContact: one of them is unknown or erased.
        """
        hashes = await self.hashes(conn, ids)
        if missing := len(set(ids) - hashes.keys()):
            raise UnknownContact(missing)
        await store.lock_contacts(conn, list(hashes.values()), shared=False)
        entries = [(word, channel, reason) for word in hashes.values()]
        added = await store.suppress(conn, entries, actor=actor, now=self._kernel.clock.now())
        fresh = [one for one, word in hashes.items() if (word, channel) in added]
        await self._tell(conn, Tag.SUPPRESSION_ADDED, fresh, channel, reason, actor)
        return len(fresh)

    async def suppress_contacts(
        self, conn: Conn, contacts: Sequence[tuple[Identifier, str, str]], *, actor: str
    ) -> list[bool]:
        """The same for (contact, channel, reason) that may never have been held here; per row, whether it is new."""
        words = [(self.hash_of(one.kind, one.value), channel, reason) for one, channel, reason in contacts]
        await store.lock_contacts(conn, [word for word, _, _ in words], shared=False)
        added = await store.suppress(conn, words, actor=actor, now=self._kernel.clock.now())
        if added:
            known = await self._identity.known_identifiers(conn, [one for one, _, _ in contacts])
            self._changed(conn, await self._identity.subjects(conn, list(known.values())))
            named = sorted(f"{word.hex()}|{channel}" for word, channel in added)
            facts: dict[str, Json] = {"count": len(named), "contacts": digest([*named])}
            await self._audit.append(conn, [NewEntry(Tag.SUPPRESSION_ADDED, {}, facts, actor=actor)])
        fresh: list[bool] = []
        for word, channel, _ in words:
            fresh.append((word, channel) in added)
            added.discard((word, channel))
        return fresh

    async def lift(self, conn: Conn, ids: Sequence[IdentifierId], channel: str, reason: str, *, actor: str) -> int:
        """Take suppressions of exactly this channel back; how many there were. It grants nothing: consent is asked as ever."""
        hashes = await self.hashes(conn, ids)
        await store.lock_contacts(conn, list(hashes.values()), shared=False)
        barred = await store.suppressions(conn, list(hashes.values()))
        lifted = [one for one, word in hashes.items() if channel in barred.get(word, {})]
        await store.lift(conn, [hashes[one] for one in lifted], channel)
        await self._tell(conn, Tag.SUPPRESSION_LIFTED, lifted, channel, reason, actor)
        return len(lifted)

    async def _tell(
        self, conn: Conn, tag: Tag, ids: Sequence[IdentifierId], channel: str, reason: str, actor: str
    ) -> None:
        subjects = await self._identity.subjects(conn, ids)
        self._changed(conn, subjects)
        facts: dict[str, Json] = {"channel": channel, "reason": reason}
        await self._audit.append(
            conn,
            [
                NewEntry(tag, {"identifier": one}, facts, key_id=subjects[one].key_id, actor=actor)
                for one in ids
                if one in subjects
            ],
        )

    def _changed(self, conn: Conn, subjects: Mapping[str, Subject]) -> None:
        people = sorted({person for subject in subjects.values() for person in subject.people})
        for told in self.on_changed:
            told(conn, people)


def bars(held: Iterable[str], channel: str | None) -> bool:
    """Whether the suppressed channels of a contact bar this one."""
    channels = set(held)
    return bool(channels) if channel is None else not channels.isdisjoint({channel, EVERY})
