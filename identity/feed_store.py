"""SQL of the change feed as others read it: each move with the graph version that made it and why."""

from dataclasses import dataclass
from datetime import datetime

from identity.people import Change
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import GraphVersion


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``cause``: published, merge, unmerge, split, pin, answer, erased, expired; ``act``: the judgement, where staff acted."""

    offset: int
    version: GraphVersion
    cause: str
    act: str | None
    at: datetime
    change: Change

    def as_json(self) -> dict[str, Json]:
        """Who held the records before and after; to apply it twice changes nothing."""
        one = self.change
        records: list[Json] = list(one.records)
        after: dict[str, Json] = {} if one.other is None else {one.other: records}
        redirect: dict[str, Json] | None = {"from": one.person, "to": one.other} if one.kind == "merged" else None
        return {
            "offset": self.offset,
            "graph_version": self.version,
            "kind": one.kind,
            "cause": self.cause,
            "judgement": self.act,
            "at": self.at.isoformat(),
            "before": {one.person: records},
            "after": after,
            "redirect": redirect,
        }


async def lines(conn: Conn, after: int, limit: int) -> list[Line]:
    """Lines after an offset. Whoever writes them holds the graph alone until the commit, so offsets are in the order of commits."""
    cursor = await conn.execute(
        "SELECT c.seq, c.version, c.kind, c.person_id, c.other_id, c.records, c.made_at, v.cause, v.facts->>'act' AS act"
        " FROM identity.changes c JOIN identity.graph_versions v USING (version) WHERE c.seq > %b ORDER BY c.seq LIMIT %b",
        (after, limit),
    )
    return [
        Line(
            r["seq"],
            r["version"],
            r["cause"],
            r["act"],
            r["made_at"],
            Change(r["kind"], r["person_id"], r["other_id"], tuple(r["records"])),
        )
        async for r in cursor
    ]
