"""`candor identity …`: link and score files without any store; show and export what the graph says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import identity_acts, identity_why, output
from orchestration.service.cli.identity_link import link, score
from orchestration.service.cli.identity_resolve import resolve
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from identity.review_store import Review
    from identity.views import PersonView
    from orchestration.wiring import House

_CHUNK = 2_000  # people whose records are opened at a time
Person = Annotated[str, typer.Argument(help="per_… or kind:value, for example email:ada@example.org.")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("link")(link)
    app.add("score")(score)
    app.add("show")(show)
    app.add("resolve")(resolve)
    app.add("why")(identity_why.why)
    app.add("why-not")(identity_why.why_not)
    app.add("how")(identity_why.how)
    app.add("runs")(identity_why.runs)
    app.add("run")(identity_why.run)
    app.add("review")(review)
    app.add("export")(export)
    identity_acts.register(app)


def show(person: Person, as_json: Json = False) -> None:
    """The records behind a person, their edges and doubts.

    Ids, kinds and weights, never words; the reading is logged.
    """
    view = in_house(lambda house: _show(house, person))
    if as_json:
        output.emit_json(view)
        return
    output.facts(
        "Person",
        [
            ("person", view.person),
            ("sure", f"{view.sure:.4f}"),
            ("graph version", view.graph_version),
            ("identifiers", ", ".join(f"{count} {kind}" for kind, count in view.kinds.items()) or "none"),
            ("records", ", ".join(view.records) or "none"),
            ("may also be", ", ".join(view.loose) or "nobody else"),
        ],
    )
    output.table("Edges", ("record", "record", "weight"), [(e.a, e.b, f"{e.weight:.3f}") for e in view.edges])


async def _show(house: "House", person: str) -> "PersonView":
    from audit.entries import NewEntry
    from audit.tags import Tag

    async with house.kernel.db.transaction() as conn:
        found = await house.identity.lookup(conn, person)
        await house.audit.append(
            conn, [NewEntry(Tag.READ_PERSONAL, {"person": found}, {"what": "graph"}, actor=actor())]
        )
        return await house.identity.show(conn, found)


def review(
    close: Annotated[str | None, typer.Option(help="Close this review: somebody looked.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed reviews too.")] = False,
    as_json: Json = False,
) -> None:
    """People whose identity somebody must look at, or close one of the reviews.

    A review is opened when a person says "this isn't me" on a why page.
    """
    if close is not None:
        _close(close)
        return

    async def read(house: "House") -> "list[Review]":
        async with house.kernel.db.reading() as conn:
            return await house.identity.reviews(conn, closed=everything)

    found = in_house(read)
    if as_json:
        output.emit_json(found)
        return
    rows = [(one.review_id, one.person, one.reason, one.about, f"{one.opened_at:%Y-%m-%d %H:%M}") for one in found]
    output.table("Reviews", ("review", "person", "reason", "about", "opened"), rows)


def _close(review_id: str) -> None:
    from kernel.errors import NotFound

    async def work(house: "House") -> bool:
        async with house.kernel.db.transaction() as conn:
            return await house.identity.close_review(conn, review_id, actor=actor())

    if not in_house(work):
        raise NotFound(
            "expected an open review, got none of this id",
            code="unknown_review",
            remedy="List them: candor identity review.",
        )
    output.say(f"closed {review_id}")


def export(
    out: Annotated[Path, typer.Option("--out", help="Parquet file: source, source_key, person_id.")],
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
) -> None:
    """Which row of which source belongs to which person.

    Pseudonymous ids only, for checks and joins.
    """
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
