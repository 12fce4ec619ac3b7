"""Cells to meaning: a map applied to one row of a file.

What enters: a checked ``Map``, then rows of cells in the order of ``RowMapper.wanted``. What leaves: ``MappedRow``, or a
``Fault`` naming the column and what was expected there; never the cell's words. A ``MappedRow`` is what every
``RowHandler`` gets, whichever room it lives in.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from events.cells import CellFault, Scalar, scalar, time, typed
from events.mapping import ROW_KEY, Column, ConsentMap, Map, Subject, Value, trait_name
from events.reading import Cell, Fault
from identity.errors import InvalidIdentifier
from identity.identifiers import KINDS, Identifier
from kernel.canonical import Json


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """One consent act as the file tells it; None where the file says nothing. Consent judges what that is worth."""

    purpose: str
    status: str
    mechanism: str
    notice: str | None = None
    given_at: datetime | None = None
    channel: str | None = None
    basis: str | None = None
    jurisdiction: str | None = None
    expires_at: datetime | None = None
    signal: str | None = None
    signal_kind: str | None = None
    confirmed_at: datetime | None = None
    confirmation: str | None = None


@dataclass(frozen=True, slots=True)
class MappedRow:
    """One row of a file, understood. ``nth`` counts rows that mean the same within the file, from 1.

    ``identifiers`` begins with the subject (unless that names only the row); ``source_key`` is the row's name in its
    source; ``record`` (source, key) is the source record that a consent is about. ``placement`` to ``features`` are set for decisions, ``suppression`` is (channel, reason).
    """

    line: int
    source: str
    source_key: str
    identifiers: tuple[Identifier, ...] = ()
    record: tuple[str, str] | None = None
    traits: Mapping[str, Scalar] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    event: str | None = None
    at: datetime | None = None
    known_at: datetime | None = None
    message_id: str | None = None
    properties: Mapping[str, Json] = field(default_factory=dict)
    consents: tuple[ConsentRow, ...] = ()
    suppression: tuple[str | None, str | None] | None = None
    placement: str | None = None
    arm: str | None = None
    propensity: float | None = None
    outcomes: Mapping[str, Json] = field(default_factory=dict)
    features: Mapping[str, Json] = field(default_factory=dict)
    nth: int = 1


_Get = Callable[[Sequence[Cell]], Json]


class RowMapper:
    """A compiled map. ``wanted`` are the columns to read; ``map`` is called for every row in file order."""

    def __init__(self, given: Map) -> None:
        self.given = given
        self.wanted: list[Column] = []
        self._row_number = 0
        self._seen: Counter[int] = Counter()
        self._subject = self._named_by(given.subject) if given.subject is not None else None
        self._others = [(one.kind, self._named_by(one)) for one in given.identifiers]
        self._columns = [
            (self._place(column), column, trait, trait_name(column, trait))
            for column, trait in given.columns.items()
            if trait.kind != "ignore"
        ]
        self._event = self._value(given.event)
        self._at = self._moment(given.timestamp)
        self._known_at = self._moment(given.known_time)
        self._message_id = self._value(given.message_id)
        self._properties = self._values(given.properties)
        self._placement = self._value(given.placement)
        self._arm = self._value(given.arm)
        self._propensity = self._value(given.propensity)
        self._outcomes = self._values(given.outcomes)
        self._features = self._values(given.features)
        self._consents = [self._consent(one) for one in given.consent]
        suppression = given.suppression
        self._channel = self._value(suppression.channel) if suppression is not None else None
        self._reason = self._value(suppression.reason) if suppression is not None else None

    def map(self, line: int, cells: Sequence[Cell]) -> MappedRow | Fault:
        """One row. Every row of the file must pass here once, in order: row numbers and repeats are counted."""
        self._row_number += 1
        try:
            row = self._row(line, cells)
        except CellFault as fault:
            return Fault(line, None if fault.column is None else str(fault.column), fault.reason)
        print_ = hash(_print(row))
        self._seen[print_] += 1
        count = self._seen[print_]
        return row if count == 1 else replace(row, nth=count)

    def skip(self) -> None:
        """Count a row that could not be read, so that row numbers stay those of the file."""
        self._row_number += 1

    def _row(self, line: int, cells: Sequence[Cell]) -> MappedRow:
        given = self.given
        identifiers: list[Identifier] = []
        source_key = str(self._row_number)
        record: tuple[str, str] | None = None
        if self._subject is not None and given.subject is not None:
            source_key = self._subject(cells)
            if given.subject.kind != ROW_KEY:
                identifiers.append(_identifier(given.subject.kind, source_key, given.subject.column))
            elif given.what == "consents":
                record = (given.subject.source or given.source, source_key)
        for kind, named in self._others:
            identifiers.append(_identifier(kind, named(cells), None))
        traits: dict[str, Scalar] = {}
        kinds: dict[str, str] = {}
        for place, column, trait, name in self._columns:
            cell = cells[place]
            if cell is None:
                continue
            if trait.kind in KINDS:
                identifiers.append(_identifier(trait.kind, str(cell), column))
                continue
            traits[name] = scalar(typed(cell, trait.type, trait.format, column), column)
            kinds[name] = trait.kind
        return MappedRow(
            line=line,
            source=given.source,
            source_key=source_key,
            identifiers=tuple(dict.fromkeys(identifiers)),
            record=record,
            traits=traits,
            kinds=kinds,
            event=_text(self._event, cells, given.event),
            at=self._at(cells) if self._at is not None else None,
            known_at=self._known_at(cells) if self._known_at is not None else None,
            message_id=_text(self._message_id, cells, given.message_id) if self._message_id is not None else None,
            properties=_present(self._properties, cells),
            consents=tuple(made(cells) for made in self._consents),
            suppression=(_optional(self._channel, cells), _optional(self._reason, cells))
            if given.what == "suppressions"
            else None,
            placement=_text(self._placement, cells, given.placement),
            arm=_text(self._arm, cells, given.arm),
            propensity=_probability(self._propensity, cells, given.propensity),
            outcomes=_present(self._outcomes, cells),
            features=_present(self._features, cells),
        )

    def _place(self, column: Column) -> int:
        if column not in self.wanted:
            self.wanted.append(column)
        return self.wanted.index(column)

    def _named_by(self, subject: Subject) -> Callable[[Sequence[Cell]], str]:
        if subject.column is None:
            return lambda _: f"{subject.prefix}{self._row_number}{subject.suffix}"
        place, column = self._place(subject.column), subject.column

        def named(cells: Sequence[Cell]) -> str:
            cell = cells[place]
            if cell is None or isinstance(cell, Mapping | list):
                raise CellFault(column, f"expected the {subject.kind} of the row, got nothing")
            return f"{subject.prefix}{cell}{subject.suffix}"

        return named

    def _value(self, value: Value | None) -> _Get | None:
        if value is None:
            return None
        if value.column is None:
            constant = value.constant
            return lambda _: constant
        place, column = self._place(value.column), value.column
        words, kind, form = value.values, value.type, value.format
        as_is = kind == "auto" and self.given.what == "catalogue"

        def get(cells: Sequence[Cell]) -> Json:
            cell = cells[place]
            if words is not None:
                word = "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
                if word not in words:
                    raise CellFault(column, f"expected one of the {len(words)} words under values, got another")
                return words[word]
            # Fields of items say themselves what they are; guessing would make numbers of ids.
            return cell if cell is None or as_is else typed(cell, kind, form, column)

        return get

    def _values(self, values: Mapping[str, Value]) -> list[tuple[str, _Get]]:
        return [(name, get) for name, value in values.items() if (get := self._value(value)) is not None]

    def _moment(self, value: Value | None) -> Callable[[Sequence[Cell]], datetime] | None:
        later = self._optional_moment(value)
        if later is None or value is None:
            return None

        def moment(cells: Sequence[Cell]) -> datetime:
            at = later(cells)
            if at is None:
                raise CellFault(value.column, "expected a time, got nothing")
            return at

        return moment

    def _optional_moment(self, value: Value | None) -> Callable[[Sequence[Cell]], datetime | None] | None:
        if value is None:
            return None
        get = self._value(value.model_copy(update={"type": "text"}) if value.column is not None else value)
        assert get is not None

        def moment(cells: Sequence[Cell]) -> datetime | None:
            cell = get(cells)
            return None if cell is None else time(str(cell), value.format, value.column)

        return moment

    def _status(self, value: Value | None) -> Callable[[Sequence[Cell]], str]:
        """A status as the file has it. One that says nothing readable is consent's to judge: there it is a no, never a lost row."""
        if value is None or value.column is None:
            return lambda _: "" if value is None else str(value.constant or "")
        place, meanings = self._place(value.column), value.values

        def said(cells: Sequence[Cell]) -> str:
            cell = cells[place]
            word = "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
            return str(meanings[word]) if meanings is not None and word in meanings else _said(word, meanings)

        return said

    def _consent(self, given: ConsentMap) -> Callable[[Sequence[Cell]], ConsentRow]:
        gets = {
            name: self._value(getattr(given, name))
            for name in (
                "purpose", "mechanism", "notice", "channel", "basis", "jurisdiction", "signal", "confirmation",
            )
        }  # fmt: skip
        status = self._status(given.status)
        given_at, expires_at = self._optional_moment(given.given_at), self._optional_moment(given.expires_at)
        confirmed_at = self._optional_moment(given.confirmed_at)

        def made(cells: Sequence[Cell]) -> ConsentRow:
            said = status(cells)
            granted = said.strip().lower() == "granted"

            def word(name: str) -> str | None:
                try:
                    return _optional(gets[name], cells)
                except CellFault:
                    if granted or name == "purpose":
                        raise
                    return None  # a no holds however poor what came with it

            words = {name: word(name) for name in gets}
            if not words["purpose"]:
                raise CellFault(given.purpose.column, "expected the consent's purpose, got nothing")

            def when(moment: Callable[[Sequence[Cell]], datetime | None] | None) -> datetime | None:
                try:
                    return moment(cells) if moment is not None else None
                except CellFault:
                    if granted:
                        raise
                    return None

            return ConsentRow(
                purpose=words["purpose"],
                status=said,
                mechanism=words["mechanism"] or "",
                notice=words["notice"],
                given_at=when(given_at),
                channel=words["channel"],
                basis=words["basis"],
                jurisdiction=words["jurisdiction"],
                expires_at=when(expires_at),
                signal=words["signal"],
                signal_kind=given.signal_kind,
                confirmed_at=when(confirmed_at),
                confirmation=words["confirmation"],
            )

        return made


