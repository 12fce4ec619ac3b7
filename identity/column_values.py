"""What the values of one column look like.

Enters: one Arrow column (a sample).  Leaves: `Look`, shares of rows that read as e-mail, date, number, name and so on.
Also holds the reading of dates, which cleaning uses again.
"""

import re
from collections import Counter
from dataclasses import dataclass
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from identity.lexicon import family_names, fold, given_names, plain_digits, words

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[\d\s().\-/]{7,20}(?:\s?(?:x|ext\.?)\s?\d{1,6})?")
_HEX = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{16,64}", re.IGNORECASE)
_STREET = re.compile(r"\d+\w?\s+\D{3,}|\D{3,}\s+\d+\w?")
_GENDER = frozenset(
    {
        "m",
        "f",
        "male",
        "female",
        "man",
        "woman",
        "w",
        "u",
        "x",
        "unknown",
        "other",
        "d",
        "masculin",
        "feminin",
        "h",
        "k",
        "v",
        "mujer",
        "hombre",
        "mannlich",
        "weiblich",
        "homme",
        "femme",
        "kobieta",
        "mezczyzna",
        "男",
        "女",
    }
)
_MONTHS = {
    m: i for i, m in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_MONTHS |= {  # where other languages begin otherwise
    "ene": 1, "gen": 1, "fev": 2, "mrz": 3, "abr": 4, "avr": 4, "mai": 5, "mag": 5, "maj": 5, "giu": 6, "lug": 7, "ago": 8, "set": 9, "okt": 10, "ott": 10, "out": 10, "dic": 12, "dez": 12,
}  # fmt: skip
_ISO = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ].*)?")
_COMPACT = re.compile(r"(1[6-9]\d\d|20\d\d)(\d\d)(\d\d)(?:\.0)?")
_PARTS = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})(?:[T ].*)?")
_WORDY = re.compile(
    r"(\d{1,2})[-/. ]+([a-z]{3})[a-z]*[-/., ]+(\d{4})|([a-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})", re.IGNORECASE
)

SAMPLE = 5_000  # distinct values read per column


@dataclass(frozen=True, slots=True)
class Look:
    """Shares (0 to 1, of filled rows) and counts; `rows` includes empty ones."""

    name: str
    rows: int
    filled: int
    distinct: int
    email: float = 0.0
    date: float = 0.0
    birth_like: bool = False
    number: float = 0.0
    low: float = 0.0
    high: float = 0.0
    year: float = 0.0
    month: float = 0.0
    day: float = 0.0
    counts_rows: bool = False
    gender: float = 0.0
    phone: float = 0.0
    hexadecimal: float = 0.0
    letters: float = 0.0
    digits: float = 0.0
    words: float = 0.0
    chunks: float = 0.0
    length: float = 0.0
    same_length: float = 0.0
    street: float = 0.0
    first_in_given: float = 0.0
    last_in_given: float = 0.0
    in_family: float = 0.0


