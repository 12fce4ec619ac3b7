"""Files as rows: CSV and its kin, JSON lines, Parquet; plain, gzip or Zstandard; in the encodings people still write.

What enters: a path and the map's ``Format``. What leaves: ``Table.rows(wanted)``, an iterator of ``(line, cells)`` with
the cells of the wanted columns in their order, or of ``Fault`` for a row that cannot be read. A bad row never ends the
file. Memory stays bounded: a row of text or a batch of Parquet at a time.
"""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from events.errors import BadMap, UnreadableFile
from events.mapping import Column, Format, near
from kernel.canonical import Json

Cell = Json
SAMPLE: Final = 1 << 20  # bytes looked at to recognise encoding and delimiter
PARQUET_ROWS: Final = 4_096
FIELD_MAX: Final = 1 << 20  # characters of one cell
_DELIMITERS: Final = (",", ";", "\t", "|")
_WORDS: Final = {"whitespace": None, "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be used: where, which column when one is to blame, and why. Never what the cell said."""

    line: int
    column: str | None
    reason: str


Row = tuple[int, Sequence[Cell]] | Fault


class Table(Protocol):
    """An open file. ``columns`` are its names, or None where there are none or they may differ row by row."""

    columns: tuple[str, ...] | None

    def rows(self, wanted: Sequence[Column]) -> Iterator[Row]:
        """Every row once, in file order; BadMap before the first when a wanted column does not exist."""
        ...

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        ...


@contextmanager
def open_table(path: Path, form: Format) -> Iterator[Table]:
    """Open a file as the format says, or as it looks.

    Raises:
        UnreadableFile: absent, empty of meaning, or of no known kind.
    """
    try:
        raw = path.open("rb")
    except OSError as fault:
        raise UnreadableFile(
            f"expected a readable file, got {type(fault).__name__}", remedy="Check the path."
        ) from fault
    with raw:
        kind = form.kind or _kind(path, raw)
        size = max(path.stat().st_size, 1)
        try:
            if kind == "parquet":
                yield _Parquet(raw)
            elif kind == "jsonl":
                yield _JsonLines(_plain(raw), raw, size)
            else:
                yield _Delimited(raw, size, form)
        except (
            gzip.BadGzipFile,
            zstandard.ZstdError,
            zlib.error,
            EOFError,
            UnicodeDecodeError,
            pa.ArrowException,
        ) as fault:
            raise UnreadableFile(f"expected a whole file, got one that is damaged ({type(fault).__name__})") from fault


def _kind(path: Path, raw: io.BufferedReader) -> str:
    if raw.read(4) == b"PAR1":
        raw.seek(0)
        return "parquet"
    raw.seek(0)
    names = [suffix for suffix in (s.lower() for s in path.suffixes) if suffix not in {".gz", ".zst"}]
    return "jsonl" if names and names[-1] in {".jsonl", ".ndjson", ".json"} else "csv"


def _plain(raw: io.BufferedReader) -> io.BufferedReader:
    """The decompressed bytes from the start, by the file's own magic number rather than its name."""
    raw.seek(0)
    magic = raw.read(4)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if magic == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(
            zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)
        )
    return raw


