"""Why: a waterfall that sums to the stored weight, from words opened in memory; the weakest link where there is no direct edge."""

from math import fsum

from tests.identity.running import run, shop, take


async def test_every_stored_weight_is_told_term_by_term(kernel, identity) -> None:
    await take(kernel, identity, shop())
    made = await run(kernel, identity)
    async with kernel.db.reading() as conn:
        before = await identity.why(conn, *await two(conn))
        cursor = await conn.execute("SELECT record_a, record_b, weight FROM identity.edges ORDER BY 1, 2")
        edges = await cursor.fetchall()
        assert len(edges) > 20
        for edge in edges:
            told = await identity.reasons.why(conn, edge["record_a"], edge["record_b"], words=True)
            drawn = told.waterfall
            assert drawn is not None
            assert drawn.stored
            assert drawn.explained
            assert drawn.model == made.card.model
            assert abs(fsum(bar.weight for bar in drawn.bars) - edge["weight"]) < 1e-9
    assert before.waterfall is not None
    assert {bar.sort for bar in before.waterfall.bars} >= {"start", "field", "relatives", "rounding"}
    assert before.waterfall.words is None


async def two(conn):
    cursor = await conn.execute("SELECT record_a, record_b FROM identity.edges ORDER BY weight DESC LIMIT 1")
    row = await cursor.fetchone()
    return row["record_a"], row["record_b"]
