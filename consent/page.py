"""The preference page: what a person sees of her permissions, and what a save of it says.

What enters: the identifier her link is about. What leaves: a ``Page`` for the template, or the acts that a save stands for.
A save touches only what was shown and answered (consent.C3); nothing is preselected; yes and no cost the same clicks (P1); a
honoured privacy signal is shown as such (P2). She speaks for that contact and for what stands in the same source records,
not for other contacts of the same person: people are sometimes joined wrongly, and a split must give each her own word back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from consent import gate
from consent.acts import ActView, Confirmation, NewAct, Notice, Status, pending
from consent.confirming_store import Invitation
from consent.gate import Answer, ConsentState, Permission
from consent.offered import AT_ONCE, Offer, offers
from consent.precedence import Rules
from consent.purposes import PAUSE, SALE_SHARE, USE, Purpose, is_reserved
from consent.reasons import Reason
from consent.service import Consent
from consent.views import HistoryLine
from consent.wording import Words
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import ActId, IdentifierId, PersonId, RecordId

MECHANISM: Final = "preference_page"
_OWN_KINDS: Final = frozenset(
    {"customer_id", "login_id"}
)  # identifiers of one's own that a source wrote beside the contact
_DIRECTIVE: Final = "standing_directive"  # the class of precedence that a page shows as honoured
_LOCALES: Final = ("locale", "language")  # traits in which sources keep a person's language
# A page cannot lift these; the row says so and offers no answer.
_FIXED: Final = frozenset({Reason.ERASED, Reason.RESTRICTED, Reason.GPC})


@dataclass(frozen=True, slots=True)
class Row:
    """One choice. ``answer`` is what holds: granted, denied, or empty when nothing was said."""

    field: str
    purpose: str
    channel: str | None
    title: str
    label: str
    description: str
    answer: str
    why: str
    since: datetime | None
    fixed: bool
    waiting: bool = False  # her yes was asked for by mail and is not confirmed yet
    wish: bool = False  # what she said on a why page: it stands as it is, or a yes ends it


@dataclass(frozen=True, slots=True)
class Honoured:
    """A standing directive that binds: since when, by a browser's signal or at her request, and which purposes it ends."""

    at: datetime
    way: str
    purposes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown."""

    controller: str
    rows: Sequence[Row]
    honoured: Honoured | None
    history: Sequence[HistoryLine] | None
    fields: Sequence[str]
    waiting: Invitation | None = None  # the newest question that was mailed and is open
    offers: Sequence[Offer] = ()  # rights that she may use
    details: Sequence[str] = ()  # names of what her own rows say of her, which she may correct
    shared: bool = False  # the link may have been passed on: what can be turned off, and nothing else

    def passed_on(self) -> "Page":
        """The page behind a link that may have been passed on: whoever holds it can turn things off, turns nothing on and reads nothing of before: not when or how she said what
        holds, nor what she told us to leave out.
        """
        rows = [
            replace(row, why="", since=None, waiting=False, fixed=row.fixed or row.answer != Answer.GRANTED)
            for row in self.rows
            if not row.wish
        ]
        return replace(
            self, rows=rows, honoured=None, history=None, details=(), waiting=None, shared=True,
            offers=[one for one in self.offers if one.right in AT_ONCE],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Speaker:
    """On whose behalf the page speaks, and what was said there."""

    main: IdentifierId
    subjects: Sequence[IdentifierId | RecordId]
    said: Sequence[ActView]
    state: ConsentState


class Preferences:
    """Reads and saves the page of one identifier."""

    def __init__(self, consent: Consent, identity: Identity, clock: Clock) -> None:
        self._consent = consent
        self._identity = identity
        self._clock = clock

    async def languages(self, conn: Conn, identifier: IdentifierId) -> list[str]:
        """What her sources say of her language, the newest first; empty when they say nothing, or when nobody knows who she is."""
        found = (await self._identity.subjects(conn, [identifier])).get(identifier)
        if found is None or len(found.people) != 1:
            return []
        records = (await self._identity.records(conn, found.people)).get(found.people[0], [])
        newest = sorted((one for one in records if one.current), key=lambda one: one.observed_at, reverse=True)
        return [str(one.traits[name]) for one in newest for name in _LOCALES if name in one.traits]

    async def subjects(self, conn: Conn, identifier: IdentifierId) -> Sequence[IdentifierId | RecordId] | None:
        """On whose behalf the page speaks; None when the identifier is gone."""
        speaker = await self._speaker(conn, identifier)
        return None if speaker is None else speaker.subjects

    async def page(self, conn: Conn, identifier: IdentifierId, say: Words) -> Page | None:
        """The page; None when the identifier is gone."""
        speaker = await self._speaker(conn, identifier)
        if speaker is None:
            return None
        at, rules = self._clock.now(), self._consent.rules
        shown = [*_rows(speaker, rules, say, at), *_wishes(speaker, rules, say, at)]
        history = await self._consent.history_of(conn, speaker.subjects)
        asked = await self._consent.confirmations.waiting(conn, [identifier])
        meant = {line.act.id for line in history if line.pending} & {act for one in asked for act in one.acts}
        keys = {
            (x.act.purpose, rules.purposes.channel_of(x.act.purpose, x.act.channel))
            for x in history
            if x.act.id in meant
        }
        shown = [replace(row, waiting=True) if _waits(row, keys) else row for row in shown]
        return Page(
            controller=self._consent.settings.controller,
            rows=shown,
            honoured=_honoured(speaker.state, rules, say, at),
            history=list(reversed(history)),
            fields=[row.field for row in shown if not row.fixed],
            waiting=asked[0] if asked and any(row.waiting for row in shown) else None,
            offers=offers(speaker.state, at),
            details=await self._details(conn, speaker),
        )

    async def save(
        self,
        conn: Conn,
        identifier: IdentifierId,
        answers: Mapping[str, str],
        say: Words,
        *,
        everything: str | None = None,
        sent_by: str | None = None,
    ) -> list[ActId]:
        """Record what was answered: field -> granted or denied; ``everything`` answers all rows alike; ``say``: the words of the page.

        Only rows of the page count, only words that are an answer, and only what differs from what holds already. ``sent_by``: the channel
        that carried the link to this very contact; a yes on that channel needs no other confirmation. Where one is needed, it is mailed.
        """
        speaker = await self._speaker(conn, identifier)
        if speaker is None:
            return []
        at, acts, rules = self._clock.now(), [], self._consent.rules
        ranks = rules.precedence
        for row in [*_rows(speaker, rules, say, at), *_wishes(speaker, rules, say, at)]:
            word = everything or answers.get(row.field)
            if row.fixed or word not in {Status.GRANTED, Status.DENIED} or (row.wish and word == Status.DENIED):
                continue
            standing = gate.standing(speaker.said, rules, row.purpose, row.channel, at)
            hers = any(a.subject == identifier and ranks.spares(a.mechanism, MECHANISM, again=False) for a in standing)
            if word == Status.DENIED and not hers:
                denial = self._consent.denial(identifier, row.purpose, row.channel, mechanism=MECHANISM, actor="person")
                acts.append(denial)
            elif word == Status.GRANTED and (standing or row.answer != Answer.GRANTED):
                notice = await self._notice(conn, row, say)
                lifted = [s for s in speaker.subjects if any(a.subject == s for a in standing)]
                acts += [self._grant(s, row, notice, at, sent_by) for s in dict.fromkeys([identifier, *lifted])]
        ids = await self._consent.record(conn, acts)
        unsure = [id_ for id_, act in zip(ids, acts, strict=True) if pending(act, self._consent.rules)]
        if unsure:
            await self._consent.confirmations.invite(conn, identifier, unsure, language=say.language)
        return ids

    async def offer(self, conn: Conn, identifier: IdentifierId, right: str) -> tuple[PersonId, Offer] | None:
        """Who would use this right, and under which law; None where it is not offered to her."""
        speaker = await self._speaker(conn, identifier)
        if speaker is None or speaker.state.person is None:
            return None
        found = [one for one in offers(speaker.state, self._clock.now()) if one.right == right]
        return (speaker.state.person, found[0]) if found else None

    async def details(self, conn: Conn, identifier: IdentifierId) -> list[str]:
        """Names of the details that may be corrected behind this link."""
        speaker = await self._speaker(conn, identifier)
        return [] if speaker is None else await self._details(conn, speaker)

    async def _details(self, conn: Conn, speaker: _Speaker) -> list[str]:
        """What the rows say that hold this very contact: of others, which may be somebody else's, not even the names."""
        person, own = speaker.state.person, set(speaker.subjects)
        if person is None:
            return []
        records = (await self._identity.records(conn, [person])).get(person, [])
        return sorted({name for one in records if one.current and one.id in own for name in one.traits})

    def _grant(
        self, subject: IdentifierId | RecordId, row: Row, notice: Notice, at: datetime, sent_by: str | None
    ) -> NewAct:
        needed = self._consent.rules.purposes.confirmed_on(row.purpose, row.channel)
        proof = Confirmation("own_link", at, evidence=f"a link sent by {sent_by} to this contact".encode())
        return NewAct(
            subject=subject,
            purpose=row.purpose,
            status=Status.GRANTED,
            channel=row.channel,
            basis="consent",
            jurisdiction=self._consent.settings.jurisdiction,
            notice=notice,
            mechanism=MECHANISM,
            actor="person",
            given_at=at,
            confirmation=proof if needed and needed == {sent_by} else None,
        )

    async def _notice(self, conn: Conn, row: Row, say: Words) -> Notice:
        """The words beside the choice, as shown, in the language they were shown in."""
        asked_by = say("notice.asked_by", controller=self._consent.settings.controller)
        words = f"{row.title} {row.label}\n{row.description}\n{asked_by}"
        version = f"preferences-{self._consent.rules.purposes.version}"
        return await self._consent.publish_notice(
            conn, words, version=version, language=say.language, listed=() if row.wish else [row.purpose]
        )

    async def _speaker(self, conn: Conn, identifier: IdentifierId) -> _Speaker | None:
        found = (await self._identity.subjects(conn, [identifier])).get(identifier)
        if found is None:
            return None
        subjects: list[IdentifierId | RecordId] = [identifier]
        if len(found.people) == 1:
            held = (await self._identity.identifiers(conn, found.people)).get(found.people[0], [])
            records = {r for one in held if one.id == identifier for r in one.record_ids}
            subjects += sorted(records)
            subjects += [one.id for one in held if one.kind in _OWN_KINDS and records & set(one.record_ids)]
        said = await self._consent.said_of(conn, subjects)
        state = await self._consent.state_of_identifiers(conn, [identifier])
        return _Speaker(identifier, subjects, [act for acts in said.values() for act in acts], state)


