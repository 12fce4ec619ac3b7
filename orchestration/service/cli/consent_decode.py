"""`candor consent decode-…`: read consent strings and say what stands in them. Stand-alone: no store, no settings.

Enters: one string a line, an empty line being an empty string. Leaves: one JSON object a line, in order. A string that cannot be read is
an answer, not a failure. Pure of judgement: what the gate makes of a string is another matter.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from orchestration.service.cli.runtime import Commands, Json

if TYPE_CHECKING:
    from kernel import canonical

Lines = Annotated[str, typer.Argument(help="File with one string a line, or - for standard input.")]
Section = Annotated[str, typer.Argument(help="Name of the section, for example usnat.")]


def register(app: Commands) -> None:
    """Add the commands to the consent group."""
    app.add("decode-tcf")(decode_tcf)
    app.add("decode-gpp")(decode_gpp)
    app.add("decode-gpp-section")(decode_gpp_section)


def decode_tcf(lines: Lines, as_json: Json = True) -> None:  # noqa: ARG001 - its output is JSON in any case
    """Decode IAB TC strings, versions 1 and 2."""
    from consent.signals import tcf

    _decode(lines, lambda text: tcf.decode(text).as_json())


def decode_gpp(lines: Lines, as_json: Json = True) -> None:  # noqa: ARG001
    """Decode IAB GPP strings: header and sections."""
    from consent.signals import gpp

    _decode(lines, lambda text: gpp.decode(text).as_json())


def decode_gpp_section(section: Section, lines: Lines, as_json: Json = True) -> None:  # noqa: ARG001
    """Decode sections of GPP strings that stand alone."""
    from consent.errors import UnknownSection
    from consent.signals import gpp, sections

    if section not in sections.by_name():
        raise UnknownSection(f"expected a section of {', '.join(sorted(sections.by_name()))}, got another")
    _decode(lines, lambda text: gpp.decode_section(section, text))


def _decode(where: str, decode: "Callable[[str], dict[str, canonical.Json]]") -> None:
    from consent.signals.errors import Undecodable

    with ExitStack() as opened:
        stream: BinaryIO = sys.stdin.buffer if where == "-" else opened.enter_context(_open(Path(where)))
        for line in _lines(stream):
            answer: dict[str, canonical.Json]
            try:
                answer = {"ok": True, "decoded": decode(line)}
            except Undecodable as fault:
                answer = {"ok": False, "error": str(fault.why)}
            print(json.dumps(answer))


def _open(path: Path) -> BinaryIO:
    from kernel.errors import InvalidInput

    try:
        return path.open("rb")
    except OSError as fault:
        raise InvalidInput(f"expected a readable file {path.name}, got {fault.strerror}") from None


def _lines(stream: BinaryIO) -> Iterator[str]:
    for line in stream:
        yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", errors="replace")
