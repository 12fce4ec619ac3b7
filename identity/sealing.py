"""Opening and sealing of records and identifiers in bulk: one look-up of keys for many rows.

What enters: rows as the store holds them. What leaves: opened values, in memory only. A row whose key is gone is left out:
it belonged to an erased person.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from identity import store
from identity.identifiers import HeldIdentifier, Identifier
from identity.records import SourceRecord, unpack
from identity.store import SealedIdentifier, SealedRecord
from kernel.db import Conn
from kernel.ids import IdentifierId, KeyId, RecordId
from kernel.vault import SubjectKey, Vault

RECORDS: Final = "identity.records"
IDENTIFIERS: Final = "identity.identifiers"
_FEW: Final = 1_000


def seal_body(key: SubjectKey, record: RecordId, body: bytes) -> bytes:
    """A record's words, sealed in their place."""
    return key.seal(RECORDS, "body", record, body)


def seal_value(key: SubjectKey, identifier: IdentifierId, value: str) -> bytes:
    """An identifier's value, sealed in its place."""
    return key.seal(IDENTIFIERS, "value", identifier, value.encode())


async def open_identifiers(
    vault: Vault, sealed: Mapping[IdentifierId, SealedIdentifier]
) -> dict[IdentifierId, Identifier]:
    """Identifiers in clear."""
    keys = await vault.unwrap(i.key_id for i in sealed.values())
    return {i.id: _identifier(i, keys[i.key_id]) for i in sealed.values() if i.key_id in keys}


def _identifier(sealed: SealedIdentifier, key: SubjectKey) -> Identifier:
    return Identifier(sealed.kind, key.open(IDENTIFIERS, "value", sealed.id, sealed.value).decode())


async def open_bodies(vault: Vault, sealed: Sequence[SealedRecord]) -> list[tuple[SealedRecord, bytes]]:
    """Records with their words."""
    keys: Mapping[KeyId, SubjectKey] = await vault.unwrap(r.key_id for r in sealed)
    return [(r, keys[r.key_id].open(RECORDS, "body", r.id, r.body)) for r in sealed if r.key_id in keys]


async def open_records(
    conn: Conn, vault: Vault, page: Sequence[SealedRecord], *, identifiers: bool = True
) -> list[tuple[SealedRecord, bytes, tuple[Identifier, ...]]]:
    """Records with their words and their identifiers: the keys of all in one look-up."""
    if not identifiers:
        return [(row, body, ()) for row, body in await open_bodies(vault, page)]
    links, sealed = await store.identifiers_of(conn, [row.id for row in page])
    if len(page) <= _FEW:  # one look for the keys of all, which then lie in the vault's memory
        await vault.unwrap([*(row.key_id for row in page), *(one.key_id for one in sealed.values())])
    opened = await open_identifiers(vault, sealed)
    return [
        (row, body, tuple(opened[i] for i in links.get(row.id, ()) if i in opened))
        for row, body in await open_bodies(vault, page)
    ]


def source_record(row: SealedRecord, body: bytes, identifiers: tuple[Identifier, ...]) -> SourceRecord:
    """The stored row, opened."""
    source_key, traits, kinds = unpack(body)
    return SourceRecord(
        id=row.id,
        source=row.source,
        source_key=source_key,
        identifiers=identifiers,
        traits=traits,
        kinds=kinds,
        observed_at=row.observed_at,
        recorded_at=row.recorded_at,
        purpose=row.purpose,
        basis=row.basis,
        also_for=row.also_for,
        version=row.version,
        current=row.current,
        key_id=row.key_id,
    )


def held(
    links: Mapping[RecordId, Sequence[IdentifierId]], opened: Mapping[IdentifierId, Identifier]
) -> list[HeldIdentifier]:
    """The identifiers that these records carry, each once, by id."""
    carriers: dict[IdentifierId, list[RecordId]] = {}
    for record, ids in links.items():
        for identifier in ids:
            if identifier in opened:
                carriers.setdefault(identifier, []).append(record)
    return [HeldIdentifier(i, opened[i].kind, opened[i].value, tuple(carriers[i])) for i in sorted(carriers)]
