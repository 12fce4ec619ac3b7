"""Files into the house: read, map, hand to the room that owns the rows, resume where it stopped (features V11).

What enters: a file, its map, a handler for each kind of import. What leaves: an ``ImportReport``, and, when rows were
refused, a CSV beside the file with line, column and reason. A batch of rows, its faults and the cursor commit together:
after a kill the file goes on behind the last whole batch, and a file that was finished is not imported again.
"""

import asyncio
import csv
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.effect import Effect
from events import import_store
from events.errors import ImportMoved, NoHandler
from events.import_store import Standing
from events.mapping import Map
from events.reading import Fault, Row, Table, open_table
from events.rows import MappedRow, RowMapper
from kernel.canonical import Json
from kernel.db import Conn
from kernel.kernel import Kernel

# Rows that commit together; fewer than identity takes for a bulk load, because statistics are refreshed here, as files double.
BATCH: Final = 1_500
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row. ``column`` and ``reason`` are set when it was rejected, ``reason`` when filtered."""

    line: int
    outcome: Literal["accepted", "duplicate", "rejected", "filtered"]
    column: str | None = None
    reason: str | None = None


class RowHandler(Protocol):
    """A room that takes rows. Whatever it writes goes through ``conn`` and is durable with the batch, or not at all.

    One result a row, in order. A row it cannot take is a "rejected" result; an exception undoes the whole batch and ends
    the run.
    """

    async def apply(self, conn: Conn, rows: Sequence[MappedRow]) -> list[RowResult]:
        """Take a batch of rows."""
        ...


@runtime_checkable
class PreparedHandler(Protocol):
    """A handler that must see the map before the first row; raises when it cannot work under it."""

    async def prepare(self, conn: Conn, given: Map) -> None:
        """Check, or register, what the map declares."""
        ...


@runtime_checkable
class SettlingHandler(Protocol):
    """A handler that wants to tidy up, outside any transaction, each time the rows of a run have doubled and at its end."""

    async def settle(self) -> None:
        """Refresh what Postgres believes of the tables that were written."""
        ...


class Foresight(Protocol):
    """Looks ahead over the rows of one file and stores nothing."""

    async def take(self, conn: Conn, rows: Sequence[MappedRow]) -> None:
        """The next rows."""
        ...

    async def effect(self, conn: Conn) -> Effect:
        """What all of them together would change."""
        ...


@runtime_checkable
class ForeseeingHandler(RowHandler, Protocol):
    """A handler whose rows change what people may be served, and that can tell how beforehand."""

    def foresee(self) -> Foresight:
        """Begin to look ahead."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: rows looked at, and the fraction of the file that was read."""

    rows: int
    fraction: float


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a run did. ``resumed_at`` rows were done by earlier runs; ``report`` lists refused rows when there are any."""

    what: str
    source: str
    rows: int
    accepted: int
    duplicates: int
    rejected: int
    filtered: int
    resumed_at: int
    dry_run: bool
    report: Path | None
    faults: tuple[Fault, ...]

    @property
    def clean(self) -> bool:
        """No row was rejected."""
        return self.rejected == 0


class Importer:
    """Runs imports; ``handlers`` may be added to while the house is wired."""

    def __init__(self, kernel: Kernel, audit: Audit, handlers: Mapping[str, RowHandler], *, batch: int = BATCH) -> None:
        self._kernel = kernel
        self._audit = audit
        self._batch = batch
        self.handlers: dict[str, RowHandler] = dict(handlers)

    async def run(
        self,
        file: Path,
        given: Map,
        *,
        dry_run: bool = False,
        progress: Callable[[Progress], None] | None = None,
        report: Path | None = None,
    ) -> ImportReport:
        """Import a file, or with ``dry_run`` read and map every row and store nothing.

        ``report`` is where refused rows are listed; by default beside the file, or in the working folder when that
        cannot be written.

        Raises:
            NoHandler: nobody takes rows of this kind.
            BadMap, UnreadableFile: the map does not fit the file, or the file cannot be read.
            ImportMoved: another run is working on the same file.
        """
        handler = self.handlers.get(given.what)
        if handler is None:
            raise NoHandler(
                f"expected what to be one of {', '.join(sorted(self.handlers)) or 'none'}, got {given.what}"
            )
        run = _Run(self._kernel, self._audit, handler, given, self._batch, progress or (lambda _: None))
        found = await (run.dry(file) if dry_run else run.real(file))
        written = None
        if found.faults:
            written = await asyncio.to_thread(_write_report, file, report, found.faults)
        return replace(found, report=written)

    async def foresee(self, file: Path, given: Map) -> Effect | None:
        """What importing the file would change for people, by purpose and channel; None for a kind that changes no permission.

        Rows that an earlier run stored are looked at again: they change nothing a second time.

        Raises:
            BadMap, UnreadableFile: the map does not fit the file, or the file cannot be read.
        """
        handler = self.handlers.get(given.what)
        if not isinstance(handler, ForeseeingHandler):
            return None
        mapper = RowMapper(given)
        looking: Foresight = handler.foresee()
        async with self._kernel.db.reading() as conn:
            with open_table(file, given.format) as table:
                for batch in _batches(table.rows(mapper.wanted), self._batch):
                    await looking.take(conn, [one for one in _mapped(mapper, batch) if isinstance(one, MappedRow)])
            return await looking.effect(conn)


class _Run:
    """One run over one file."""

    def __init__(
        self,
        kernel: Kernel,
        audit: Audit,
        handler: RowHandler,
        given: Map,
        batch: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._kernel = kernel
        self._audit = audit
        self._handler = handler
        self._given = given
        self._batch = batch
        self._progress = progress

    async def dry(self, file: Path) -> ImportReport:
        mapper = RowMapper(self._given)
        faults: list[Fault] = []
        rows = 0
        with open_table(file, self._given.format) as table:
            for batch in _batches(table.rows(mapper.wanted), self._batch):
                faults.extend(item for item in _mapped(mapper, batch) if isinstance(item, Fault))
                rows += len(batch)
                self._progress(Progress(rows, table.fraction()))
                await asyncio.sleep(0)
        standing = Standing(rows_done=rows, accepted=rows - len(faults), rejected=len(faults))
        return self._report(standing, 0, faults, dry_run=True)

    async def real(self, file: Path) -> ImportReport:
        file_digest = await asyncio.to_thread(_digest, file)
        map_digest = self._given.digest
        async with self._kernel.db.transaction() as conn:
            if isinstance(self._handler, PreparedHandler):
                await self._handler.prepare(conn, self._given)
            standing = await import_store.begin(
                conn, file_digest, map_digest, self._given.what, self._given.source, self._kernel.clock.now()
            )
        resumed_at = standing.rows_done
        if not standing.finished:
            standing = await self._rows(file, (file_digest, map_digest), standing)
        async with self._kernel.db.reading() as conn:
            faults = await import_store.faults(conn, file_digest, map_digest)
        return self._report(standing, resumed_at, faults, dry_run=False)

    async def _rows(self, file: Path, name: tuple[str, str], standing: Standing) -> Standing:
        done = 0
        settle_at = standing.rows_done + 2 * self._batch
        mapper = RowMapper(self._given)
        with open_table(file, self._given.format) as table:
            async with aclosing(_ahead(table, mapper, self._batch)) as batches:
                async for items, fraction in batches:
                    # Rows of earlier runs are mapped too: row numbers and repeats are counted over the whole file.
                    fresh = items[max(0, standing.rows_done - done) :]
                    done += len(items)
                    if fresh:
                        standing = await self._commit(name, standing, fresh)
                    self._progress(Progress(done, fraction))
                    if done >= settle_at and isinstance(self._handler, SettlingHandler):
                        await self._handler.settle()
                        settle_at = 2 * done
        if done > self._batch and isinstance(self._handler, SettlingHandler):
            await self._handler.settle()
        return await self._finish(name, standing)

    async def _commit(self, name: tuple[str, str], standing: Standing, items: Sequence[MappedRow | Fault]) -> Standing:
        rows = [item for item in items if isinstance(item, MappedRow)]
        faults = [item for item in items if isinstance(item, Fault)]
        async with self._kernel.db.transaction() as conn:
            if await import_store.hold(conn, *name) != standing:
                raise ImportMoved("expected to be the only run on this file and map, got another that moved it")
            results = await self._handler.apply(conn, rows) if rows else []
            outcomes = [result.outcome for result in results]
            faults += [Fault(r.line, r.column, r.reason or "refused") for r in results if r.outcome == "rejected"]
            moved = Standing(
                rows_done=standing.rows_done + len(items),
                accepted=standing.accepted + outcomes.count("accepted"),
                duplicates=standing.duplicates + outcomes.count("duplicate"),
                rejected=standing.rejected + len(faults),
                filtered=standing.filtered + outcomes.count("filtered"),
            )
            if faults:
                await import_store.add_faults(conn, *name, faults)
            await import_store.advance(conn, *name, moved, self._kernel.clock.now())
        return moved

    async def _finish(self, name: tuple[str, str], standing: Standing) -> Standing:
        done = replace(standing, finished=True)
        async with self._kernel.db.transaction() as conn:
            if await import_store.hold(conn, *name) != standing:
                raise ImportMoved("expected to be the only run on this file and map, got another that moved it")
            await import_store.advance(conn, *name, done, self._kernel.clock.now())
            facts: dict[str, Json] = {
                "what": self._given.what, "map": name[1], "rows": done.rows_done, "accepted": done.accepted,
                "duplicates": done.duplicates, "rejected": done.rejected, "filtered": done.filtered,
            }  # fmt: skip
            refs = {"source": self._given.source, "file": name[0]}
            await self._audit.append(conn, [NewEntry(Tag.IMPORT_RUN, refs, facts)])
        return done

    def _report(self, standing: Standing, resumed_at: int, faults: Sequence[Fault], *, dry_run: bool) -> ImportReport:
        return ImportReport(
            what=self._given.what,
            source=self._given.source,
            rows=standing.rows_done,
            accepted=standing.accepted,
            duplicates=standing.duplicates,
            rejected=standing.rejected,
            filtered=standing.filtered,
            resumed_at=resumed_at,
            dry_run=dry_run,
            report=None,
            faults=tuple(faults),
        )


def _batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _ahead(table: Table, mapper: RowMapper, size: int) -> AsyncGenerator[tuple[list[MappedRow | Fault], float]]:
    """Batches of mapped rows and how much of the file is read; the next one is made in a thread while one is stored."""
    batches = _batches(table.rows(mapper.wanted), size)

    def step() -> tuple[list[MappedRow | Fault], float] | None:
        batch = next(batches, None)
        return (_mapped(mapper, batch), table.fraction()) if batch is not None else None

    coming = asyncio.ensure_future(asyncio.to_thread(step))
    try:
        while (found := await asyncio.shield(coming)) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(step))
            yield found
    finally:
        # The thread still reads the file: nobody may close it before the thread is done.
        await asyncio.wait([coming])
        if not coming.cancelled():
            coming.exception()  # looked at, so that a fault nobody waits for any more is not reported as lost


def _mapped(mapper: RowMapper, batch: Sequence[Row]) -> list[MappedRow | Fault]:
    items: list[MappedRow | Fault] = []
    for row in batch:
        if isinstance(row, Fault):
            mapper.skip()
            items.append(row)
        else:
            items.append(mapper.map(*row))
    return items


def _digest(file: Path) -> str:
    whole = hashlib.sha256()
    with file.open("rb") as raw:
        while block := raw.read(_BLOCK):
            whole.update(block)
    return f"sha256:{whole.hexdigest()}"


def _write_report(file: Path, asked: Path | None, faults: Sequence[Fault]) -> Path:
    beside = file.with_name(f"{file.name}.errors.csv")
    path = asked or (beside if os.access(file.parent, os.W_OK) else Path.cwd() / beside.name)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("line", "column", "reason"))
        writer.writerows((fault.line, fault.column or "", fault.reason) for fault in faults)
    return path
