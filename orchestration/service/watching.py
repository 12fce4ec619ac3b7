"""`/metrics`: the counts of this process, and what the stores say at this moment.

Enters: a request from this machine, or with the scope operate. Leaves: Prometheus text (docs/metrics.md lists every name). What has to be counted in
Postgres is asked at most every `EVERY` seconds, however often the page is read; a store that is down is a figure, not an error. No figure is about a person.
"""

import asyncio
import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPBearer

from audit.access.endpoints import Guard
from audit.access.principal import Scope
from explain.queue import PutOff
from explain.standing import Standing, of_explanations
from identity.health import health
from kernel import metrics
from kernel.errors import CandorError

if TYPE_CHECKING:
    from orchestration.wiring import House

EVERY: Final = 10.0
LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")

router = APIRouter(tags=["operations"])
_guard = Guard(Scope.OPERATE)

_up = metrics.gauge("candor_up", "1 while the part answers: postgres, keys, cache.", ["part"])
_pool = metrics.gauge("candor_pool_connections", "Connections to Postgres: size of the pool, idle ones, requests waiting for one.", ["pool", "what"])  # fmt: skip
_oldest = metrics.gauge("candor_oldest_transaction_seconds", "Age of the oldest transaction that Postgres must keep rows for; it holds back cleaning up.")  # fmt: skip
_open = metrics.gauge("candor_deliveries_open", "Deliveries that are not finished.", ["channel", "state"])
_uncertain = metrics.gauge("candor_deliveries_uncertain", "Deliveries of which nobody knows whether they were sent.")
_queue = metrics.gauge("candor_queue_age_seconds", "How long the oldest delivery has been due and not claimed; 0 with none.")  # fmt: skip
_entries = metrics.gauge("candor_log_entries", "Entries with a place in the log.")
_pending = metrics.gauge("candor_log_pending_entries", "Entries that wait for a place and the next checkpoint.")
_age = metrics.gauge("candor_model_age_seconds", "Age of the model that ranks a placement.", ["placement"])
_explaining = metrics.gauge("candor_explanations_waiting", "Decisions that wait for their explanation.")
_explained = metrics.gauge("candor_explanations_made", "Explanations that were made, ever.")
_put_off = metrics.gauge("candor_explanations_put_off", "Decisions that the queue of explanations had no room for, and that nobody explained since; counted up to 100,001.", ["reason"])  # fmt: skip
_unexplained = metrics.gauge("candor_explanations_refused", "Decisions whose explanation did not add up and is not shown.")  # fmt: skip
_unsaid = metrics.gauge("candor_explanations_age_seconds", "How long the oldest decision has waited for its explanation; 0 with none.")  # fmt: skip
_tried = metrics.gauge("candor_reasons_tried", "Explanations with reasons, and levers, that were tried to be proven wrong, in the newest trial, by what became of them: held, falsified, idle, score, flat.", ["outcome"])  # fmt: skip
_trial = metrics.gauge("candor_reasons_trial_age_seconds", "How long ago reasons were tried; 0 before the first trial.")
_levers = metrics.gauge("candor_levers", "Levers on explanations: shown, replayed since, flipped the choice again, used by people, followed by another decision there, changed as promised.", ["what"])  # fmt: skip
_runs = metrics.gauge("candor_trigger_runs_open", "Runs of triggers that have not ended.", ["trigger"])
_ringing = metrics.gauge("candor_trigger_age_seconds", "How long the oldest run has been due and not claimed; 0 with none.")  # fmt: skip
_asked = metrics.gauge("candor_subject_requests_open", "Subject requests that are not closed, by the last alarm of their clock: 0, 50, 80 or 100 percent.", ["alarm"])  # fmt: skip
_overdue = metrics.gauge("candor_subject_requests_overdue", "Subject requests past the day by which the law wants an answer.")  # fmt: skip
_letters = metrics.gauge("candor_processor_letters", "Letters to processors that are not proven.", ["state"])
_escalated = metrics.gauge("candor_processor_letters_escalated", "Letters to processors that somebody must look at: unanswered for a day, or the data was kept.")  # fmt: skip
_copies = metrics.gauge("candor_key_copies_overdue", "Copies of the keys database that should be gone and are not.")
_held = metrics.gauge(
    "candor_linkage_held", "1 while the newest linkage run is held back by the gate and nobody decided."
)
_linked = metrics.gauge("candor_linkage_age_seconds", "How long ago the live linkage run read its table; 0 before the first.")  # fmt: skip
_settling = metrics.gauge(
    "candor_settling_waiting", "Records that came since the last linkage run and are not settled."
)
_settled = metrics.gauge(
    "candor_settling_age_seconds", "How long the oldest record has waited to be settled; 0 with none."
)
_paused = metrics.gauge("candor_settling_paused", "1 while nothing more is settled because a linkage run over everything is due.")  # fmt: skip
_resident = metrics.gauge("candor_resident_identifiers", "Identifiers in the memory of this process; 0 while others are asked.")  # fmt: skip
_memory = metrics.gauge("candor_resident_bytes", "Bytes of the resident identifiers.")
_filled = metrics.gauge("candor_resident_age_seconds", "How long ago the resident identifiers were read anew; 0 while others are asked.")  # fmt: skip
_lag = metrics.gauge("candor_resident_lag_seconds", "How long ago the notices of changed identifiers were last seen to flow; 0 while others are asked.")  # fmt: skip
_seconds = metrics.histogram("candor_scrape_seconds", "Time to gather what the stores say.")


