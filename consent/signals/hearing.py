"""Consent strings that came with somebody: what they say becomes acts on the identifiers they came with, before anything is read.

Enters: identifiers, a TC and a GPP string as they came. Leaves: acts, each with the string sealed beside it. The same string again
adds nothing. Follows consent.C2, C7, C12: what cannot be read is kept raw and counts as a no.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import gate, store
from consent.acts import ActView, NewAct, Status
from consent.purposes import SALE_SHARE, Basis
from consent.service import Consent
from consent.signals import meaning, table
from consent.signals.meaning import Heard, Said
from kernel.canonical import Json
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import ActId, IdentifierId


@dataclass(frozen=True, slots=True)
class Strings:
    """What came; None: nothing of that kind."""

    tcf: str | None = None
    gpp: str | None = None

    @property
    def any(self) -> bool:
        """Whether something came."""
        return self.tcf is not None or self.gpp is not None


NONE: Final = Strings()
_DAY: Final = timedelta(days=1)


class Hearing:
    """One per request or per process, it keeps nothing."""

    def __init__(self, consent: Consent, audit: Audit, clock: Clock) -> None:
        self._consent = consent
        self._audit = audit
        self._clock = clock
        self._table = table.load()

    async def hear(
        self,
        conn: Conn,
        ids: Sequence[IdentifierId],
        strings: Strings,
        *,
        actor: str,
        along: Sequence[IdentifierId] = (),
    ) -> dict[str, Status]:
        """Record what the strings say on each of these identifiers; what they say, by purpose.

        A string is a device's: ``ids`` are what names it. An opt-out of sale and sharing also binds ``along``, whatever else came with it
        (11 CCR 7025(c)(1)). Call it before anything reads a state for the same request.

        Raises:
            UnknownSubject: an identifier is not of this installation.
        """
        said: dict[str, Status] = {}
        for raw, heard in self._heard(strings):
            for one in sorted({*ids, *along}):
                words = [word for word in heard.words if one in ids or word.purpose == SALE_SHARE]
                await self._record(conn, one, heard, words, raw=raw.encode(), actor=actor)
            said |= {
                word.purpose: word.status for word in heard.words if said.get(word.purpose) in {None, Status.GRANTED}
            }
        return said

    async def permissions(self, conn: Conn, ids: Sequence[IdentifierId], purposes: Iterable[str]) -> dict[str, str]:
        """What the gate answers for these purposes now: a string is one word among others."""
        state, now = await self._consent.state_of_identifiers(conn, ids), self._clock.now()
        declared = self._consent.rules.purposes.by_key
        return {key: gate.permission(state, key, None, now).answer.value for key in sorted(purposes) if key in declared}

    def _heard(self, strings: Strings) -> list[tuple[str, Heard]]:
        now, settings = self._clock.now(), self._consent.settings
        found: list[tuple[str, Heard]] = []
        if strings.tcf is not None:
            heard = meaning.of_tcf(
                strings.tcf, self._table, now, vendor=settings.tcf_vendor_id, place=settings.jurisdiction
            )
            found.append((strings.tcf, heard))
        if strings.gpp is not None:
            answers = meaning.of_gpp(
                strings.gpp, self._table, now, vendor=settings.tcf_vendor_id, place=settings.jurisdiction
            )
            found += [(strings.gpp, heard) for heard in answers]
        return found

    async def _record(
        self, conn: Conn, one: IdentifierId, heard: Heard, words: Sequence[Said], *, raw: bytes, actor: str
    ) -> list[ActId]:
        if not words:
            return []
        await store.lock_subjects(conn, [one])
        said = (await store.views(conn, [one])).get(one, [])
        acts: list[NewAct] = []
        recorded: list[ActId] = []
        for word in words:
            if word.mechanism == meaning.GPC:
                recorded += await self._consent.apply_gpc(conn, [one], raw=raw, actor=actor)
            elif not self._stands(word, heard, said):
                given_at = self._given_at(word, heard, said)
                acts.append(self._act(one, word, heard, given_at=given_at, raw=raw, actor=actor))
        if any(act.status == Status.GRANTED for act in acts) and heard.notice is not None:
            notice = heard.notice
            await self._consent.publish_notice(
                conn, heard.notice_text, version=notice.version, language=notice.language, listed=notice.listed
            )
        recorded += await self._consent.record(conn, acts)
        if recorded:
            facts: dict[str, Json] = {"table": self._table.digest, "why": heard.why, "acts": len(recorded)}
            await self._audit.append(conn, [NewEntry(Tag.CONSENT_DECODED, {"subject": one}, facts, actor=actor)])
        return recorded

    def _stands(self, word: Said, heard: Heard, said: Sequence[ActView]) -> bool:
        """Whether the same was said already: this very choice, or a no without a time of its own that still holds.

        Of strings that tell no more than the day, the one that was heard last that day counts.
        """
        if heard.given_at is None:
            standing = gate.standing(said, self._consent.rules, word.purpose, None, self._clock.now())
            return any(a.mechanism == word.mechanism and a.status == word.status for a in standing)
        like = _of_that_time(word, heard.given_at, said)
        if _whole_day(heard.given_at) and self._clock.now() <= heard.given_at + _DAY:
            newest = max(like, key=lambda a: (a.given_at, a.id), default=None)
            return newest is not None and newest.status == word.status
        return any(a.status == word.status for a in like)

    def _given_at(self, word: Said, heard: Heard, said: Sequence[ActView]) -> datetime:
        """When it was said. Since TCF 2.2 a string tells the day only: a no of a day may be of any moment of it so far, and so is what changes one."""
        now = self._clock.now()
        if heard.given_at is None:
            return now
        late = word.status is not Status.GRANTED or _of_that_time(word, heard.given_at, said)
        return min(now, heard.given_at + _DAY) if late and _whole_day(heard.given_at) else heard.given_at

    def _act(
        self, one: IdentifierId, word: Said, heard: Heard, *, given_at: datetime, raw: bytes, actor: str
    ) -> NewAct:
        granted = word.status is Status.GRANTED
        place = heard.jurisdiction or self._consent.settings.jurisdiction
        declared = self._consent.rules.purposes.get(word.purpose)
        return NewAct(
            subject=one, purpose=word.purpose, status=word.status, channel=None,
            basis=Basis.CONSENT if granted or declared is None else declared.basis_in(place), jurisdiction=place,
            notice=heard.notice, mechanism=word.mechanism, actor=actor, given_at=given_at,
            expires_at=heard.expires_at if granted else None, raw=raw, variant="consent_string",
        )  # fmt: skip


def _whole_day(given_at: datetime) -> bool:
    """Whether a string tells no more than the day."""
    return given_at.astimezone(UTC).time() == time()


def _of_that_time(word: Said, given_at: datetime, said: Sequence[ActView]) -> list[ActView]:
    """What strings of this kind said of the purpose at that moment; on that day, where they tell no more."""
    until = given_at + _DAY if _whole_day(given_at) else given_at
    return [
        a for a in said
        if (a.mechanism, a.purpose) == (word.mechanism, word.purpose) and given_at <= a.given_at <= until
    ]  # fmt: skip