def _honoured(state: ConsentState, rules: Rules, say: Words, at: datetime) -> Honoured | None:
    """The oldest directive that stands, and what it covers (11 CCR 7025(c)(6))."""
    mechanisms = next(kind.mechanisms for kind in rules.precedence.classes if kind.name == _DIRECTIVE)
    heard = [a for a in gate.standing(state.acts, rules, SALE_SHARE, None, at) if a.mechanism in mechanisms]
    if not heard:
        return None
    first = min(heard, key=lambda act: (act.given_at, act.id))
    covered = [one.told(say.language)[0] for one in rules.purposes.by_key.values() if one.sale_share]
    return Honoured(first.given_at, "signal" if first.mechanism == "gpc" else "request", covered)


def _rows(speaker: _Speaker, rules: Rules, say: Words, at: datetime) -> list[Row]:
    """Every purpose without children that a person is asked about, channel by channel; and whatever else stands denied."""
    tree = rules.purposes
    asked: dict[tuple[str, str | None], None] = {}
    for purpose in tree.by_key.values():
        if purpose.takes_choice() and not tree.children(purpose.key):
            asked.update(dict.fromkeys((purpose.key, channel) for channel in purpose.channels or (None,)))
    for act in speaker.said:
        if act.purpose in tree.by_key and not is_reserved(act.purpose):
            key = (act.purpose, tree.channel_of(act.purpose, act.channel))
            if key not in asked and gate.standing(speaker.said, rules, act.purpose, act.channel, at):
                asked[key] = None
    places = {key: place for place, key in reversed(list(enumerate(purpose for purpose, _ in asked)))}
    wide_first = sorted(asked, key=lambda one: (places[one[0]], one[1] is not None))
    return [_row(speaker, rules, say, tree.expect(purpose), channel, at) for purpose, channel in wide_first]


