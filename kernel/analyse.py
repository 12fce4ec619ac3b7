"""Fresh statistics after a bulk load, for the tables that need them.

Enters: names of tables. Leaves: those that were looked at. A planner that believes a table to be empty makes plans that crawl; a table that hardly changed since it was last looked at
is left alone, because looking at it costs a second.
"""

from collections.abc import Sequence

from kernel.db import Conn

_NEEDED = """
SELECT w.name FROM unnest(%s::text[]) AS w(name) JOIN pg_class c ON c.oid = w.name::regclass
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.n_mod_since_analyze), 0) AS changed, coalesce(sum(s.n_live_tup), 0) AS rows
    FROM pg_stat_user_tables s
    WHERE s.relid = c.oid OR s.relid IN (SELECT p.relid FROM pg_partition_tree(c.oid) p)
) x
WHERE c.reltuples < 20000 OR x.changed > 0.2 * x.rows   -- small ones cost nothing; their counts may lag a second behind
ORDER BY 1
"""


async def analyse(conn: Conn, tables: Sequence[str]) -> list[str]:
    """Look again at those of these tables (with their partitions) that are small or changed by a fifth."""
    got = await conn.execute(_NEEDED, (list(tables),))
    names = [str(row["name"]) for row in await got.fetchall()]
    if names:
        await conn.execute(f"ANALYZE {', '.join(names)}")
    return names