def texts(column: pa.ChunkedArray) -> pa.Array:
    """A column of any type as trimmed text; empty text becomes null."""
    plain = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(plain, pa.ChunkedArray):  # zero chunks
        plain = pa.concat_arrays(plain.chunks) if plain.num_chunks else pa.array([], plain.type)
    if pa.types.is_dictionary(plain.type):
        plain = plain.dictionary_decode()
    if pa.types.is_nested(plain.type):
        plain = pa.array([None if v is None else str(v) for v in plain.to_pylist()], pa.string())
    if pa.types.is_binary(plain.type) or pa.types.is_large_binary(plain.type):
        plain = pa.array([None if v is None else v.decode("utf-8", "replace") for v in plain.to_pylist()], pa.string())
    trimmed = pc.utf8_trim_whitespace(pc.cast(plain, pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _counted(plain: pa.Array) -> tuple[Counter[str], int]:
    """Rows per value and how many values there are; of very many values an even choice, the same whatever the order of rows."""
    tallied = pc.value_counts(plain.drop_null())
    values, counts = tallied.field("values").to_pylist(), tallied.field("counts").to_pylist()
    every = max(1, len(values) // SAMPLE)
    chosen = (
        (v, c) for v, c in zip(values, counts, strict=True) if every == 1 or crc32(v.encode("utf-8")) % every == 0
    )
    return Counter(dict(sorted(chosen))), len(values)


def look_at(name: str, column: pa.ChunkedArray) -> Look:
    """Measure a column."""
    plain = texts(column)
    rows = len(plain)
    counted, distinct = _counted(plain)
    filled = sum(counted.values())
    if not filled:
        return Look(name, rows, 0, 0)
    scale = (rows - plain.null_count) / filled
    # Distinct values weighted by their rows: each is read once.
    share = dict.fromkeys(
        (
            "email",
            "date",
            "number",
            "month",
            "day",
            "year",
            "gender",
            "phone",
            "hex",
            "letters",
            "digits",
            "words",
            "chunks",
            "street",
            "given",
            "given_last",
            "family",
        ),
        0.0,
    )
    lengths: Counter[int] = Counter()
    numbers: list[float] = []
    years: list[int] = []
    day_first = reads_day_first(counted)
    for value, count in counted.items():
        lengths[len(value)] += count
        parts = words(value)
        share["words"] += count * len(parts)
        share["chunks"] += count * len(value.split())
        share["digits"] += count * sum(c.isdigit() for c in value)
        share["letters"] += count * (not any(c.isdigit() for c in value) and any(c.isalpha() for c in value))
        share["email"] += count * bool(_EMAIL.fullmatch(value))
        share["phone"] += count * bool(_PHONE.fullmatch(value) and sum(c.isdigit() for c in value) >= 7)
        share["hex"] += count * bool(_HEX.fullmatch(value))
        share["street"] += count * bool(_STREET.fullmatch(value))
        share["gender"] += count * (fold(value) in _GENDER)
        if parts:
            share["given"] += count * (parts[0] in given_names())
            share["given_last"] += count * (parts[-1] in given_names())
            share["family"] += count * (parts[-1] in family_names())
        date = read_date(value, day_first=day_first)
        if date:
            share["date"] += count
            years.append(int(date[:4]))
        number = _number(value)
        if number is not None:
            share["number"] += count
            numbers.append(number)
            share["month"] += count * (1 <= number <= 12)
            share["day"] += count * (1 <= number <= 31)
            share["year"] += count * (1850 <= number <= 2030 and number == int(number))
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    years.sort()
    middle = years[len(years) // 2] if years else 0
    return Look(
        name=name,
        rows=rows,
        filled=round(filled * scale),
        distinct=distinct,
        email=share["email"] / filled, date=share["date"] / filled,
        # Sign-up dates are recent and close together; birth dates spread over generations.
        birth_like=bool(years) and (len(set(years)) >= 20 or years[-1] - years[0] >= 30) and middle < 2010,
        number=share["number"] / filled, low=low, high=high, year=share["year"] / filled,
        month=share["month"] / filled,
        day=share["day"] / filled,
        counts_rows=bool(numbers) and share["number"] == filled and (high - low) <= 1.5 * rows,
        gender=share["gender"] / filled, phone=share["phone"] / filled, hexadecimal=share["hex"] / filled,
        letters=share["letters"] / filled, digits=share["digits"] / filled, words=share["words"] / filled, chunks=share["chunks"] / filled,
        length=sum(k * v for k, v in lengths.items()) / filled, same_length=lengths.most_common(1)[0][1] / filled,
        street=share["street"] / filled, first_in_given=share["given"] / filled,
        last_in_given=share["given_last"] / filled, in_family=share["family"] / filled,
    )  # fmt: skip


def _number(value: str) -> float | None:
    try:
        return float(value) if len(value) < 16 and (value[0].isdigit() or value[0] in "-.") else None
    except ValueError:
        return None


def reads_day_first(values: Counter[str]) -> bool:
    """Whether dates like 03/04/1980 put the day first: decided by the values where only one reading is possible."""
    day = month = 0
    for value, count in values.items():
        match = _PARTS.fullmatch(value)
        if match:
            day += count * (int(match[1]) > 12)
            month += count * (int(match[2]) > 12)
    return day >= month if "." in next(iter(values), "") or day or month else False


def read_date(value: str, *, day_first: bool) -> str | None:
    """A date as eight digits yyyymmdd.  Impossible months and days are kept: they are mistyped, and typos are compared."""
    value = plain_digits(value)
    match = _ISO.fullmatch(value) or _COMPACT.fullmatch(value)
    if match:
        return f"{match[1]}{int(match[2]):02d}{int(match[3]):02d}"
    match = _PARTS.fullmatch(value)
    if match:
        first, second, year = int(match[1]), int(match[2]), match[3]
        day, month = (first, second) if day_first else (second, first)
        full = year if len(year) == 4 else ("19" if int(year) > 25 else "20") + year
        return f"{full}{month:02d}{day:02d}"
    match = _WORDY.fullmatch(value)
    if match:
        day_text, month_text, year = (match[1], match[2], match[3]) if match[1] else (match[5], match[4], match[6])
        number = _MONTHS.get(month_text.lower())
        return f"{year}{number:02d}{int(day_text):02d}" if number else None
    return None
