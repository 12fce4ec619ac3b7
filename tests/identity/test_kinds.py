"""Kinds are read from names and values; the caller's word wins; the order of rows plays no part."""

import random

import pyarrow as pa
import pytest

from identity.kinds import KINDS, Overrides, infer
from identity.lexicon import family_names, given_names
from kernel.errors import InvalidInput

RNG = random.Random(5)
GIVEN = sorted(given_names())[::7]
FAMILY = sorted(family_names())[::7]


def people(rows: int = 300) -> dict[str, list[object]]:
    return {
        "first": [RNG.choice(GIVEN) for _ in range(rows)],
        "last": [RNG.choice(FAMILY) for _ in range(rows)],
        "year": [RNG.randint(1930, 2005) for _ in range(rows)],
        "month": [RNG.randint(1, 12) for _ in range(rows)],
        "day": [RNG.randint(1, 28) if i else 31 for i in range(rows)],
    }


def kinds_of(table: pa.Table, **wishes: object) -> dict[str, str]:
    return {c.name: c.kind for c in infer(table, Overrides(**wishes)).columns}


def test_usual_names_are_understood():
    p = people()
    table = pa.table(
        {
            "rec_id": [f"r{i}" for i in range(300)],
            "givenName": p["first"],
            "SURNAME": p["last"],
            "date_of_birth": [f"{y}{m:02d}{d:02d}" for y, m, d in zip(p["year"], p["month"], p["day"], strict=True)],
            "E-Mail": [f"x{i % 200}@example.org" for i in range(300)],
            "mobile": [f"0171 {i % 250:07d}" for i in range(300)],
            "zip": [f"{i % 90:05d}" for i in range(300)],
            "suburb": ["north", "south", "east"] * 100,
            "soc_sec_id": [f"{i % 260:07d}" for i in range(300)],
            "created_at": ["2024-05-01T10:00:00"] * 150 + ["2024-05-02T10:00:00"] * 150,
            "birth_place": ["bonn", "york", "lyon"] * 100,
        }
    )
    assert kinds_of(table) == {
        "rec_id": "ignore", "givenName": "first_name", "SURNAME": "last_name", "date_of_birth": "birth_date", "E-Mail": "email",
        "mobile": "phone", "zip": "postcode", "suburb": "city", "soc_sec_id": "national_id", "created_at": "time", "birth_place": "place",
    }  # fmt: skip
    assert infer(table).record_id == "rec_id"


def test_unknown_abbreviations_are_judged_by_their_values():
    p = people()
    table = pa.table(
        {
            "a1": p["first"],
            "a2": p["last"],
            "q": p["year"],
            "w": p["month"],
            "e": p["day"],
            "k": [f"n{i % 240}@mail.example" for i in range(300)],
            "g": ["m", "f"] * 150,
            "z": list(range(300)),
        }
    )
    assert kinds_of(table) == {
        "a1": "first_name", "a2": "last_name", "q": "birth_year", "w": "birth_month", "e": "birth_day", "k": "email",
        "g": "gender", "z": "ignore",
    }  # fmt: skip


def test_split_birth_dates_with_short_names():
    p = people()
    table = pa.table({"fname_c1": p["first"], "lname_c1": p["last"], "by": p["year"], "bm": p["month"], "bd": p["day"]})
    assert kinds_of(table) == {
        "fname_c1": "first_name", "lname_c1": "last_name", "by": "birth_year", "bm": "birth_month", "bd": "birth_day",
    }  # fmt: skip


def test_full_names_are_found_by_value():
    p = people()
    table = pa.table({"who": [f"{a} {b}" for a, b in zip(p["first"], p["last"], strict=True)]})
    assert kinds_of(table) == {"who": "full_name"}


def test_a_name_that_its_values_deny_is_not_believed():
    table = pa.table({"email": ["red", "green", "blue"] * 40, "phone": ["yes", "no", "no"] * 40})
    assert kinds_of(table)["email"] != "email"
    assert kinds_of(table)["phone"] != "phone"


def test_an_empty_column_is_ignored():
    table = pa.table({"first_name": pa.array([None] * 50, pa.string()), "surname": ["Ray", "Moe"] * 25})
    assert kinds_of(table)["first_name"] == "ignore"


def test_the_order_of_rows_plays_no_part():
    p = people(40_000)
    table = pa.table({"a1": p["first"], "a2": p["last"], "n": list(range(40_000))})
    shuffled = table.take(pa.array(RNG.sample(range(40_000), 40_000)))
    assert infer(table) == infer(shuffled)


def test_the_callers_word_wins():
    table = pa.table({"first_name": ["Ann", "Bob"] * 20, "x": ["1", "2"] * 20})
    found = infer(table, Overrides(kinds={"x": "login_id"}, ignore=["first_name"], shared=["x"]))
    assert [(c.kind, c.why) for c in found.columns] == [("ignore", "asked"), ("login_id", "asked")]
    assert found.columns[1].shared
    assert not found.columns[1].unique


def test_a_table_that_declares_its_kinds_is_believed():
    fields = [pa.field("record_id", pa.string()), pa.field("x", pa.string(), metadata={"kind": "email"})]
    found = infer(pa.Table.from_arrays([pa.array(["r1", "r2"]), pa.array(["a", "b"])], schema=pa.schema(fields)))
    assert [(c.kind, c.why) for c in found.columns] == [("ignore", "record id"), ("email", "declared")]
    assert found.record_id == "record_id"


def test_login_is_unique_by_nature():
    table = pa.table({"login_id": ["u1", "u2"] * 20, "first_name": ["Ann", "Bob"] * 20})
    assert infer(table).columns[0].unique


@pytest.mark.parametrize(
    "wish",
    [{"ignore": ["no"]}, {"unique": ["no"]}, {"shared": ["no"]}, {"kinds": {"no": "email"}}, {"record_id": "no"}],
)
def test_unknown_columns_are_refused(wish):
    with pytest.raises(InvalidInput, match="'no'") as refused:
        infer(pa.table({"a": ["x"]}), Overrides(**wish))
    assert refused.value.code == "identity.unknown_column"


def test_unknown_kinds_are_refused():
    with pytest.raises(InvalidInput, match="spaceship"):
        infer(pa.table({"a": ["x"]}), Overrides(kinds={"a": "spaceship"}))


def test_kinds_of_the_contract():
    assert ", ".join(KINDS) == (
        "first_name, last_name, full_name, birth_date, birth_year, birth_month, birth_day, email, phone, street, city, postcode, "
        "place, country, gender, national_id, login_id, device_id, customer_id, category, text, time, ignore"
    )
