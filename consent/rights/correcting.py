"""Rectification: wrong details are replaced at their source, and what rested on them is made anew (consent.D15; GDPR Art. 16, 19).

What enters: what is wrong and what is right, sealed until it is done. What leaves: new versions of the rows that said the wrong thing (the old ones are kept, no longer current, and do not come back
when the source sends the same row again), and, found through the log's lineage, the decisions that rested on them: messages of theirs that wait are called off.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from audit.service import Audit
from consent import requests_store as rows
from consent.errors import NothingToCorrect
from consent.lifecycle import Request
from consent.service import Consent
from identity.identifiers import Identifier, parse_contact
from identity.records import NewRecord, SourceRecord, TraitValue
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.holders import Dependant
from kernel.ids import DecisionId, KeyId, RequestId
from kernel.kernel import Kernel

_TABLE: Final = "consent.requests"
_COLUMN: Final = "words"
SOURCE: Final = "rectification"  # of details that no source of ours has


@dataclass(frozen=True, slots=True)
class Correction:
    """``traits``: name to what is right. ``contacts``: ``kind:value`` that is wrong to the one that is right."""

    traits: Mapping[str, TraitValue] = field(default_factory=dict, repr=False)
    contacts: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_correction(said: Iterable[tuple[str, str]]) -> Correction:
    """From pairs as staff write them: a detail's name and what is right; ``kind:value`` of a wrong contact and the right one, with its kind or without."""
    pairs = list(said)
    return Correction(
        traits={wrong: right for wrong, right in pairs if ":" not in wrong},
        contacts={
            wrong: right if right.startswith(f"{kind}:") else f"{kind}:{right}"
            for wrong, right in pairs
            for kind in [wrong.partition(":")[0]]
            if ":" in wrong
        },
    )


class Correcting:
    """Stands at ``Rights.correcting``; ``dependants`` are rooms that keep something made of the wrong words."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent) -> None:
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self.dependants: list[Dependant] = []

    async def seal(self, correction: Correction) -> Callable[[RequestId], tuple[bytes, KeyId]]:
        """The words under a key of their own, once the request has its id."""
        for pair in correction.contacts.items():
            for contact in pair:
                parse_contact(contact, region=self._identity.settings.default_region)
        (key_id,) = await self._kernel.vault.create_keys(1)
        key = (await self._kernel.vault.unwrap([key_id]))[key_id]
        words = orjson.dumps({"traits": dict(correction.traits), "contacts": dict(correction.contacts)})
        return lambda request: (key.seal(_TABLE, _COLUMN, request, words), key_id)

    async def told(self, conn: Conn, request: Request) -> dict[str, Json]:
        """What is corrected, as processors are told."""
        correction = await self._open(conn, request.id)
        return {"traits": dict(correction.traits), "contacts": dict(correction.contacts)}

    async def correct(self, conn: Conn, request: Request) -> dict[str, int]:
        """Write the right words; counts of what was touched.

        Raises:
            NothingToCorrect: the person holds nothing of what is named, or is gone.
        """
        correction = await self._open(conn, request.id)
        held = (await self._identity.records(conn, [request.person])).get(request.person, [])
        current = [record for record in held if record.current]
        if not current:
            raise NothingToCorrect("expected a person with records, got one without any")
        swaps = {self._contact(old): self._contact(new) for old, new in correction.contacts.items()}
        wrong = [one for one in current if swaps.keys() & set(one.identifiers) or _differs(one, correction.traits)]
        unknown = correction.traits.keys() - {name for one in current for name in one.traits}
        if not wrong and not unknown:
            raise NothingToCorrect("expected something held that is wrong, got words that nobody holds or that are right already")  # fmt: skip
        now = self._kernel.clock.now()
        fresh = [_right(one, correction.traits, swaps) for one in wrong]
        if unknown:
            pattern = current[0]
            named = {name: correction.traits[name] for name in unknown}
            fresh.append(
                replace(_right(pattern, {}, swaps), source=SOURCE, source_key=request.id, traits=named, kinds={})
            )
        await self._identity.add_records(conn, [replace(one, observed_at=now) for one in fresh])
        entries = await self._audit.lineage([("record", one.id) for one in wrong], depth=1) if wrong else []
        decisions = [DecisionId(ref) for ref in sorted({ref for e in entries for ref in e.refs.get("decision", ())})]
        counts = {"records": len(fresh), "decisions_resting": len(decisions)}
        for dependant in self.dependants:
            counts |= await dependant.corrected(conn, request.person, decisions)
        await self._consent.touch(conn, [request.person])
        await self._consent.shredder.doom(conn, await rows.drop_words_of(conn, request.id))
        return counts

    async def _open(self, conn: Conn, request: RequestId) -> Correction:
        sealed = await rows.words(conn, request)
        keys = await self._kernel.vault.unwrap([sealed[1]]) if sealed is not None else {}
        if sealed is None or sealed[1] not in keys:
            raise NothingToCorrect("expected the words of the correction, got a request whose words are gone")
        said = orjson.loads(keys[sealed[1]].open(_TABLE, _COLUMN, request, sealed[0]))
        return Correction(said["traits"], said["contacts"])

    def _contact(self, text: str) -> Identifier:
        return parse_contact(text, region=self._identity.settings.default_region)


def _differs(record: SourceRecord, traits: Mapping[str, TraitValue]) -> bool:
    return any(name in record.traits and record.traits[name] != value for name, value in traits.items())


def _right(record: SourceRecord, traits: Mapping[str, TraitValue], swaps: Mapping[Identifier, Identifier]) -> NewRecord:
    """The same row with the right words."""
    identifiers: Sequence[Identifier] = [swaps.get(one, one) for one in record.identifiers]
    return NewRecord(
        source=record.source,
        source_key=record.source_key,
        identifiers=tuple(dict.fromkeys(identifiers)),
        traits={name: traits.get(name, value) for name, value in record.traits.items()},
        kinds=record.kinds,
        observed_at=record.observed_at,
        purpose=record.purpose,
        basis=record.basis,
        also_for=record.also_for,
    )
