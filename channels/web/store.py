"""All SQL of the web channel. Every function takes the caller's connection: what it writes commits with what the caller writes.

Rows of `pages` are locked in the order of person ids, so that two commits never wait for each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from channels.web.standing import Change, Standing, What
from kernel.db import Conn, Piece
from kernel.ids import DecisionId, PersonId

_COLUMNS: Final = tuple(one.name for one in fields(Standing))
_LIST: Final = ", ".join(_COLUMNS)
_NEW: Final = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in {"person", "placement"})


async def put(conn: Conn, standing: Standing, replaces: DecisionId | None) -> bool:
    """Let it stand, unless another one than `replaces` stands there; False then."""
    got = await conn.execute(
        f"INSERT INTO channels.standing AS s ({_LIST}) VALUES ({', '.join(['%s'] * len(_COLUMNS))}) "
        f"ON CONFLICT (person, placement) DO UPDATE SET {_NEW} WHERE s.decision_id = %s RETURNING 1",
        (*(getattr(standing, name) for name in _COLUMNS), replaces),
    )
    return await got.fetchone() is not None


async def renew(conn: Conn, standing: Standing) -> None:
    """The same decision stands on newer versions: they were looked at and change nothing."""
    await conn.execute(
        "UPDATE channels.standing SET consent_version = %s, graph_version = %s, catalogue = %s, until = %s "
        "WHERE person = %s AND placement = %s AND decision_id = %s AND consent_version <= %s",
        (
            standing.consent_version, standing.graph_version, standing.catalogue, standing.until, standing.person,
            standing.placement, standing.decision_id, standing.consent_version,
        ),
    )  # fmt: skip


async def of_person(conn: Conn, person: PersonId, placements: Sequence[str] | None = None) -> dict[str, Standing]:
    """What stands for a person, by placement; the named ones or all. Expired ones are among them."""
    got = await conn.execute(
        f"SELECT {_LIST} FROM channels.standing WHERE person = %(p)s AND (%(n)s::text[] IS NULL OR placement = ANY(%(n)s))",
        {"p": person, "n": None if placements is None else list(placements)},
    )
    return {row["placement"]: Standing(**row) for row in await got.fetchall()}


async def change(conn: Conn, changes: Sequence[Mapping[str, Any]], at: datetime, keep: int) -> None:
    """Append lines (`person`, `what`, and perhaps `placement`, `channel`, `decision_id`) to pages that are there; keep the newest."""
    names = ("person", "what", "placement", "channel", "decision_id")
    columns = [[one.get(name) for one in changes] for name in names]
    got = await conn.execute(
        "WITH said AS (SELECT *, row_number() OVER (PARTITION BY person ORDER BY place) AS nth FROM "
        "  unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY"
        "  AS n(person, what, placement, channel, decision_id, place)), "
        "held AS (SELECT person, seq FROM channels.pages WHERE person = ANY(%s) ORDER BY person FOR UPDATE), "
        "moved AS (UPDATE channels.pages p SET seq = p.seq + (SELECT count(*) FROM said WHERE said.person = p.person) "
        "  FROM held WHERE held.person = p.person RETURNING p.person, p.seq), "
        "written AS (INSERT INTO channels.page_changes (person, seq, at, what, placement, channel, decision_id) "
        "  SELECT s.person, h.seq + s.nth, %s, s.what, s.placement, s.channel, s.decision_id "
        "  FROM said s JOIN held h USING (person)) "
        "SELECT person, seq FROM moved",
        (*columns, columns[0], at),
    )
    moved = [(row["person"], row["seq"] - keep) for row in await got.fetchall() if row["seq"] > keep]
    if moved:
        await conn.execute(
            "DELETE FROM channels.page_changes c USING unnest(%s::text[], %s::bigint[]) AS o(person, seq) "
            "WHERE c.person = o.person AND c.seq <= o.seq",
            ([person for person, _ in moved], [seq for _, seq in moved]),
        )


async def open_pages(conn: Conn, people: Iterable[PersonId]) -> None:
    """Begin the pages of people who have none."""
    await conn.execute(
        "INSERT INTO channels.pages (person, seq) SELECT p, 0 FROM unnest(%s::text[]) AS p ORDER BY p ON CONFLICT DO NOTHING",
        (sorted(set(people)),),
    )


def watching(people: Iterable[PersonId]) -> Piece:
    """A query of those of these `person`s who have pages, as part of a statement."""
    return Piece(
        "SELECT person FROM channels.pages WHERE person = ANY(%(channels_people)b::text[])",
        {"channels_people": sorted(set(people))},
    )


async def seqs(conn: Conn, people: Sequence[PersonId]) -> dict[PersonId, int]:
    """The newest number of each; who has no pages is absent."""
    got = await conn.execute("SELECT person, seq FROM channels.pages WHERE person = ANY(%s)", (list(people),))
    return {PersonId(row["person"]): int(row["seq"]) for row in await got.fetchall()}


async def changes(conn: Conn, person: PersonId, after: int) -> list[Change]:
    """The lines after a number, in order."""
    got = await conn.execute(
        "SELECT person, seq, at, what, placement, channel, decision_id FROM channels.page_changes "
        "WHERE person = %s AND seq > %s ORDER BY seq",
        (person, after),
    )
    return [Change(**{**row, "what": What(row["what"])}) for row in await got.fetchall()]


async def forget(conn: Conn, people: Sequence[PersonId]) -> int:
    """Remove all of these people; the number of standings."""
    await conn.execute("DELETE FROM channels.page_changes WHERE person = ANY(%s)", (list(people),))
    await conn.execute("DELETE FROM channels.pages WHERE person = ANY(%s)", (list(people),))
    got = await conn.execute("DELETE FROM channels.standing WHERE person = ANY(%s)", (list(people),))
    return got.rowcount


async def people(conn: Conn) -> list[PersonId]:
    """Everybody for whom something stands or stood."""
    got = await conn.execute("SELECT person FROM channels.pages ORDER BY person")
    return [PersonId(row["person"]) for row in await got.fetchall()]
