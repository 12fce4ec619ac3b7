"""Files as people send them: read, or refused with what was expected; never a traceback."""

import gzip

import numpy as np
import pytest

from identity import batch, files
from identity.cleaning import Cleaned, Field, coded_from
from kernel.errors import InvalidInput


def read(tmp_path, content: bytes, name: str = "people.csv") -> tuple[dict[str, list], list[str]]:
    path = tmp_path / name
    path.write_bytes(content)
    table, _, notes = files.read([path])
    return table.to_pydict(), notes


def test_what_unicode_calls_a_line_break_may_stand_within_a_cell(tmp_path):
    told, _ = read(tmp_path, "name,note\nAnn,a\u2028b\nBob,x\x0by\nEve,\x85z\r\n".encode())
    assert told["name"] == ["Ann", "Bob", "Eve"]
    assert told["note"] == ["a\u2028b", "x\x0by", "\x85z"]


def test_text_of_two_bytes_a_letter_is_read_with_and_without_its_mark_and_a_stray_nul_is_not_taken_for_it(tmp_path):
    text = "name,city\nJosé,Köln\n"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        assert read(tmp_path, text.encode(encoding))[0] == {"name": ["José"], "city": ["Köln"]}
    assert read(tmp_path, b"name,city\nAnn\x00,Rome\n")[0]["city"] == ["Rome"]


def test_a_list_of_objects_is_read_as_lines_of_objects_are(tmp_path):
    told = {"name": ["Ann", "Bob"]}
    assert read(tmp_path, b'[{"name": "Ann"},\n {"name": "Bob"}]', "people.json")[0] == told
    assert read(tmp_path, b'{"name": "Ann"}\n{"name": "Bob"}\n', "people.jsonl")[0] == told


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"hello", "people.csv.gz", "expected a gzip file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4], "people.csv.gz", "expected a gzip file"),
        (b"name,note\nAnn," + b"x" * (files.LONGEST_CELL + 1) + b"\n", "people.csv", "line 2: expected cells of at most"),
        (b"[1, 2]", "people.json", "line 1: expected one JSON object, got int"),
        (b'[{"a": 1},', "people.json", "expected a JSON list"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(tmp_path, content, name, expected):
    with pytest.raises(InvalidInput, match=expected):
        read(tmp_path, content, name)


def test_a_file_without_a_line_of_names_is_remarked_on(tmp_path):
    assert "the first line was taken for names" in read(tmp_path, b"Ann,Ray,1990-01-01\nBob,Lee,1980-03-04\n")[1][0]
    assert read(tmp_path, b"name,surname,dob_1990\nBob,Lee,1980-03-04\n")[1] == []


def test_a_hundred_columns_that_say_nothing_of_a_person_do_not_drown_those_that_do():
    fields = {name: Field(name, "category", coded_from(np.zeros(1, np.int32), [name])) for name in map(str, range(100))}
    fields["first"] = Field("first", "first_name", coded_from(np.zeros(1, np.int32), ["ann"]))
    remarks: list[str] = []
    kept = batch._fewer(Cleaned(1, fields), remarks)
    assert list(kept.fields) == [*map(str, range(batch.MOST_WEAK)), "first"]
    assert remarks == [
        "88 columns of categories or text beyond the first 12 are not compared; name kinds with --map, or --ignore others"
    ]
