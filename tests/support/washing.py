"""A test's database made like its template again: far cheaper than a new one.

Making and dropping a database copies some fifteen hundred files and waits for a checkpoint each; most tests write to a dozen tables. What a test
may have changed is found by asking the catalogue, not by trusting the test: whatever is not rows makes the database
unfit, and the next test gets a new one.
"""

from dataclasses import dataclass

import psycopg

# Everything but rows: relations with their columns and rights, functions, triggers, policies, constraints, schemas, extensions, settings of the database.
_SHAPE = """
SELECT md5(concat_ws('|',
  (SELECT string_agg(concat_ws(' ', oid, relname, relkind, relnatts, relchecks, relhastriggers, relrowsecurity, relpersistence, relowner, reloptions,
     relacl), ',' ORDER BY oid) FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_|^information_schema$'),
  (SELECT string_agg(concat_ws(' ', attrelid, attnum, attname, atttypid, attnotnull, atthasdef, attisdropped, attacl), ',' ORDER BY attrelid, attnum)
     FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0 AND attrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = 'pg_toast'::regnamespace)),
  (SELECT string_agg(concat_ws(' ', oid, proname, md5(prosrc), proacl), ',' ORDER BY oid) FROM pg_proc
     WHERE oid >= 16384 OR proacl IS NOT NULL),
  (SELECT string_agg(concat_ws(' ', oid, relacl), ',' ORDER BY oid) FROM pg_class WHERE oid < 16384 AND relacl IS NOT NULL),
  (SELECT string_agg(concat_ws(' ', oid, tgname, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
  (SELECT string_agg(concat_ws(' ', oid, conname, convalidated, conbin), ',' ORDER BY oid) FROM pg_constraint),
  (SELECT string_agg(concat_ws(' ', oid, polname, polqual, polwithcheck), ',' ORDER BY oid) FROM pg_policy),
  (SELECT string_agg(concat_ws(' ', oid, nspname, nspacl), ',' ORDER BY oid) FROM pg_namespace WHERE nspname !~ '^pg_'),
  (SELECT string_agg(extname || extversion, ',' ORDER BY oid) FROM pg_extension),
  (SELECT string_agg(concat_ws(' ', setrole, setconfig), ',' ORDER BY setrole)
     FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
  (SELECT concat_ws(' ', datacl, datdba, datallowconn, datconnlimit) FROM pg_database WHERE datname = current_database())))
"""
_WRITTEN = """
SELECT oid::regclass::text, pg_relation_size(oid) <= 8192 AND (reltoastrelid = 0 OR pg_relation_size(reltoastrelid) = 0) FROM pg_class
WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$' AND pg_relation_size(oid) > 0 ORDER BY oid
"""
# What ANALYZE found out, so that queries are planned as in a new database.
_FORGET = """
SELECT pg_clear_relation_stats(relnamespace::regnamespace::text, relname) FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$' AND reltuples >= 0
"""
_PARTS = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relispartition ORDER BY oid"
_GUARDS = """
SELECT tgrelid::regclass::text, quote_ident(tgname) FROM pg_trigger
WHERE tgenabled = 'A' AND tgtype & 40 <> 0  -- also for replicas; before TRUNCATE (32), before DELETE (8)
"""
_COUNTED = "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Fresh:
    """How a database looks that nobody has used: its shape, the rows of tables that are not empty, where sequences stand."""

    shape: str
    parts: frozenset[str]
    rows: dict[str, bytes]
    counts: dict[str, int | None]


def look(conn: psycopg.Connection) -> Fresh:
    """What is to be the same again after a test."""
    return Fresh(
        _shape(conn),
        frozenset(_listed(conn, _PARTS)),
        {name: _rows(conn, name) for name in _written(conn)},
        _counts(conn),
    )


def wash(conn: psycopg.Connection, fresh: Fresh) -> bool:
    """Makes rows and sequences what they were; False when more than these was changed. `conn` is a superuser's, in autocommit, and the only one."""
    for part in _listed(conn, _PARTS):
        if part not in fresh.parts:  # a table by months gets what a test's clock asks for
            conn.execute(f"DROP TABLE {part}")
    if _shape(conn) != fresh.shape:
        return False
    written = {
        name: small
        for name, small in _written(conn).items()
        if name not in fresh.rows or fresh.rows[name] != _rows(conn, name)
    }
    with conn.transaction():
        # Rows that refuse to be deleted are refused by triggers.
        conn.execute("SET LOCAL session_replication_role = replica")
        reached = set(written) if all(written.values()) else None  # a TRUNCATE goes on to tables that refer to its own
        guards = [
            guard
            for guard in (conn.execute(_GUARDS).fetchall() if written else [])
            if not reached or guard[0] in reached
        ]
        for table, name in guards:
            conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
        # What fits on a page is deleted: new files for a table and each of its indexes cost far more. More pages are truncated, so that
        # rows always lie in the order in which a test wrote them.
        if small := [f"DELETE FROM {name}" for name in written if written[name]]:
            conn.execute("; ".join(small))
        if large := [name for name in written if not written[name]]:
            conn.execute(f"TRUNCATE {', '.join(large)} CASCADE")
        for name, rows in fresh.rows.items():
            if _rows(conn, name) != rows:
                with conn.cursor().copy(f"COPY {name} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(rows)
        for table, name in guards:
            conn.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
        for name, count in _counts(conn).items():
            if count != fresh.counts[name]:
                conn.execute(
                    "SELECT setval(%s, %s, %s)", (name, fresh.counts[name] or 1, fresh.counts[name] is not None)
                )
    conn.execute(_FORGET)
    return True


def _shape(conn: psycopg.Connection) -> str:
    return str(_one(conn, _SHAPE))


def _written(conn: psycopg.Connection) -> dict[str, bool]:
    """The tables with anything in their files, and whether that is a single page."""
    return dict(conn.execute(_WRITTEN).fetchall())


def _listed(conn: psycopg.Connection, query: str) -> list[str]:
    return [str(name) for (name,) in conn.execute(query).fetchall()]


def _rows(conn: psycopg.Connection, table: str) -> bytes:
    with conn.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy:
        return b"".join(bytes(part) for part in copy)


def _counts(conn: psycopg.Connection) -> dict[str, int | None]:
    return {str(name): value for name, value in conn.execute(_COUNTED).fetchall()}


def _one(conn: psycopg.Connection, query: str) -> object:
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]
