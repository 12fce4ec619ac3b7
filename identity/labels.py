"""Clerical labels of a stand-alone run: what somebody said of pairs of records, and which pairs are worth asking about (spec identity I10).

Enters: a file of pairs with a verdict, or a linked table.  Leaves: `Rulings` over the table's rows, or a table of questions, the dearest first, in the form that is read back
as labels once its last column is filled.  A label is obeyed, not averaged: who is said to be one person is one, unless that gives her two unique identifiers, and
who is said not to be one is kept apart whatever bridges them.  Nothing needs labels.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from identity import files
from identity.column_values import texts
from identity.judgements import Rulings
from identity.kinds import Kinds
from identity.questions import Doubt, Question, ask
from kernel.errors import InvalidInput

if TYPE_CHECKING:
    from identity.link import LinkResult

ASKED: Final = 200  # questions that are written: an afternoon of one reviewer
FAINT: Final = 1.0  # below this weight nothing is joined, and it may yet be one person
_SAME: Final = frozenset({"1", "1.0", "true", "yes", "y", "match", "positive", "same"})
_OTHER: Final = frozenset({"0", "0.0", "false", "no", "n", "no match", "non-match", "negative", "different"})
_OPEN: Final = frozenset({"", "0.5", "unsure", "maybe", "?"})


def read_labels(path: Path, table: pa.Table, kinds: Kinds, notes: list[str]) -> Rulings[int]:
    """The verdicts of a file as rulings over the table's rows.

    The file's first two columns that are called `left` and `right`, or end in `_l` and `_r`, name records by their id (without one, by row number from 0); `label`, or the
    last column, says 1 or 0 (also yes/no, match/non-match, positive/negative; `unsure` and nothing say nothing).

    Raises:
        InvalidInput: no such columns, a word that is none of these, or record ids that name several rows.
    """
    found, _, remarks = files.read([path])
    notes.extend(remarks)
    left, right, said = _columns(found, path)
    place = _rows(table, kinds)
    verdicts: dict[tuple[int, int], set[bool]] = {}
    unknown = 0
    for one, other, word in zip(*(_texts(found, name) for name in (left, right, said)), strict=True):
        verdict = _verdict(word, path)
        if verdict is None:
            continue
        if one not in place or other not in place:
            unknown += 1
            continue
        a, b = sorted((place[one], place[other]))
        if a != b:
            verdicts.setdefault((a, b), set()).add(verdict)
    torn = sum(len(both) > 1 for both in verdicts.values())
    if unknown:
        notes.append(f"labels: {unknown} pairs name records that are not in the table; they are left out")
    if torn:
        notes.append(f"labels: of {torn} pairs the file says both; neither counts")
    clear = {pair: both == {True} for pair, both in verdicts.items() if len(both) == 1}
    return Rulings(
        tuple(pair for pair, same in sorted(clear.items()) if same),
        tuple(((a,), (b,)) for (a, b), same in sorted(clear.items()) if not same),
    )


def worth_asking(result: "LinkResult", known: Rulings[int], limit: int = ASKED) -> list[Question[int]]:
    """The pairs of rows whose label would put most right, the dearest first; those of ``known`` are not asked again."""
    person = result.clusters.person
    strong = result.edges.above(0.0)
    edges = list(zip(strong.left.tolist(), strong.right.tolist(), strong.weight.tolist(), strict=True))
    doubts = [Doubt(r.left, r.right, r.weight, str(r.cause)) for r in result.clusters.ambiguous]
    doubts += [Doubt(a, b, w) for a, b, w in edges if w < FAINT and person[a] != person[b]]
    told = {frozenset(pair) for pair in known.together} | {frozenset((*one, *other)) for one, other in known.apart}
    found = ask(dict(enumerate(person.tolist())), edges, doubts)
    return [q for q in found if frozenset((q.a, q.b)) not in told][:limit]


def questions(result: "LinkResult", known: Rulings[int], limit: int = ASKED) -> pa.Table:
    """The same by record id, as a table whose last column waits for the verdict."""
    names = _names(result.table, result.kinds)
    asked = worth_asking(result, known, limit)
    return pa.table(
        {
            "left": [names[q.a] for q in asked],
            "right": [names[q.b] for q in asked],
            "one_person": [q.one for q in asked],
            "weight": [q.weight for q in asked],
            "cause": [q.cause for q in asked],
            "records_left": [q.left for q in asked],
            "records_right": [q.right for q in asked],
            "label": pa.array([None] * len(asked), pa.string()),
        }
    )


def _columns(found: pa.Table, path: Path) -> tuple[str, str, str]:
    names = found.column_names
    for one, other in [("left", "right"), *((n, n[:-2] + "_r") for n in names if n.endswith("_l"))]:
        if one in names and other in names:
            said = "label" if "label" in names else names[-1]
            if said not in {one, other}:
                return one, other, said
    raise _bad(path, "columns left, right and label (or two that end in _l and _r, and a last one)", ", ".join(names))


def _verdict(word: str | None, path: Path) -> bool | None:
    plain = (word or "").strip().lower()
    if plain in _SAME:
        return True
    if plain in _OTHER:
        return False
    if plain in _OPEN:
        return None
    raise _bad(path, "1, 0 or nothing as a label", "another word")


def _rows(table: pa.Table, kinds: Kinds) -> dict[str, int]:
    names = _names(table, kinds)
    place = {name: row for row, name in enumerate(names) if name is not None}
    if len(place) < len(names):
        repeated = sum(n - 1 for n in Counter(names).values())
        raise InvalidInput(
            f"--labels: expected a record id that names one row each, got {repeated} rows whose id is empty or another's too",
            remedy="Name the column of the record id with --id, and give every row an id of its own.",
            code="identity.labels_without_id",
        )
    return place


def _names(table: pa.Table, kinds: Kinds) -> Sequence[str | None]:
    if kinds.record_id is None:
        return [str(row) for row in np.arange(table.num_rows).tolist()]
    return _texts(table, kinds.record_id)


def _texts(table: pa.Table, name: str) -> list[str | None]:
    found: list[str | None] = texts(table.column(name)).to_pylist()
    return found


def _bad(path: Path, expected: str, got: str) -> InvalidInput:
    return InvalidInput(
        f"labels {path.name}: expected {expected}, got {got}",
        remedy="Write one pair a row: the ids of two records and 1 (one person) or 0; --ask FILE writes such a file.",
        code="identity.bad_labels",
    )
