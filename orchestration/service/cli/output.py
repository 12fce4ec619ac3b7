"""How the command line speaks: tables for people, `--json` for programs, errors with a remedy, exit codes 0, 1 and 2.

Every reading command hands its result here. `NO_COLOR` and pipes are respected by rich.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kernel.errors import CandorError, InvalidInput

# No markup: words from files and settings may hold brackets, and are printed as they are.
out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)


def plain(value: object) -> Any:
    """A result as JSON types: dataclasses and mappings become objects, times become ISO 8601, sets become sorted lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def emit_json(value: object) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings; numbers align right. In a pipe a row is one line, however long."""
    body = [["" if cell is None else str(cell) for cell in row] for row in rows]
    right = [bool(body) and all(_number(row[index]) for row in body) for index in range(len(columns))]
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *body, strict=True)]
    if title:
        out.print(title, style="bold", soft_wrap=True)
    if out.is_terminal and sum(widths) + 2 * len(widths) > out.width:
        out.print(_folded(columns, body, right, widths))
    else:
        for index, row in enumerate([columns, *body]):
            line = "  ".join(_padded(*cell) for cell in zip(row, widths, right, strict=True))
            out.print(line.rstrip(), style=None if index else "dim", soft_wrap=True)
    if not body:
        out.print("  (nothing)", style="dim")


def _folded(columns: Sequence[str], body: list[list[str]], right: list[bool], widths: list[int]) -> Table:
    """A table that fits the terminal: columns of words are folded before columns of ids and dates."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    firm = [index for index in range(len(columns)) if not any(" " in row[index] for row in body)]
    keep = sum(widths[index] + 2 for index in firm) < out.width * 0.8
    for index, name in enumerate(columns):
        justify: Any = "right" if right[index] else "left"
        grid.add_column(Text(name), justify=justify, overflow="fold", no_wrap=keep and index in firm)
    for row in body:
        grid.add_row(*map(Text, row))
    return grid


def _padded(cell: str, width: int, right: bool) -> str:
    fill = " " * (width - cell_len(cell))
    return fill + cell if right else cell + fill


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns."""
    if title:
        out.print(title, style="bold", soft_wrap=True)
    shown = [(name, str(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        out.print(Text.assemble((name.ljust(width), "dim"), "  ", value), soft_wrap=True)


def say(text: str) -> None:
    """Tell the person something on stderr (progress, hints), so that pipes stay clean."""
    err.print(text, soft_wrap=True)


def existing(path: Path, what: str) -> Path:
    """The path, when a file stands there.

    Raises:
        InvalidInput: none does.
    """
    if not path.is_file():
        raise InvalidInput(
            f"expected {what} at {path}, got no such file",
            remedy="Check the path; it is taken from the current folder.",
            code="no_such_file",
        )
    return path


def fail(error: CandorError) -> NoReturn:
    """Print an error with its remedy and leave: 2 for wrong input, 1 for everything else."""
    err.print(Text.assemble(("✗", "red"), f" {error.message}"), soft_wrap=True)
    for fault in error.problems[:20]:
        err.print(f"    {fault.pointer}: {fault.reason}", soft_wrap=True)
    if len(error.problems) > 20:
        err.print(f"    … and {len(error.problems) - 20} more")
    err.print(Text.assemble(f"  → {error.remedy}  ", (f"({error.code})", "dim")), soft_wrap=True)
    raise SystemExit(2 if isinstance(error, InvalidInput) else 1)


def _number(cell: str) -> bool:
    return (
        bool(cell)
        and cell.replace(",", "").replace(".", "").replace("%", "").replace("-", "").replace("+", "").strip().isdigit()
    )