def _wishes(speaker: _Speaker, rules: Rules, say: Words, at: datetime) -> list[Row]:
    """What she asked for on a why page and what still holds: kinds of information that are left out, channels that are quiet."""
    found: dict[str, Row] = {}
    for act in gate.pauses(speaker.said, rules, at):
        on = act.channel or "everywhere"
        title = say("wish.pause", channel=say.of("channel", on))
        text = say("wish.pause_text", day=say.day(act.expires_at)) if act.expires_at is not None else ""
        found[f"{PAUSE}|{act.channel or ''}"] = _wish(act, title, text)
    for act in speaker.said:
        if act.purpose.startswith(USE) and act in gate.standing(speaker.said, rules, act.purpose, None, at):
            title = say("wish.use", kind=say.of("kind", act.purpose.removeprefix(USE)))
            found[f"{act.purpose}|"] = _wish(act, title, say("wish.use_text"))
    return [replace(row, field=field) for field, row in found.items()]


def _wish(act: ActView, title: str, text: str) -> Row:
    return Row(
        field="", purpose=act.purpose, channel=act.channel, title=title, label="", description=text, answer=Answer.DENIED.value,
        why="", since=act.given_at, fixed=False, wish=True,
    )  # fmt: skip


def _waits(row: Row, keys: Collection[tuple[str, str | None]]) -> bool:
    """Whether a yes to it is asked for by mail. A no since then ends the waiting; the link in the mail still works."""
    return row.answer == "" and not row.fixed and (row.purpose, row.channel) in keys


