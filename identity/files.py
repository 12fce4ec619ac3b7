"""Tables of records from files, and back.

Enters: paths of CSV, JSON Lines or Parquet files, gzip allowed.  Leaves: one Arrow table with every input column; of
several files the rows of all, with column `source` holding the file's stem.  CSV cells stay text.  A line that is not
UTF-8 is read as Windows-1252, and counted.
"""

import csv
import gzip
import io
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kernel.errors import InvalidInput

_DELIMITERS = ",;\t|"
LONGEST_CELL = 1 << 20  # characters: no field of a person is longer, an unclosed quotation mark is
_SAID = re.compile(
    r"[^@\s]+@[^@\s]+\.[^@\s]+|\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{4}|\+?\d[\d ]{6,}"
)  # no name of a column: an address, a date, a number


def read(paths: Sequence[Path]) -> tuple[pa.Table, list[int], list[str]]:
    """The rows of all files, how many each gave, and notes on what had to be mended."""
    if not paths:
        raise _bad("input files", "at least one", "none")
    notes: list[str] = []
    tables = []
    for path in paths:
        table, mended = _read_one(path)
        if mended:
            notes.append(f"{path.name}: {mended} lines are not UTF-8 and were read as Windows-1252")
        if any(_SAID.fullmatch(name.strip()) for name in table.column_names):
            notes.append(
                f"{path.name}: the names of the columns look like a record; the first line was taken for names"
            )
        if not table.num_rows:
            raise _bad(path.name, "at least one record", "none")
        tables.append(table)
    counts = [t.num_rows for t in tables]
    if len(tables) == 1:
        return tables[0], counts, notes
    name = "source" if all("source" not in t.column_names for t in tables) else "source_file"
    named = [t.append_column(name, pa.array([p.stem] * t.num_rows)) for t, p in zip(tables, paths, strict=True)]
    return _stack(named), counts, notes


def _stack(tables: list[pa.Table]) -> pa.Table:
    """One below the other; a column of different types in different files becomes text."""
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    alike = []
    for table in tables:
        columns = [
            table.column(n) if len(types[n]) == 1 else table.column(n).cast(pa.string()) for n in table.column_names
        ]
        alike.append(pa.table(columns, names=table.column_names))
    return pa.concat_tables(alike, promote_options="default")


def _read_one(path: Path) -> tuple[pa.Table, int]:
    if not path.is_file():
        raise _bad(path.name, "a readable file", "nothing there")
    stem = path.name.removesuffix(".gz").lower()
    if stem.endswith((".parquet", ".pq")):
        try:
            return _distinct_names(path, pq.read_table(path)), 0
        except (pa.ArrowInvalid, OSError) as broken:
            raise _bad(path.name, "a Parquet file", "something else or a damaged one") from broken
    raw = path.read_bytes()
    if path.name.endswith(".gz"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as broken:
            raise _bad(path.name, "a gzip file", "something else or a damaged one") from broken
    lines, mended = _decode(path, raw)
    if stem.endswith((".jsonl", ".ndjson", ".json")):
        return _json_lines(path, lines), mended
    return _csv(path, lines), mended


def _decode(path: Path, raw: bytes) -> tuple[list[str], int]:
    """Text lines with their ends (a quoted cell may span lines), and how many were not UTF-8."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            return _lines(raw.decode("utf-16")), 0
        if raw[:400].count(0) * 3 > len(raw[:400]):  # text of two bytes a letter that does not say so
            return _lines(raw.decode("utf-16-be" if raw[:1] == b"\0" else "utf-16-le")), 0
    except UnicodeDecodeError as broken:
        raise _bad(path.name, "text", "bytes that are no text") from broken
    try:
        return _lines(raw.decode("utf-8")), 0
    except UnicodeDecodeError:
        lines, mended = [], 0
        for line in raw.splitlines(keepends=True):
            try:
                lines.append(line.decode("utf-8"))
            except UnicodeDecodeError:
                lines.append(line.decode("cp1252", "replace"))
                mended += 1
        return lines, mended


def _lines(text: str) -> list[str]:
    """Lines as files have them: what Unicode also calls a line break may stand within a cell."""
    return list(io.StringIO(text, newline=""))


def _csv(path: Path, lines: list[str]) -> pa.Table:
    if not lines:
        raise _bad(path.name, "a header and at least one record", "an empty file")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    header = [name.strip() for name in next(reader)]
    if len(set(header)) < len(header):
        raise _bad(f"{path.name}, header", "every name once", "a repeated name")
    columns: list[list[str | None]] = [[] for _ in header]
    csv.field_size_limit(LONGEST_CELL)
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise _bad(f"{path.name}, line {reader.line_num}", f"{len(header)} cells", str(len(row)))
            for column, cell in zip(columns, row, strict=True):
                column.append(cell or None)
    except csv.Error as broken:
        raise _bad(
            f"{path.name}, line {reader.line_num}", f"cells of at most {LONGEST_CELL} letters", str(broken)
        ) from broken
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(header, columns, strict=True)})


def _json_lines(path: Path, lines: list[str]) -> pa.Table:
    rows: list[dict[str, object]] = []
    for number, row in _json_values(path, lines):
        if not isinstance(row, dict):
            raise _bad(f"{path.name}, line {number}", "one JSON object", type(row).__name__)
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of mixed types: text
        texts = {n: [None if row.get(n) is None else str(row[n]) for row in rows] for n in names}
        return pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})


def _json_values(path: Path, lines: list[str]) -> Iterator[tuple[int, object]]:
    """The value of every line; of a `.json` file also those of one list that is all of it."""
    if path.name.removesuffix(".gz").lower().endswith(".json") and lines and lines[0].lstrip().startswith("["):
        try:
            yield from enumerate(json.loads("".join(lines)), 1)
        except json.JSONDecodeError as broken:
            raise _bad(f"{path.name}, line {broken.lineno}", "a JSON list", "text that is not JSON") from broken
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as broken:
                raise _bad(f"{path.name}, line {number}", "one JSON object", "text that is not JSON") from broken


def _distinct_names(path: Path, table: pa.Table) -> pa.Table:
    if len(set(table.column_names)) < table.num_columns:
        raise _bad(path.name, "every column name once", "a repeated name")
    return table


def write(table: pa.Table, path: Path) -> None:
    """Write Parquet: the whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".parquet.part")
    os.close(handle)
    try:
        pq.write_table(table, temporary)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _bad(what: str, expected: str, got: str) -> InvalidInput:
    return InvalidInput(
        f"{what}: expected {expected}, got {got}",
        remedy="Correct the file; CSV, JSON Lines and Parquet are read.",
        code="identity.bad_file",
    )
