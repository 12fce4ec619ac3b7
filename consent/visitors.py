"""What a visitor says on a page about herself: a yes or no to purposes of the web, put on her anonymous id and nothing else.

Enters: an anonymous id, choices by purpose, the version of the notice she saw. Leaves: acts, and what the gate answers now. A public key
proves nothing about the words that were on the screen, so a yes must name a notice whose text staff published here and that lists
the purpose; a no needs nothing. Follows GDPR Art. 7(1), 7(3) and consent.C2: taking back is as easy as giving.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import gate, store
from consent.acts import NewAct, Notice, Status
from consent.errors import NoticeChanged, NoticeUnknown, NotOfTheWeb
from consent.purposes import Basis, Purpose
from consent.service import Consent
from identity.identifiers import Identifier
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import IdentifierId

WEB: Final = "web"
MECHANISM: Final = "form"  # a banner is a form
_FORM: Final = "banner"


class Visitors:
    """Records for visitors; one object serves many requests."""

    def __init__(self, consent: Consent, identity: Identity, clock: Clock) -> None:
        self._consent = consent
        self._identity = identity
        self._clock = clock

    async def say(
        self, conn: Conn, visitor: Identifier, choices: Mapping[str, bool], *, notice: str | None, gpc: bool, actor: str
    ) -> dict[str, str]:
        """Record her choices; the gate's answer for each purpose. What she said already is not recorded twice.

        The browser's privacy signal is heard first: it outranks a yes to sharing, and it stays. Any other no of somebody who is unknown
        leaves no trace, since nothing is permitted for her anyway.

        Raises:
            UnknownPurpose: not declared. NotOfTheWeb: a page cannot ask about it. NoticeUnknown: a yes without a published notice.
        """
        asked = {key: self._purpose(key) for key in choices}
        shown = await self._notice(conn, [key for key, yes in choices.items() if yes], notice)
        known = await self._identity.known_identifiers(conn, [visitor])
        if (any(choices.values()) or gpc) and visitor not in known:
            (subject,) = await self._identity.register_identifiers(conn, [visitor])
        else:
            subject = known.get(visitor, IdentifierId(""))
        if not subject:
            return dict.fromkeys(choices, gate.Answer.UNDETERMINED)
        if gpc:
            await self._consent.apply_gpc(conn, [subject], raw=b"Sec-GPC: 1", actor=actor)
        for key, yes in choices.items():
            channel = WEB if WEB in asked[key].channels else None
            if not yes:
                await self._consent.withdraw(conn, subject, key, channel, mechanism=MECHANISM, actor=actor)
            elif shown is not None and not await self._said(conn, subject, key, channel, shown):
                await self._consent.record(conn, [self._yes(subject, key, channel, shown, actor)])
        state = await self._consent.state_of_identifiers(conn, [subject])
        now = self._clock.now()
        return {
            key: gate.permission(state, key, WEB if WEB in one.channels else None, now).answer.value
            for key, one in asked.items()
        }

    def _purpose(self, key: str) -> Purpose:
        found = self._consent.rules.purposes.expect(key)
        if found.channels and WEB not in found.channels:
            raise NotOfTheWeb("expected a purpose that concerns pages, got one of other channels")
        return found

    async def _notice(self, conn: Conn, granted: list[str], version: str | None) -> Notice | None:
        if not granted:
            return None
        found = (await store.notices_named(conn, [version])).get(version) if version else None
        if found is None or not set(granted) <= found.listed:
            raise NoticeUnknown(
                "expected the version of a published notice that lists every purpose agreed to, got another"
            )
        return found

    async def _said(self, conn: Conn, subject: IdentifierId, purpose: str, channel: str | None, notice: Notice) -> bool:
        """Whether her newest word on it is this very yes."""
        lines = [
            one.act for one in await self._consent.history_of(conn, [subject])
            if one.act.purpose == purpose and one.act.channel in {channel, None}
        ]  # fmt: skip
        if not lines or lines[-1].status != Status.GRANTED or lines[-1].notice is None:
            return False
        return lines[-1].notice.text_hash == notice.text_hash and lines[-1].expires_at is None

    def _yes(self, subject: IdentifierId, purpose: str, channel: str | None, notice: Notice, actor: str) -> NewAct:
        return NewAct(
            subject=subject, purpose=purpose, status=Status.GRANTED, channel=channel, basis=Basis.CONSENT,
            jurisdiction=self._consent.settings.jurisdiction, notice=notice, mechanism=MECHANISM, actor=actor,
            given_at=self._clock.now(), variant=_FORM,
        )  # fmt: skip


async def announce(
    conn: Conn,
    consent: Consent,
    audit: Audit,
    text: str,
    *,
    version: str,
    language: str,
    lists: Sequence[str],
    actor: str,
) -> Notice:
    """Publish the words of a notice under a version, with an entry; the same words again change nothing.

    Raises:
        NoticeChanged: the version has other words, or lists other purposes. UnknownPurpose: one is not declared.
    """
    held = (await store.notices_named(conn, [version])).get(version)
    if held is not None:
        if held != Notice.of(text, version=version, language=language, listed=lists):
            raise NoticeChanged("expected the words, language and purposes that this version has, got others")
        return held
    made = await consent.publish_notice(conn, text, version=version, language=language, listed=lists)
    facts = {"version": version, "language": language, "lists": sorted(lists)}
    await audit.append(conn, [NewEntry(Tag.NOTICE_PUBLISHED, {"notice": made.text_hash}, facts, actor=actor)])
    return made


async def published(conn: Conn) -> list[Notice]:
    """Every notice that is published, oldest first."""
    return await store.notices(conn)
