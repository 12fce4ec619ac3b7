"""Opt-outs, exchanged: who said no to SendGrid hears nothing from here, and who said no here hears nothing through that account.

Enters: SendGrid's lists and ours. Leaves: suppressions and withdrawals here, additions there, and counts. Both sides are compared whole each time, so an
exchange that broke off is simply run again, and one that finds nothing new leaves only its entry. Nothing is ever taken off a list on either
side: a yes needs a notice and an act. Addresses are in memory only. Spec channels.A9.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels.email.lists import Lists
from channels.email.settings import SendGridSettings
from channels.email.table import TABLE
from channels.email.webhook import ACTOR
from channels.suppression import Suppressions
from consent.gate import Answer, permission
from consent.service import Consent
from identity.errors import InvalidIdentifier
from identity.identifiers import HeldIdentifier, Identifier
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId
from kernel.kernel import Kernel

CHANNEL: Final = "email"
_PEOPLE: Final = 500  # whose contacts are opened at a time


@dataclass(slots=True)
class Synced:
    """What an exchange came to. With `dry_run` nothing was written on either side.

    `listed`: addresses on each of SendGrid's lists. `suppressed`, `withdrawn`: new here. `added`, `left`: new on SendGrid's global list and
    in its unsubscribe group. `unreadable`: entries that are no address.
    """

    dry_run: bool
    listed: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    withdrawn: int = 0
    added: int = 0
    left: int = 0
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
                     "added": done.added, "left": done.left}  # fmt: skip
            async with self._kernel.db.transaction() as conn:
                await self._audit.append(conn, [NewEntry(Tag.SUPPRESSION_SYNCED, {}, facts, actor=actor)])
        return done

    async def _pull(self, lists: Lists, name: str, done: Synced) -> set[str]:
        """SendGrid's no becomes ours; the addresses that SendGrid would not send to anyway."""
        reason = TABLE.lists[name]
        seen: set[str] = set()
        async for page in lists.read(name):
            contacts = list(_readable(page, done))
            done.listed[name] += len(contacts)
            if reason is None:
                continue
            seen.update(one.value for one in contacts)
            async with self._kernel.db.transaction() as conn:
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
        contacts = list(_readable(await lists.group(group), done))
        done.listed["group"] += len(contacts)
        for start in range(0, len(contacts), _PEOPLE):
            part = contacts[start : start + _PEOPLE]
            async with self._kernel.db.transaction() as conn:
                found = await self._identity.resolve(conn, [[one] for one in part])
                people = sorted({p for one in found for p in ([one.person] if one.person else one.candidates)})
                held = await self._identity.identifiers(conn, people)
                wanted = {one.value for one in part}
                mine = {
                    one.id for known in held.values() for one in known if one.kind == CHANNEL and one.value in wanted
                }
                for one in sorted(mine):
                    if done.dry_run:
                        done.withdrawn += 1
                        continue
                    act = await self._consent.withdraw(
                        conn, one, self._settings.asm_purpose, CHANNEL, mechanism="one_click", actor=ACTOR,
                        raw=b"sendgrid:group",
                    )  # fmt: skip
                    done.withdrawn += act is not None
        return {one.value for one in contacts}

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


def _readable(addresses: Sequence[str], done: Synced) -> Iterator[Identifier]:
    for address in addresses:
        try:
            yield Identifier(CHANNEL, address)
        except InvalidIdentifier:
            done.unreadable += 1
