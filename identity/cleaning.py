"""From raw columns to comparable ones.

Enters: an Arrow table and its kinds.  Leaves: `Cleaned`, a set of dictionary-coded fields with fixed names (`first`,
`last`, `rest`, `birth`, `email`, `phone`, `street`, ...), each value normalised once however many rows share it.
Junk is not judged here (see junk.py): this module knows one value at a time.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from identity.column_values import read_date, reads_day_first, texts
from identity.kinds import Kinds
from identity.lexicon import fold, parted, plain_digits, words

Codes = NDArray[np.int32]
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "miss",
        "dr",
        "prof",
        "sir",
        "dame",
        "lady",
        "rev",
        "hon",
        "mister",
        "herr",
        "frau",
        "jr",
        "sr",
        "ii",
        "iii",
    ]
)
_PARTICLES = frozenset(["of", "the", "de", "von", "van", "der", "du", "la", "le", "and"])
_EMPTY = frozenset(
    {"", "na", "n/a", "nan", "none", "null", "nil", "unknown", "-", "--", "?", ".", "not known", "missing"}
)
# Chinese, Japanese and Korean write the family name first and no blank: of four letters or more it has two, of fewer one, as a rule.
_UNSPACED = re.compile(r"[\u3400-\u9fff\uac00-\ud7a3々]{2,6}")
_DIGITS = re.compile(r"\D+")


@dataclass(frozen=True, slots=True)
class Coded:
    """One field: `values[codes[row]]`, -1 where a row has none."""

    codes: Codes
    values: tuple[str, ...]

    def texts(self) -> pa.Array:
        """The field as an Arrow text column."""
        indices = pa.array(self.codes, mask=self.codes < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(self.values, pa.string())).dictionary_decode()

    def mapped(self, change: Callable[[str], str | None]) -> "Coded":
        """Every value changed; None and equal results fall together."""
        return coded_from(self.codes, [change(v) for v in self.values])

    def without(self, bad: NDArray[np.bool_]) -> "Coded":
        """The same field with some values (mask over `values`) taken away."""
        keep = np.append(~bad, False)
        return Coded(np.where(keep[self.codes], self.codes, -1).astype(np.int32), self.values)

    def counts(self) -> NDArray[np.int64]:
        """Rows per value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Field:
    """A cleaned field, the kind that it came from and how the caller wants it used."""

    name: str
    kind: str
    coded: Coded
    unique: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a whole table decided about its values, so that a row of it alone can be read alike."""

    day_first: bool = False
    longest: str | None = None  # of several full names, the column whose words carry the others
    whole: bool = False  # full names of more than two words are common enough to be a field of their own


@dataclass(frozen=True, slots=True)
class Cleaned:
    """All fields of a table, by name, in a fixed order."""

    rows: int
    fields: dict[str, Field]
    reading: Reading = Reading()

    def of(self, *kinds: str) -> list[Field]:
        """Fields of these kinds."""
        return [f for f in self.fields.values() if f.kind in kinds]

    def codes(self, name: str) -> Codes | None:
        """Codes of a field, if the table has it."""
        return self.fields[name].coded.codes if name in self.fields else None


def coded_from(codes: Codes, changed: Sequence[str | None]) -> Coded:
    """Renumber after a change of values: distinct results in the order of their first value."""
    place: dict[str, int] = {}
    renumber = np.array([place.setdefault(v, len(place)) if v else -1 for v in changed] + [-1], dtype=np.int32)
    return Coded(renumber[codes], tuple(place))


class Columns(Protocol):
    """A table: Arrow's, or a few rows whose columns are lists of text."""

    @property
    def num_rows(self) -> int:
        """How many rows."""
        ...

    def column(self, name: str, /) -> pa.ChunkedArray | list[str | None]:
        """One column."""
        ...


def encode(column: pa.ChunkedArray | pa.Array | list[str | None], change: Callable[[str], str | None] = str) -> Coded:
    """Any Arrow column, or a list of text, as codes of trimmed text, changed."""
    if isinstance(column, list):
        return _encode_few(column, change)
    encoded = pc.dictionary_encode(texts(column))
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    values = encoded.dictionary.to_pylist()
    return coded_from(codes, [None if len(v) < 10 and v.lower() in _EMPTY else change(repair(v)) for v in values])


