"""Why records are one person or not, how a person came together, and the runs of the linkage, for officers; runs for auditors and operators too.

Enters: records, a person or a run by id. Leaves: waterfalls with the words that were compared, bridges, cards. Every look at words is an entry of the log.
"""

from typing import Any, cast

from fastapi.responses import Response

from audit.access.principal import Scope
from identity.because import Because
from kernel.canonical import Json
from kernel.errors import NotFound
from kernel.ids import RecordId, is_id
from orchestration.service.console import words
from orchestration.service.console.errors import FormIncomplete
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, act, page, see

_MOST = 50


@page("/records/{record}/why/{other}", "why.html", Scope.OFFICER, api="/v1/records/{record}/why/{other}")
async def why(desk: AtDesk, record: str, other: str) -> View:
    """Two records: what each field adds to their being one person, or the one cause why they are not."""
    if not (is_id(record, "rec") and is_id(other, "rec")):
        raise NotFound(
            "expected two records' ids (rec_…), got something else", remedy="Open them from a person's page."
        )
    one, two = RecordId(record), RecordId(other)
    async with desk.house.kernel.db.reading() as conn:
        found = await desk.house.identity.reasons.why(conn, one, two, words=True)
        not_so = None if found.same else await desk.house.identity.reasons.why_not(conn, one, two, words=True)
    for person in dict.fromkeys(found.people):
        await desk.note({"person": person}, "linkage")
    told = cast("View", found.as_json())
    return {**told, "why_not": not_so.as_json() if not_so else None}


@page("/people/{person}/how", "person_how.html", Scope.OFFICER, api="/v1/people/{person}/how")
async def how(desk: AtDesk, person: str) -> View | Response:
    """How she came together, and the single links that she hangs on."""
    if not is_id(person, "per"):
        raise NotFound("expected a person's id (per_…), got something else", remedy="Look for people by the form Find.")
    async with desk.house.kernel.db.reading() as conn:
        her = await desk.house.identity.lookup(conn, person)
        if her != person:
            return see(desk.request.url.path.replace(person, her))
        found = await desk.house.identity.reasons.how(conn, her)
    await desk.note({"person": her}, "graph")
    return {**cast("View", found.as_json()), "tab": "how"}


@page("/runs", "runs.html", *words.READERS["runs"], api="/v1/linkage/runs")
async def runs(desk: AtDesk) -> View:
    """Runs of the linkage, and what the gate said of each."""
    async with desk.house.kernel.db.reading() as conn:
        found = await desk.house.identity.runs.listed(conn, _MOST)
    return {"runs": [one.as_json() for one in found]}


@page("/runs/{run}", "run.html", *words.READERS["runs"], api="/v1/linkage/runs/{run}")
async def run(desk: AtDesk, run: str) -> View:
    """The card of a run."""
    async with desk.house.kernel.db.reading() as conn:
        found = await desk.house.identity.runs.get(conn, run)
        newest = (await desk.house.identity.runs.listed(conn, 1))[0].run_id == run
    told: dict[str, Any] = found.as_json()
    card = told["card"]
    why_: Json = [one.value for one in Because]
    return {
        **told,
        "newest": newest,
        "because": why_,
        "names": dict(await desk.names()),
        "weights": _bins(card["weight_bins"], card["weights"]),
        "sizes": _bins(card["size_bins"], card["sizes"], whole=True),
    }


@act("/runs/{run}/allow", Scope.OFFICER, Scope.OPERATE)
async def allow(desk: AtDesk, run: str) -> Response:
    """Overrule the gate's objections, once."""
    said = await desk.field("because")
    if said not in list(Because):
        raise FormIncomplete("expected a reason from the list, got another word")
    async with desk.house.kernel.db.transaction() as conn:
        await desk.house.identity.runs.allow(conn, run, actor=desk.principal.actor, because=Because(said))
    return see(f"/console/runs/{run}")


def _bins(bounds: list[float], counts: list[int], *, whole: bool = False) -> Json:
    """Each bin by its bounds, and how many lie in it; ``whole``: numbers of which the last one is named."""
    names = []
    for low, high in zip(bounds, [*bounds[1:], None], strict=True):
        if high is None:
            names.append(f"{low:g} and more")
        elif whole:
            names.append(f"{low}" if high == low + 1 else f"{low} to {high - 1}")
        else:
            names.append(f"{low:g} to below {high:g}")
    return [{"name": name, "count": count} for name, count in zip(names, counts, strict=True)]
