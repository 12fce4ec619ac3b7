"""All SQL on items, on what sources list of them, and on what is published of them.

Contract: every function runs in the caller's transaction. Whoever changes what is offered calls `bump` in it, so that decisions made on
what was offered before are fenced off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from kernel.canonical import Json
from kernel.db import Conn
from orchestration.decision.items import Item

_MARK: Final = "\x1f"  # parts the regions of a row on their way in; no feed has it


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow:
    """One row of a feed. None leaves the item's value as it is; `regions` () means everywhere, `stock` -1 not counted."""

    item_id: str
    title: str | None = None
    category: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    rating: Decimal | None = None
    regions: tuple[str, ...] | None = None
    stock: int | None = None
    locale: str | None = None
    brand: str | None = None
    url: str | None = None
    image: str | None = None
    content_rating: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Items that go together: the primary one and its companions."""

    bundle_id: str
    primary_id: str
    items: tuple[str, ...]
    discount: float
    score: float
    title: str | None = None
    declared: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: new items, changed ones, and those of both that some source lists."""

    fresh: frozenset[str]
    changed: frozenset[str]
    listed: frozenset[str]


_COLUMNS: Final = tuple(one.name for one in fields(FeedRow))
_TYPES: Final = {"price": "numeric", "rating": "numeric", "stock": "int"}
_ROWS: Final = (
    "unnest("
    + ", ".join(f"%({name})b::{_TYPES.get(name, 'text')}[]" for name in _COLUMNS)
    + f") AS n({', '.join(_COLUMNS)})"
)
_NEW: Final = {
    "regions": f"coalesce(string_to_array(nullif(n.regions, ''), E'{_MARK}'), '{{}}')",
    "stock": "nullif(n.stock, -1)",
}
_MERGED: Final = {
    "regions": f"CASE WHEN n.regions IS NULL THEN i.regions ELSE coalesce(string_to_array(nullif(n.regions, ''), E'{_MARK}'), '{{}}') END",
    "stock": "CASE WHEN n.stock IS NULL THEN i.stock ELSE nullif(n.stock, -1) END",
}
_REST: Final = _COLUMNS[1:]
_INSERT: Final = (
    f"INSERT INTO decision.items ({', '.join(_COLUMNS)}, source, changed_at)"
    f" SELECT {', '.join(_NEW.get(name, f'n.{name}') for name in _COLUMNS)}, %(source)b, %(at)b FROM {_ROWS}"
    " WHERE n.title IS NOT NULL ON CONFLICT (item_id) DO NOTHING RETURNING item_id"
)
_AFTER: Final = {name: _MERGED.get(name, f"coalesce(n.{name}, i.{name})") for name in _REST}
_UPDATE: Final = (
    f"UPDATE decision.items i SET {', '.join(f'{name} = {_AFTER[name]}' for name in _REST)}, source = %(source)b, changed_at = %(at)b"
    f" FROM {_ROWS} WHERE i.item_id = n.item_id"
    f" AND ({', '.join(f'i.{name}' for name in _REST)}) IS DISTINCT FROM ({', '.join(_AFTER[name] for name in _REST)})"
    " RETURNING i.item_id, i.listed"
)
_ITEM: Final = tuple(one for one in _COLUMNS)


async def known(conn: Conn, ids: Sequence[str]) -> set[str]:
    """Those of these that are items already."""
    got = await conn.execute("SELECT item_id FROM decision.items WHERE item_id = ANY(%b)", (list(ids),))
    return {row["item_id"] async for row in got}


async def put(conn: Conn, rows: Sequence[FeedRow], *, source: str, at: datetime) -> Taken:
    """Take rows, each item at most once; a new one needs a title."""
    have = await known(conn, [row.item_id for row in rows])
    new = [row for row in rows if row.item_id not in have]
    fresh: set[str] = set()
    if new:
        got = await conn.execute(_INSERT, _arrays(new) | {"source": source, "at": at})
        fresh = {row["item_id"] async for row in got}
    changed: dict[str, bool] = {}
    if old := [row for row in rows if row.item_id in have]:
        got = await conn.execute(_UPDATE, _arrays(old) | {"source": source, "at": at})
        changed = {row["item_id"]: row["listed"] async for row in got}
    return Taken(frozenset(fresh), frozenset(changed), frozenset(name for name, listed in changed.items() if listed))


def _arrays(rows: Sequence[FeedRow]) -> dict[str, Any]:
    found: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
    found["regions"] = [None if row.regions is None else _MARK.join(row.regions) for row in rows]
    return found


async def items(conn: Conn, ids: Sequence[str]) -> dict[str, Item]:
    """Items by id; unknown ones are absent."""
    got = await conn.execute(f"SELECT {', '.join(_ITEM)} FROM decision.items WHERE item_id = ANY(%b)", (list(ids),))
    return {row["item_id"]: _item(row) async for row in got}


async def listed(conn: Conn) -> dict[str, Item]:
    """Every item that some source lists."""
    got = await conn.execute(f"SELECT {', '.join(_ITEM)} FROM decision.items WHERE listed")
    return {row["item_id"]: _item(row) async for row in got}


def _item(row: Mapping[str, Any]) -> Item:
    values = {name: row[name] for name in _ITEM}
    values["regions"] = tuple(values["regions"])
    values["rating"] = None if values["rating"] is None else float(values["rating"])
    return Item(**values)


async def counted(conn: Conn) -> int:
    """How many items there are."""
    got = await conn.execute("SELECT count(*) AS n FROM decision.items")
    row = await got.fetchone()
    return int(row["n"]) if row is not None else 0


