"""A person's receipt: what she told us and what she was shown, as one record that she may keep and anybody may check.

Enters: the acts on her contact, oldest first, with the words of their notices. Leaves: ``Told``s for a page, one a purpose and channel, and
a record in the form of dpv-27560:record-eu-gdpr (ISO/IEC TS 27560 by the Data Privacy Vocabulary; consent.C2), which the log signs as the
evidence of an entry. The record says nothing that the acts do not say: the same acts give the same record, so a receipt that is taken
twice is one entry. ``data/receipt.schema.json`` is its form.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from audit.entries import NewEntry
from audit.receipt import Receipt
from audit.service import Audit
from audit.tags import Tag
from consent import schedule
from consent.acts import Confirmed, ConsentAct, Status
from consent.purposes import PurposeTree
from consent.retention import SOURCE_RECORDS
from consent.schedule import Schedule
from consent.service import Consent
from consent.views import HistoryLine
from consent.wording import Words
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.ids import IdentifierId
from kernel.kernel import Kernel
from kernel.yaml_text import read_yaml

CONFORMS_TO: Final = "dpv-27560:record-eu-gdpr"
_SHIPPED: Final = Path(__file__).parent / "data" / "dpv.yaml"
_CONTROLLER: Final = "candor:controller"
_CONTEXT: Final[dict[str, Json]] = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dpv-27560": "https://w3id.org/dpv/schema/dpv-27560#",
    "dct": "http://purl.org/dc/terms/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "candor": "urn:candor:",
}
_GDPR: Final = frozenset({"gdpr", "uk", "default"})  # places whose bases are those of Art. 6


class Vocabulary(BaseModel):
    """``data/dpv.yaml``: our words and those of the vocabulary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purposes: dict[str, str]
    data: dict[str, str]
    bases: dict[str, tuple[str, str]]
    rights: dict[str, tuple[str, ...]]
    status: dict[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One act as she reads it; ``status`` is a key of the wording and of the vocabulary."""

    act: ConsentAct
    status: str
    notice_text: str | None
    confirmed: Confirmed | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Everything she said of one purpose on one channel, oldest first."""

    purpose: str
    channel: str | None
    title: str
    label: str
    description: str
    data_use: str
    days: int
    events: Sequence[Event]


class Receipts:
    """Makes them. ``subjects`` are those the person behind the link speaks for (``Preferences.subjects``)."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent

    async def told(self, conn: Conn, subjects: Sequence[str], say: Words) -> list[Told]:
        """What was said on these subjects, by purpose and channel, in the order of the first word on each."""
        lines = await self._consent.history_of(conn, subjects)
        kept = schedule.load(self._consent.settings.retention_file)
        return grouped(lines, self._consent.rules.purposes, kept, say)

    def record(self, identifier: IdentifierId, told: Sequence[Told], say: Words) -> dict[str, Json]:
        """The record; ``told`` must not be empty."""
        settings = self._consent.settings
        return as_record(
            identifier, told, controller=settings.controller, location=settings.storage_location, language=say.language
        )

    async def signed(self, identifier: IdentifierId, record: Mapping[str, Json]) -> Receipt:
        """The file that proves the record: an entry of the log holds its digest, under a signed checkpoint. Taken twice, it is one entry."""
        of_it = digest(dict(record))
        held = [
            one for one in await self._audit.lineage([("receipt", of_it)], depth=1) if one.tag == Tag.CONSENT_RECEIPT
        ]
        if held:
            entry_id = held[0].entry_id
        else:
            async with self._kernel.db.transaction() as conn:
                subject = (await self._identity.subjects(conn, [identifier]))[identifier]
                refs = {"receipt": of_it, "subject": identifier}
                made = NewEntry(Tag.CONSENT_RECEIPT, refs, {}, key_id=subject.key_id, actor="person")
                (entry_id,) = await self._audit.append(conn, [made])
        await self._audit.sequence()
        return await self._audit.receipt(entry_id, {"receipt": dict(record)})


@cache
def vocabulary() -> Vocabulary:
    """The shipped mapping."""
    return Vocabulary.model_validate(read_yaml(_SHIPPED.read_text(encoding="utf-8")))


def grouped(lines: Iterable[HistoryLine], tree: PurposeTree, kept: Schedule, say: Words) -> list[Told]:
    """Lines of a history by purpose and channel."""
    found: dict[tuple[str, str | None], list[HistoryLine]] = {}
    for line in lines:
        found.setdefault((line.act.purpose, tree.channel_of(line.act.purpose, line.act.channel)), []).append(line)
    answers = []
    for (purpose, channel), said in found.items():
        declared = tree.get(purpose)
        title, description = say.purpose(tree, purpose)
        acts = [line.act for line in said]
        events = [
            Event(line.act, "requested" if line.pending else status(line.act, acts), line.notice_text, line.confirmed)
            for line in said
        ]
        use = declared.data_use if declared else "third_party_sharing" if purpose == "sale_share" else ""
        label = say.of("channel", channel) if channel and declared and len(declared.channels) > 1 else ""
        title = title[:1].upper() + title[1:]
        answers.append(Told(purpose, channel, title, label, description, use, _days(kept, purpose), events))
    return answers


def status(act: ConsentAct, said: Sequence[ConsentAct]) -> str:
    """What an act is among those of its purpose and channel: given, refused, withdrawn, unknown or unreadable."""
    if act.status == Status.UNREADABLE:
        return "unreadable"
    if act.status == Status.GRANTED:
        return "given" if act.verified else "unknown"
    before = [one for one in said if (one.given_at, one.id) < (act.given_at, act.id)]
    return "withdrawn" if any(one.status == Status.GRANTED and one.verified for one in before) else "refused"


def as_record(
    identifier: IdentifierId, told: Sequence[Told], *, controller: str, location: str, language: str
) -> dict[str, Json]:
    """The record of one data subject. Its times are those of the acts; it is named by what it says."""
    newest = max(event.act.recorded_at for one in told for event in one.events)
    notices: dict[str, Json] = {}
    for event in (event for one in told for event in one.events):
        if (shown := event.act.notice) is not None:
            notices[shown.text_hash + shown.version] = {
                "@type": ["dpv:ConsentNotice"],
                "dpv:hasIdentifier": _notice_name(event.act),
                "dct:hasVersion": shown.version,
                "dct:language": shown.language,
                "rdf:value": event.notice_text,
            }
    record: dict[str, Json] = {
        "@context": _CONTEXT,
        "@type": ["dpv:ConsentRecord"],
        "dct:conformsTo": CONFORMS_TO,
        "dpv:hasDataSubject": {"@type": ["dpv:DataSubject"], "dpv:hasIdentifier": identifier},
        "dct:created": newest.isoformat(),
        "dct:creator": _CONTROLLER,
        "dct:language": language,
        "dpv:hasEntity": {_CONTROLLER: {"@type": ["dpv:DataController"], "dpv:hasName": controller}},
        "dpv:hasNotice": list(notices.values()),
        "dpv:hasProcess": [_process(one, location) for one in told],
    }
    return {**record, "dpv:hasIdentifier": f"rcp_{digest(record).removeprefix('sha256:')[:32]}"}


def _process(told: Told, location: str) -> dict[str, Json]:
    words, newest = vocabulary(), told.events[-1].act
    basis, article = words.bases.get(newest.basis, ("dpv:LegalBasis", ""))
    places = {event.act.jurisdiction for event in told.events}
    rules = bool(places & _GDPR)
    return {
        "@type": ["dpv:Process"],
        "dpv:hasPurpose": [
            {
                "@type": ["dpv:Purpose"],
                "dct:identifier": told.purpose,
                "skos:broader": _nearest(words.purposes, told.data_use),
                "skos:prefLabel": told.title,
                "skos:definition": told.description or told.title,
            }
        ],
        "dpv:hasPersonalData": [
            {"@type": ["dpv:PersonalData"], "skos:broader": [_nearest(words.data, one)], "skos:prefLabel": one}
            for one in newest.categories
        ],
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use"],
        "dpv:hasDataController": [_CONTROLLER],
        "dpv:hasDataSource": ["dpv:DataSubjectDataSource"],
        "dpv:hasStorageCondition": [
            {"@type": ["dpv:StorageLocation"], "dpv:hasLocation": location},
            {
                "@type": ["dpv:StorageDuration"],
                "dpv:hasDuration": {"@type": "dpv:TemporalDuration", "rdf:value": f"P{told.days}D"},
            },
        ],
        "dpv:hasRecipient": [_CONTROLLER],
        "dpv:hasLegalBasis": [basis, article] if rules and article else [basis],
        "dpv:hasRight": list(words.rights.get(newest.basis, words.rights[""])) if rules else [],
        "candor:jurisdiction": sorted(places),
        "candor:channel": told.channel,
        "dpv:hasConsentStatus": [_status(event) for event in told.events],
    }


def _status(event: Event) -> dict[str, Json]:
    act = event.act
    shown: dict[str, Json] = {
        "@type": [vocabulary().status[event.status]],
        "dct:identifier": act.id,
        "dpv:isIndicatedAtTime": _stamp(act.given_at),
        "dpv:isExercisedAt": act.mechanism,
        "candor:recordedAt": _stamp(act.recorded_at),
        "candor:legalBasis": act.basis,
        "candor:jurisdiction": act.jurisdiction,
        "candor:controller": act.controller,
        "candor:form": act.variant,
    }
    if act.expires_at is not None:
        until: Json = {"@type": "dpv:UntilTimeDuration", "rdf:value": _stamp(act.expires_at)}
        shown["dpv:hasDuration"] = until
    if event.confirmed is not None:
        proven: Json = {"way": event.confirmed.way, "at": _stamp(event.confirmed.at)}
        shown["candor:confirmation"] = proven
        if event.confirmed.pending is not None:
            shown["dpv:isAfter"] = event.confirmed.pending
    if act.notice is not None:
        named: Json = {"@type": ["dpv:ConsentNotice"], "dpv:hasIdentifier": _notice_name(act)}
        shown["dpv:hasNotice"] = named
    return shown


def _notice_name(act: ConsentAct) -> str:
    """A text by its digest; one that is not held by its version."""
    assert act.notice is not None
    return act.notice.text_hash if act.notice.text_hash.startswith("sha256:") else f"version:{act.notice.version}"


def _nearest(table: Mapping[str, str], key: str) -> str:
    fitting = [one for one in table if not one or key == one or key.startswith(f"{one}.")]
    return table[max(fitting, key=len)]


def _days(kept: Schedule, purpose: str) -> int:
    rules = [one for one in kept.rules if one.kind == SOURCE_RECORDS and one.purpose in {purpose, None}]
    return max(rules, key=lambda one: one.purpose is not None).keep_days if rules else 0


def _stamp(at: datetime) -> str:
    return at.isoformat()
