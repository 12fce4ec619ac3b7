"""All SQL and Parquet of learning. Every function takes the caller's connection; files are written whole or not at all.

Parquet holds pseudonymous ids and numbers only, and is rewritten without a person when she is erased.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from kernel import analyse as grown
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import IdentifierId, PersonId, RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """An imported decision."""

    source: str
    key: str
    subject: RecordId | IdentifierId
    placement: str
    arm: str
    propensity: float
    outcomes: Mapping[str, Json]
    at: datetime
    imported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A trained model as registered."""

    digest: str
    placement: str
    feature_set: str
    training_set: str
    rows: int
    evaluation: Mapping[str, Json]
    trained_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What rules a placement since when."""

    placement: str
    digest: str | None
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A training set as it lies in its file: `features` is `float64[n, k]` in the order of `names`."""

    people: list[PersonId]
    propensity: NDArray[np.float64]
    names: tuple[str, ...]
    features: NDArray[np.float64]


async def add_logged(conn: Conn, rows: Sequence[Logged]) -> list[bool]:
    """Store imported decisions; False for one that is there already."""
    got = await conn.execute(
        "INSERT INTO learning.logged (source, key, subject, placement, arm, propensity, outcomes, at, imported_at) "
        "SELECT source, key, subject, placement, arm, propensity, outcomes::jsonb, at, imported_at "
        "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::timestamptz[],"
        " %s::timestamptz[]) AS w(source, key, subject, placement, arm, propensity, outcomes, at, imported_at) "
        "ON CONFLICT DO NOTHING RETURNING source, key",
        (
            [r.source for r in rows], [r.key for r in rows], [r.subject for r in rows], [r.placement for r in rows],
            [r.arm for r in rows], [r.propensity for r in rows], [json.dumps(dict(r.outcomes)) for r in rows],
            [r.at for r in rows], [r.imported_at for r in rows],
        ),
    )  # fmt: skip
    fresh = {(row["source"], row["key"]) for row in await got.fetchall()}
    answers: list[bool] = []
    for row in rows:  # of two equal rows the first is the one that was stored
        answers.append((row.source, row.key) in fresh)
        fresh.discard((row.source, row.key))
    return answers


async def analyse(conn: Conn) -> None:
    """After a bulk load: let Postgres look at imported decisions again."""
    await grown.analyse(conn, ["learning.logged"])


async def logged(conn: Conn, placement: str) -> list[Logged]:
    """Imported decisions of a placement, in one order whatever the order of import."""
    got = await conn.execute(
        "SELECT source, key, subject, placement, arm, propensity, outcomes, at, imported_at FROM learning.logged "
        "WHERE placement = %s ORDER BY at, source, key",
        (placement,),
    )
    return [Logged(**row) for row in await got.fetchall()]


async def logged_placements(conn: Conn) -> list[str]:
    """Placements with imported decisions."""
    got = await conn.execute("SELECT DISTINCT placement FROM learning.logged ORDER BY 1")
    return [str(row["placement"]) for row in await got.fetchall()]


async def of_subjects(conn: Conn, subjects: Sequence[RecordId | IdentifierId]) -> list[Logged]:
    """Imported decisions about these records or identifiers."""
    got = await conn.execute(
        "SELECT source, key, subject, placement, arm, propensity, outcomes, at, imported_at FROM learning.logged "
        "WHERE subject = ANY(%s) ORDER BY at, source, key",
        (list(subjects),),
    )
    return [Logged(**row) for row in await got.fetchall()]


async def drop_subjects(conn: Conn, subjects: Sequence[RecordId | IdentifierId]) -> int:
    """Remove the imported decisions about these records or identifiers."""
    got = await conn.execute("DELETE FROM learning.logged WHERE subject = ANY(%s)", (list(subjects),))
    return got.rowcount


async def keep_training_set(
    conn: Conn, *, digest: str, placement: str, file: str, rows: int, feature_set: str, at: datetime
) -> None:
    """Note a training set's file."""
    await conn.execute(
        "INSERT INTO learning.training_sets (digest, placement, file, rows, feature_set, made_at) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING",
        (digest, placement, file, rows, feature_set, at),
    )


async def training_set(conn: Conn, digest: str) -> dict[str, Any] | None:
    """What is noted of a training set: rows that are left, when it was made and whether anybody was taken out."""
    got = await conn.execute(
        "SELECT rows, made_at, redacted_at FROM learning.training_sets WHERE digest = %s", (digest,)
    )
    return await got.fetchone()


async def training_files(conn: Conn) -> list[tuple[str, str]]:
    """Digest and file of every training set."""
    got = await conn.execute("SELECT digest, file FROM learning.training_sets ORDER BY made_at, digest")
    return [(str(row["digest"]), str(row["file"])) for row in await got.fetchall()]


