"""One value at a time: names, e-mail, phones, dates, postcodes; and junk found from the data."""

import numpy as np
import pyarrow as pa
import pytest

from identity import cleaning
from identity.column_values import read_date
from identity.junk import remove_junk
from identity.kinds import infer
from identity.lexicon import akin
from identity.phonetics import sound


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Ada.Lovelace+shop@Example.ORG", "ada.lovelace@example.org"),
        ("a.d.a@googlemail.com", "ada@gmail.com"),
        (" ada@example.org ", "ada@example.org"),
    ],
)
def test_email(raw, clean):
    assert cleaning.email(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("+1 (555) 123-4567", "5551234567"),
        ("15551234567", "5551234567"),
        ("555 123 4567", "5551234567"),
        ("0000000000", "0000000000"),
    ],
)
def test_phone(raw, clean):
    assert cleaning.phone(raw) == clean


@pytest.mark.parametrize(
    ("raw", "day_first", "clean"),
    [
        ("1980-03-04", False, "19800304"), ("19800304", False, "19800304"), ("03/04/1980", True, "19800403"), ("03/04/1980", False, "19800304"),
        ("4.3.1980", True, "19800304"), ("1856-86-18", False, "18568618"), ("4 Mar 1980", False, "19800304"), ("March 4, 1980", False, "19800304"),
        ("1980-03-04T00:00:00", False, "19800304"), ("blue", False, None),
    ],
)  # fmt: skip
def test_dates(raw, day_first, clean):
    assert read_date(raw, day_first=day_first) == clean


def test_names_lose_case_accents_titles_and_damage():
    assert cleaning.name("Dr. José  Müller") == "jose muller"
    assert cleaning.name("O’Neill") == "oneill"
    assert cleaning.repair("MÃ¼ller") == "Müller"
    assert cleaning.repair("Ãmbar") == "Ãmbar"


def test_other_scripts_keep_their_letters_and_share_one_kind_of_digits():
    ids = ["мария77", "иван77", "田中_01", "मीना", "मेना", "تانيا۵"]
    assert [cleaning.token(cleaning.repair(one)) for one in ids] == [
        "мария77",
        "иван77",
        "田中01",
        "मीना",
        "मेना",
        "تانيا5",
    ]
    assert cleaning.name("अमित") == "अमित"  # a vowel sign parts no word
    assert cleaning.name("علی\u200cرضا") == cleaning.name("عليرضا")  # a joiner and a Persian keyboard
    assert cleaning.name("A\u200bda") == "ada"
    assert cleaning.name("がん") != cleaning.name("かん")
    assert cleaning.phone(cleaning.repair("０３－１２３４－５６７８")) == "0312345678"
    assert read_date("١٩٨٠-٠٣-٠٤", day_first=False) == read_date("１９８０年３月４日", day_first=False) == "19800304"


def test_nicknames_and_sounds():
    assert akin("bob", "robert")
    assert akin("bob", "rob")
    assert not akin("bob", "alice")
    assert sound("meyer") == sound("maier")
    assert sound("catherine") == sound("kathryn")
    assert sound("smith") != sound("jones")


def test_full_names_are_split():
    table = pa.table({"name": ["Lovelace, Ada", "Dr Charles Babbage", "Madonna"] * 20})
    fields = cleaning.clean(table, infer(table)).fields
    assert fields["first"].coded.texts().to_pylist()[:3] == ["ada", "charles", "madonna"]
    assert fields["last"].coded.texts().to_pylist()[:3] == ["lovelace", "babbage", None]


def test_split_birth_dates_are_joined_and_missing_parts_are_zeros():
    table = pa.table({"by": [1980, 1981, None] * 20, "bm": [3, None, 4] * 20, "bd": [4, 5, 6] * 20})
    birth = cleaning.clean(table, infer(table)).fields["birth"].coded
    assert birth.texts().to_pylist()[:3] == ["19800304", "19810005", None]


def test_junk_is_found_by_the_names_behind_it_and_a_family_mailbox_is_not():
    names = [f"{a}{b}en" for a in "bcdfghjklm" for b in "aeiou"]
    rows = 400
    table = pa.table(
        {
            "first_name": [names[i % 50] for i in range(rows)],
            "surname": ["Marsh" if i < 40 else names[(i * 7) % 50] for i in range(rows)],
            # 40 records of one family of four; 60 records of sixty people who typed nonsense; the rest their own.
            "email": [
                ("family@example.org" if i < 40 else "test@test.com" if i < 100 else f"own{i}@example.org")
                for i in range(rows)
            ],
        }
    )
    first = [["Ann", "Bo", "Cy", "Di"][i % 4] if i < 40 else names[i % 50] for i in range(rows)]
    table = table.set_column(0, "first_name", pa.array(first))
    cleaned, lost = remove_junk(cleaning.clean(table, infer(table)))
    assert lost == {"email": 60}
    kept = cleaned.fields["email"].coded.codes >= 0
    assert np.array_equal(np.flatnonzero(~kept), np.arange(40, 100))
