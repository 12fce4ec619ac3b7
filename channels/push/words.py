"""What somebody says where she subscribes: a yes to offers as notifications, under the words she saw; or that she takes it back.

Enters: who registers, what was said. Leaves: consent acts. A yes is put on the subscription, and on those of the registrant's own identifiers
on which a no stands that this yes may lift; a no is put on the registrant's own identifiers, since a subscription that ends would take its no
with it. Only purposes that a browser's own question can be about are taken: those whose only channel is push.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from channels.push.subscription import KIND
from consent import gate
from consent.acts import NewAct, Notice, Status
from consent.errors import ActIncomplete
from consent.service import Consent
from identity.identifiers import Identifier
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import IdentifierId

MECHANISM: Final = "form"
PURPOSE: Final = "marketing.push"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrant:
    """Whose browser it is: her identifiers (a public key speaks for an anonymous id only), the source, who told us."""

    identifiers: tuple[Identifier, ...]
    source: str
    actor: str
    gpc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A yes, and the words it was said to."""

    text: str
    version: str
    language: str
    purpose: str = PURPOSE


async def agree(
    conn: Conn, consent: Consent, identity: Identity, now: datetime, who: Registrant, contact: Identifier, said: Said
) -> None:
    """Record the yes.

    Raises:
        UnknownPurpose: no such purpose. ActIncomplete: one that is about more than pushes, or without the words.
    """
    _about_push(consent, said.purpose)
    notice = await consent.publish_notice(
        conn, said.text, version=said.version, language=said.language, listed=[said.purpose]
    )
    (subject,) = await identity.register_identifiers(conn, [contact])
    known = await identity.known_identifiers(conn, who.identifiers)
    heard = await consent.said_of(conn, list(known.values()))
    lifted = [
        id_ for id_ in known.values() if gate.standing(heard.get(id_, ()), consent.rules, said.purpose, KIND, now)
    ]
    await consent.record(conn, [_yes(consent, one, said, notice, who.actor, now) for one in (subject, *lifted)])


async def withdraw(conn: Conn, consent: Consent, identity: Identity, who: Registrant, purpose: str) -> None:
    """Record the no, once.

    Raises:
        UnknownPurpose, ActIncomplete: as for a yes.
    """
    _about_push(consent, purpose)
    for subject in await identity.register_identifiers(conn, who.identifiers):
        await consent.withdraw(conn, subject, purpose, KIND, mechanism=MECHANISM, actor=who.actor)


def _yes(consent: Consent, subject: IdentifierId, said: Said, notice: Notice, actor: str, now: datetime) -> NewAct:
    return NewAct(
        subject=subject,
        purpose=said.purpose,
        status=Status.GRANTED,
        channel=KIND,
        basis="consent",
        jurisdiction=consent.settings.jurisdiction,
        notice=notice,
        mechanism=MECHANISM,
        actor=actor,
        given_at=now,
    )


def _about_push(consent: Consent, purpose: str) -> None:
    if consent.rules.purposes.expect(purpose).channels != (KIND,):
        raise ActIncomplete("expected a purpose whose only channel is push, got a wider one")
