"""What staff records for somebody: one word of a person, put on the right subjects.

What enters: ``per_…``, ``kind:value``, ``idn_…`` or ``rec_…``, and what was said. What leaves: the ids of the acts. A word about a
contact or record is put there. A no about a person is put on everything she has, so that it survives a split; a yes on the
identifiers that the channel reaches, or on her records when the channel names none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consent.acts import Confirmation, NewAct, Notice, Status, pending
from consent.gate import permission
from consent.service import Consent
from identity.identifiers import parse_contact
from identity.records import NewRecord
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import ActId, IdentifierId, RecordId, is_id

SIGN_UP: Final = "sign_up"  # the source of contacts that somebody signed up with here
SERVICE: Final = "service"  # the purpose of answers to what somebody asked for
_REACHED_BY: Final = {
    "email": frozenset({"email"}),
    "sms": frozenset({"phone"}),
    "push": frozenset({"push"}),
    "web": frozenset({"anonymous_id", "login_id"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What was said. ``notice_text`` and ``notice_version`` are needed for a yes."""

    purpose: str
    status: str
    channel: str | None = None
    notice_text: str | None = None
    notice_version: str | None = None
    notice_language: str = "en"
    notice_lists: tuple[str, ...] = ()
    jurisdiction: str | None = None
    mechanism: str = "officer"
    given_at: datetime | None = None
    expires_at: datetime | None = None
    raw: bytes = b""
    confirmation: Confirmation | None = None  # that it was confirmed elsewhere, and the evidence for it


class Desk:
    """Records for staff, at the command line and over HTTP."""

    def __init__(self, consent: Consent, identity: Identity, clock: Clock) -> None:
        self._consent = consent
        self._identity = identity
        self._clock = clock

    async def record(self, conn: Conn, who: str, word: Word, *, actor: str) -> list[ActId]:
        """Record the word; a repeated no is a new act all the same, because staff heard it again.

        Raises:
            NotFound: nobody is known under ``who``.
            ActIncomplete, UnknownPurpose: as ``Consent.record`` says.
        """
        declared = self._consent.rules.purposes.expect(word.purpose)
        place = word.jurisdiction or self._consent.settings.jurisdiction
        granted = word.status == Status.GRANTED
        notice = await self._notice(conn, word)
        acts = [
            NewAct(
                subject=subject,
                purpose=word.purpose,
                status=word.status,
                channel=word.channel,
                # A yes is consent, whatever basis would do without it.
                basis="consent" if granted else declared.basis_in(place),
                jurisdiction=place,
                notice=notice,
                mechanism=word.mechanism,
                actor=actor,
                given_at=word.given_at or self._clock.now(),
                expires_at=word.expires_at,
                raw=word.raw,
                confirmation=word.confirmation,
            )
            for subject in await self._subjects(conn, who, word.channel, granted=granted)
        ]
        ids = await self._consent.record(conn, acts)
        await self._ask(conn, who, acts, ids, word.notice_language)
        return ids

    async def _ask(self, conn: Conn, who: str, acts: Sequence[NewAct], ids: Sequence[ActId], language: str) -> None:
        """Where a yes waits for its confirmation, the contact is asked by mail."""
        unsure: dict[IdentifierId, list[ActId]] = {}
        for act, id_ in zip(acts, ids, strict=True):
            if pending(act, self._consent.rules) and is_id(act.subject, "idn"):
                unsure.setdefault(IdentifierId(act.subject), []).append(id_)
        for identifier, of_it in unsure.items():
            await self._known(conn, who, identifier)
            await self._consent.confirmations.invite(conn, identifier, of_it, language=language)

    async def _known(self, conn: Conn, who: str, identifier: IdentifierId) -> None:
        """Somebody who signs up with a contact that no source has told of yet becomes known by it: a mail goes to a person."""
        subject = (await self._identity.subjects(conn, [identifier])).get(identifier)
        if subject is None or subject.people or is_id(who, "idn") or is_id(who, "per"):
            return
        state = await self._consent.state_of_identifiers(conn, [identifier])
        if not permission(state, SERVICE, "email", self._clock.now()).granted:
            return
        contact = parse_contact(who, region=self._identity.settings.default_region)
        new = NewRecord(
            source=SIGN_UP, source_key=identifier, identifiers=(contact,), traits={}, kinds={},
            observed_at=self._clock.now(), purpose=SERVICE, basis="contract",
        )  # fmt: skip
        await self._identity.add_records(conn, [new])

    async def withdraw(self, conn: Conn, who: str, purpose: str, channel: str | None, *, actor: str) -> list[ActId]:
        """End a purpose for somebody; what is off already gets no second act."""
        self._consent.rules.purposes.expect(purpose)
        given = [
            await self._consent.withdraw(conn, subject, purpose, channel, mechanism="officer", actor=actor)
            for subject in await self._subjects(conn, who, channel, granted=False)
        ]
        return [act for act in given if act is not None]

    async def _notice(self, conn: Conn, word: Word) -> Notice | None:
        if word.notice_text is None or word.notice_version is None:
            return None
        return await self._consent.publish_notice(
            conn,
            word.notice_text,
            version=word.notice_version,
            language=word.notice_language,
            listed=word.notice_lists or (word.purpose,),
        )

    async def _subjects(
        self, conn: Conn, who: str, channel: str | None, *, granted: bool
    ) -> Sequence[IdentifierId | RecordId]:
        if is_id(who, "idn"):
            return [IdentifierId(who)]
        if is_id(who, "rec"):
            return [RecordId(who)]
        if not is_id(who, "per"):
            contact = parse_contact(who, region=self._identity.settings.default_region)
            return await self._identity.register_identifiers(conn, [contact])
        person = await self._identity.lookup(conn, who)
        held = (await self._identity.members(conn, [person]))[person]
        if not granted:
            return [*held.identifiers, *held.records]
        kinds = _REACHED_BY.get(channel or "", frozenset())
        reached = [i.id for i in (await self._identity.identifiers(conn, [person])).get(person, []) if i.kind in kinds]
        return reached or held.records