def _encoding(sample: bytes, *, whole: bool) -> str:
    """UTF-8 when the sample is, UTF-16 by its mark, else Windows-1252, which Western exports mean by 'ANSI'."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        decoder.decode(sample, final=whole)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


class _Delimited:
    """CSV, TSV and columns parted by white space."""

    def __init__(self, raw: io.BufferedReader, size: int, form: Format) -> None:
        self._raw, self._size = raw, size
        sample = _plain(raw).read(SAMPLE)
        try:
            encoding = form.encoding or _encoding(sample, whole=len(sample) < SAMPLE)
            # Bytes outside the encoding become lone surrogates and are refused row by row, so one bad name in the
            # middle of a million rows costs one row.
            self._text = io.TextIOWrapper(_plain(raw), encoding=encoding, errors="surrogateescape", newline="")
        except LookupError as fault:
            raise BadMap(
                f"expected a known encoding, got '{form.encoding}'", remedy="Use utf-8, cp1252, latin-1 or utf-16."
            ) from fault
        for _ in range(form.skip):
            self._text.readline()
        self._line = form.skip
        self._cells = self._reader(form, sample.decode(encoding, errors="replace"))
        self.columns = self._header() if form.header else None
        self._width = len(self.columns) if self.columns is not None else None

    def _reader(self, form: Format, sample: str) -> Iterator[tuple[int, list[str] | str]]:
        asked = form.delimiter
        delimiter = _WORDS[asked] if asked in _WORDS else asked or _sniff(sample, form.skip)
        if delimiter is None:
            return self._split()
        if len(delimiter) != 1:
            raise BadMap(
                f"format.delimiter: expected one character or {', '.join(_WORDS)}, got {len(delimiter)} characters"
            )
        return self._csv(delimiter)

    def _split(self) -> Iterator[tuple[int, list[str] | str]]:
        for text in self._text:
            self._line += 1
            if cells := text.split():
                yield self._line, cells

    def _csv(self, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
        csv.field_size_limit(FIELD_MAX)
        reader = csv.reader(self._text, delimiter=delimiter, skipinitialspace=True)
        skipped = self._line
        while True:
            start = skipped + reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield (
                    start,
                    f"expected fields of at most {FIELD_MAX} characters with closed quotes, got a row that cannot be parted",
                )
                continue
            if cells:
                yield start, cells

    def _header(self) -> tuple[str, ...]:
        for _, cells in self._cells:
            if isinstance(cells, str):
                break
            names = tuple(cell.strip() for cell in cells)
            doubled = sorted({name for name in names if name and names.count(name) > 1})
            if doubled:
                raise UnreadableFile(
                    f"expected a header with a name once, got '{doubled[0]}' twice",
                    remedy="Rename the column, or use header: false with skip: 1 and positions.",
                )
            return names
        raise UnreadableFile(
            "expected a header line, got none", remedy="Give header: false when the file has no names."
        )

    def rows(self, wanted: Sequence[Column]) -> Iterator[Row]:
        places = _places(wanted, self.columns)
        least = max(places, default=-1) + 1
        for line, cells in self._cells:
            if isinstance(cells, str):
                yield Fault(line, None, cells)
                continue
            if self._width is None:
                self._width = len(cells)
                if least > self._width:
                    raise BadMap(
                        f"expected columns up to position {least - 1}, got rows of {self._width} (positions start at 0)"
                    )
            if len(cells) != self._width:
                yield Fault(line, None, f"expected {self._width} fields, got {len(cells)}")
                continue
            picked = [cells[place].strip() or None for place in places]
            fault = _unreadable(line, wanted, picked)
            yield fault or (line, picked)

    def fraction(self) -> float:
        return min(self._raw.tell() / self._size, 1.0)


class _JsonLines:
    """One JSON object a line. A key that a line lacks is an empty cell; a dotted name looks into objects."""

    columns: tuple[str, ...] | None = None

    def __init__(self, plain: io.BufferedReader, raw: io.BufferedReader, size: int) -> None:
        self._plain, self._raw, self._size = plain, raw, size

    def rows(self, wanted: Sequence[Column]) -> Iterator[Row]:
        if any(isinstance(column, int) for column in wanted):
            raise BadMap("expected names for the columns of JSON lines, got a position")
        paths = [str(column) for column in wanted]
        for line, text in enumerate(self._plain, start=1):
            if line == 1:
                text = text.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901 -- the mark belongs to the file, not the row
            if not text.strip():
                continue
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                yield Fault(line, None, "expected one JSON object in UTF-8, got text that is none")
                continue
            if not isinstance(value, dict):
                yield Fault(line, None, f"expected one JSON object, got {type(value).__name__}")
                continue
            picked = [_blank(_look(value, path)) for path in paths]
            fault = _unreadable(line, wanted, picked)
            yield fault or (line, picked)

    def fraction(self) -> float:
        return min(self._raw.tell() / self._size, 1.0)


class _Parquet:
    """Parquet; a row's line is its number, from 1."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._file = pq.ParquetFile(raw)
        self.columns: tuple[str, ...] | None = tuple(self._file.schema_arrow.names)
        self._total: int = max(self._file.metadata.num_rows, 1)
        self._done = 0

    def rows(self, wanted: Sequence[Column]) -> Iterator[Row]:
        assert self.columns is not None
        places = _places(wanted, self.columns)
        names = list(dict.fromkeys(self.columns[place] for place in places))
        if not names:
            yield from ((line, ()) for line in range(1, self._file.metadata.num_rows + 1))
            return
        for batch in self._file.iter_batches(batch_size=PARQUET_ROWS, columns=names):
            cells = [batch.column(self.columns[place]).to_pylist() for place in places]
            for row in zip(*cells, strict=True):
                self._done += 1
                picked = [_blank(_json(cell)) for cell in row]
                fault = _unreadable(self._done, wanted, picked)
                yield fault or (self._done, picked)

    def fraction(self) -> float:
        return self._done / self._total


def _places(wanted: Sequence[Column], columns: tuple[str, ...] | None) -> list[int]:
    places = []
    for column in wanted:
        if isinstance(column, int):
            if column < 0 or (columns is not None and column >= len(columns)):
                raise BadMap(f"expected a position from 0 to {len(columns or ()) - 1}, got {column}")
            places.append(column)
        elif columns is None:
            raise BadMap(f"expected positions, since the file has no header, got the name '{column}'")
        elif column not in columns:
            raise BadMap(
                f"expected a column of the file, got '{column}'{near(column, columns)}; columns: {', '.join(columns[:40])}"
            )
        else:
            places.append(columns.index(column))
    return places


def _unreadable(line: int, wanted: Sequence[Column], cells: Sequence[Cell]) -> Fault | None:
    for column, cell in zip(wanted, cells, strict=True):
        if isinstance(cell, str) and not cell.isascii() and any("\ud800" <= letter <= "\udfff" for letter in cell):
            return Fault(line, str(column), "expected text in the file's encoding, got bytes outside it")
        if isinstance(cell, str) and "\x00" in cell:
            return Fault(line, str(column), "expected text without NUL characters")
    return None


def _sniff(sample: str, skip: int) -> str:
    """The delimiter that parts the first line most often."""
    lines = sample.splitlines()[skip:]
    first = next((text for text in lines if text.strip()), "")
    return max(_DELIMITERS, key=lambda mark: (first.count(mark), -_DELIMITERS.index(mark)))


def _look(value: Mapping[str, Json], path: str) -> Json:
    if path in value:
        return value[path]
    found: Json = value
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _blank(cell: Json) -> Json:
    return (cell.strip() or None) if isinstance(cell, str) else cell


def _json(cell: object) -> Json:
    """A Parquet cell as JSON; not-a-number is an empty cell, dates are ISO text, bytes are text when they are."""
    if cell is None or isinstance(cell, str | bool | int):
        return cell
    if isinstance(cell, float):
        return cell if cell == cell and abs(cell) != float("inf") else None  # noqa: PLR0124 -- NaN differs from itself
    if isinstance(cell, dict):
        return {str(key): _json(item) for key, item in cell.items()}
    if isinstance(cell, list | tuple):
        return [_json(item) for item in cell]
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="surrogateescape")
    iso = getattr(cell, "isoformat", None)
    return str(iso()) if iso is not None else str(cell)