def _row(speaker: _Speaker, rules: Rules, say: Words, purpose: Purpose, channel: str | None, at: datetime) -> Row:
    answer = gate.permission(speaker.state, purpose.key, channel, at)
    paused = answer.reason == Reason.PAUSED
    if paused:  # the row tells what holds once the pause is over: saving the page must not turn a pause into a no
        answer = gate.permission(_without_pauses(speaker.state), purpose.key, channel, at)
    standing = gate.standing(speaker.said, rules, purpose.key, channel, at)
    since = next((a.given_at for a in speaker.state.acts if a.id == answer.act), None)
    title, description = purpose.told(say.language)
    holds = "" if answer.answer is Answer.UNDETERMINED else answer.answer.value
    return Row(
        field=f"{purpose.key}|{channel or ''}",
        purpose=purpose.key,
        channel=channel,
        title=title,
        label=say.of("channel", channel or "everywhere") if len(purpose.channels) > 1 else "",
        description=description,
        answer=holds,
        why=say.reason(Reason.PAUSED)
        if paused
        else _why(answer, say, elsewhere=answer.answer is Answer.DENIED and not standing),
        since=since,
        fixed=answer.reason in _FIXED,
    )


def _without_pauses(state: ConsentState) -> ConsentState:
    return replace(state, acts=tuple(act for act in state.acts if act.purpose != PAUSE))


def _why(answer: Permission, say: Words, *, elsewhere: bool) -> str:
    words = say.reason(answer.reason)
    return f"{words} {say('preferences.wider')}" if elsewhere and answer.reason not in _FIXED else words
