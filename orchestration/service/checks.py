"""What `candor doctor` and /readyz look at: each check says what it found and, when it is bad, what to do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from explain.standing import of_explanations
from identity.health import health
from kernel.errors import CandorError

if TYPE_CHECKING:
    from orchestration.wiring import House

LATE = 60.0  # seconds; a worker looks every second
SETTLED_LATE = 3600.0  # records wait for minutes; after a large import, or for a run over everything, longer
LOCAL = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `needed`: the service cannot decide without it."""

    name: str
    ok: bool
    state: str
    remedy: str = ""
    needed: bool = False


async def ready(house: "House") -> list[Check]:
    """The quick ones, for the balancer: Postgres, the keys, the hot store."""
    kernel = house.kernel
    return [
        await _try("postgres", kernel.db.check, needed=True),
        await _try("keys database", kernel.keys_db.check, needed=True),
        await _try("hot store", kernel.cache.check, needed=False),
    ]


async def doctor(house: "House") -> list[Check]:
    """Everything: engines, key file, links, the name on pages, log, catalogue, models, what waits."""
    found = await ready(house)
    secrets = house.kernel.settings.secrets_file
    private = await asyncio.to_thread(lambda: secrets.exists() and secrets.stat().st_mode & 0o077 == 0)
    found.append(
        Check(
            "key file",
            private,
            "private" if private else "readable by others or absent",
            f"chmod 600 {secrets.name} in the data folder.",
        )
    )
    base = urlsplit(house.kernel.settings.base_url)
    local = base.hostname in LOCAL
    reached = not local or base.port == house.kernel.settings.port
    found.append(
        Check(
            "links",
            reached and (base.scheme == "https" or local),
            house.kernel.settings.base_url
            + ("" if reached else f", but the server listens on port {house.kernel.settings.port}"),
            "Set CANDOR_BASE_URL to the https address that people reach.",
        )
    )
    sender = house.consent.settings
    found.append(
        Check(
            "your name",
            "controller" in sender.model_fields_set,
            sender.controller,
            "Set CANDOR_CONSENT__CONTROLLER to the name that people know you by: it stands on every page and in every consent act.",
        )
    )
    found.append(await _try("log", _log_state(house), needed=False))
    found.append(await _try("catalogue", _catalogue_state(house), needed=False))
    found.append(await _triggers(house))
    found.append(await graph(house))
    found.extend(await rights(house))
    for channel, wrong in house.channels.faults().items():
        name = house.channels.connectors[channel].name
        remedy = " ".join(fault.remedy for fault in wrong)
        found.append(Check(f"channel {channel}", not wrong, "; ".join([name, *(f.what for f in wrong)]), remedy))
    if house.channels.push.on:
        refused = await house.channels.push.refused()
        found.append(
            Check(
                "push signatures",
                not refused,
                f"pushes of the last day refused for their VAPID signature: {refused}",
                "Look at the clock of this machine and at channels.push.subject; see `candor keys vapid`.",
            )
        )
    faults = await house.learning.faults()
    found.append(
        Check(
            "models",
            not faults,
            "; ".join(faults) or "every model that rules answers",
            "Train again with `candor learn train`, or roll back; rules rank meanwhile.",
        )
    )
    found.append(await reasons(house))
    found.append(await ahead(house))
    return found


async def ahead(house: "House") -> Check:
    """Whether explanations are made before anybody asks; those that are put off are made for who asks, so that nothing is wrong for a while."""
    try:
        async with house.kernel.db.reading() as conn:
            found = await of_explanations(conn, house.kernel.clock.now())
    except CandorError as fault:
        return Check("explanations ahead", ok=False, state=fault.message, remedy=fault.remedy)
    settings = house.explain.settings
    if not settings.ahead:
        return Check("explanations ahead", ok=True, state="switched off: made when somebody asks")
    told = f"waiting: {found.waiting} of at most {settings.queue_most}, the oldest for {found.oldest_seconds:.0f} s"
    if found.put_off:
        told += "; put off: " + ", ".join(f"{count} ({reason})" for reason, count in found.put_off.items())
    return Check(
        "explanations ahead",
        sum(found.put_off.values()) <= settings.queue_most,
        told,
        "Who asks gets an explanation all the same. To have them made ahead, give explain.room a larger share of the machine, or the machine more "
        "processors; or set explain.ahead to false.",
    )


