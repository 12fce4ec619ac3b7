"""`candor identity …`: link and score files without any store; show and export what the graph says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.identity_link import link, score
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.wiring import House

_CHUNK = 2_000  # people whose records are opened at a time
Person = Annotated[str, typer.Argument(help="per_… or kind:value, for example email:ada@example.org.")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("link")(link)
    app.add("score")(score)
    app.add("show")(show)
    app.add("why")(why)
    app.add("export")(export)


def show(person: Person, as_json: Json = False) -> None:
    """The records and identifiers behind a person, by id and kind; the reading is logged."""
    view = in_house(lambda house: _show(house, person))
    if as_json:
        output.emit_json(view)
        return
    output.facts(
        "Person", [(name, value) for name, value in output.plain(view).items() if not isinstance(value, (list, dict))]
    )
    for name, value in output.plain(view).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            output.table(name, tuple(value[0]), [tuple(row.values()) for row in value])


async def _show(house: "House", person: str) -> object:
    from audit.entries import NewEntry
    from audit.tags import Tag

    async with house.kernel.db.transaction() as conn:
        found = await house.identity.lookup(conn, person)
        await house.audit.append(
            conn, [NewEntry(Tag.READ_PERSONAL, {"person": found}, {"what": "graph"}, actor=actor())]
        )
        return await house.identity.show(conn, found)


def why(
    left: Annotated[str, typer.Argument(help="A record (rec_…).")],
    right: Annotated[str, typer.Argument(help="Another record.")],
    as_json: Json = False,
) -> None:
    """Why two records are one person: the edge between them, or the strongest path."""
    from kernel.ids import RecordId

    async def read(house: "House") -> object:
        async with house.kernel.db.reading() as conn:
            return await house.identity.why(conn, RecordId(left), RecordId(right))

    found = in_house(read)
    if as_json:
        output.emit_json(found)
    else:
        output.facts("Why", output.plain(found).items())


def export(
    out: Annotated[Path, typer.Option("--out", help="Parquet file: source, source_key, person_id.")],
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
) -> None:
    """Which row of which source belongs to which person: pseudonymous ids only, for checks and joins."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    async def read(house: "House") -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        async with house.kernel.db.reading() as conn:
            people = await house.identity.people(conn, source=source)
            for start in range(0, len(people), _CHUNK):
                held = await house.identity.records(conn, people[start : start + _CHUNK])
                found += [
                    (r.source, r.source_key, p)
                    for p, records in held.items()
                    for r in records
                    if r.current and source in (None, r.source)
                ]
        return found

    rows = in_house(read)
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(("source", "source_key", "person_id"))})
    pq.write_table(table, out)
    output.say(f"{len(rows)} rows written to {out}")
