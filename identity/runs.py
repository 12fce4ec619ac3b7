"""Runs of the linkage: write, audit, publish (identity.I43).

Enters: clusters of a run with all that led to them. Leaves: a `Run`: its graph is live, or the gate holds it back and says why. The graph is written in a
transaction, questioned where it stands by SQL of its own, and committed only if nothing speaks against it; a run that is held leaves its card and its
parameters and nothing else. Staff may overrule the objections of the newest run; the permission serves one run whose objections are no others.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import blocks_store, parameters_store, run_store, store
from identity.because import Because
from identity.errors import RunNotFound, RunNotHeld
from identity.run_card import Card, Reasons, objections, summary
from identity.run_store import Run, Verdict
from identity.settings import IdentitySettings
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import GraphVersion, RecordId, new_id
from kernel.kernel import Kernel

if TYPE_CHECKING:
    from identity.batch import Prepared
    from identity.blocks import Blocks
    from identity.clusters import Clusters
    from identity.linkage import Edges
    from identity.parameters import Parameters

Publish = Callable[[Conn, "Clusters", Sequence[RecordId], "Edges | None"], Awaitable[GraphVersion]]
PEPPER: Final = "identity/bearers"
BLOCKS: Final = "identity/blocks"
_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Written:
    """A run that waits to be published: its card so far, its parameters, who bears which value."""

    card: Card
    parameters: "Parameters"
    bearers: dict[tuple[str, bytes], int]
    blocks: "Blocks | None" = None


class _HeldError(Exception):
    """Takes back what was written; never leaves this module."""

    def __init__(self, card: Card, reasons: Reasons) -> None:
        self.card, self.reasons = card, reasons


class Runs:
    """Stands at ``Identity.runs``."""

    def __init__(self, kernel: Kernel, audit: Audit, settings: IdentitySettings, publish: Publish) -> None:
        self._kernel = kernel
        self._audit = audit
        self._settings = settings
        self._publish = publish

    def hashed(self, field: str, value: str) -> bytes:
        """How a value is found among the bearers without being kept."""
        return self._kernel.vault.pepper(PEPPER, f"{field}\0{value}")[:16]

    @property
    def secret(self) -> bytes:
        """Under which blocking keys are hashed."""
        return self._kernel.vault.pepper(BLOCKS, "")

    def write(
        self, prepared: "Prepared", told: "Parameters", edges: "Edges", clusters: "Clusters", read_at: datetime
    ) -> Written:
        """The card and what a later question needs. CPU only: call it in a thread."""
        import numpy as np

        from identity.blocks import blocks
        from identity.linkage import Edges
        from identity.parameters import bearers, used_by_several
        from identity.run_card import card

        place = np.argsort(prepared.order)
        ordered = Edges(place[edges.left], place[edges.right], edges.weight)
        kept = blocks(prepared.cleaned, ordered, told.threshold, self.secret)
        kept = replace(kept, rows=kept.rows[place])
        borne = bearers(prepared.cleaned, self.hashed)
        borne |= used_by_several(prepared.cleaned, told.model, self.hashed)  # a few records alone could not tell
        return Written(card(prepared, told, edges, clusters, read_at), told, borne, kept)

    async def publish(
        self, written: Written, clusters: "Clusters", records: Sequence[RecordId], edges: "Edges | None"
    ) -> Run:
        """Make the run's clusters the live graph, unless the gate objects."""
        try:
            async with self._kernel.db.transaction() as conn:
                last = await run_store.live(conn)
                version = await self._publish(conn, clusters, records, edges)
                found, reasons = await self._question(conn, written.card, version, last)
                verdict: Verdict = "allowed" if reasons else "published"
                run = await self._keep(conn, written, found, verdict, reasons, version, last)
                if written.blocks is not None:
                    await blocks_store.choose(conn, run.run_id, written.blocks.choice)
        except _HeldError as held:
            async with self._kernel.db.transaction() as conn:
                last = await run_store.live(conn)
                return await self._keep(conn, written, held.card, "held", held.reasons, None, last)
        await self._renew(written, records)
        return run

    async def _renew(self, written: Written, records: Sequence[RecordId]) -> None:
        """The blocking keys of the table's rows, page by page, after the graph is live: they only advise, and nobody waits for them."""
        if written.blocks is None:
            return
        rows = written.blocks.rows.tolist()
        for start in range(0, len(records), _PAGE):
            page = zip(records[start : start + _PAGE], rows[start : start + _PAGE], strict=True)
            async with self._kernel.db.transaction() as conn:
                await store.share_graph(conn)
                kept = [(record, [one for one in keys if one]) for record, keys in page]
                await blocks_store.keep(conn, kept, settled=True)
        async with self._kernel.db.transaction() as conn:
            await blocks_store.tidy(conn)

    async def _question(self, conn: Conn, card: Card, version: GraphVersion, last: Run | None) -> tuple[Card, Reasons]:
        """The whole card and the objections that were allowed; raises when one was not."""
        hands = await run_store.hands(conn, version, last, self._settings.exclusive_kinds)
        found = card.completed(hands, last.card if last else None)
        reasons = objections(found, last.card if last else None, self._settings)
        newest = next(iter(await run_store.listed(conn, 1)), None)
        if reasons and not (newest and newest.allowed_by and set(reasons) <= set(newest.reasons)):
            raise _HeldError(found, reasons)
        return found, reasons

    async def _keep(
        self,
        conn: Conn,
        written: Written,
        found: Card,
        verdict: Verdict,
        reasons: Reasons,
        version: GraphVersion | None,
        last: Run | None,
    ) -> Run:
        at = self._kernel.clock.now()
        told = cast("dict[str, Json]", written.parameters.as_json())
        await parameters_store.keep(conn, found.model, told, written.bearers, at)
        held = [last.card.model] if last and version is None else []
        await parameters_store.forget_others(conn, [found.model, *held])
        run = Run(f"run_{new_id('key')[4:]}", at, verdict, reasons, version, found)
        await run_store.add(conn, run)
        facts: dict[str, Json] = {"run": run.run_id, "reasons": list(reasons), **summary(found)}
        tag = Tag.GRAPH_HELD if verdict == "held" else Tag.RUN_PUBLISHED
        graph = {"graph": f"graph:{version}"} if version is not None else {}
        await self._audit.append(conn, [NewEntry(tag, {"run": run.run_id, **graph}, facts)])
        return run

    async def listed(self, conn: Conn, limit: int = 50) -> list[Run]:
        """Runs, the newest first."""
        return await run_store.listed(conn, limit)

    async def get(self, conn: Conn, run_id: str) -> Run:
        """One run.

        Raises:
            RunNotFound: no such run.
        """
        run = await run_store.get(conn, run_id)
        if run is None:
            raise RunNotFound("expected a run of the linkage, got none of this id")
        return run

    async def live(self, conn: Conn) -> Run | None:
        """The run whose graph is live; None before the first."""
        return await run_store.live(conn)

    async def allow(self, conn: Conn, run_id: str, *, actor: str, because: Because) -> Run:
        """Overrule the gate's objections to the newest run: the next run goes live if it meets no others. The act is logged.

        Raises:
            RunNotFound: no such run. RunNotHeld: it is not held, is not the newest, or is allowed already.
        """
        run = await self.get(conn, run_id)
        if not await run_store.allow(conn, run_id, actor, because, self._kernel.clock.now()):
            raise RunNotHeld("expected the newest run, held and not allowed yet, got another")
        facts: dict[str, Json] = {"run": run_id, "reasons": list(run.reasons), "because": because.value}
        await self._audit.append(conn, [NewEntry(Tag.GRAPH_ALLOWED, {"run": run_id}, facts, actor=actor)])
        return await self.get(conn, run_id)
