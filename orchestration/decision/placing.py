"""What a visitor's page shows: the decision that stands, or a new one that will (DESIGN 5.11, decision.D48).

Enters: a visitor and the placements of one page. Leaves: one `Placed` each: a decision with its variant, or the page's own words with the
reason. A decision stands until it expires, or consent or identity moved under it so that it would not be allowed again, or its variant was
taken back. Postgres says whether it moved, at every answer; the hot store only saves a look-up. What it never does: decide for a
visitor under any subject but the anonymous id, leave a trace of one whom it may not know, show a variant twice on one page, or give a category more than its share of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakValueDictionary

from channels.web.pages import Pages
from channels.web.standing import WEB, Standing
from channels.web.visitor import Visitor
from consent import gate
from consent.service import Consent
from events.log import CollectContext
from events.service import Events
from identity.service import Identity
from kernel.canonical import Json
from kernel.errors import InvalidInput
from kernel.ids import PersonId
from kernel.kernel import Kernel
from orchestration.decision.errors import StandingMoved
from orchestration.decision.feedback import said_no
from orchestration.decision.request import DecisionRequest, OnPage
from orchestration.decision.service import Decisions
from orchestration.decision.shelf import Shelved
from orchestration.decision.slate import Slate
from profiles.hot import HotProfile
from profiles.service import Profiles

TRIGGER: Final = "page"
FIRST_SEEN: Final = "Placement Requested"  # the event by which somebody unknown becomes known, if she may
MOST: Final = 20  # placements of one page
UNKNOWN: Final = "unknown_visitor"  # the purpose would be permitted, but nobody may be known under this id
_TRIES: Final = 4  # to find out what stands when others decide at the same moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The answer for one placement. `standing` None: nothing was decided, for the reason. `sticky`: it stood before this request."""

    placement: str
    standing: Standing | None
    reason: str | None = None
    sticky: bool = False

    @property
    def withheld(self) -> str | None:
        """Why the page's own words stay; None when a variant is shown."""
        if self.standing is None:
            return self.reason or UNKNOWN
        if self.standing.variant is not None:
            return None
        return self.standing.withheld or "nothing_was_better"


