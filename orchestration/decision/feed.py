"""The item feed: rows of a file, or of any source that sends the same fields, into items (decision.D47).

Enters: mapped rows (`what: catalogue`), whose `properties` are the fields of an item. Leaves: one result a row; items, new or changed. What a
row does not say stays as it is, so a file of stocks and prices is a feed as well. A changed item that some source lists is published anew in
the same transaction, and decisions that were made on what it was are fenced off.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from events.errors import BadMap
from events.importer import RowResult
from events.mapping import Map
from events.rows import MappedRow
from kernel.canonical import Json
from kernel.clock import Clock
from kernel.db import Conn, Database
from orchestration.decision import item_store
from orchestration.decision.item_store import FeedRow

FIELDS: Final = (
    "item_id", "title", "price", "currency", "rating", "category", "region", "stock", "locale", "brand", "url", "image", "content_rating",
)  # fmt: skip
EVERYWHERE: Final = "*"
"""The word of a cell that takes a limit off: sold in every region, or a stock that nobody counts."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_WORD: Final = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MOST_TITLE: Final = 200
_MOST_ADDRESS: Final = 2000
_MOST_STOCK: Final = 2**31 - 1
_MOST_PRICE: Final = Decimal("9999999999.9999")
_PRICE_STEP: Final = Decimal("0.0001")  # as the table holds it: what is equal there must not look changed here
_RATING_STEP: Final = Decimal("0.01")


class Wrong(NamedTuple):
    """A cell that cannot be used."""

    column: str
    reason: str


Relist = Callable[[Conn, frozenset[str]], Awaitable[None]]


class ItemRows:
    """A `RowHandler` of events' importer. `relist` publishes listed items anew; it is called in the transaction of the batch."""

    def __init__(self, db: Database, clock: Clock, relist: Relist) -> None:
        self._db = db
        self._clock = clock
        self._relist = relist

    async def prepare(self, conn: Conn, given: Map) -> None:
        """Whether the map names fields of an item."""
        del conn
        strays = sorted(set(given.properties) - set(FIELDS))
        if strays or "item_id" not in given.properties:
            what = f"unknown fields {', '.join(strays)}" if strays else "none for item_id"
            raise BadMap(f"expected properties among {', '.join(FIELDS)}, item_id at least, got {what}")

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch. Of several rows about one item the last word on each field holds, wherever batches begin and end."""
        read = [read_row(row.properties) for row in rows]
        last: dict[str, int] = {}
        whole: dict[str, FeedRow] = {}
        for place, one in enumerate(read):
            if isinstance(one, FeedRow):
                last[one.item_id] = place
                whole[one.item_id] = _over(whole.get(one.item_id), one)
        untitled = {name for name, one in whole.items() if one.title is None}
        nameless = untitled - await item_store.known(conn, sorted(untitled)) if untitled else set()
        wanted = [one for name, one in whole.items() if name not in nameless]
        source = rows[0].source if rows else ""
        taken = await item_store.put(conn, wanted, source=source, at=self._clock.now())
        if taken.listed:
            await self._relist(conn, taken.listed)
        moved = taken.fresh | taken.changed
        return [
            self._result(row.line, one, place, last, nameless, moved)
            for place, (row, one) in enumerate(zip(rows, read, strict=True))
        ]

    @staticmethod
    def _result(
        line: int, one: FeedRow | Wrong, place: int, last: Mapping[str, int], nameless: set[str], moved: frozenset[str]
    ) -> RowResult:
        if isinstance(one, Wrong):
            return RowResult(line, "rejected", one.column, one.reason)
        if one.item_id in nameless:
            return RowResult(line, "rejected", "title", "expected the title of a new item, got nothing")
        fresh = last[one.item_id] == place and one.item_id in moved
        return RowResult(line, "accepted" if fresh else "duplicate")

    async def settle(self) -> None:
        """Let Postgres look at what was loaded."""
        async with self._db.transaction() as conn:
            await item_store.analyse(conn)


def _over(earlier: FeedRow | None, later: FeedRow) -> FeedRow:
    """Two rows about one item as one: what the later one does not say stays as the earlier one said."""
    if earlier is None:
        return later
    said = {one.name: value for one in fields(later) if (value := getattr(later, one.name)) is not None}
    return replace(earlier, **said)


def read_row(said: Mapping[str, Json]) -> FeedRow | Wrong:
    """A row as it is meant, or the first cell that cannot be used. Never repeats the cell's words."""
    try:
        return _read(said)
    except _Fault as fault:
        return Wrong(fault.column, fault.reason)


