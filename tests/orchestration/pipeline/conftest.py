"""A whole house with a few people in it, and a way to break its tables."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from consent.acts import NewAct, Notice
from events.log import NewEvent, Source
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.engines import Addresses
from kernel.kernel import Kernel
from orchestration.settings import Settings
from orchestration.wiring import House, build
from tests.support.engines import RunEngines

NOTICE = Notice.of("May we?", version="v1", language="en")


@pytest.fixture
async def house(kernel: Kernel) -> AsyncIterator[House]:
    made = build(Settings(kernel=kernel.settings, learning={"trees": 20, "repeats": 1, "least_rows": 50}), kernel)
    yield made
    await made.events.close()
    await made.decisions.close()


@pytest.fixture
def broken(addresses: Addresses) -> Callable[..., None]:
    """Run a statement as the owner of the tables: what the application itself may not do."""

    def run(statement: str, *values: object) -> None:
        with psycopg.connect(addresses.owner) as conn:
            conn.execute(statement, values)

    return run


@pytest.fixture
def superuser(engines: RunEngines, addresses: Addresses) -> Iterator["psycopg.Connection[object]"]:
    """A superuser's connection to the test's database, who can do what triggers forbid the owner."""
    name = psycopg.conninfo.conninfo_to_dict(addresses.database)["dbname"]
    with psycopg.connect(engines.postgres.url(name, "postgres"), autocommit=True) as conn:
        yield conn


async def settle(house: House, names: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """People with an e-mail address, a log-in, some traits, an order each, and the purposes that they agree to; their ids."""
    now = house.kernel.clock.now()
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("shop", "marketing.personalize", "consent"))
        contacts = [Identifier("email", f"{name}@example.org") for name in names]
        records = await house.identity.add_records(conn, [
            NewRecord(
                source="shop", source_key=name, identifiers=(contact, Identifier("login_id", name)),
                traits={"first_name": name.title(), "birth_date": f"19{50 + place}-01-0{1 + place % 9}"}, kinds={}, observed_at=now - timedelta(days=30),
                purpose="service", basis="contract", also_for=("marketing.personalize",),
            )
            for place, (name, contact) in enumerate(zip(names, contacts, strict=True))
        ])  # fmt: skip
        ids = await house.identity.register_identifiers(conn, contacts)
        await house.consent.record(conn, [
            NewAct(
                subject=one, purpose=purpose, status="granted", channel=None, basis="consent", jurisdiction="gdpr", notice=NOTICE,
                mechanism="form", actor="web", given_at=now - timedelta(days=20),
            )
            for one, purposes in zip(ids, names.values(), strict=True) for purpose in purposes
        ])  # fmt: skip
        await house.events.note(conn, [
            NewEvent("Order Completed", now - timedelta(days=3), "shop", "marketing.personalize", "consent", record_id=record,
                     properties={"revenue": 10.0 + place})
            for place, record in enumerate(records)
        ])  # fmt: skip
        found = await house.identity.resolve(conn, [[contact] for contact in contacts])
    return {name: str(one.person) for name, one in zip(names, found, strict=True)}


YES = ("marketing.email", "marketing.personalize")
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
