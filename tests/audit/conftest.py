"""An `Audit` on the test's kernel, and a way past every guard of its database."""

import psycopg
import pytest

from audit.entries import NewEntry
from audit.service import Audit
from audit.settings import AuditSettings
from audit.tags import Tag


@pytest.fixture
def settings():
    return AuditSettings(origin="example.org/test-log", interval_seconds=0.05)


@pytest.fixture
def audit(kernel, settings):
    return Audit(kernel, settings)


@pytest.fixture
def act(audit, kernel):
    """Append entries in a transaction of their own: `await act(3)` or `await act(entry, …)`."""

    async def run(*what):
        entries = [one for item in what for one in (some(item) if isinstance(item, int) else [item])]
        async with kernel.db.transaction() as conn:
            return await audit.append(conn, entries)

    return run


def some(count):
    return [NewEntry(Tag.DECISION_MADE, {"decision": f"dec_{n}"}, {"choice": n}, actor="key_1") for n in range(count)]


@pytest.fixture
def superuser(engines, addresses):
    """A superuser's connection to the test's database: in the threat model."""
    name = psycopg.conninfo.conninfo_to_dict(addresses.database)["dbname"]
    with psycopg.connect(engines.postgres.url(name, "postgres"), autocommit=True) as conn:
        yield conn
