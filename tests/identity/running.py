"""A small shop's records in the store and whole linkage runs over them, for the tests of reasons, runs and ids."""

import random
from dataclasses import replace
from datetime import UTC, datetime

from identity.batch import prepare
from identity.identifiers import Identifier
from identity.kinds import Overrides, infer
from identity.parameters import parameters
from identity.records import NewRecord, linkage_kinds
from identity.run_store import Run
from identity.service import Identity
from kernel.ids import RecordId
from kernel.kernel import Kernel
from tests.identity.linkage_world import FAMILY, GIVEN, typo

SEEN = datetime(2026, 1, 1, tzinfo=UTC)


def shop(people: int = 40, seed: int = 5, source: str = "shop") -> list[NewRecord]:
    """One to three records a person, mistyped, in no order; the key says whose they are."""
    rng = random.Random(seed)
    made = []
    for who in range(people):
        first, last = rng.choice(GIVEN), rng.choice(FAMILY)
        birth = f"{rng.randint(1930, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        street = f"{rng.randint(1, 90)} {rng.choice(FAMILY)} street"
        for which in range(rng.randint(1, 3)):
            traits = {
                "first_name": typo(first, rng) if rng.random() < 0.15 else first,
                "last_name": typo(last, rng) if rng.random() < 0.15 else last,
                "birth_date": birth,
                "street": street if rng.random() < 0.8 else f"{rng.randint(1, 90)} {rng.choice(FAMILY)} street",
            }
            held = (Identifier("email", f"{first}.{last}{who}@example.org"),) if rng.random() < 0.5 else ()
            made.append(
                NewRecord(
                    source=source,
                    source_key=f"{who}-{which}-{seed}",
                    identifiers=held,
                    traits=traits,
                    kinds={name: name for name in traits},
                    observed_at=SEEN,
                    purpose="service",
                    basis="contract",
                )
            )
    rng.shuffle(made)
    return made


async def take(kernel: Kernel, identity: Identity, records: list[NewRecord]) -> list[RecordId]:
    async with kernel.db.transaction() as conn:
        return await identity.add_records(conn, records)


async def run(kernel: Kernel, identity: Identity, seed: int = 1) -> Run:
    """Read, train, weigh, cluster and publish, as the walk does."""
    read_at = kernel.clock.now()
    async with kernel.db.reading() as conn:
        table = await identity.linkage_table(conn)
    declared = linkage_kinds(table)
    kinds = infer(
        table,
        Overrides(record_id="record_id", kinds=declared, unique=[n for n in declared if declared[n] == "login_id"]),
    )
    prepared = prepare(table, kinds)
    ids = [RecordId(value) for value in table.column("record_id").to_pylist()]
    model = prepared.train(seed)
    edges = prepared.edges(model)
    async with kernel.db.reading() as conn:
        bounds = await identity.limiting.bounds(conn, ids)
    clusters = prepared.cluster(edges, model, bounds=bounds)
    written = identity.runs.write(prepared, parameters(prepared.cleaned, kinds, model), edges, clusters, read_at)
    return await identity.runs.publish(written, clusters, ids, edges.above(0.0))


def but(record: NewRecord, **traits: str) -> NewRecord:
    """The same row saying something else."""
    return replace(record, traits={**record.traits, **traits}, source_key=record.source_key + "-but")