class Watcher:
    """Looks at the house for the gauges. One per application."""

    def __init__(self, house: "House") -> None:
        self._house = house
        self._looked = float("-inf")
        self._turn = asyncio.Lock()

    async def text(self) -> bytes:
        """The page."""
        async with self._turn:
            if time.monotonic() - self._looked >= EVERY:
                with _seconds.time():
                    await self._look()
                self._looked = time.monotonic()
        kernel = self._house.kernel
        _up.labels("cache").set(kernel.cache.available)
        for name, database in (("data", kernel.db), ("keys", kernel.keys_db)):
            stats = database.stats()
            for side in ("readers", "writers"):
                for what, key in (("size", "pool_size"), ("idle", "pool_available"), ("waiting", "requests_waiting")):
                    _pool.labels(f"{name}_{side}", what).set(stats.get(f"{side}_{key}", 0))
        residing = self._house.identity.residing
        _resident.set(residing.index.size if residing.ready else 0)
        _memory.set(residing.index.memory)
        _filled.set(residing.age if residing.ready else 0.0)
        _lag.set(residing.lag if residing.ready else 0.0)
        return metrics.render()

    async def _look(self) -> None:
        house = self._house
        for part, database in (("postgres", house.kernel.db), ("keys", house.kernel.keys_db)):
            try:
                await database.check()
            except CandorError:
                _up.labels(part).set(0)
            else:
                _up.labels(part).set(1)
        try:
            _oldest.set(await house.kernel.db.oldest_transaction())
            backlog = await house.channels.backlog()
            size, waiting = await house.audit.standing()
            ages = await house.learning.ages()
            runs, ringing = await house.triggers.waiting()
            standing = await house.rights.standing()
            _copies.set(len(await house.rights.copies.overdue()))
            async with house.kernel.db.reading() as conn:
                graph = await health(conn, house.identity, house.kernel.clock.now())
                explained = await of_explanations(conn, house.kernel.clock.now())
        except CandorError:
            return  # candor_up says it; the figures of before stay
        _of_explanations(explained, house.kernel.clock.now())
        _held.set(graph.held_run is not None)
        _linked.set(graph.run_age or 0.0)
        _settling.set(graph.waiting)
        _settled.set(graph.waited)
        _paused.set(graph.paused is not None)
        _open.clear()
        for (channel, state), count in backlog.open.items():
            _open.labels(channel, state).set(count)
        _uncertain.set(sum(count for (_, state), count in backlog.open.items() if state == "uncertain"))
        _queue.set(backlog.oldest_due_seconds)
        _entries.set(size)
        _pending.set(waiting)
        _ringing.set(ringing)
        _runs.clear()
        for trigger, count in runs.items():
            _runs.labels(trigger).set(count)
        for alarm in (0, 50, 80, 100):
            _asked.labels(str(alarm)).set(standing.by_alarm.get(alarm, 0))
        _overdue.set(standing.overdue)
        for state in ("waiting", "acknowledged", "kept"):
            _letters.labels(state).set(standing.letters.get(state, 0))
        _escalated.set(standing.escalated)
        _age.clear()
        for placement, seconds in ages.items():
            _age.labels(placement).set(seconds)


def _of_explanations(found: Standing, now: datetime) -> None:
    _explaining.set(found.waiting)
    _explained.set(found.made)
    _unexplained.set(found.refused)
    _unsaid.set(found.oldest_seconds)
    for reason in PutOff:
        _put_off.labels(reason).set(found.put_off.get(reason, 0))
    for what, count in asdict(found.levers).items():
        _levers.labels(what).set(count)
    trial = found.trial
    _trial.set((now - trial.at).total_seconds() if trial is not None else 0.0)
    if trial is not None:
        counts = {"falsified": trial.falsified, "idle": trial.idle, "score": trial.scores, "flat": trial.flat}
        counts["held"] = trial.reasons + trial.levers - sum(counts.values())
        for outcome, count in counts.items():
            _tried.labels(outcome).set(count)


@router.get("/metrics", response_class=Response)
async def figures(
    request: Request, _described: Annotated[object, Security(HTTPBearer(auto_error=False, scheme_name="key"))] = None
) -> Response:
    """Figures for Prometheus: from this machine without a key, from elsewhere with the scope operate."""
    if not from_here(request):
        await _guard(request)
    watcher: Watcher = request.app.state.watcher
    return Response(await watcher.text(), media_type=metrics.CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def from_here(request: Request) -> bool:
    """Whether the request was made on this machine: from loopback, and not handed on by a proxy that runs here too."""
    near = request.client is not None and request.client.host in LOOPBACK
    return near and not any(name in request.headers for name in _FORWARDED)
