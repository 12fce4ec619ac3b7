"""What a server does at its start for one that died: what should have followed a commit, and only advises, is done again; and what first requests would wait for is made.

Enters: an open house. Leaves: a hot store that says nothing which events have overtaken. A process that is killed between the commit of an event and the deletion of
her hot profile leaves that profile standing until it is too old by itself, `hot_seconds` later; so the profiles of all who had events in that time are dropped. Consent
needs no such care: decisions carry the version they rest on, and a page compares it at every answer.

Who had events lately is whom the next requests are about. Were their profiles made one by one as they come, a queue would stand before the server; so they are made in bulk, before
it takes requests, for `warm_seconds` at most, and those that are left beside the requests.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from kernel.errors import CandorError
from kernel.ids import PersonId
from kernel.log import get_logger
from orchestration.decision.request import DecisionRequest

if TYPE_CHECKING:
    from orchestration.wiring import House

_PART: Final = 5_000  # records
_AT_ONCE: Final = 200  # people: statements are shared by many
_BESIDE: Final = 8  # people, beside requests: what is not interrupted must be short
log = get_logger("catching_up")


async def catch_up(house: "House") -> list[PersonId]:
    """Drop the hot profiles of all who had events lately; who they are."""
    now = house.kernel.clock.now()
    since = now - timedelta(seconds=house.settings.profiles.hot_seconds)
    async with house.kernel.db.reading() as conn:
        records = await house.events.records_since(conn, since, now)
    found: dict[PersonId, None] = {}
    for start in range(0, len(records), _PART):
        part = records[start : start + _PART]
        async with house.kernel.db.transaction() as conn:
            people = sorted({p for one in (await house.identity.subjects(conn, part)).values() for p in one.people})
            await house.profiles.records_changed(conn, part, people)
        found |= dict.fromkeys(people)
    return list(found)


async def warm(house: "House", people: Sequence[PersonId], *, seconds: float) -> list[PersonId]:
    """Have ready what first decisions about these people would wait for, as long as `seconds` have not passed; those that are left, with the groups that one of them spoiled."""
    until = time.monotonic() + seconds
    done = 0
    left: list[PersonId] = []
    while done < len(people) and time.monotonic() < until:
        group = people[done : done + _AT_ONCE]
        left += [] if await _made(house, group) else group
        done += _AT_ONCE
    return [*left, *people[done:]]


async def _made(house: "House", group: Sequence[PersonId]) -> bool:
    """Whether it went well: the odd values of one person spoil her group, and neither the start nor the others."""
    try:
        await house.decisions.warm(group)
    except CandorError:  # a part of the house: no other group would go better
        raise
    except Exception as fault:  # noqa: BLE001  # broad: warming only advises, and her own request tells of it
        log.warning("not_warmed", people=len(group), error_type=type(fault).__name__)
        return False
    return True


async def rehearse(house: "House", person: PersonId) -> None:
    """Decide about her once for each placement, without any effect: models are proven and statements prepared before somebody waits for it."""
    for placement in (await house.decisions.shelf.current()).catalogue.placements:
        try:
            await house.decisions.decide(DecisionRequest(placement=placement.name, person=person, dry_run=True))
        except Exception as fault:  # noqa: BLE001  # broad: she, or the placement: neither keeps the server from starting
            log.info("not_rehearsed", placement=placement.name, **accident(fault))


@asynccontextmanager
async def warming(house: "House", people: Sequence[PersonId]) -> AsyncIterator[None]:
    """The same beside the requests while the block runs, half of the time at most."""
    task = asyncio.create_task(_beside(house, people), name="warming")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beside(house: "House", people: Sequence[PersonId]) -> None:
    try:
        for start in range(0, len(people), _BESIDE):
            began = time.perf_counter()
            await _made(house, people[start : start + _BESIDE])
            await asyncio.sleep(time.perf_counter() - began)
    except CandorError as fault:  # those that are left are made when they are asked for
        log.warning("warming_ended", **accident(fault))


def accident(fault: Exception) -> dict[str, str | None]:
    """What a log may say of it."""
    return {"code": getattr(fault, "code", None), "error_type": type(fault).__name__}
