"""How an act is written down: its raw bytes sealed under the key of its subject, and its entry of the log.

Enters: checked acts and their subjects. Leaves: rows for the store and entries for the audit room; both name ids only.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from audit.entries import NewEntry
from audit.tags import Tag
from consent.acts import NewAct
from consent.confirming_store import ConfirmationRow
from consent.store import ActRow
from identity.people import Subject
from kernel.canonical import Json
from kernel.ids import ActId, KeyId, new_id
from kernel.vault import Vault


async def sealed(vault: Vault, acts: Sequence[NewAct], subjects: Mapping[str, Subject], now: datetime) -> list[ActRow]:
    """Rows to insert, in order, each with a new id."""
    keys = await vault.unwrap({subjects[act.subject].key_id for act in acts if act.raw})
    rows = []
    for act in acts:
        fresh = new_id("act")
        key = keys[subjects[act.subject].key_id] if act.raw else None
        raw = key.seal("consent.acts", "raw", fresh, act.raw) if key else None
        rows.append(ActRow(fresh, act, now, raw, key.id if key else None))
    return rows


def entry(row: ActRow, subject: Subject) -> NewEntry:
    """What the log keeps of an act; its facts open with the key of the subject."""
    act = row.act
    facts: dict[str, Json] = {
        "purpose": act.purpose,
        "status": act.status,
        "channel": act.channel,
        "basis": act.basis,
        "jurisdiction": act.jurisdiction,
        "mechanism": act.mechanism,
        "verified": act.verified,
        "given_at": act.given_at.isoformat(),
        "expires_at": act.expires_at.isoformat() if act.expires_at else None,
        "notice": {"hash": act.notice.text_hash, "version": act.notice.version, "language": act.notice.language}
        if act.notice
        else None,
    }
    refs = {"act": row.id, "subject": act.subject}
    if act.confirmation is not None:
        facts["confirmed"] = {"way": act.confirmation.way, "at": act.confirmation.at.isoformat()}
        if act.confirmation.pending is not None:
            refs["confirms"] = act.confirmation.pending
    return NewEntry(Tag.CONSENT_RECORDED, refs, facts, key_id=subject.key_id, actor=act.actor)


async def confirmed(vault: Vault, rows: Sequence[ActRow], subjects: Mapping[str, Subject]) -> list[ConfirmationRow]:
    """What confirms those of these acts that need it, the evidence sealed."""
    told = [(row, row.act.confirmation) for row in rows if row.act.confirmation is not None]
    keys = await vault.unwrap({subjects[row.act.subject].key_id for row, one in told if one.evidence})
    made = []
    for row, one in told:
        key = keys[subjects[row.act.subject].key_id] if one.evidence else None
        proof = key.seal("consent.confirmations", "evidence", row.id, one.evidence) if key else None
        made.append(ConfirmationRow(row.id, one.pending, one.way, one.at, proof, key.id if key else None))
    return made


async def opened(vault: Vault, sealed_: Sequence[tuple[ActId, KeyId, bytes]]) -> dict[ActId, str]:
    """The evidence of confirmations in words, where its key is still there."""
    keys = await vault.unwrap([key for _, key, _ in sealed_])
    return {
        act: keys[key].open("consent.confirmations", "evidence", act, words).decode(errors="backslashreplace")
        for act, key, words in sealed_
        if key in keys
    }
