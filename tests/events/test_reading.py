"""Files as rows: kinds, compressions, encodings; a bad row costs one row."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import BadMap, UnreadableFile
from events.mapping import Format
from events.reading import Fault, open_table


def _rows(path, wanted, **form):
    with open_table(path, Format(**form)) as table:
        return list(table.rows(wanted))


def _file(tmp_path, content, name="x.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognised(tmp_path, mark):
    path = _file(tmp_path, f"id{mark} name \n1{mark} Ada \n2{mark}\n")
    assert _rows(path, ["name", "id"]) == [(2, ["Ada", "1"]), (3, [None, "2"])]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress, lambda raw: raw])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_compression_and_encoding_are_recognised_whatever_the_name(tmp_path, pack, encoding):
    path = _file(tmp_path, pack("id,name\n1,Müller\n".encode(encoding)), "export.dat")
    assert _rows(path, ["name"]) == [(2, ["Müller"])]


def test_a_malformed_row_is_a_fault_with_its_line_and_the_others_are_read(tmp_path):
    path = _file(tmp_path, 'id,name\n1,a\n2,b,c\n"3","x\ny"\n4\n5,e\n')
    assert _rows(path, ["id", "name"]) == [
        (2, ["1", "a"]), Fault(3, None, "expected 2 fields, got 3"), (4, ["3", "x\ny"]), Fault(6, None, "expected 2 fields, got 1"), (7, ["5", "e"]),
    ]  # fmt: skip


def test_bytes_outside_the_encoding_cost_one_row(tmp_path):
    path = _file(tmp_path, b"id,name\n1,M\xfcller\n2,b\n")
    assert _rows(path, ["id", "name"], encoding="utf-8") == [
        Fault(2, "name", "expected text in the file's encoding, got bytes outside it"),
        (3, ["2", "b"]),
    ]
    nul = _file(tmp_path, b"id,name\n1,a\x00b\n2,b\n")
    assert [type(row) for row in _rows(nul, ["name"])] == [Fault, tuple]


def test_columns_by_position_without_a_header(tmp_path):
    path = _file(tmp_path, " id  date\n 1  19970101   2\n\n 2  19970102   3\n", "x.txt")
    assert _rows(path, [0, 2], delimiter="whitespace", header=False, skip=1) == [(2, ["1", "2"]), (4, ["2", "3"])]
    with pytest.raises(BadMap, match="positions start at 0"):
        _rows(path, [3], delimiter="whitespace", header=False, skip=1)
    with pytest.raises(BadMap, match="no header"):
        _rows(path, ["id"], delimiter="whitespace", header=False, skip=1)


def test_an_unknown_column_is_named_with_the_nearest_known_one(tmp_path):
    with pytest.raises(BadMap, match="did you mean email"):
        _rows(_file(tmp_path, "id,email\n1,a\n"), ["e_mail"])


def test_json_lines(tmp_path):
    path = _file(tmp_path, '\ufeff{"id": 1, "a": {"b": " x "}}\n\n{"id": 2}\n[1]\n{"id":\n', "x.jsonl.gz")
    path.write_bytes(gzip.compress(path.read_bytes()))
    rows = _rows(path, ["id", "a.b"])
    assert rows[:2] == [(1, [1, "x"]), (3, [2, None])]
    assert [(fault.line, fault.column) for fault in rows[2:]] == [(4, None), (5, None)]


def test_parquet_keeps_types_and_skips_what_is_not_wanted(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"id": [1, 2], "x": [1.5, float("nan")], "tags": [["a"], None], "unused": ["u", "v"]}), path
    )
    assert _rows(path, ["tags", "id", "x"]) == [(1, [["a"], 1, 1.5]), (2, [None, 2, None])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b""),
        ("x.csv", b"a,a\n1,2\n"),
        ("x.parquet", b"PAR1garbage"),
        ("x.csv", gzip.compress(b"id\n" + b"1\n" * 9_999, mtime=0)[:-9]),
    ],
    ids=["empty", "a name twice", "no parquet", "cut short"],
)
def test_an_unreadable_file_says_so(tmp_path, name, content):
    with pytest.raises(UnreadableFile):
        _rows(_file(tmp_path, content, name), [0] if not content else ["id"], header=True)


def test_an_absent_file_says_so(tmp_path):
    with pytest.raises(UnreadableFile):
        _rows(tmp_path / "absent.csv", ["id"])


@settings(max_examples=60)
@given(
    content=st.builds(
        lambda mark, rest: mark + rest,
        st.sampled_from([b"", b"\xff\xfe", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"]),
        st.binary(max_size=400),
    )
)
def test_any_bytes_are_rows_faults_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_bytes(content)
    try:
        for row in _rows(path, [0], header=False):
            assert isinstance(row, Fault | tuple)
    except (UnreadableFile, BadMap):
        pass
