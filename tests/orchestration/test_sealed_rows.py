"""On real rows: what was sealed for one row, column or person opens in no other (consent.K3), and no data key lies in the clear (consent.K4)."""

import psycopg
import pytest
from psycopg import sql

from identity.identifiers import Identifier
from kernel.errors import CandorError
from kernel.vault import SealedWordsAltered

pytestmark = pytest.mark.anyio

# table, its id, what is sealed in it
SEALED = [
    ("identity.records", "record_id", "body"),
    ("identity.identifiers", "identifier_id", "value"),
    ("channels.deliveries", "delivery_id", "content"),
    ("decision.decisions", "id", "sealed"),
    ("audit.openings", "entry_id", "sealed"),
]


@pytest.fixture
async def two(shop):
    """Two people with records, contacts, decisions, deliveries and entries of their own."""
    people = [await shop.person("ada"), await shop.person("bea")]
    made = [await shop.decide(person, send=True) for person in people]
    assert all(one.delivery_id for one in made)
    return people, made


async def rows_of(shop, table: str, row: str, column: str):
    found = await shop.rows(f"SELECT {row} AS id, key_id, {column} AS sealed FROM {table} WHERE {column} IS NOT NULL")
    return [(one["id"], one["key_id"], bytes(one["sealed"])) for one in found]


@pytest.mark.parametrize(("table", "row", "column"), SEALED)
async def test_a_ciphertext_opens_in_its_own_row_and_in_no_other(shop, two, table, row, column):
    held = await rows_of(shop, table, row, column)
    keys = await shop.kernel.vault.unwrap({key_id for _, key_id, _ in held})
    assert len(held) >= 2
    for place, (name, key_id, sealed) in enumerate(held):
        assert keys[key_id].open(table, column, name, sealed) is not None
        other, other_key, foreign = held[place - 1]
        with pytest.raises(SealedWordsAltered):
            keys[key_id].open(table, column, name, foreign)  # another row's words put here
        with pytest.raises(SealedWordsAltered):
            keys[other_key].open(table, column, name, foreign)  # with its key beside it
        with pytest.raises(SealedWordsAltered):
            keys[key_id].open(table, f"{column}2", name, sealed)
        with pytest.raises(SealedWordsAltered):
            keys[key_id].open("another.table", column, name, sealed)
        assert other != name


@pytest.mark.parametrize("with_key", [False, True])
async def test_a_swap_behind_our_back_is_told_and_never_read(shop, two, addresses, with_key):
    (ada, bea), made = two
    what = [sql.SQL("{c} = b.{c}").format(c=sql.Identifier(c)) for c in ("sealed", *(["key_id"] if with_key else []))]
    with psycopg.connect(addresses.owner, autocommit=True) as conn:
        conn.execute(
            sql.SQL("UPDATE decision.decisions a SET {} FROM decision.decisions b WHERE a.id <> b.id").format(
                sql.SQL(", ").join(what)
            )
        )
        words = [
            sql.SQL("{c} = b.{c}").format(c=sql.Identifier(c)) for c in ("value", *(["key_id"] if with_key else []))
        ]
        conn.execute(
            sql.SQL(
                "UPDATE identity.identifiers a SET {} FROM identity.identifiers b WHERE a.kind = 'email' AND b.kind = 'email'"
                " AND a.identifier_id <> b.identifier_id"
            ).format(sql.SQL(", ").join(words))
        )
    for one in made:
        with pytest.raises(CandorError) as caught:
            await shop.decisions.show(one.decision_id)
        assert caught.value.code in {"sealed_words_altered", "decision_altered"}
    async with shop.kernel.db.reading() as conn:
        for person in (ada, bea):
            with pytest.raises(SealedWordsAltered):
                await shop.identity.identifiers(conn, [person])


async def test_no_data_key_lies_in_the_clear(shop, two, engines):
    async with shop.kernel.keys_db.transaction() as conn:
        found = await (await conn.execute("SELECT key_id, kek_id, wrapped FROM keys.subject_keys")).fetchall()
        await conn.execute("CHECKPOINT")
        own = [
            await (
                await conn.execute(
                    "SELECT pg_relation_filepath(oid) AS f FROM pg_class WHERE relname ~ '^subject_keys_[01]$'"
                )
            ).fetchall()
        ]
    clear = await shop.kernel.secrets.unwrap([(one["key_id"], one["kek_id"], bytes(one["wrapped"])) for one in found])
    assert len(clear) > 4
    pages = b"".join((engines.postgres.data / one["f"]).read_bytes() for part in own for one in part)
    assert bytes(found[0]["wrapped"]) in pages, "the search sees the rows"
    assert not [key for key in clear if key in pages or key.hex().encode() in pages]


async def test_a_row_of_somebody_else_finds_nobody_under_her_address(shop, two):
    async with shop.kernel.db.reading() as conn:
        (found,) = await shop.identity.resolve(conn, [[Identifier("email", "ada@example.org")]])
    assert found.person == two[0][0]
