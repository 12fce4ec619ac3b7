"""Taking a merge back: which part of a person each record belonged to, and whose id each part gets. Pure (identity.I24, I26).

Enters: the person's records with who held them just before the merge and with whom each came. Leaves: blocks, the records that must go back
together under the id they had; the rest came since and is for evidence to place (``settling``). A record of somebody who was merged in by another
merge is in that one's block: its side is decided by evidence too, never by the order of the acts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from identity.graph import Assignment, assign
from identity.people import Edge
from identity.undoing_store import Held
from kernel.ids import GraphVersion, IdentifierId, PersonId, RecordId

ONE_ROW: Final = 1e9  # versions of one row are never parted by evidence
OWNED: Final = 60.0  # an identifier that one person owns alone: more than agreement of fields reaches
CONTACT: Final = 15.0
SHARED: Final = 5.0
_PAIRED: Final = 30  # carriers of one identifier that are compared each with each


def blocks(
    records: Sequence[RecordId],
    before: Mapping[RecordId, PersonId],
    first: Mapping[RecordId, tuple[PersonId, GraphVersion]],
    merged: Sequence[Held],
) -> dict[RecordId, PersonId]:
    """Whose each record was just before the merge, or with whom it came later; absent: it came to somebody who held what was merged."""
    found: dict[RecordId, PersonId] = {}
    for record in records:
        if record in before:
            found[record] = before[record]
            continue
        came, at = first[record]
        if not any(one.person == came and one.since <= at and (one.until is None or at < one.until) for one in merged):
            found[record] = came
    return found


def shared(
    carried: Mapping[RecordId, Sequence[tuple[IdentifierId, str]]], owned: Sequence[str], contact: Sequence[str]
) -> list[Edge]:
    """What identifiers that records share say of them, as edges."""
    carriers: dict[tuple[IdentifierId, str], list[RecordId]] = {}
    for record in sorted(carried):
        for held in carried[record]:
            carriers.setdefault(held, []).append(record)
    found = []
    for (_, kind), records in carriers.items():
        weight = OWNED if kind in owned else CONTACT if kind in contact else SHARED
        if kind == "group_id":
            continue
        ends = records if len(records) <= _PAIRED else records[:1]
        found += [Edge(a, b, weight) for a in ends for b in records if a < b]
    return found


def versions(now: Mapping[RecordId, RecordId]) -> list[Edge]:
    """Edges between the versions of a row. ``now``: record to the record that stands for it."""
    return [Edge(old, new, ONE_ROW) for old, new in now.items() if old != new]


def reassign(labels: Mapping[RecordId, RecordId], blocks_: Mapping[RecordId, PersonId]) -> Assignment:
    """Ids of the parts, by the rule of stable ids, as if each record were still where its block was."""
    in_part: dict[RecordId, Counter[PersonId]] = {}
    for record, person in blocks_.items():
        in_part.setdefault(labels[record], Counter())[person] += 1
    whose = {label: min(count, key=lambda p, c=count: (-c[p], p)) for label, count in in_part.items()}  # type: ignore[misc]
    old = {record: blocks_.get(record, whose.get(label)) for record, label in labels.items()}
    known = {record: person for record, person in old.items() if person is not None}
    return assign(known, {record: labels[record] for record in known}, _nobody)


def _nobody() -> PersonId:
    raise AssertionError("a part without a block")  # every part holds one: what has none joins the oldest part


def redirects(
    family: Sequence[PersonId],
    outcome: Assignment,
    last: Mapping[PersonId, Sequence[RecordId]],
) -> dict[PersonId, PersonId | None]:
    """Where each id of the family leads now: to herself (None), or to whoever has most of the records she had last."""
    live = set(outcome.person_of.values())
    eldest = min(live)
    found: dict[PersonId, PersonId | None] = {}
    for person in family:
        if person in live:
            found[person] = None
        elif person in outcome.retired:
            found[person] = outcome.retired[person]
        else:
            count = Counter(outcome.person_of[r] for r in last.get(person, ()) if r in outcome.person_of)
            found[person] = min(count, key=lambda p, c=count: (-c[p], p)) if count else eldest  # type: ignore[misc]
    return found