async def reasons(house: "House") -> Check:
    """Whether reasons that were shown held when they were tried, and whether explanations keep up."""
    try:
        faults, refused = await house.explain.falsifier.faults(), await house.explain.queue.refused()
        last = await house.explain.falsifier.last()
    except CandorError as fault:
        return Check("reasons shown", ok=False, state=fault.message, remedy=fault.remedy)
    if refused:
        faults.append(f"explanations that did not add up and are not shown: {len(refused)}")
    told = (
        "nothing was tried yet"
        if last is None
        else f"tried {last.at:%Y-%m-%d %H:%M}: {last.reasons} explanations with reasons, {last.levers} changes, {'all hold' if last.reasons or last.levers else 'nothing to try'}"
    )
    return Check(
        "reasons shown", not faults, "; ".join(faults) or told,
        "The log names the decisions (candor audit tail, explanations.tried); replay them (candor replay) and look at their model: candor learn card. "
        "The job `keeping` tries reasons every day: candor pipeline run --select explanations.",
    )  # fmt: skip


async def rights(house: "House") -> list[Check]:
    """Whether people are answered in time, processors answer us, and copies of keys go on their day."""
    try:
        standing, late = await house.rights.standing(), await house.rights.copies.overdue()
        copies = await house.rights.copies.listed(standing=True)
    except CandorError as fault:
        return [Check("subject requests", ok=False, state=fault.message, remedy=fault.remedy)]
    alarms = ", ".join(f"{count} at {alarm} %" for alarm, count in standing.by_alarm.items() if alarm)
    known = f"{len(copies)} noted" + (f", the next goes on {copies[0].purge_on}" if copies else "")
    return [
        Check(
            "subject requests",
            not standing.overdue,
            f"open: {sum(standing.by_alarm.values())}, past their day: {standing.overdue}"
            + (f"; {alarms}" if alarms else ""),
            "Answer them now: candor rights list.",
        ),
        Check(
            "letters to processors",
            not standing.escalated,
            f"on their way: {sum(standing.letters.values())}, somebody must look at: {standing.escalated}",
            "See what is wrong: candor processor letters.",
        ),
        Check(
            "copies of keys",
            not late,
            known + (f"; not gone in time: {', '.join(one.id for one in late)}" if late else ""),
            "Remove them, then `candor keys copy-gone ID`; or end them all: candor keys rotate kek --retire.",
        ),
    ]


async def graph(house: "House") -> Check:
    """Whether the newest linkage run went live, and whether what came since settles."""
    try:
        async with house.kernel.db.reading() as conn:
            found = await health(conn, house.identity, house.kernel.clock.now())
    except CandorError as fault:
        return Check("identity graph", ok=False, state=fault.message, remedy=fault.remedy)
    if found.held_run is not None:
        return Check(
            "identity graph", ok=False, state=f"run {found.held_run} is held: {', '.join(found.held)}",
            remedy="Look at its card and decide: candor identity runs; the graph of before stays live.",
        )  # fmt: skip
    if found.run_age is None:
        return Check("identity graph", ok=True, state="no linkage run yet")
    late = found.waited > SETTLED_LATE and house.identity.settings.settle_seconds > 0
    return Check(
        "identity graph", not late,
        f"live since {found.run_age / 3600:.1f} h, records that wait to be settled: {found.waiting}, the oldest for {found.waited:.0f} s",
        "Keep a server running (candor up); if records wait although one runs, a run over everything is due: candor pipeline run.",
    )  # fmt: skip


async def _triggers(house: "House") -> Check:
    """Whether every trigger can do its work, and whether somebody does it."""
    try:
        faults, (waiting, late) = await house.triggers.faults(), await house.triggers.waiting()
    except CandorError as fault:
        return Check("triggers", ok=False, state=fault.message, remedy=fault.remedy)
    if late > LATE:
        faults.append(f"the oldest run has been due for {late:.0f} s and nobody takes it up")
    return Check(
        "triggers",
        not faults,
        "; ".join(faults) or f"runs that wait: {sum(waiting.values())}",
        "Publish a file that fits (candor trigger check FILE), and keep a server running: candor up.",
    )


def _log_state(house: "House") -> Callable[[], Awaitable[str]]:
    async def state() -> str:
        pending = await house.audit.pending()
        return f"entries that wait for the next checkpoint: {pending}"

    return state


def _catalogue_state(house: "House") -> Callable[[], Awaitable[str]]:
    async def state() -> str:
        shelved = await house.decisions.shelf.current()
        return f"placements: {len(shelved.catalogue.placements)}, variants published: {len(shelved.published)}"

    return state


async def _try(name: str, ask: Callable[[], Awaitable[object]], *, needed: bool = False) -> Check:
    try:
        answer = await ask()
    except CandorError as fault:
        return Check(name, ok=False, state=fault.message, remedy=fault.remedy, needed=needed)
    return Check(name, ok=True, state=answer if isinstance(answer, str) else "answers", needed=needed)
