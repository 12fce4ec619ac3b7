"""What people say of a decision acts: on the next decision, on their consents, or on the desk of those who look after identities and corrections.

Enters: what explain was told on a why page, in the transaction that keeps it. Leaves: a new consent version of the person, which fences off
every decision that was gathered before and drops her hot profile and her standing choices; a consent act on the contact that the message went to; a review
of her identity (explain.E9); a request for correction. Nothing here turns anything on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from consent import gate
from consent.lifecycle import Manner, Right
from consent.purposes import PAUSE, USE
from consent.requests import Rights
from consent.rights.correcting import Correction
from consent.service import Consent
from explain.concepts import Concept
from explain.facts import DecisionFacts
from explain.feedback import Feedback, OnCorrection, OnFeedback, Said
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn, Database
from kernel.ids import IdentifierId, PersonId
from orchestration.decision.inputs import Arm
from orchestration.decision.variants import name_parts

NOT_ME: Final = "not_me"
MECHANISM: Final = "why_page"
PAUSED: Final = timedelta(days=30)
_SAME_DAY: Final = timedelta(days=1)  # a pause that is asked for twice in a day is one


def acting(identity: Identity, consent: Consent, clock: Clock) -> OnFeedback:
    """The hook for `Explain.on_feedback`."""

    async def heard(conn: Conn, about: DecisionFacts, said: Said) -> None:
        person = await _live(identity, conn, about)
        if person is None:  # nobody was meant, or erased meanwhile
            return
        match said.kind:
            case Feedback.NOT_INTERESTED:
                await consent.touch(conn, [person])
            case Feedback.NOT_ME:
                await identity.review(conn, person, NOT_ME, about=about.decision_id)
            case Feedback.STOP_USING | Feedback.OPT_OUT:
                purpose = f"{USE}{said.subject}" if said.kind is Feedback.STOP_USING else said.subject
                for contact in await _contacts(identity, conn, about, person):
                    await consent.withdraw(conn, contact, purpose, None, mechanism=MECHANISM, actor="person")
            case Feedback.PAUSE:
                for contact in await _contacts(identity, conn, about, person):
                    await _pause(conn, consent, clock, contact, said.subject)
            case Feedback.CORRECT:
                pass  # a request was opened before this transaction

    return heard


def correcting(identity: Identity, rights: Rights, db: Database) -> OnCorrection:
    """The hook for `Hearing.on_correction`: her words reach staff as a request. Whoever asks by a link that may have been passed on has proved nothing,
    so the request says that nobody was checked, and changes nothing by itself.
    """

    async def asked(about: DecisionFacts, said: Said, concept: Concept) -> None:
        async with db.reading() as conn:
            person = await _live(identity, conn, about)
            if person is None:
                return
            records = (await identity.records(conn, [person])).get(person, [])
        held = {name for one in records if one.current for name in one.traits}
        named = {one.trait for one in concept.provenance} & held
        # Words about one detail of hers correct that detail; words about what she did are kept beside it.
        detail = named.pop() if len(named) == 1 else f"said_of_{said.subject}"
        await rights.open(
            Right.RECTIFICATION, person, actor="person", manner=Manner.WEB_FORM, correction=Correction({detail: said.words.strip()}),
            idempotency_key=f"why:{about.decision_id}:{said.subject}:{said.words.strip()}",
            seeds=[about.identifier_id] if about.identifier_id is not None else [],
        )  # fmt: skip

    return asked


async def _live(identity: Identity, conn: Conn, about: DecisionFacts) -> PersonId | None:
    if about.person is None:
        return None
    return (await identity.current(conn, [about.person])).get(about.person)


async def _contacts(identity: Identity, conn: Conn, about: DecisionFacts, person: PersonId) -> list[IdentifierId]:
    """Where the message went; of a choice to send nothing, every contact of hers."""
    if about.identifier_id is not None:
        held = await identity.subjects(conn, [about.identifier_id])
        return [about.identifier_id] if about.identifier_id in held else []
    return [one.id for one in (await identity.contacts(conn, [person])).get(person, ())]


async def _pause(conn: Conn, consent: Consent, clock: Clock, contact: IdentifierId, channel: str) -> None:
    now = clock.now()
    said = (await consent.said_of(conn, [contact])).get(contact, [])
    held = [one for one in gate.pauses(said, consent.rules, now) if one.channel == channel]
    if any(one.expires_at is not None and one.expires_at > now + PAUSED - _SAME_DAY for one in held):
        return
    quiet = consent.denial(contact, PAUSE, channel, mechanism=PAUSE, actor="person")
    await consent.record(conn, [replace(quiet, expires_at=now + PAUSED)])


def said_no(variant: str, said: Iterable[str], family: Callable[[str], str]) -> bool:
    """Whether a variant is what she said no to: the same content, or the same item."""
    name, item = name_parts(variant)
    parts = [name_parts(one) for one in said]
    if item is not None:
        return any(item == other for _, other in parts)
    return any(other is None and family(name) == family(head) for head, other in parts)


def declined(arms: Sequence[Arm], said: Iterable[str], family: Callable[[str], str]) -> frozenset[str]:
    """The arms that these words of a person rule out: the content in all its permutations, an item whatever says it.

    `family`: how the catalogue file names a variant.
    """
    parts = [name_parts(one) for one in said]
    names = {family(name) for name, item in parts if item is None}
    items = {item for _, item in parts if item is not None}
    return frozenset(
        arm.id for arm in arms if (arm.item in items if arm.item is not None else (arm.family or arm.variant) in names)
    )
