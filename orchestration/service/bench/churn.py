"""How long ids last: the same records linked again in another order, with a hundredth more, after another training, and rebuilt (identity.I18-I21).

Enters: a file of records and one of further ones, or the program that makes them.  Leaves: `Report`, each re-run with the ids that changed, by the rule that the
store uses (`identity.graph.assign`).  Every linkage is a process of its own.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from identity.graph import Assignment, assign
from kernel.canonical import digest
from kernel.ids import PersonId, RecordId
from orchestration.service.bench.children import answer, generated
from orchestration.service.bench.churn_job import Job
from orchestration.service.bench.figures import Bar

Told = Callable[[str], None]
Groups = Mapping[RecordId, str]
MORE: Final = 0.01
RETRAINED: Final = 0.001  # of records may change their person
REBUILT: Final = 0.9999  # of unchanged groups keep their id


@dataclass(frozen=True, slots=True)
class Rerun:
    """One re-run against the first. ``changed``: records whose id leads to somebody else (a merge redirects). ``needless``: records of old groups that are what they
    were, but for newcomers, under another id. ``kept``: of groups that are exactly what they were, the share that kept its id.
    """

    name: str
    records: int
    people: int
    same_partition: bool
    changed: int
    merged_into_others: int
    needless: int
    kept: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All re-runs, the hash of the first partition, and the bars."""

    records: int
    people: int
    partition: str
    reruns: tuple[Rerun, ...]
    bars: tuple[Bar, ...]


def run(
    people: Path,
    extra: Path | None,
    told: Told = lambda _: None,
    *,
    record: str = "unique_id",
    ignore: Sequence[str] = (),
) -> Report:
    """Link once, then again and again."""
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
        out, model = str(Path(folder) / "groups.parquet"), str(Path(folder) / "model.json")

        def linked(name: str, **more: object) -> tuple[Groups, float]:
            told(name)
            wishes = {"files": (str(people),), **more}
            job = Job(record=record, ignore=tuple(ignore), out=out, **wishes)  # type: ignore[arg-type]
            seconds = float(answer("orchestration.service.bench.churn_job", asdict(job), job.files)["seconds"])
            table = pq.read_table(out)
            return dict(
                zip(table.column("record").to_pylist(), table.column("group").to_pylist(), strict=True)
            ), seconds

        first, _ = linked("the first run", save_model=model)
        numbers = count()
        owner = _ids(None, first, numbers).person_of
        reruns = []
        for name, more in _reruns(people, extra, model):
            again, seconds = linked(name, **more)
            reruns.append(compared(name, first, owner, again, numbers, seconds))
    return Report(len(first), len(set(first.values())), partition_hash(first), tuple(reruns), tuple(bars(reruns)))


def _reruns(people: Path, extra: Path | None, model: str) -> list[tuple[str, dict[str, object]]]:
    found: list[tuple[str, dict[str, object]]] = [
        ("same records, other order, one thread", {"shuffle": 1, "threads": 1}),
        ("same records, other order, saved model", {"shuffle": 2, "model": model}),
        ("rebuilt from raw records, trained on another sample", {"shuffle": 3, "seed": 9}),
        ("trained on another sample", {"seed": 1}),
    ]
    if extra is not None:
        files = (str(people), str(extra))
        found.append(("further records, trained anew", {"files": files}))
        found.append(("further records, saved model", {"files": files, "model": model}))
    return found


def compared(
    name: str, first: Groups, owner: Mapping[RecordId, PersonId], again: Groups, numbers: "count[int]", seconds: float
) -> Rerun:
    """What became of the ids of the first run."""
    old = dict(owner)
    for record in sorted(again.keys() - old.keys()):  # newcomers get a provisional person of their own, as in the store
        old[record] = PersonId(f"per_{next(numbers):012d}")
    outcome = _ids(old, again, numbers)
    whole, before = _members(first), _members(again)
    same = needless = kept = 0
    changed = sum(outcome.retired.get(owner[r], owner[r]) != outcome.person_of[r] for r in first)
    for members in whole.values():
        now = {r for r in before[again[members[0]]] if r in first}
        person = outcome.person_of[members[0]]
        if now == set(members):  # they are who they were, whoever came to them
            needless += len(members) * (person != owner[members[0]])
            same += 1
            kept += person == owner[members[0]]
    return Rerun(
        name=name,
        records=len(again),
        people=len(before),
        same_partition=partition_hash(again) == partition_hash(first),
        changed=changed,
        merged_into_others=sum(owner[r] in outcome.retired for r in first),
        needless=needless,
        kept=kept / same if same else 1.0,
        seconds=seconds,
    )


def _ids(old: Mapping[RecordId, PersonId] | None, groups: Groups, numbers: "count[int]") -> Assignment:
    before = old if old is not None else {r: PersonId(f"per_{next(numbers):012d}") for r in sorted(groups)}
    return assign(before, groups, lambda: PersonId(f"per_{next(numbers):012d}"))


def _members(groups: Groups) -> dict[str, list[RecordId]]:
    found: dict[str, list[RecordId]] = defaultdict(list)
    for record, group in groups.items():
        found[group].append(record)
    return found


def partition_hash(groups: Groups) -> str:
    """Digest of (record, smallest record of its group) in the order of records."""
    return digest([[record, groups[record]] for record in sorted(groups)])


def bars(reruns: Sequence[Rerun]) -> list[Bar]:
    """What is asked of the re-runs."""
    found = []
    for one in reruns:
        if one.name.startswith("same"):
            found.append(Bar(f"{one.name}: ids changed", 0, one.changed))
            found.append(Bar(f"{one.name}: identical partition", 1, int(one.same_partition), least=True))
        elif one.name.startswith("further"):
            found.append(Bar(f"{one.name}: needless changes", 0, one.needless))
        else:
            found.append(
                Bar(f"{one.name}: share of records that change person", RETRAINED, round(one.changed / one.records, 6))
            )
        if one.name.startswith("rebuilt"):
            found.append(
                Bar(f"{one.name}: unchanged groups that keep their id", REBUILT, round(one.kept, 6), least=True)
            )
    return found


def made(generator: Path, rows: int, seed: int, folder: Path) -> tuple[Path, Path]:
    """Records and a hundredth more, by the program that the caller named.

    Raises:
        InvalidInput: it did not make them.
    """
    people, extra = folder / "people.parquet", folder / "extra.parquet"
    generated(generator, rows, seed, people, more=(MORE, extra))
    return people, extra
