"""Opt-outs, exchanged: who said no to SendGrid hears nothing from here, and who said no here hears nothing through that account.

Enters: SendGrid's lists and ours. Leaves: suppressions and withdrawals here, additions there, and counts. Both sides are compared whole each time, so an
exchange that broke off is simply run again, and one that finds nothing new leaves only its entry. Nothing is ever taken off a list on either
side: a yes needs a notice and an act. But a yes that she gave us after she was listed there is her newer word: it is not undone, only counted, so that
staff take her off that list. Addresses are in memory only. Spec channels.A9.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels.email.lists import Listed, Lists
from channels.email.settings import SendGridSettings
from channels.email.table import TABLE
from channels.email.webhook import ACTOR
from channels.ledger import Receipt
from channels.suppression import Suppressions
from consent.gate import Answer, outlived, permission
from consent.service import Consent
from identity.errors import InvalidIdentifier
from identity.identifiers import HeldIdentifier, Identifier
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel

CHANNEL: Final = "email"
_MECHANISM: Final = "one_click"
_PEOPLE: Final = 500  # whose contacts are opened at a time


@dataclass(slots=True)
class Synced:
    """What an exchange came to. With `dry_run` nothing was written on either side.

    `listed`: addresses on each of SendGrid's lists. `suppressed`, `withdrawn`: new here. `added`, `left`: new on SendGrid's global list and
    in its unsubscribe group. `outlived`: listed there, and she said yes here since; it cannot be sent until staff take her off that list. `unreadable`:
    entries that are no address.
    """

    dry_run: bool
    listed: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    withdrawn: int = 0
    added: int = 0
    left: int = 0
    outlived: int = 0
    unreadable: int = 0


class ListSync:
    """Exchanges. One per process and event loop."""

    def __init__(
        self,
        kernel: Kernel,
        audit: Audit,
        identity: Identity,
        consent: Consent,
        suppressions: Suppressions,
        settings: SendGridSettings,
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._suppressions = suppressions
        self._settings = settings

    async def run(self, *, dry_run: bool, actor: str) -> Synced:
        """One exchange, both ways. Raises NoApiKey, ListsUnreachable."""
        done = Synced(dry_run=dry_run)
        there: set[str] = set()
        async with Lists(self._settings) as lists:
            for name in TABLE.lists:
                there |= await self._pull(lists, name, done)
            left = await self._pull_group(lists, done)
            await self._push(lists, there, left, done)
        if not dry_run:
            facts: dict[str, Json] = {"listed": dict(done.listed), "suppressed": done.suppressed, "withdrawn": done.withdrawn,
                     "added": done.added, "left": done.left, "outlived": done.outlived}  # fmt: skip
            async with self._kernel.db.transaction() as conn:
                await self._audit.append(conn, [NewEntry(Tag.SUPPRESSION_SYNCED, {}, facts, actor=actor)])
        return done

    async def _pull(self, lists: Lists, name: str, done: Synced) -> set[str]:
        """SendGrid's no becomes ours; the addresses that SendGrid would not send to anyway."""
        reason = TABLE.lists[name]
        seen: set[str] = set()
        async for page in lists.read(name):
            entries = list(_readable(page, done))
            done.listed[name] += len(entries)
            if reason is None:
                continue
            seen.update(one.value for one, _ in entries)
            async with self._kernel.db.transaction() as conn:
                newer = await self._outlived(conn, entries) if reason is Receipt.UNSUBSCRIBED else set()
                done.outlived += len(newer)
                contacts = [one for one, _ in entries if one not in newer]
                if done.dry_run:
                    done.suppressed += len(contacts) - await self._held(conn, contacts)
                else:
                    wished = [(one, CHANNEL, reason) for one in contacts]
                    done.suppressed += sum(await self._suppressions.suppress_contacts(conn, wished, actor=ACTOR))
        return seen

    async def _held(self, conn: Conn, contacts: Sequence[Identifier]) -> int:
        return len(await self._suppressions.barred(conn, contacts, CHANNEL))

    async def _pull_group(self, lists: Lists, done: Synced) -> set[str]:
        """Who left the group has withdrawn its purpose; a contact that nobody holds here has nothing to withdraw."""
        group = self._settings.asm_group_id
        if group is None:
            return set()
        entries = list(_readable(await lists.group(group), done))
        done.listed["group"] += len(entries)
        for start in range(0, len(entries), _PEOPLE):
            part = dict(entries[start : start + _PEOPLE])
            async with self._kernel.db.transaction() as conn:
                newer = await self._outlived(conn, list(part.items()))
                done.outlived += len(newer)
                known = await self._identity.known_identifiers(conn, [one for one in part if one not in newer])
                held = await self._identity.subjects(conn, sorted(known.values()))
                for one, identifier in sorted(known.items(), key=lambda item: item[1]):
                    if identifier not in held or not held[identifier].people:
                        continue
                    if done.dry_run:
                        done.withdrawn += 1
                        continue
                    act = await self._consent.withdraw(
                        conn, identifier, self._settings.asm_purpose, CHANNEL, mechanism=_MECHANISM, actor=ACTOR,
                        raw=b"sendgrid:group", told_at=part[one],
                    )  # fmt: skip
                    done.withdrawn += act is not None
        return {one.value for one, _ in entries}

    async def _outlived(self, conn: Conn, entries: Sequence[tuple[Identifier, datetime | None]]) -> set[Identifier]:
        """Those who said yes here after they were listed there; a list that does not tell since when is taken to speak of now."""
        known = await self._identity.known_identifiers(conn, [one for one, since in entries if since is not None])
        said = await self._consent.said_of(conn, sorted(known.values()))
        rules, purpose, now = self._consent.rules, self._settings.asm_purpose, self._kernel.clock.now()
        return {
            one
            for one, since in entries
            if since is not None
            and one in known
            and outlived(said.get(known[one], ()), rules, purpose, CHANNEL, mechanism=_MECHANISM, since=since, at=now)
        }

    async def _push(self, lists: Lists, there: set[str], left: set[str], done: Synced) -> None:
        """Our no becomes SendGrid's, for the contacts that are held here."""
        async with self._kernel.db.reading() as conn:
            people = await self._identity.people(conn)
        for start in range(0, len(people), _PEOPLE):
            async with self._kernel.db.reading() as conn:
                silent, gone = await self._noes(conn, people[start : start + _PEOPLE])
            new, leaving = sorted(silent - there), sorted(gone - left - silent)
            there |= silent
            left |= gone
            done.added += len(new)
            if new and not done.dry_run:
                await lists.add(new)
            group = self._settings.asm_group_id
            if group is not None:
                done.left += len(leaving)
                if leaving and not done.dry_run:
                    await lists.leave(group, leaving)

    async def _noes(self, conn: Conn, people: Sequence[PersonId]) -> tuple[set[str], set[str]]:
        """Addresses of these people that nothing may be sent to, and those whose purpose was ended by an act."""
        held = await self._identity.identifiers(conn, people)
        mails: list[tuple[PersonId, HeldIdentifier]] = [
            (person, one) for person, known in held.items() for one in known if one.kind == CHANNEL
        ]
        barred = await self._suppressions.barred(conn, [Identifier(CHANNEL, one.value) for _, one in mails], CHANNEL)
        states = await self._consent.states(conn, sorted({person for person, _ in mails}))
        now = self._kernel.clock.now()
        purpose = self._settings.asm_purpose
        denied = {p for p, state in states.items() if permission(state, purpose, CHANNEL, now).answer is Answer.DENIED}
        return (
            {one.value for _, one in mails if one.value in barred},
            {one.value for person, one in mails if person in denied},
        )


def _readable(listed: Sequence[Listed], done: Synced) -> Iterator[tuple[Identifier, datetime | None]]:
    for one in listed:
        try:
            yield Identifier(CHANNEL, one.address), one.since
        except InvalidIdentifier:
            done.unreadable += 1
