"""Clerical labels of a stand-alone run: read, obeyed, asked for; never needed."""

import csv

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
import typer
from typer.testing import CliRunner

from identity.judgements import Rulings
from identity.kinds import Overrides, infer
from identity.labels import read_labels
from identity.link import LinkOptions, link_files
from kernel.errors import InvalidInput
from orchestration.service.cli import identity_link
from tests.identity.linkage_world import world

TABLE = pa.table({"rec": [f"r{n}" for n in range(6)], "first_name": ["ann", "ann", "bob", "bob", "eve", "eve"]})
KINDS = infer(TABLE, Overrides(record_id="rec"))


def read(tmp_path, text: str, table: pa.Table = TABLE, kinds=KINDS) -> tuple[Rulings[int], list[str]]:
    path, notes = tmp_path / "labels.csv", []
    path.write_text(text)
    return read_labels(path, table, kinds, notes), notes


def test_labels_are_rulings_over_rows_whatever_words_they_are_said_in(tmp_path):
    said, notes = read(tmp_path, "left,right,label\nr1,r0,1\nr2,r3,no\nr4,r5,\nr0,r2,unsure\nr3,r3,1\n")
    assert said == Rulings(together=((0, 1),), apart=(((2,), (3,)),))
    assert notes == []
    splinks, _ = read(
        tmp_path, "unique_id_l,source_l,unique_id_r,source_r,clerical_match_score\nr0,x,r1,x,1.0\nr2,x,r3,x,0.0\n"
    )
    assert splinks == said


def test_what_a_file_says_twice_and_differently_counts_for_nothing_and_strangers_are_left_out(tmp_path):
    said, notes = read(tmp_path, "left,right,label\nr0,r1,1\nr1,r0,0\nr0,nobody,1\n")
    assert not said
    assert "1 pairs name records that are not in the table" in notes[0]
    assert "neither counts" in notes[1]


def test_without_a_record_id_a_row_is_its_number(tmp_path):
    bare = TABLE.drop_columns(["rec"])
    assert read(tmp_path, "left,right,label\n0,1,1\n", bare, infer(bare))[0].together == ((0, 1),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\nr0,r1\n", "expected columns left, right and label"),
        ("left,right\nr0,r1\n", "expected columns left, right and label"),
        ("left,right,label\nr0,r1,perhaps\n", "expected 1, 0 or nothing as a label"),
    ],
)
def test_a_file_that_is_no_labels_is_refused(tmp_path, text, expected):
    with pytest.raises(InvalidInput, match=expected) as refused:
        read(tmp_path, text)
    assert refused.value.code == "identity.bad_labels"


def test_ids_that_name_several_rows_cannot_be_labelled(tmp_path):
    twice = pa.table({"rec": ["r0", "r0"], "first_name": ["ann", "bob"]})
    with pytest.raises(InvalidInput, match="names one row each"):
        read(tmp_path, "left,right,label\nr0,r0,1\n", twice, infer(twice, Overrides(record_id="rec")))


def test_a_run_asks_what_is_worth_most_and_obeys_the_answers(tmp_path):
    people, asked, out = tmp_path / "people.csv", tmp_path / "ask.csv", tmp_path / "out.parquet"
    table = world(40)
    pacsv.write_csv(table, people)
    app = typer.Typer()
    app.command("link")(identity_link.link)
    arguments = [str(people), "--ignore", "who", "--out", str(out)]
    assert CliRunner().invoke(app, [*arguments, "--ask", str(asked)]).exit_code == 0
    rows = list(csv.DictReader(asked.read_text().splitlines()))
    assert 0 < len(rows) <= 200
    assert {row["label"] for row in rows} == {""}
    # Everything is answered against what the run thought; it obeys.

    wrong = tmp_path / "labels.csv"
    with wrong.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "label": int(row["one_person"] != "true")})
    linked = link_files([people], LinkOptions(overrides=Overrides(ignore=("who",)), labels=wrong))
    person = dict(
        zip(linked.table.column("rec").to_pylist(), linked.table.column("person_id").to_pylist(), strict=True)
    )
    assert all(person[r["left"]] != person[r["right"]] for r in rows if r["one_person"] == "true")


def test_labels_and_adding_exclude_each_other(tmp_path):
    from identity.increments import link_more

    with pytest.raises(InvalidInput, match="--add with --labels"):
        link_more([tmp_path / "a.csv"], [tmp_path / "b.csv"], LinkOptions(labels=tmp_path / "c.csv"))
