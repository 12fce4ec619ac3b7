"""What four sources wrote down about the people: incomplete, misspelt, out of date, shared, sometimes junk.

Enters: the true people. Leaves: rows of four sources (crm, commerce, app, newsletter), each naming its true person in a column
that only the scorer reads. Error rates follow what customer bases show: nicknames 12 %, typing errors 5 to 8 % a field,
day and month swapped 3 %, plus-addressed or misspelt mail 8 %, junk contacts about 1 %, kiosk devices 3 %.
"""

import random
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from orchestration.demo.households import DAYS, Someone, nicknames_of

SOURCES = {"crm": 0.34, "commerce": 0.32, "app": 0.20, "newsletter": 0.14}
COLUMNS = (
    "row_id",
    "first_name",
    "last_name",
    "birth_date",
    "email",
    "phone",
    "street",
    "city",
    "postcode",
    "device_id",
    "login_id",
    "day",
)
JUNK_MAIL = ("test@test.com", "noreply@shop.com", "info@shop.com", "none@none.com")
JUNK_PHONE = ("0000000000", "1111111111", "1234567890")
LOOKALIKE = {"o": "0", "l": "1", "i": "l", "s": "5", "m": "rn", "e": "c", "a": "e", "u": "v", "n": "m"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of one source; `truth` is the person's number in the world."""

    source: str
    cells: dict[str, str]
    day: int
    truth: int
    tag: str


def misspelt(rng: random.Random, word: str) -> str:
    """One slip of the hand or of a scanner: a letter lost, added, changed, swapped or misread."""
    if len(word) < 2:
        return word
    at = rng.randrange(len(word))
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
    slips = (
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
        word[:at] + LOOKALIKE.get(word[at].lower(), word[at]) + word[at + 1 :],
    )
    return rng.choice(slips)


def records(everyone: list[Someone], seed: int) -> list[Row]:
    """About 2.5 rows a person, at most 12, one in five people only once; order is shuffled."""
    rng = random.Random(f"records:{seed}")
    rows: list[Row] = []
    kiosks = [f"kiosk-{n}" for n in range(max(5, len(everyone) // 1600))]
    for person in everyone:
        count = 1
        if rng.random() >= 0.22:
            while count < 12 and rng.random() > 1 / 1.65:
                count += 1
            count += 1
        rows.extend(_row(rng, person, kiosks) for _ in range(min(count, 12)))
    rng.shuffle(rows)
    return rows


def _row(rng: random.Random, person: Someone, kiosks: list[str]) -> Row:
    source = rng.choices(list(SOURCES), weights=list(SOURCES.values()))[0]
    day = rng.randrange(DAYS)
    street, city, postcode = person.homes[person.at("home", day)]
    first, last = _names(rng, person, day)
    cells = {
        "first_name": first,
        "last_name": last,
        "birth_date": _birth_date(rng, person.born),
        "email": _email(rng, person.emails[person.at("email", day)]),
        "phone": _phone(rng, person.phones[person.at("phone", day)]),
        "street": misspelt(rng, street) if rng.random() < 0.08 else street,
        "city": city,
        "postcode": postcode,
        "device_id": f"{person.device}-{day // 500 % 2}" if rng.random() < 0.97 else rng.choice(kiosks),
        "login_id": person.login or "",
    }
    for column in _not_captured(rng, source):
        cells[column] = ""
    return Row(source=source, cells=cells, day=day, truth=person.number, tag=person.tag)


def _names(rng: random.Random, person: Someone, day: int) -> tuple[str, str]:
    first, last = person.first, person.surnames[person.at("surname", day)]
    draw = rng.random()
    if draw < 0.12 and nicknames_of(first):
        first = rng.choice(nicknames_of(first))
    elif 0.12 <= draw < 0.14:
        first = first[0]
    first = misspelt(rng, first) if rng.random() < 0.07 else first
    last = misspelt(rng, last) if rng.random() < 0.08 else last
    return (last, first) if rng.random() < 0.012 else (first, last)


def _birth_date(rng: random.Random, born: date) -> str:
    draw = rng.random()
    if draw < 0.03 and born.day <= 12:
        born = date(born.year, born.day, born.month)
    elif 0.03 <= draw < 0.06:
        text = born.isoformat()
        return f"{text[:-1]}{(int(text[-1]) + rng.randint(1, 8)) % 10}"
    elif 0.06 <= draw < 0.07:
        return f"{born.year}-01-01"
    return born.isoformat()


def _email(rng: random.Random, email: str) -> str:
    draw = rng.random()
    local, host = email.split("@")
    if draw < 0.05:
        return f"{misspelt(rng, local)}@{host}"
    if draw < 0.08:
        return f"{local}+shop@{host}"
    return rng.choice(JUNK_MAIL) if draw < 0.085 else email


def _phone(rng: random.Random, phone: str) -> str:
    draw = rng.random()
    if draw < 0.03:
        digits = list(phone)
        at = rng.randrange(2, len(digits))
        digits[at] = str(rng.randrange(10))
        return "".join(digits)
    return rng.choice(JUNK_PHONE) if draw < 0.037 else phone


def _not_captured(rng: random.Random, source: str) -> list[str]:
    """Columns a source leaves empty: a fixed part of what it never asks, and a share of what people skip."""
    never = {
        "newsletter": ("birth_date", "phone", "street", "city", "device_id", "login_id"),
        "app": ("street", "city"),
        "commerce": (),
        "crm": ("device_id", "login_id"),
    }[source]
    skipped = {
        "newsletter": {"postcode": 0.7, "last_name": 0.4},
        "app": {"postcode": 0.5, "phone": 0.5, "birth_date": 0.4},
        "commerce": {"birth_date": 0.75, "device_id": 0.3, "phone": 0.2, "login_id": 0.4},
        "crm": {"email": 0.25, "phone": 0.25, "birth_date": 0.15},
    }[source]
    return [*never, *(column for column, share in skipped.items() if rng.random() < share)]


def true_pairs(rows: list[Row]) -> int:
    """How many pairs of rows are of one person."""
    truths = sorted(row.truth for row in rows)
    total, run = 0, 1
    for left, right in pairwise(truths):
        run = run + 1 if left == right else 1
        total += run - 1 if left == right else 0
    return total