class _Fault(Exception):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


def _read(said: Mapping[str, Json]) -> FeedRow:
    item_id = _text(said, "item_id", "1 to 64 letters, digits, dots, dashes or underscores, which name the item", _ID)
    if item_id is None:
        raise _Fault("item_id", "expected the id of the item, got nothing")
    price, currency = _amount(said), _text(said, "currency", "a currency of three capital letters", _CURRENCY)
    if price is not None and currency is None:
        raise _Fault("currency", "expected the currency of the price, got nothing")
    return FeedRow(
        item_id=item_id,
        title=_words(said, "title", _MOST_TITLE),
        category=_words(said, "category", 64),
        price=price,
        currency=currency,
        rating=_number(said, "rating", Decimal(100), _RATING_STEP),
        regions=_regions(said.get("region")),
        stock=_stock(said.get("stock")),
        locale=_text(said, "locale", "a language tag such as de or de-AT", _LOCALE),
        brand=_words(said, "brand", 64),
        url=_address(said, "url"),
        image=_address(said, "image"),
        content_rating=_words(said, "content_rating", 64),
    )


def _plain(said: Mapping[str, Json], name: str) -> str | None:
    value = said.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Fault(name, "expected one word, got something else")
    return str(value).strip() or None


def _text(said: Mapping[str, Json], name: str, expected: str, form: re.Pattern[str]) -> str | None:
    text = _plain(said, name)
    if text is not None and not form.fullmatch(text):
        raise _Fault(name, f"expected {expected}, got other text")
    return text


def _words(said: Mapping[str, Json], name: str, most: int) -> str | None:
    text = _plain(said, name)
    if text is not None and (len(text) > most or "{{" in text or "{%" in text or any(ord(c) < 32 for c in text)):
        raise _Fault(name, f"expected one line of at most {most} characters without slots, got other text")
    return text


def _number(said: Mapping[str, Json], name: str, most: Decimal, step: Decimal) -> Decimal | None:
    text = _plain(said, name)
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise _Fault(name, "expected a number such as 12.50, got other text") from None
    if not found.is_finite() or not 0 <= found <= most:
        raise _Fault(name, f"expected a number from 0 to {most}, got another")
    return found.quantize(step, ROUND_HALF_UP)


def _amount(said: Mapping[str, Json]) -> Decimal | None:
    return _number(said, "price", _MOST_PRICE, _PRICE_STEP)


def _regions(value: Json) -> tuple[str, ...] | None:
    """A list, or words parted by `|`."""
    if value is None or value == "":
        return None
    if value == EVERYWHERE:
        return ()
    parts = value.split("|") if isinstance(value, str) else value if isinstance(value, list) else [value]
    plain = all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts)
    words = tuple(dict.fromkeys(str(part).strip() for part in parts))
    if not plain or not words or len(words) > 500 or not all(_WORD.fullmatch(word) for word in words):
        raise _Fault("region", "expected regions parted by |, got other text")
    return words


def _stock(value: Json) -> int | None:
    if value is None or value == "":
        return None
    if value == EVERYWHERE:
        return -1
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal(-1)
    # The range first: a number of a billion digits is told from a whole one only by writing it out.
    if isinstance(value, bool) or not found.is_finite() or not 0 <= found <= _MOST_STOCK or found % 1:
        raise _Fault("stock", "expected a whole number that is not below zero, got something else")
    return int(found)


def _address(said: Mapping[str, Json], name: str) -> str | None:
    text = _plain(said, name)
    if text is None:
        return None
    fit = len(text) <= _MOST_ADDRESS and text.isprintable() and " " not in text and "{{" not in text
    try:
        parts = urlsplit(text) if fit else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme != "https" or not parts.hostname:
        raise _Fault(name, "expected an address that begins with https://, got other text")
    return text
