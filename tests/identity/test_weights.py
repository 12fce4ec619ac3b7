"""The scorer without Splink: the same weight as Splink's for the same pair, term by term; conditions answer as DuckDB does."""

import json
import random

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import comparisons
from identity.batch import prepare
from identity.cleaning import Cleaned, Coded, Field
from identity.comparisons import linkage_input
from identity.conditions import Row, compiled, tree
from identity.kinds import Overrides, infer
from identity.linkage import predict_cleaned, readings
from identity.weights import Weights
from kernel.errors import InvalidInput
from tests.identity.linkage_world import world

WORDS = "abcdeéß ж'@1"


def rarities(cleaned: Cleaned):
    shares = {}
    for name, field in cleaned.fields.items():
        counts = field.coded.counts()
        shares[comparisons.column_of(name)] = dict(zip(field.coded.values, counts / counts.sum(), strict=True))
    return lambda column, value: shares[column].get(value)


def mixed() -> pa.Table:
    """Fields of every kind that has a comparison."""
    rng = random.Random(4)
    table = world(60, seed=4)
    rows = table.to_pylist()
    of: dict[int, dict[str, str]] = {}
    for row in rows:
        mine = of.setdefault(
            row["who"],
            {
                "full": f"{row['first_name']} {rng.choice(['anne', 'of', 'jo', 'max'])} {rng.choice(['b', 'cy'])} {row['surname']}",
                "phone": f"+49 30 {rng.randint(1000000, 9999999)}",
                "street": f"{rng.randint(1, 99)} {rng.choice(['Elm', 'Oak', 'Ash'])} street",
                "city": rng.choice(["Köln", "Bonn", "Berlin", "Ulm"]),
                "job": rng.choice(["cook", "smith", "poet"]),
                "login": f"login{rng.randint(1, 900)}",
            },
        )
        row.update({key: value for key, value in mine.items() if rng.random() < 0.8})
    names = dict.fromkeys(key for row in rows for key in row)
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])


def bare(people: int = 120, named: float = 0.4) -> pa.Table:
    """Most rows say how somebody is reached and nothing else."""
    rng = random.Random(6)
    rows = world(people, seed=3).to_pylist()
    for row in rows:
        if rng.random() > named:
            row.update(dict.fromkeys(("first_name", "surname", "dob")))
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("table", [world(120, seed=3), mixed(), bare()], ids=["plain", "mixed", "bare"])
def test_a_pair_weighs_what_splink_says(table: pa.Table) -> None:
    prepared = prepare(table, infer(table, Overrides(record_id="rec", ignore=["who"])))
    model = prepared.train(1)
    found = predict_cleaned(model, prepared.cleaned, prepared.pairs)
    weights = Weights(model.settings, model.kin, readings(model))
    rows, rarity = linkage_input(prepared.cleaned).to_pylist(), rarities(prepared.cleaned)
    ours = [weights.weight(rows[a], rows[b], rarity) for a, b in zip(found.left, found.right, strict=True)]
    assert len(ours) > 150
    assert np.abs(np.array(ours) - found.weight).max() < 1.5e-6
    for a, b, weight in zip(found.left[:200], found.right[:200], found.weight[:200], strict=True):
        scored = weights.score(rows[a], rows[b], rarity)
        summed = scored.person.prior + sum(t.weight + t.rarity for t in scored.person.terms) + scored.relatives
        assert abs(summed - scored.exact) < 1e-9
        assert abs(scored.weight - weight) < 1.5e-6


def cleaned_of_all() -> Cleaned:
    """One row of every kind, so that every level that can be made is made."""
    kinds = {
        "first": "first_name",
        "first_2": "first_name",
        "last": "last_name",
        "birth": "birth_date",
        "rest": "rest",
        "email": "email",
        "phone": "phone",
        "national": "national_id",
        "postcode": "postcode",
        "street": "street",
        "city": "city",
        "place": "place",
        "text": "text",
        "login": "login_id",
        "device": "device_id",
        "customer": "customer_id",
        "gender": "gender",
        "category": "category",
        "country": "country",
    }
    one = np.zeros(1, np.int32)
    return Cleaned(1, {name: Field(name, kind, Coded(one, ("x",))) for name, kind in kinds.items()})


def asked(condition: str, connection):
    read = connection.execute("select json_serialize_sql(?)", [f"select {condition}"]).fetchall()
    return compiled(tree(json.loads(read[0][0])["statements"][0]["node"]["select_list"][0]))


EVERY = sorted(
    {
        sql
        for comparison in comparisons.comparisons(cleaned_of_all())
        for sql in (comparison.absent, *(x.sql for x in comparison.levels[:-1]))
    }
)
with duckdb.connect(":memory:") as READER:
    OURS = [asked(sql, READER) for sql in EVERY]
COLUMNS = sorted({comparisons.column_of(name) for name in cleaned_of_all().fields})
LISTS = {"x_first_family": "x_first", "x_rest_words": "x_rest"}


def row_of(rng: random.Random, near: Row | None) -> Row:
    """A row of short words, many of them a small edit from the other row's."""
    row: dict[str, object] = {}
    for column in COLUMNS:
        text = "".join(rng.choices(WORDS, k=rng.randint(1, 9)))
        if column == "x_birth":
            text = f"{rng.randint(1998, 2001)}{rng.randint(1, 3):02d}{rng.randint(1, 3):02d}"
        if (
            near is not None
            and rng.random() < 0.6
            and isinstance(other := near[rng.choice([column, column, "x_last"])], str)
        ):
            at = rng.randrange(len(other))
            text = other[:at] + rng.choice(
                [other[at:], other[at : at + 2][::-1] + other[at + 2 :], other[at + 1 :] or "a"]
            )
        row[column] = text if rng.random() < 0.9 else None
    for column, of in LISTS.items():
        row[column] = None if row[of] is None else sorted(set(str(row[of]).split(" ")))
    return row


@settings(max_examples=5)
@given(st.integers(0, 10**6))
def test_every_condition_answers_as_duckdb_does(seed: int) -> None:
    rng = random.Random(seed)
    pairs = []
    for _ in range(400):
        left = row_of(rng, None)
        pairs.append((left, row_of(rng, left)))
    fields = {
        f"{name}_{side}": [pair[i][name] for pair in pairs] for name in pairs[0][0] for i, side in enumerate("lr")
    }
    kinds = [pa.field(n, pa.list_(pa.string()) if n[:-2] in LISTS else pa.string()) for n in fields]
    with duckdb.connect(":memory:") as connection:
        connection.register("pairs", pa.table(fields, schema=pa.schema(kinds)))
        chosen = ", ".join(f"({sql}) as c{i}" for i, sql in enumerate(EVERY))
        theirs = connection.execute(f"select {chosen} from pairs").fetchall()
    for (left, right), row in zip(pairs, theirs, strict=True):
        for sql, ours, told in zip(EVERY, OURS, row, strict=True):
            assert ours(left, right) == told, (sql, left, right)


def test_a_condition_that_has_no_counterpart_is_refused_when_it_is_built() -> None:
    with duckdb.connect(":memory:") as connection, pytest.raises(InvalidInput, match="regexp_matches"):
        asked("regexp_matches(x_first_l, x_first_r)", connection)