class Placing:
    """One per process and event loop."""

    def __init__(
        self, kernel: Kernel, identity: Identity, consent: Consent, events: Events, profiles: Profiles, pages: Pages,
        decisions: Decisions,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._events = events
        self._profiles = profiles
        self._pages = pages
        self._decisions = decisions
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def place(self, visitor: Visitor, names: Sequence[str]) -> list[Placed]:
        """What each placement of this page shows, in the order asked.

        What stands already is kept and bars its variant from the others; the rest is decided in order, each without the variants shown.

        Raises:
            InvalidInput: no placement, or too many. NotFound: a placement that is not declared for the web.
        """
        wanted = list(dict.fromkeys(names))
        if not 1 <= len(wanted) <= MOST:
            raise InvalidInput(f"expected 1 to {MOST} placements of one page, got {len(wanted)}", code="placements")
        shelved = await self._decisions.shelf.current()
        unfit = {name for name in wanted if WEB not in shelved.catalogue.placement(name).channels}
        asked = [name for name in wanted if name not in unfit]
        answers: dict[str, Placed] = {
            name: Placed(placement=name, standing=None, reason="not_on_web") for name in unfit
        }
        who = await self._who(visitor, asked[0]) if asked else "not_on_web"
        if who == UNKNOWN:
            answers |= await self._strange(visitor, asked, shelved)
            return [answers[name] for name in wanted]
        if not is_person(who):
            answers |= {name: Placed(placement=name, standing=None, reason=who) for name in asked}
            return [answers[name] for name in wanted]
        person = PersonId(who)
        # One at a time for a visitor within a process; across processes the commit lets only one decision stand.
        lock = self._locks.setdefault(person, asyncio.Lock())
        async with lock:
            answers |= await self._page(visitor, person, asked)
        return [answers[name] for name in wanted]

    async def _who(self, visitor: Visitor, placement: str) -> str:
        """The visitor's person id, or the reason why there is none."""
        if visitor.gpc:
            await self._signal(visitor)
        (found,) = await self._identity.resolve_hot([[visitor.identifier]])
        if found.person is None and not found.candidates and visitor.source is not None:
            # The one collection door asks the gate; without a permission nothing is kept but a count.
            call: dict[str, Json] = {"type": "track", "event": FIRST_SEEN, "anonymousId": visitor.identifier.value,
                    "properties": {"placement": placement}}  # fmt: skip
            context = CollectContext(
                source=visitor.source, kind="track", gpc=visitor.gpc, user_agent=visitor.user_agent, browser=True,
                actor=visitor.actor,
            )  # fmt: skip
            (result,) = await self._events.collect([call], context)
            if result.status == "accepted":
                (found,) = await self._identity.resolve_hot([[visitor.identifier]])
        if found.person is not None:
            return found.person
        return "ambiguous_visitor" if found.candidates else UNKNOWN

    async def _strange(self, visitor: Visitor, names: Sequence[str], shelved: Shelved) -> dict[str, Placed]:
        """Somebody who may not be known: the page's own words, because of the gate's answer where that is a no."""
        async with self._kernel.db.reading() as conn:
            known = await self._identity.known_identifiers(conn, [visitor.identifier])
            state = await self._consent.state_of_identifiers(conn, list(known.values()))
        now = self._kernel.clock.now()
        answers = {}
        for name in names:
            asked = gate.permission(state, shelved.catalogue.placement(name).purpose_on(WEB), WEB, now)
            no = str(asked.reason) if asked.reason.startswith("consent.") else f"consent:{asked.reason}"
            answers[name] = Placed(placement=name, standing=None, reason=UNKNOWN if asked.granted else no)
        return answers

    async def _signal(self, visitor: Visitor) -> None:
        """The privacy signal binds the visitor before anything is read of her (consent.C12); a stranger leaves no trace by it."""
        async with self._kernel.db.transaction() as conn:
            known = await self._identity.known_identifiers(conn, [visitor.identifier])
            if known:
                await self._consent.apply_gpc(conn, list(known.values()), raw=b"Sec-GPC: 1", actor=visitor.actor)

    async def _page(self, visitor: Visitor, person: PersonId, names: Sequence[str]) -> dict[str, Placed]:
        shelved = await self._decisions.shelf.current()
        version = await self._version(person)
        found = await self._pages.standing(person, names)
        stands: dict[str, Standing] = {}
        slate = Slate(len(names), shelved.catalogue.page, shelved.kind)
        for name in names:
            held = found.get(name)
            if held is not None and await self._bears(held, version, shelved) and slate.room(held.variant):
                stands[name] = held
                slate.add(held.variant)
        answers = {name: Placed(placement=name, standing=one, sticky=True) for name, one in stands.items()}
        for name in names:
            if name not in answers:
                made = await self._decide(visitor, person, name, slate)
                answers[name] = made
                if made.standing is not None:
                    slate.add(made.standing.variant)
        return answers

    async def _version(self, person: PersonId) -> int:
        async with self._kernel.db.reading() as conn:
            return (await self._consent.versions(conn, [person]))[person]

    async def _bears(self, held: Standing, version: int, shelved: Shelved) -> bool:
        """Whether the ground of a standing decision still bears it. Looks at the profile only when something moved."""
        now = self._kernel.clock.now()
        if held.expires_at <= now or (held.variant is not None and not shelved.lives(held.variant)):
            return False
        if held.consent_version == version and held.catalogue == shelved.digest and now < held.until:
            return True
        hot = await self._profiles.hot(held.person, held.personalize_under, fresh=True)
        if not still_allowed(held, hot, shelved):
            return False
        await self._pages.renew(
            replace(held, consent_version=hot.consent_version, catalogue=shelved.digest, until=hot.until)
        )
        return True

    async def _decide(self, visitor: Visitor, person: PersonId, name: str, slate: Slate) -> Placed:
        """A new decision, or the one that another process let stand a moment ago."""
        for _ in range(_TRIES):
            there = (await self._pages.true_standing(person, [name])).get(name)
            if there is not None and await self._stands(there, slate):
                return Placed(placement=name, standing=there, sticky=True)
            page = OnPage(replaces=there.decision_id if there else None)
            asked = DecisionRequest(
                placement=name,
                person=person,
                channels=frozenset({WEB}),
                trigger=TRIGGER,
                actor=visitor.actor,
                page=page,
                beside=slate.beside(),
            )
            try:
                made = await self._decisions.decide(asked)
            except StandingMoved:
                continue
            if made.standing is None:
                return Placed(placement=name, standing=None, reason=made.withheld)
            await self._pages.remember([made.standing])
            return Placed(placement=name, standing=made.standing)
        return Placed(placement=name, standing=None, reason="contention")

    async def _stands(self, there: Standing, slate: Slate) -> bool:
        """Whether what Postgres says stands may be shown on this page: somebody may have been first since the page was looked at."""
        if not slate.room(there.variant):
            return False
        return await self._bears(there, await self._version(there.person), await self._decisions.shelf.current())


def is_person(who: str) -> bool:
    """Whether this is a person's id and not a reason."""
    return who.startswith("per_")


def still_allowed(held: Standing, hot: HotProfile, shelved: Shelved) -> bool:
    """Whether a decision made earlier could still be shown, by what is known now. Pure.

    Not when its person is other records now, its purpose is not granted on the web any more, personalisation was taken back after it used it, its
    variant is not offered any more, or she said that it does not interest her. What withheld everything may be over: then it is decided anew.
    """
    place = next((one for one in shelved.catalogue.placements if one.name == held.placement), None)
    if place is None or WEB not in place.channels or held.graph_version != int(hot.graph_version):
        return False
    if held.withheld is not None:
        return False
    permission = hot.permissions.get(f"{place.purpose_on(WEB)}|{WEB}")
    if permission is None or not permission.granted or (held.personal and not hot.permitted):
        return False
    if held.variant is None:
        return True
    if said_no(held.variant, hot.declined, shelved.catalogue.family):
        return False
    return shelved.offers(place, held.variant) and shelved.stock(held.variant) != 0