async def best_rated(conn: Conn, most: int) -> dict[str, list[str]]:
    """Of every category the items that are rated best and not sold out, by walking the index from category to category."""
    got = await conn.execute(
        "WITH RECURSIVE kinds AS ("
        " (SELECT category FROM decision.items WHERE category IS NOT NULL ORDER BY category LIMIT 1)"
        " UNION ALL SELECT (SELECT i.category FROM decision.items i WHERE i.category > kinds.category ORDER BY i.category LIMIT 1)"
        " FROM kinds WHERE kinds.category IS NOT NULL)"
        " SELECT k.category, b.item_id FROM kinds k CROSS JOIN LATERAL (SELECT i.item_id, i.rating FROM decision.items i"
        "  WHERE i.category = k.category AND i.stock IS DISTINCT FROM 0 ORDER BY i.rating DESC NULLS LAST, i.item_id LIMIT %b) AS b"
        " WHERE k.category IS NOT NULL ORDER BY k.category, b.rating DESC NULLS LAST, b.item_id",
        (most,),
    )
    found: dict[str, list[str]] = {}
    async for row in got:
        found.setdefault(row["category"], []).append(row["item_id"])
    return found


async def replace_lists(conn: Conn, lists: Mapping[tuple[str, str], Sequence[tuple[str, float]]]) -> None:
    """What sources list from now on."""
    await conn.execute("DELETE FROM decision.lists")
    async with (
        conn.cursor() as cursor,
        cursor.copy("COPY decision.lists (source, key, items, scores) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["text", "text", "text[]", "float4[]"])
        for (source, key), ranked in lists.items():
            await copy.write_row((source, key, [name for name, _ in ranked], [score for _, score in ranked]))


async def lists(conn: Conn) -> dict[tuple[str, str], tuple[str, ...]]:
    """What every source lists, best first."""
    got = await conn.execute("SELECT source, key, items FROM decision.lists")
    return {(row["source"], row["key"]): tuple(row["items"]) async for row in got}


async def replace_bundles(conn: Conn, bundles: Sequence[Bundle], *, declared: bool | None = None) -> None:
    """These bundles in place of all, or of the declared or found ones only."""
    await conn.execute(
        "DELETE FROM decision.bundles WHERE %(kind)s::boolean IS NULL OR declared = %(kind)s OR bundle_id = ANY(%(ids)s)",
        {"kind": declared, "ids": [one.bundle_id for one in bundles]},
    )
    await conn.cursor().executemany(
        "INSERT INTO decision.bundles (bundle_id, primary_id, items, discount, score, title, declared)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [(b.bundle_id, b.primary_id, list(b.items), b.discount, b.score, b.title, b.declared) for b in bundles],
    )


async def bundles(conn: Conn) -> list[Bundle]:
    """Every bundle: declared ones first, then by score."""
    got = await conn.execute(
        "SELECT bundle_id, primary_id, items, discount, score, title, declared FROM decision.bundles"
        " ORDER BY declared DESC, score DESC, bundle_id"
    )
    return [
        Bundle(
            bundle_id=row["bundle_id"], primary_id=row["primary_id"], items=tuple(row["items"]), discount=row["discount"],
            score=row["score"], title=row["title"], declared=row["declared"],
        )
        async for row in got
    ]  # fmt: skip


async def mark_listed(conn: Conn, ids: Iterable[str]) -> None:
    """Exactly these are listed."""
    wanted = list(ids)
    await conn.execute("UPDATE decision.items SET listed = false WHERE listed AND NOT item_id = ANY(%b)", (wanted,))
    await conn.execute("UPDATE decision.items SET listed = true WHERE item_id = ANY(%b) AND NOT listed", (wanted,))


async def put_contents(conn: Conn, contents: Sequence[tuple[str, str, str, Json]], at: datetime) -> int:
    """Publish (variant, item, digest, words); those that are published stay as they are. The number of new ones."""
    if not contents:
        return 0
    got = await conn.execute(
        "INSERT INTO decision.item_contents (variant, item_id, digest, words, published_at)"
        " SELECT variant, item_id, digest, words::jsonb, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])"
        " AS n(variant, item_id, digest, words) ON CONFLICT (variant) DO NOTHING",
        (
            at,
            [one[0] for one in contents],
            [one[1] for one in contents],
            [one[2] for one in contents],
            [orjson.dumps(one[3]).decode() for one in contents],
        ),
    )
    return got.rowcount


async def contents_of(conn: Conn, ids: Sequence[str]) -> dict[str, datetime]:
    """Every published variant of these items and bundles, earlier words included, and since when there are any words of that item."""
    got = await conn.execute(
        "SELECT variant, min(published_at) OVER (PARTITION BY item_id) AS since FROM decision.item_contents WHERE item_id = ANY(%b)",
        (list(ids),),
    )
    return {row["variant"]: row["since"] async for row in got}


async def content(conn: Conn, variant: str) -> tuple[str, Json] | None:
    """Digest and words of a published variant."""
    got = await conn.execute("SELECT digest, words FROM decision.item_contents WHERE variant = %b", (variant,))
    row = await got.fetchone()
    return None if row is None else (row["digest"], row["words"])


async def bump(conn: Conn, cause: str, at: datetime) -> int:
    """What is offered has changed; the new version."""
    got = await conn.execute(
        "INSERT INTO decision.assortments (cause, made_at) VALUES (%b, %b) RETURNING version", (cause, at)
    )
    row = await got.fetchone()
    assert row is not None
    return int(row["version"])


async def version(conn: Conn) -> int:
    """The version of what is offered; 0 before anything was."""
    got = await conn.execute("SELECT coalesce(max(version), 0) AS version FROM decision.assortments")
    row = await got.fetchone()
    return int(row["version"]) if row is not None else 0


async def analyse(conn: Conn) -> None:
    """Tell Postgres what the tables look like after a bulk load."""
    await conn.execute("ANALYZE decision.items, decision.lists, decision.item_contents")
