"""Double opt-in: a yes that somebody typed in for a contact counts once whoever reads that contact's mail confirms it.

Enters: pending acts (a purpose and channel of ``double_opt_in``; ``acts.pending``) and the contact they are about. Leaves: one ``Letter`` for
the ordinary way out, limited in number; behind its link a page, and by POST a new act for each pending one that names it, or a no. A pending
act permits nothing, a link changes nothing when it is only followed, and nobody who complained or asked for silence is written to.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import confirming_store as store
from consent import store as acts_store
from consent.acts import Confirmation, ConsentAct, NewAct, Status
from consent.confirming_store import Invitation
from consent.wording import words
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import ActId, IdentifierId, PersonId, new_id
from kernel.kernel import Kernel

if TYPE_CHECKING:
    from consent.service import Consent

SCOPE: Final = "confirm"  # of the token in the link
SENT_BY: Final = "email"  # how a question reaches somebody
MECHANISM: Final = "preference_page"  # a no behind the link is said on a page
_SILENT: Final = frozenset({"suppression", "spam_complaint"})
_DAY: Final = timedelta(days=1)


class Answer(StrEnum):
    """What became of a link that was opened or pressed."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    EXPIRED = "expired"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Letter:
    """The mail that asks: words in her language, and the address of the page behind its button. Nothing of it advertises."""

    invitation: str
    person: PersonId
    identifier: IdentifierId
    purpose: str
    channel: str
    language: str
    expires_at: datetime
    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the page behind the link shows: the pending acts with the words that were shown."""

    invitation: Invitation
    answer: Answer
    acts: Sequence[tuple[ConsentAct, str | None]]


class Confirmations:
    """Asks for confirmations and takes them. ``post`` is set by wiring; without it nothing can be asked by mail."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: "Consent") -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self.post: Callable[[Conn, Letter], Awaitable[bool]] | None = None

    async def invite(
        self, conn: Conn, identifier: IdentifierId, acts: Sequence[ActId], *, language: str
    ) -> Invitation | None:
        """Ask the contact about these pending acts, if it may be written to; None when there is nothing to ask or no more mail goes there."""
        held = [one for one in [await self._consent.act(conn, act) for act in acts] if one is not None]
        if not held:
            return None
        now = self._kernel.clock.now()
        last = now + timedelta(days=self._consent.settings.confirmation_days)
        until = min([last, *(one.expires_at for one in held if one.expires_at is not None)])
        made = Invitation(
            new_id("cfm"), identifier, tuple(one.id for one in held), words(language).language, now, until
        )
        await store.invite(conn, made)
        return made if await self._mail(conn, made, held) else None

    async def again(self, conn: Conn, identifier: IdentifierId) -> bool:
        """The newest open question once more; False when there is none, too soon, or too many went there."""
        await acts_store.lock_subjects(conn, [identifier])
        open_ones = await store.waiting(conn, [identifier], self._kernel.clock.now())
        if not open_ones:
            return False
        held = [one for one in [await self._consent.act(conn, act) for act in open_ones[0].acts] if one is not None]
        return await self._mail(conn, open_ones[0], held)

    async def waiting(self, conn: Conn, identifiers: Sequence[IdentifierId]) -> list[Invitation]:
        """What these contacts may still answer, newest first."""
        return await store.waiting(conn, identifiers, self._kernel.clock.now())

    async def question(self, conn: Conn, invitation: str) -> Question | None:
        """What the page shows; None when there is nothing of this name."""
        found = await store.invitation(conn, invitation)
        if found is None:
            return None
        held = [one for one in [await self._consent.act(conn, act) for act in found.acts] if one is not None]
        texts = await acts_store.notice_texts(conn, [one.notice.text_hash for one in held if one.notice])
        once = {
            (one.purpose, one.channel): one for one in reversed(held)
        }  # the same word may stand on several subjects
        shown = [(one, texts.get(one.notice.text_hash) if one.notice else None) for one in reversed(once.values())]
        return Question(found, self._standing(found), shown)

    async def confirm(self, conn: Conn, invitation: str) -> Answer:
        """She pressed yes: an act for each pending one, naming it. Pressed twice, it is one act.

        Raises:
            UnknownSubject: the contact was erased meanwhile.
        """
        found = await store.invitation(conn, invitation, lock=True)
        answer = Answer.GONE if found is None else self._standing(found)
        if found is None or answer is not Answer.OPEN:
            return answer
        now = self._kernel.clock.now()
        held = [one for one in [await self._consent.act(conn, act) for act in found.acts] if one is not None]
        await self._consent.record(conn, [_confirming(one, found, now) for one in held])
        await store.answer(conn, found.id, Answer.CONFIRMED, now)
        return Answer.CONFIRMED

    async def refuse(self, conn: Conn, invitation: str) -> Answer:
        """She pressed no, or it was not she who asked: a no to each. Raises UnknownSubject as ``confirm``."""
        found = await store.invitation(conn, invitation, lock=True)
        answer = Answer.GONE if found is None else self._standing(found)
        if found is None or answer is not Answer.OPEN:
            return answer
        for act in found.acts:
            one = await self._consent.act(conn, act)
            if one is not None:
                await self._consent.withdraw(
                    conn, one.subject, one.purpose, one.channel, mechanism=MECHANISM, actor="person"
                )
        await store.answer(conn, found.id, Answer.REFUSED, self._kernel.clock.now())
        return Answer.REFUSED

    def _standing(self, found: Invitation) -> Answer:
        if found.answer is not None:
            return Answer(found.answer)
        return Answer.OPEN if found.expires_at > self._kernel.clock.now() else Answer.EXPIRED

    async def _mail(self, conn: Conn, invitation: Invitation, held: Sequence[ConsentAct]) -> bool:
        settings, now = self._consent.settings, self._kernel.clock.now()
        pause = timedelta(minutes=settings.confirmation_pause_minutes)
        if invitation.mailed_at is not None and invitation.mailed_at + pause > now:
            return False
        if invitation.mails >= settings.confirmation_mails:
            return False
        if await store.mails_since(conn, invitation.identifier, now - _DAY) >= settings.confirmation_mails_a_day:
            return False
        said = await self._consent.said_of(conn, [invitation.identifier])
        if any(a.mechanism in _SILENT and a.status == Status.DENIED for a in said.get(invitation.identifier, ())):
            return False
        subject = (await self._identity.subjects(conn, [invitation.identifier])).get(invitation.identifier)
        if self.post is None or subject is None or len(subject.people) != 1:
            return False
        if not await self.post(conn, self._letter(invitation, held, subject.people[0])):
            return False
        await store.mailed(conn, invitation.id, now)
        refs = {"act": list(invitation.acts), "subject": invitation.identifier}
        asked = NewEntry(Tag.CONFIRMATION_ASKED, refs, {"mail": invitation.mails + 1}, key_id=subject.key_id)
        await self._audit.append(conn, [asked])
        return True

    def _letter(self, invitation: Invitation, held: Sequence[ConsentAct], person: PersonId) -> Letter:
        say, tree = words(invitation.language), self._consent.rules.purposes
        now = self._kernel.clock.now()
        token = self._kernel.tokens.issue(SCOPE, invitation.id, invitation.expires_at - now)
        named = ", ".join(dict.fromkeys(say.purpose(tree, one.purpose)[0] for one in held))
        controller = self._consent.settings.controller
        on = sorted(tree.confirmed_on(held[0].purpose, held[0].channel)) or ["email"]
        return Letter(
            invitation=invitation.id, person=person, identifier=invitation.identifier, purpose=held[0].purpose,
            channel=held[0].channel or on[0], language=say.language, expires_at=invitation.expires_at,
            subject=say("confirm.mail_subject", controller=controller), heading=say("confirm.mail_heading"),
            paragraphs=(
                say("confirm.mail_asked", purposes=named, controller=controller, moment=say.moment(held[0].given_at)),
                say("confirm.mail_press", moment=say.moment(invitation.expires_at)),
                say("confirm.mail_not_you"),
            ),
            label=say("confirm.mail_button"),
            url=f"{self._kernel.settings.base_url.rstrip('/')}/confirm/{token}?lang={say.language}",
        )  # fmt: skip


def _confirming(pending: ConsentAct, invitation: Invitation, now: datetime) -> NewAct:
    """The act that confirms a pending one: the same words, said now."""
    told = (
        f"the button behind the link of {invitation.id}, mailed {invitation.mails} times, last {invitation.mailed_at}"
    )
    return NewAct(
        subject=pending.subject, purpose=pending.purpose, status=Status.GRANTED, channel=pending.channel,
        basis=pending.basis, jurisdiction=pending.jurisdiction, notice=pending.notice, mechanism=pending.mechanism,
        actor="person", given_at=now, expires_at=pending.expires_at, categories=pending.categories,
        controller=pending.controller, variant=pending.variant,
        confirmation=Confirmation("link", now, pending.id, told.encode()),
    )  # fmt: skip
