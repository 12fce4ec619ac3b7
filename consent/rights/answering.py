"""Answering a request to know: gather, leave out what may be somebody else's, write page and JSON (consent.D5, D6, D8, D9).

What enters: a request and the rooms. What leaves: an ``Answer``: the package and the bundle that is handed out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.service import Audit
from audit.tags import Tag
from consent import lifecycle, schedule
from consent import requests_store as rows
from consent.lifecycle import Request, Right
from consent.page import Preferences
from consent.rendering import STYLESHEET, Pages
from consent.rights import bundle, gathering, package, portable
from consent.rights.noting import note
from consent.rights.package import Matter, Package, Possible, Recipient
from consent.rights.parcels import HandedOut, Parcels
from consent.rights.processors import Processors
from consent.service import Consent
from consent.wording import wanted, words
from identity.identifiers import Identifier
from identity.records import SourceRecord
from identity.service import Identity
from kernel.canonical import Json, digest
from kernel.db import Conn
from kernel.holders import PersonalDataHolder
from kernel.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Answer:
    """What is handed out. A package that is not ``complete`` must be made again."""

    package: Package
    bundle: bytes


class Answering:
    """Makes packages."""

    def __init__(
        self,
        kernel: Kernel,
        audit: Audit,
        identity: Identity,
        consent: Consent,
        parcels: Parcels,
        processors: Processors,
    ) -> None:
        self._parcels = parcels
        self._processors = processors
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._preferences = Preferences(consent, identity, kernel.clock)

    async def know(
        self, conn: Conn, request: Request, holders: Sequence[PersonalDataHolder], actor: str
    ) -> tuple[Request, dict[str, int], Package, HandedOut]:
        """Answer with a package behind a link; the request is closed when every room answered, and stays open otherwise."""
        made = await self.answer(conn, request, holders, await self._processors.recipients(conn))
        counts = {room: sum(kinds.values()) for room, kinds in made.package.categories.items()}
        handed = await self._parcels.keep(conn, request, made.bundle)
        complete = made.package.request.complete
        facts: dict[str, Json] = {"digest": digest(made.package.model_dump(mode="json")), "complete": complete}
        await note(conn, self._audit, Tag.EXPORT_MADE, request, actor, facts)
        if complete:
            response = "in part" if made.package.possible_not_verified else "in full"
            state, now = lifecycle.step("fulfil", request.state), self._kernel.clock.now()
            await rows.close(conn, request.id, state, now, reason=None, counts=counts, response=response)
            facts = {"right": request.right, "counts": dict(counts)}
            await note(conn, self._audit, Tag.REQUEST_RUN, request, actor, facts)
        else:
            await rows.set_state(conn, request.id, lifecycle.step("verify", request.state), None)
            facts = {"rooms": [one.room for one in made.package.unreachable]}
            await note(conn, self._audit, Tag.REQUEST_INCOMPLETE, request, actor, facts)
        closed = await rows.get(conn, request.id)
        assert closed is not None
        return closed, counts, made.package, handed

    async def answer(
        self, conn: Conn, request: Request, holders: Sequence[PersonalDataHolder], recipients: Sequence[Recipient]
    ) -> Answer:
        """The package of what is surely hers."""
        records = (await self._identity.records(conn, [request.person])).get(request.person, [])
        strange, possible = await self._strangers(conn, request, records)
        gathered = gathering.without(await gathering.ask(conn, holders, request.person), strange)
        made = package.make(
            Matter(
                request=request,
                controller=self._consent.settings.controller,
                made_at=self._kernel.clock.now(),
                gathered=gathered,
                state=await self._consent.state(conn, request.person),
                schedule=schedule.load(self._consent.settings.retention_file),
                recipients=recipients,
                possible=possible,
            )
        )
        pages = await self._pages(conn, request)
        page = pages.render("access_package.html", elsewhere=False, package=made, style=STYLESHEET.decode())
        more = portable.files(gathered.holdings, records, strange) if request.right is Right.PORTABILITY else {}
        return Answer(made, bundle.pack(made, page, more))

    async def _pages(self, conn: Conn, request: Request) -> Pages:
        """In the language that her sources say she reads, else in English."""
        held = (await self._identity.identifiers(conn, [request.person])).get(request.person, [])
        by = [*request.seeds, *(one.id for one in held)][:1]
        own = [one for name in by for one in await self._preferences.languages(conn, name)]
        rules = self._consent.rules
        return Pages(rules.purposes, self._consent.settings.controller, words(wanted(own=own)))

    async def _strangers(
        self, conn: Conn, request: Request, records: Sequence[SourceRecord]
    ) -> tuple[set[str], list[Possible]]:
        """Ids of records and identifiers that are not surely hers, and decisions that rest on them; and what is told of them."""
        held = (await self._identity.identifiers(conn, [request.person])).get(request.person, [])
        by_id = {one.id: one for one in held}
        asked_by = [Identifier(by_id[one].kind, by_id[one].value) for one in request.seeds if one in by_id]
        scores = await self._identity.counts.scores(conn, records, asked_by)
        weak = [record for record in records if scores[record.id] < self._consent.settings.surely_hers]
        if not weak:
            return set(), []
        strange: set[str] = {record.id for record in weak}
        strange |= {one.id for one in held if set(one.record_ids) <= strange}
        entries = await self._audit.lineage([("record", record.id) for record in weak], depth=1)
        strange |= {ref for entry in entries for ref in entry.refs.get("decision", ())}
        possible = [
            Possible(what="record", source=record.source, sure=round(scores[record.id], 3), count=1, note="may be about somebody else")
            for record in weak
        ]  # fmt: skip
        return strange, possible
