"""When records leave a person who keeps others: whether what is left still hangs together (identity.I38).

Enters: who owned what, which records go, and what ties records: edges that may join, identifiers they share, versions of a row, what staff decided.  Leaves: a label
for every record left of a person who falls apart.  Pure but for `fallen`, which reads.  Only a tie that went parts anybody: records that nothing tied
before stay together, for somebody once had a reason that is not among the ties.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from identity import evidence_store, judged, judgement_store, undoing
from identity.people import Edge
from identity.settings import IdentitySettings
from kernel.db import Conn
from kernel.ids import PersonId, RecordId


async def fallen(
    conn: Conn,
    settings: IdentitySettings,
    whose: Mapping[RecordId, PersonId],
    gone: Collection[RecordId],
    threshold: float,
) -> dict[RecordId, RecordId]:
    """Labels of what is left of people who fall apart when these records go. Ask before they go. ``whose``: every record of theirs."""
    edges, _ = await evidence_store.evidence(conn, list(whose))
    strong = [edge for edge in edges if edge.weight >= threshold]
    strong += undoing.versions(await judgement_store.current_of(conn, whose))
    carried = await judgement_store.carried(conn, whose)
    strong += undoing.shared(carried, settings.joining_kinds, settings.contact_kinds)
    strong += judged.ties(await judged.law(conn))
    return parts(whose, strong, gone)


def parts(
    whose: Mapping[RecordId, PersonId], ties: Iterable[Edge], gone: Collection[RecordId]
) -> dict[RecordId, RecordId]:
    """The oldest record of its part, for every record left of a person who falls apart."""
    inside = [edge for edge in ties if edge.a in whose and whose.get(edge.b) == whose[edge.a]]
    out = set(gone)
    before = components(whose, inside)
    after = components([r for r in whose if r not in out], [e for e in inside if e.a not in out and e.b not in out])
    pieces: dict[RecordId, dict[RecordId, list[RecordId]]] = defaultdict(lambda: defaultdict(list))
    for record, piece in after.items():
        pieces[before[record]][piece].append(record)
    torn = {whose[root] for root, found in pieces.items() if len(found) > 1}
    labels: dict[RecordId, RecordId] = {}
    stays: dict[PersonId, RecordId] = {}  # what was tied to nothing stays with the largest part of the rest
    for root, found in sorted(pieces.items()):
        person = whose[root]
        if person not in torn:
            continue
        largest = min(found, key=lambda piece, f=found: (-len(f[piece]), piece))  # type: ignore[misc]
        name = stays.setdefault(person, largest)
        for piece, records in found.items():
            labels.update(dict.fromkeys(records, name if piece == largest else piece))
    return labels


def components(records: Iterable[RecordId], ties: Iterable[Edge]) -> dict[RecordId, RecordId]:
    """The oldest record of everything that ties hold together, for each record."""
    parent = {record: record for record in records}

    def root(record: RecordId) -> RecordId:
        while (up := parent[record]) != record:
            parent[record] = record = parent[up]
        return record

    for tie in ties:
        one, other = sorted((root(tie.a), root(tie.b)))
        parent[other] = one
    return {record: root(record) for record in parent}