def _encode_few(column: Sequence[str | None], change: Callable[[str], str | None]) -> Coded:
    place: dict[str, int] = {}
    trimmed = [v.strip() if v else None for v in column]
    codes = np.array([place.setdefault(v, len(place)) if v else -1 for v in trimmed], np.int32)
    return coded_from(codes, [None if len(v) < 10 and v.lower() in _EMPTY else change(repair(v)) for v in place])


def repair(text: str) -> str:
    """Undo UTF-8 that was once read as Latin-1 ("MÃ¼ller") and digits of other scripts; other text is returned as it is."""
    if text.isascii():
        return text
    if "Ã" in text or "Â" in text:
        try:
            return text.encode("cp1252").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            return plain_digits(text)
    return plain_digits(text)


def name(text: str) -> str | None:
    """A name part: folded words without titles."""
    kept = [w for w in words(text) if w not in _TITLES] or words(text)
    return " ".join(kept) or None


def email(text: str) -> str | None:
    """local@domain in lower case, without +tag; dots do not count at gmail."""
    local, at, domain = fold(text).replace(" ", "").rpartition("@")
    if not at:
        return domain or None
    local = local.split("+", 1)[0] or local
    domain = "gmail.com" if domain == "googlemail.com" else domain
    return f"{local.replace('.', '') if domain == 'gmail.com' else local}@{domain}"


def phone(text: str) -> str | None:
    """National digits: an international or trunk prefix is dropped."""
    digits = _DIGITS.sub("", text.removesuffix(".0"))
    if text.strip().startswith("+") or (digits.startswith("00") and digits.strip("0")):
        return digits.lstrip("0")[-10:] or digits
    if len(digits) == 11 and digits[0] in "01":
        return digits[1:]
    return digits or None


def postcode(text: str) -> str | None:
    """Upper case letters and digits, no blanks."""
    return re.sub(r"[^A-Z0-9]", "", fold(text.removesuffix(".0")).upper()) or None


def token(text: str) -> str | None:
    """An identifier: letters and digits only, of any script, folded."""
    return parted(fold(text.removesuffix(".0"))).replace(" ", "") or None


def phrase(text: str) -> str | None:
    """Folded words."""
    return " ".join(words(text)) or None


_CHANGE: dict[str, Callable[[str], str | None]] = {
    "first_name": name, "last_name": name, "email": email, "phone": phone, "postcode": postcode, "national_id": token,
    "login_id": token, "device_id": token, "customer_id": token, "street": phrase, "city": phrase, "place": phrase,
    "country": phrase, "gender": phrase, "category": phrase, "text": phrase,
}  # fmt: skip
_BASE = {
    "first_name": "first", "last_name": "last", "national_id": "national", "login_id": "login", "device_id": "device",
    "customer_id": "customer",
}  # fmt: skip


def clean(table: Columns, kinds: Kinds, like: Reading | None = None) -> Cleaned:
    """All usable fields of the table; read ``like`` an earlier one, where the table is a few rows of it."""
    fields: dict[str, Field] = {}
    for column in kinds.columns:
        if column.kind in _CHANGE:
            base = _BASE.get(column.kind, column.kind)
            free = next(n for i in range(1, 1000) if (n := base if i == 1 else f"{base}_{i}") not in fields)
            coded = encode(table.column(column.name), _CHANGE[column.kind])
            fields[free] = Field(free, column.kind, coded, column.unique, column.shared)
    reading = _add_full_names(table, kinds, fields, like)
    birth, reading = _birth(table, kinds, reading, like)
    if birth is not None:
        fields["birth"] = Field("birth", "birth_date", birth)
    return Cleaned(table.num_rows, {n: f for n, f in fields.items() if (f.coded.codes >= 0).any()}, reading)