def _said(word: str, meanings: Mapping[str, Json] | None) -> str:
    """What a status that the map does not list means: as its twin in other case does, else nothing that can be read, whatever it looks like."""
    if meanings is None:
        return word
    twins = {known.strip().casefold(): str(meaning) for known, meaning in meanings.items()}
    return twins.get(word.strip().casefold(), f"not under values: {word}")


def _print(row: MappedRow) -> bytes:
    """What two rows share when they mean the same, whatever line they stand on."""
    told = (
        row.source_key,
        [(one.kind, one.value) for one in row.identifiers],
        row.event,
        row.at,
        row.message_id,
        row.properties,
        row.traits,
        row.arm,
        row.outcomes,
    )
    return hashlib.blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def row_print(row: MappedRow) -> str:
    """A name for what the row means, stable over files that repeat it; hash it with a key before storing it."""
    return f"{_print(row).hex()}:{row.nth}"


def _identifier(kind: str, value: str, column: Column | None) -> Identifier:
    try:
        return Identifier(kind, value)
    except InvalidIdentifier as fault:
        raise CellFault(column, fault.message) from None


def _present(gets: Sequence[tuple[str, _Get]], cells: Sequence[Cell]) -> dict[str, Json]:
    return {name: value for name, get in gets if (value := get(cells)) is not None}


def _optional(get: _Get | None, cells: Sequence[Cell]) -> str | None:
    value = get(cells) if get is not None else None
    return None if value is None else str(value)


def _text(get: _Get | None, cells: Sequence[Cell], value: Value | None) -> str | None:
    """A word that the row must have, when the map asks for it at all."""
    if get is None or value is None:
        return None
    word = _optional(get, cells)
    if not word:
        raise CellFault(value.column, "expected a word, got nothing")
    return word


def _probability(get: _Get | None, cells: Sequence[Cell], value: Value | None) -> float | None:
    if get is None or value is None:
        return None
    cell = get(cells)
    if not isinstance(cell, int | float) or isinstance(cell, bool) or not 0 < cell <= 1:
        raise CellFault(value.column, "expected a propensity above 0 and at most 1")
    return float(cell)