async def newest_training_file(conn: Conn, placement: str) -> str | None:
    """The file of a placement's training set that was noted last."""
    got = await conn.execute(
        "SELECT file FROM learning.training_sets WHERE placement = %s ORDER BY made_at DESC, digest LIMIT 1",
        (placement,),
    )
    row = await got.fetchone()
    return str(row["file"]) if row is not None else None


async def redacted_training_set(conn: Conn, digest: str, rows: int, at: datetime) -> None:
    """A training set lost somebody's rows."""
    await conn.execute(
        "UPDATE learning.training_sets SET rows = %s, redacted_at = %s WHERE digest = %s", (rows, at, digest)
    )


async def add_model(conn: Conn, row: ModelRow) -> None:
    """Register a model; the same bytes again are the same model."""
    await conn.execute(
        "INSERT INTO learning.models (digest, placement, feature_set, training_set, rows, evaluation, trained_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING",
        (row.digest, row.placement, row.feature_set, row.training_set, row.rows, Jsonb(dict(row.evaluation)),
         row.trained_at),
    )  # fmt: skip


async def model(conn: Conn, digest: str) -> ModelRow | None:
    """One model by digest."""
    got = await conn.execute(f"SELECT {_MODEL} FROM learning.models WHERE digest = %s", (digest,))
    row = await got.fetchone()
    return None if row is None else ModelRow(**row)


async def models(conn: Conn) -> list[ModelRow]:
    """Every model, newest first."""
    got = await conn.execute(f"SELECT {_MODEL} FROM learning.models ORDER BY trained_at DESC, digest")
    return [ModelRow(**row) for row in await got.fetchall()]


_MODEL = "digest, placement, feature_set, training_set, rows, evaluation, trained_at"


async def promote(conn: Conn, promotion: Promotion) -> None:
    """From now on this digest rules its placement."""
    await conn.execute(
        "INSERT INTO learning.promotions (placement, digest, actor, reason, at) VALUES (%s, %s, %s, %s, %s)",
        (promotion.placement, promotion.digest, promotion.actor, promotion.reason, promotion.at),
    )


async def active(conn: Conn) -> dict[str, str | None]:
    """The digest that rules each placement that ever had one."""
    got = await conn.execute(
        "SELECT DISTINCT ON (placement) placement, digest FROM learning.promotions ORDER BY placement, seq DESC"
    )
    return {str(row["placement"]): row["digest"] for row in await got.fetchall()}


async def trained(conn: Conn) -> dict[str, datetime]:
    """When the model was trained that rules each placement; placements that rules rank are absent."""
    got = await conn.execute(
        "SELECT p.placement, m.trained_at FROM (SELECT DISTINCT ON (placement) placement, digest FROM learning.promotions "
        "ORDER BY placement, seq DESC) AS p JOIN learning.models AS m USING (digest)"
    )
    return {str(row["placement"]): row["trained_at"] for row in await got.fetchall()}


async def promotions(conn: Conn, placement: str) -> list[Promotion]:
    """The history of a placement, newest first."""
    got = await conn.execute(
        "SELECT placement, digest, actor, reason, at FROM learning.promotions WHERE placement = %s ORDER BY seq DESC",
        (placement,),
    )
    return [Promotion(**row) for row in await got.fetchall()]


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole: readers see the old one or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_table(path: Path, columns: Mapping[str, Any], notes: Mapping[str, Json]) -> None:
    """Columns (numpy arrays or lists of text) as Parquet, with notes in its metadata."""
    table = pa.table(dict(columns)).replace_schema_metadata({"candor": json.dumps(notes, sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    pq.write_table(table, part, compression="zstd")
    part.replace(path)


def read_kept(path: Path, names: Sequence[str]) -> Kept | None:
    """What a training set's file holds of these features; None when there is no such file or nobody in it."""
    if not path.exists():
        return None
    table = pq.read_table(path)
    held = [name for name in names if name in table.column_names]
    if table.num_rows == 0:
        return None
    columns = [np.asarray(table[name].to_numpy(), dtype=np.float64) for name in held]
    return Kept(
        people=table["person_id"].to_pylist(), propensity=np.asarray(table["propensity"].to_numpy(), dtype=np.float64),
        names=tuple(held), features=np.column_stack(columns) if columns else np.empty((table.num_rows, 0)),
    )  # fmt: skip


def without(path: Path, people: Sequence[PersonId]) -> tuple[int, int] | None:
    """Rewrite a training set without these people; (rows taken, rows left), None when none of theirs were in it."""
    if not path.exists():
        return None
    table = pq.read_table(path)
    if table.num_rows == 0:  # a set of nobody has no types either
        return None
    theirs = pc.is_in(table["person_id"], value_set=pa.array(list(people), pa.string()))
    taken = int(pc.sum(theirs).as_py() or 0)
    if taken == 0:
        return None
    left = table.filter(pc.invert(theirs))
    part = path.with_name(f".{path.name}.part")
    pq.write_table(left, part, compression="zstd")
    part.replace(path)
    return taken, left.num_rows
