"""GPP strings: a header that names sections, then the sections, joined by ``~``.

Enters: a GPP string, or one section and its name. Leaves: the fields by name, or Undecodable. Follows the IAB Tech Lab's Global Privacy
Platform (Core/Consent String Specification.md, version 1) for the header with its Fibonacci range, and ``data/gpp.yaml`` for sections.
Text padded to six bits (the specification) and to eight or 24 (the reference library) is read alike. What a section means to the
gate is said in ``meaning.py``: a value of 3, or an absent GPC sub-section, reads as the reference library gives it and permits nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consent.signals.bits import LONGEST, Bits, from_base64url
from consent.signals.errors import Undecodable, Why
from consent.signals.sections import Fields, Section, by_id, by_name, kind_of
from consent.signals.tcf import moment, stamp
from kernel.canonical import Json

HEADER_TYPE: Final = 3
HEADER_VERSION: Final = 1
_MOST_PADDING: Final = 23  # writers fill up to 24 bits at most
_USP: Final = re.compile(r"[1-9][YN-]{3}")  # US Privacy String of the CCPA Compliance Framework
_LISTS: Final = frozenset({"vendors", "vendors_fib", "restrictions", "restrictions_fib", "custom"})


@dataclass(frozen=True, slots=True)
class GppString:
    """A decoded string; ``texts`` are its sections as they came."""

    ids: tuple[int, ...]
    sections: Mapping[str, Mapping[str, Json]]
    texts: Mapping[str, str]

    def as_json(self) -> dict[str, Json]:
        """Ids in order, fields by section."""
        return {"sectionIds": list(self.ids), "sections": {name: dict(said) for name, said in self.sections.items()}}


def decode(text: str) -> GppString:
    """The whole string.

    Raises:
        Undecodable: the header or one section cannot be read, or the header names other sections than follow.
    """
    if len(text) > LONGEST:
        raise Undecodable(Why.TOO_LONG)
    first, *texts = text.split("~")
    ids = header(first)
    if len(ids) != len(texts):
        raise Undecodable(Why.SECTIONS_MISMATCH)
    if not set(ids) <= by_id().keys():
        raise Undecodable(Why.UNKNOWN_SECTION)
    named = {by_id()[id_].name: said for id_, said in zip(ids, texts, strict=True)}
    return GppString(tuple(ids), {name: decode_section(name, said) for name, said in named.items()}, named)


def header(text: str) -> list[int]:
    """Ids of the sections that follow, in order.

    Raises:
        Undecodable: not a header, or of another version.
    """
    bits = from_base64url(text)
    if bits.number(6) != HEADER_TYPE:
        raise Undecodable(Why.BAD_TYPE)
    if bits.number(6) != HEADER_VERSION:
        raise Undecodable(Why.UNSUPPORTED_VERSION)
    ids = bits.fibonacci_range()
    bits.end(_MOST_PADDING)
    return ids


def decode_section(name: str, text: str) -> dict[str, Json]:
    """The fields of one section.

    Raises:
        Undecodable: there is no such section, or it cannot be read.
    """
    section = by_name().get(name)
    if section is None:
        raise Undecodable(Why.UNKNOWN_SECTION)
    if section.letters:
        return _letters(section, text)
    core, *others = text.split(".")
    bits = from_base64url(core)
    pad = _MOST_PADDING if section.fixed else None
    said = _first_that_reads(bits, section.layouts(len(bits)), pad=pad, optional=section.optional)
    _segments(section, others, said)
    version = said.get("Version")
    for field, count in section.by_version.get(version if isinstance(version, int) else 0, {}).items():
        had = said[field]
        said[field] = [*(had if isinstance(had, list) else ()), *([0] * count)][:count]
    return said


def _first_that_reads(
    bits: Bits, layouts: Sequence[Fields], *, pad: int | None = None, optional: frozenset[str] = frozenset()
) -> dict[str, Json]:
    """The fields by the first layout that reads the bits to their end."""
    fault: Undecodable | None = None
    for fields in layouts:
        said: dict[str, Json] = {}
        reader = bits.again()
        try:
            _read(reader, fields, said, optional=optional)
            reader.end(pad)
        except Undecodable as why:
            fault = fault or why
            continue
        return said
    raise fault or Undecodable(Why.BAD_FIELD)


def _segments(section: Section, texts: list[str], said: dict[str, Json]) -> None:
    """Sub-sections, each once; zeroes for those that did not come."""
    left = list(section.segments)
    for text in texts:
        bits = from_base64url(text)
        type_ = bits.peek(section.type_bits) if section.type_bits else None
        found = [one.fields for one in left if one.type == type_]
        if not found:
            known = any(one.type == type_ for one in section.segments)
            raise Undecodable(Why.REPEATED_SEGMENT if known else Why.UNKNOWN_SEGMENT)
        left = [one for one in left if one.type != type_]
        said |= _first_that_reads(bits, found)
    for absent in left:
        said |= {name: _empty(kind) for name, kind in absent.fields.items()}
        if absent.type is not None:
            said[next(iter(absent.fields))] = absent.type


def _read(bits: Bits, fields: Fields, said: dict[str, Json], *, optional: frozenset[str] = frozenset()) -> None:
    for name, kind in fields.items():
        if name in optional and len(bits) < 12:
            said[name] = _empty(kind)
            continue
        said[name] = _value(bits, kind, said)


def _value(bits: Bits, kind: str, said: Mapping[str, Json]) -> Json:
    name, number = kind_of(kind)
    match name:
        case "int":
            return bits.number(number)
        case "ints":
            return [bits.number(2) for _ in range(number)]
        case "flags":
            return bits.flags(number)
        case "bool":
            return bits.bit()
        case "time":
            return stamp(moment(bits))
        case "letters":
            return bits.letters(number)
        case "vendors":
            return bits.optimized_range()
        case "vendors_fib":
            return bits.optimized_fibonacci_range()
        case "custom":
            custom = said["NumCustomPurposes"]
            return bits.flags(custom if isinstance(custom, int) else 0)
        case _:
            ids = bits.optimized_fibonacci_range if name == "restrictions_fib" else bits.fixed_range
            return [{"key": bits.number(6), "type": bits.number(2), "ids": ids()} for _ in range(bits.number(12))]


def _empty(kind: str) -> Json:
    name, number = kind_of(kind)
    if name in {"ints", "flags"}:
        return [0 if name == "ints" else False] * number
    if name in _LISTS:
        return []
    return False if name == "bool" else 0


def _letters(section: Section, text: str) -> dict[str, Json]:
    """A US Privacy string: a digit and three letters."""
    if not text:
        raise Undecodable(Why.EMPTY)
    if _USP.fullmatch(text) is None:
        raise Undecodable(Why.BAD_FIELD)
    return {
        name: int(letter) if kind == "digit" else letter
        for (name, kind), letter in zip(section.letters.items(), text, strict=True)
    }
