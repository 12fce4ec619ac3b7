"""Features: equal in bits wherever they are worked out, blind to what came later, quick to read (spec features.F44 to F48).

Enters: a seeded crowd; a file of purchases. Leaves: rows for `candor bench learning`.
"""

import random
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from kernel.ids import GraphVersion, PersonId
from orchestration.decision.inputs import Arm, Inputs, Versions
from orchestration.decision.ranking import rows as candidate_rows
from orchestration.learning.logs import Floats
from orchestration.learning.training import Example, arrange
from orchestration.service.bench.learning_people import END, PURPOSE, chance, known_by, people, state
from orchestration.service.bench.learning_purchases import repurchase
from orchestration.service.bench.learning_rows import Progress, Row, Section
from profiles.consent_filter import see
from profiles.declarations import parse
from profiles.fading import Fading
from profiles.features import FeatureSet
from profiles.hot import HotProfile, pack, unpack

SEED: Final = 20_261
VALUES: Final = 1_000_000
READS: Final = 20_000
P99_MS: Final = 0.5


def same_bits(full: bool, progress: Progress) -> list[Row]:
    """F44: a row of the hot store, of a batch told in another order, and of a Parquet file."""
    features = FeatureSet.open()
    count = (VALUES if full else VALUES // 20) // len(features) + 1
    rng = chance(SEED)
    online: list[tuple[float, ...]] = []
    offline: list[Floats] = []
    for place, raw in enumerate(people(count, SEED)):
        at = END - timedelta(hours=rng.randrange(24 * 60))
        row = features.row(see(raw, state(raw.person), PURPOSE, at), at)
        online.append(_through_the_hot_store(features, raw.person, row, at))
        told = replace(raw, events=tuple(rng.sample(raw.events, len(raw.events))), records=tuple(reversed(raw.records)))
        offline.append(features.row(see(told, state(raw.person), PURPOSE, at), at))
        if place % 5000 == 0 and place:
            progress(f"{place:,} of {count:,} rows")
    table = pa.table(dict(zip(features.names, np.array(offline).T, strict=True)))
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    back = parquet.read_table(pa.BufferReader(sink.getvalue()))
    kept = np.column_stack([back.column(name).to_numpy() for name in features.names])
    served = np.array(online)
    differ = int((_bits(served) != _bits(kept)).sum())
    with np.errstate(over="ignore"):
        narrow = int((_bits(served.astype(np.float32).astype(np.float64)) != _bits(served)).sum())
    return [
        Row("features.F44", f"{served.size:,} values, served and in a file, compared in bits", "0 differ", f"{differ} differ", differ == 0),
        Row("features.F44", "the declared form of a value", "float64, kept as hexadecimal", f"float64; float32 would change {narrow / served.size:.1%} of the values", served.dtype == np.float64),
    ]  # fmt: skip


def blind_to_later(full: bool, progress: Progress) -> list[Row]:
    """F45: a fifth told late, corrections, repeats of moments, out of order; then the same set again."""
    features = FeatureSet.open()
    count = 2_000 if full else 150
    rng = chance(SEED + 1)
    leaked = cells = informed = 0
    examples: list[Example] = []
    for raw in people(count, SEED + 1):
        for _ in range(3):
            at = END - timedelta(hours=rng.randrange(24 * 100))
            row = features.row(see(raw, state(raw.person), PURPOSE, at), at)
            answer = features.row(see(known_by(raw, at), state(raw.person), PURPOSE, at), at)
            later = features.row(see(raw, state(raw.person), PURPOSE, at, known_at=END + timedelta(days=400)), at)
            leaked += int((_bits(row) != _bits(answer)).sum())
            informed += int((_bits(row) != _bits(later)).sum())
            cells += len(row)
            examples.append(Example(raw.person, at, "a", 0.5, 1.0, tuple(row.tolist())))
    progress(f"{cells:,} cells")
    first = arrange("open", features.digest, features.names, examples).digest
    rng.shuffle(examples)
    again = arrange("open", features.digest, features.names, examples).digest
    return [
        Row("features.F45", f"{cells:,} cells as of a moment against the log cut by hand", "0 leaked", f"{leaked} leaked; {informed:,} would differ with what became known later", leaked == 0 and informed > 0),
        Row("features.F45", "the same set assembled again, in another order", "the same hash", "the same" if first == again else "another", first == again),
    ]  # fmt: skip


def fading(full: bool, progress: Progress) -> list[Row]:
    """F47: counters that fade, counted as they come, all at once, in parts, replayed, undone, with another half-life, and asked in the past."""
    rng = chance(SEED + 2)
    keys, each = (2_000, 100) if full else (200, 50)
    wrong = past = other = 0
    for _ in range(keys):
        told = [END - timedelta(microseconds=rng.randrange(400 * 86_400_000_000)) for _ in range(each)]
        days, changed = rng.choice((1 / 24, 1.0, 7.0, 14.0, 60.0)), rng.uniform(0.1, 400)
        stream = Fading.of(days)
        for place, moment in enumerate(told):
            if place % 10 == 0:  # a restart: what was written down is read back
                stream = Fading.unpack(stream.pack())
            stream.add(moment)
        parts = Fading.of(days, told[each // 2 :]).join(Fading.of(days, told[: each // 2]))
        undone = Fading.of(days, [*told, *told])
        for moment in told:
            undone.take(moment)
        batch = Fading.of(days, sorted(told))
        wrong += len({one.pack() + one.at(END).hex().encode() for one in (stream, parts, undone, batch)}) - 1
        then = END - timedelta(days=rng.uniform(0, 300))
        running = Fading.of(days)
        for moment in sorted(told):
            if moment > then:
                break
            running.add(moment)
        replayed = Fading.of(days, [one for one in reversed(told) if one <= then])
        past += running.at(then).hex() != replayed.at(then).hex()
        rebuilt = Fading.of(changed)
        for moment in rng.sample(told, each):
            rebuilt.add(moment)
        other += rebuilt.pack() != Fading.of(changed, told).pack()
    progress(f"{keys * each:,} moments")
    path = _one_path(rng, 400 if full else 60)
    what = f"{keys:,} counters of {each} moments"
    return [
        Row("features.F47", f"{what}: as they come with restarts, at once, in parts, undone", "0 differ", f"{wrong} differ", wrong == 0),
        Row("features.F47", f"{what}: another half-life", "0 differ", f"{other} differ", other == 0),
        Row("features.F47", f"{what}: asked at a moment of the past", "0 differ", f"{past} differ", past == 0),
        Row("features.F47", "the declared feature against a counter that went on as events came", "0 differ", f"{path} differ", path == 0),
    ]  # fmt: skip


def reading(full: bool, progress: Progress) -> list[Row]:
    """F48: fifty candidates times forty features and more, as a decision puts them together; and four times as many features."""
    names = FeatureSet.open().names
    reads = READS if full else READS // 10
    # The best of three: what the machine does besides is not the reading's.
    begun = {
        size: min((_reads(size, reads) for _ in range(3)), key=lambda one: one[1])
        for size in (len(names) // 4, len(names), 4 * len(names))
    }
    here = begun[len(names)]
    growth = begun[4 * len(names)][0] / begun[len(names) // 4][0]
    progress(", ".join(f"{size} features: median {one[0]:.3f} ms" for size, one in begun.items()))
    return [
        Row("features.F48", f"50 candidates x {len(names)} features, {reads:,} reads, the best of three", f"p99 <= {P99_MS} ms", f"p50 {here[0]:.3f}, p99 {here[1]:.3f} ms", here[1] <= P99_MS),
        Row("features.F48", "sixteen times as many features", "at most four times the median", f"{growth:.1f} times", growth <= 4),
    ]  # fmt: skip


def _through_the_hot_store(features: FeatureSet, person: PersonId, row: Floats, at: datetime) -> tuple[float, ...]:
    made = HotProfile(
        person=person, purpose=PURPOSE, at=at, until=at, feature_set=features.digest, rules="", graph_version=GraphVersion(1),
        consent_version=1, profile_version=1, permitted=True, features=tuple(row.tolist()), permissions={}, reach={}, sure=1.0,
        segments=frozenset(), origins=(),
    )  # fmt: skip
    read = unpack(pack(made))
    assert read is not None
    return read.features


def _one_path(rng: random.Random, count: int) -> int:
    """How often a declared feature and a counter that was told of each event as it came disagree."""
    features = FeatureSet(parse(
        "version: b\nfeatures: [{name: it, take: decayed, event: Product Viewed, half_life_days: 14}]"
    ))  # fmt: skip
    differ = 0
    for raw in people(count, SEED + 3):
        at = END - timedelta(hours=rng.randrange(24 * 100))
        counter = Fading.of(14)
        for one in sorted(raw.events, key=lambda event: (event.known_time, event.event_id)):
            if one.name == "Product Viewed" and not one.machine and max(one.event_time, one.known_time) <= at:
                counter.add(one.event_time)
        told = features.row(see(raw, state(raw.person), PURPOSE, at), at)[0]
        differ += float(told).hex() != counter.at(at).hex()
    return differ


def _reads(size: int, reads: int) -> tuple[float, float]:
    """Median and 99th percentile in ms of making the rows that a model scores."""
    names = tuple(f"f{place}" for place in range(size))
    arms = tuple(
        Arm(variant=f"v{n}", channel="web", purpose=PURPOSE, order=n, epsilon=0.2, category=f"c{n % 7}")
        for n in range(50)
    )
    columns = (*names, *(f"variant=v{n}" for n in range(50)), "channel=web", *(f"category=c{n}" for n in range(7)))
    inputs = Inputs(
        at=END.isoformat(), person="per_1", placement="open", personalize_under=PURPOSE, arms=arms, permits={}, reach={},
        versions=Versions(graph=1, consent=1, profile=1, catalogue="", feature_set="", policy="", model=None),
        feature_names=names, features=tuple(float(n) for n in range(size)),
    )  # fmt: skip
    took: list[float] = []
    for _ in range(reads):
        begun = time.perf_counter()
        candidate_rows(columns, inputs, arms)
        took.append((time.perf_counter() - begun) * 1000)
    return float(np.percentile(took, 50)), float(np.percentile(took, 99))


def _bits(rows: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.ascontiguousarray(rows, dtype="<f8").view("<u8")


SECTIONS: Final = (
    Section("same_bits", "features served and features kept", run=same_bits),
    Section("blind_to_later", "features as of a moment", run=blind_to_later),
    Section("fading", "counters that fade", run=fading),
    Section("reading", "features of fifty candidates", run=reading, alone=True),
    Section("repurchase", "purchases of a real shop, and a leak", over_files=repurchase),
)