def _add_full_names(table: Columns, kinds: Kinds, fields: dict[str, Field], like: Reading | None) -> Reading:
    """Full names give first and last where these are not columns of their own, and always the words between."""
    columns = {c.name: encode(table.column(c.name)) for c in kinds.of("full_name")}
    if not columns:
        return Reading()
    # Of several full names the wordiest carries the others.
    named = like.longest if like else max(columns, key=lambda name: sum(len(v) for v in columns[name].values))
    assert named is not None
    longest = columns[named]
    parts = [_split(v) for v in longest.values]
    for base, index, kind in (("first", 0, "first_name"), ("last", 1, "last_name")):
        if base not in fields:
            fields[base] = Field(base, kind, coded_from(longest.codes, [p[index] for p in parts]))
    whole = longest.mapped(phrase)
    wordy = like.whole if like else sum(len(v.split()) > 2 for v in whole.values) > 0.05 * len(whole.values)
    if wordy:
        fields["full"] = Field("full", "full_name", whole)
        fields["rest"] = Field("rest", "rest", _between(whole, fields["first"].coded, fields["last"].coded))
    return Reading(longest=named, whole=wordy)


def _between(full: Coded, first: Coded, last: Coded) -> Coded:
    """The words of a full name that are neither the first nor the last name of the same row, in alphabetical order."""
    rows, codes = np.unique(np.stack([full.codes, first.codes, last.codes]), axis=1, return_inverse=True)
    kept: list[str | None] = []
    for whole, a, b in rows.T.tolist():
        left = full.values[whole].split() if whole >= 0 else []
        for word in (first.values[a].split() if a >= 0 else []) + (last.values[b].split() if b >= 0 else []):
            if word in left:
                left.remove(word)
        kept.append(" ".join(sorted({w for w in left if len(w) > 1 and w not in _PARTICLES})) or None)
    return coded_from(codes.astype(np.int32), kept)


def _split(text: str) -> tuple[str | None, str | None]:
    before, comma, after = text.partition(",")
    if comma and len(words(after)) in (1, 2) and len(words(before)) == 1:  # "Smith, John"
        first, last = words(after), words(before)
        return first[0], last[-1]
    parts = (name(text) or "").split()
    if not parts:
        return None, None
    if _UNSPACED.fullmatch("".join(parts)):
        whole, family = parts[0], 2 if len(parts[0]) > 3 else 1
        return (parts[-1], whole) if len(parts) > 1 else (whole[family:], whole[:family])
    return parts[0], parts[-1] if len(parts) > 1 else None


def _birth(table: Columns, kinds: Kinds, reading: Reading, like: Reading | None) -> tuple[Coded | None, Reading]:
    whole = kinds.of("birth_date")
    if whole:
        raw = encode(table.column(whole[0].name))
        day_first = like.day_first if like else reads_day_first(Counter(raw.values))
        return raw.mapped(lambda v: read_date(v, day_first=day_first)), replace(reading, day_first=day_first)
    years, months, days = (kinds.of(k) for k in ("birth_year", "birth_month", "birth_day"))
    if not years:
        return None, reading
    parts = [encode(table.column(c[0].name)) if c else None for c in (years, months, days)]
    return _joined(parts, (4, 2, 2), table.num_rows), reading


def _joined(parts: Iterable[Coded | None], widths: tuple[int, ...], rows: int) -> Coded:
    """Yyyymmdd from parts; a missing part is zeros, a row without a year has no birth date."""
    texts_: list[NDArray[np.str_]] = []
    missing = np.zeros(rows, dtype=bool)
    for part, width in zip(parts, widths, strict=True):
        if part is None:
            texts_.append(np.full(rows, "0" * width))
            continue
        padded = np.array(
            [_DIGITS.sub("", v.removesuffix(".0")).zfill(width)[-width:] for v in part.values] + ["0" * width]
        )
        texts_.append(padded[part.codes])
        if width == 4:
            missing = part.codes < 0
    joined = np.char.add(np.char.add(texts_[0], texts_[1]), texts_[2])
    distinct, codes = np.unique(joined, return_inverse=True)
    return coded_from(np.where(missing, -1, codes).astype(np.int32), distinct.tolist())
