"""The graph's ledger in the log: every version of the graph, with its cause, is an entry that digests its lines (identity.I42).

Enters: a transaction that made versions. Leaves: one entry a version; and findings, where the lines of a version are not what its entry holds. The log is
hash-chained and signed (audit), so a line that is changed, dropped or added afterwards is found by whoever can read the log.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import ledger_store
from kernel.db import Conn, Database
from kernel.ids import EntryId, GraphVersion, PersonId

Tell = Callable[[Conn, Sequence[PersonId]], Awaitable[None]]
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Verified:
    """How many versions of the graph were compared with the log, and what was found."""

    versions: int
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the ledger is what the log says."""
        return not self.findings


class Ledger:
    """Stands at ``Identity.ledger``."""

    def __init__(self, db: Database, audit: Audit) -> None:
        self._db = db
        self._audit = audit

    async def seal(self, conn: Conn) -> None:
        """Every version that no entry holds yet gets one, in this transaction. The caller holds the graph alone."""
        waiting = await ledger_store.unsealed(conn, newest=True)
        if not waiting:
            return
        entries = await self._audit.append(
            conn,
            [
                NewEntry(
                    Tag.GRAPH_CHANGED,
                    {"graph": f"graph:{version}"},
                    {"version": version, "cause": cause, "digest": f"sha256:{digest}", "changes": changes},
                )
                for version, cause, digest, changes in waiting
            ],
        )
        await ledger_store.add(conn, zip((version for version, *_ in waiting), entries, strict=True))

    def then(self, tell: Tell) -> Tell:
        """Seal what was done, then tell whom it touches."""

        async def told(conn: Conn, people: Sequence[PersonId]) -> None:
            await self.seal(conn)
            await tell(conn, people)

        return told

    async def verify(self) -> Verified:
        """Digest every version's lines anew and compare with the log's entries, from both sides."""
        findings: list[str] = []
        seen: set[str] = set()
        after, versions = GraphVersion(0), 0
        async with self._db.snapshot() as conn:
            if missing := await ledger_store.unsealed(conn):
                numbers = ", ".join(str(version) for version, *_ in missing[:5])
                findings.append(f"graph versions in no entry of the log: {len(missing)} ({numbers})")
            if astray := await ledger_store.astray(conn):
                findings.append(f"records that are not where the newest version moved them: {astray}")
            pages: list[tuple[GraphVersion, EntryId, str]] = []
            while page := await ledger_store.sealed(conn, after, _PAGE):
                pages += page
                after = page[-1][0]
            logged: set[str] = set()
            place, last = -1, -2
            while place > last:
                last = place
                place, named = await self._audit.following(conn, Tag.GRAPH_CHANGED, "graph", after=last)
                logged.update(named)
        for version, entry, digest in pages:
            versions += 1
            seen.add(f"graph:{version}")
            held = await self._audit.open_entry(entry)
            if held.get("digest") != f"sha256:{digest}" or held.get("version") != version:
                findings.append(f"graph version {version}: its lines are not what entry {entry} holds")
        findings += [f"{one}: the log holds it, the ledger does not" for one in sorted(logged - seen)]
        return Verified(versions, tuple(findings))
