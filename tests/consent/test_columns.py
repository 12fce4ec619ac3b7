"""Every stored column has a category, a purpose, a basis and a rule, or this fails (consent.K1)."""

import psycopg
import pytest

from consent import columns, schedule
from consent.errors import RetentionInvalid
from consent.schedule import Schedule
from kernel.engines import Addresses

# Partitions have the columns of their table; what Postgres keeps for itself is not ours.
_STORED = """
SELECT n.nspname || '.' || c.relname AS t, a.attname AS c FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
NAMED = columns.load(schedule.load())


def stored(*urls: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for url in urls:
        with psycopg.connect(url) as conn:
            found |= set(conn.execute(_STORED).fetchall())
    return found


def test_every_column_of_both_databases_is_named_and_every_name_is_a_column(addresses: Addresses) -> None:
    held, named = stored(addresses.owner, addresses.keys_owner), {(one.table, one.column) for one in NAMED}
    assert sorted(held - named) == [], (
        "columns without category, purpose, basis and rule: add them to consent/data/columns.yaml"
    )
    assert sorted(named - held) == [], (
        "columns that are not stored any more: take them out of consent/data/columns.yaml"
    )


def test_a_new_column_is_found(addresses: Addresses) -> None:
    with psycopg.connect(addresses.owner) as conn:
        conn.execute("ALTER TABLE consent.notices ADD COLUMN author text")
        assert ("consent.notices", "author") in set(conn.execute(_STORED).fetchall()) - {
            (one.table, one.column) for one in NAMED
        }
        conn.rollback()


def test_every_word_of_a_person_is_sealed_and_every_kind_of_the_schedule_has_columns() -> None:
    assert all(one.until and one.purpose and one.basis and one.data for one in NAMED)
    assert {one.column for one in NAMED if one.category == "sealed"} >= {
        "body",
        "value",
        "words",
        "raw",
        "content",
        "sealed",
    }
    kinds = {rule.kind for rule in schedule.load().rules}
    assert kinds <= {one.until.split(":")[0] for one in NAMED}


def test_a_rule_that_the_schedule_lacks_is_refused() -> None:
    whole = schedule.load()
    without = Schedule(whole.version, tuple(one for one in whole.rules if one.kind != "events"))
    with pytest.raises(RetentionInvalid, match="rule events"):
        columns.load(without)


def test_what_a_rule_of_the_schedule_lets_go_the_house_may_take_away(addresses: Addresses) -> None:
    """Rows whose time is over are deleted, or whoever they are about is taken off them: without the grant a rule is a promise that nobody can keep."""
    ends = {rule.kind for rule in schedule.load().rules}
    ruled: dict[str, set[str]] = {}
    for one in NAMED:
        if one.until.split(":")[0] in ends and one.category in {"pseudonym", "sealed"}:
            ruled.setdefault(one.table, set()).add(one.column)
    may = (
        "SELECT has_table_privilege('candor_app', %(t)s, 'DELETE')"
        " OR bool_or(has_column_privilege('candor_app', %(t)s, c, 'UPDATE')) FROM unnest(%(c)s::text[]) AS c"
    )
    with psycopg.connect(addresses.owner) as conn:
        kept = [
            t for t, c in sorted(ruled.items()) if conn.execute(may, {"t": t, "c": sorted(c)}).fetchone() != (True,)
        ]
    assert kept == [], f"the rule ends them, and the app may neither delete them nor take anybody off them: {kept}"
