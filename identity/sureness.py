"""How surely each record of a person belongs to whoever asked (consent.D6).

What enters: the person's records, the edges between them, the identifiers that were asked by. What leaves: a probability for each record: that of the weakest link on the
best way from what she asked by. Versions of one row, and rows that share an identifier which only one person has, are one; a shared contact is worth what the settings
say; a linkage edge is worth its match probability. A record that nothing links is at 0.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from identity.graph import probability
from identity.identifiers import Identifier
from identity.people import Edge
from identity.records import SourceRecord
from identity.settings import IdentitySettings
from kernel.ids import RecordId


def scores(
    records: Sequence[SourceRecord], edges: Iterable[Edge], asked_by: Iterable[Identifier], settings: IdentitySettings
) -> dict[RecordId, float]:
    """By record. Without anything asked by, her oldest record is where the ways begin."""
    wanted = set(asked_by)
    seeds = {r.id for r in records if wanted & set(r.identifiers)} or {min(r.id for r in records)} if records else set()
    links = _links(records, edges, settings)
    found: dict[RecordId, float] = dict.fromkeys(seeds, 1.0)
    done: set[RecordId] = set()
    while open_ends := [one for one in found if one not in done]:
        here = min(open_ends, key=lambda one: (-found[one], one))
        done.add(here)
        for there, sure in links[here].items():
            if there not in done:
                found[there] = max(found.get(there, 0.0), min(found[here], sure))
    return {record.id: found.get(record.id, 0.0) for record in records}


def _links(
    records: Sequence[SourceRecord], edges: Iterable[Edge], settings: IdentitySettings
) -> Mapping[RecordId, dict[RecordId, float]]:
    links: defaultdict[RecordId, dict[RecordId, float]] = defaultdict(dict)

    def tie(group: Sequence[RecordId], sure: float) -> None:
        for one, other in pairwise(group):  # a chain is as good as every pair: the weakest link counts
            for a, b in ((one, other), (other, one)):
                links[a][b] = max(links[a].get(b, 0.0), sure)

    shared: defaultdict[tuple[str, ...], list[RecordId]] = defaultdict(list)
    for record in records:
        shared["row", record.source, record.source_key].append(record.id)
        for held in record.identifiers:
            shared["held", held.kind, held.value].append(record.id)
    for (what, kind, *_), group in shared.items():
        if what == "row" or kind in settings.joining_kinds:
            tie(group, 1.0)
        elif kind in settings.contact_kinds:
            tie(group, settings.contact_surety)
    known = {record.id for record in records}
    for edge in edges:
        if {edge.a, edge.b} <= known:
            tie([edge.a, edge.b], probability(edge.weight))
    return links
