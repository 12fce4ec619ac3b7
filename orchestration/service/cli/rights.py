"""`candor rights …`: subject requests from opening to done. Approving needs a second member of staff, who logs in."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from consent.lifecycle import Request
    from orchestration.wiring import House

RequestId = Annotated[str, typer.Argument(help="Id of the request (req_…).")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("open")(open_request)
    app.add("list")(list_requests)
    app.add("show")(show)
    app.add("preview")(preview)
    app.add("approve")(approve)
    app.add("run")(run)
    app.add("export")(export)


def open_request(
    right: Annotated[str, typer.Argument(help="access, portability, erasure, objection, opt-out …")],
    person: Annotated[str, typer.Argument(help="per_… or kind:value.")],
    regime: Annotated[str | None, typer.Option(help="Whose clock runs: gdpr, uk, us-ca or default.")] = None,
    suppress: Annotated[
        bool, typer.Option("--suppress", help="After an erasure, keep the contacts silent for ever (as keyed hashes).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Open a request; the clock starts."""
    request = in_house(lambda house: house.rights.open(right, person, actor=actor(), regime=regime, suppress=suppress))
    _print(request, as_json=as_json)


def list_requests(as_json: Json = False) -> None:
    """Requests in order of opening, with the day they are due."""
    found = in_house(lambda house: house.rights.list_requests())
    if as_json:
        output.emit_json(found)
        return
    rows = [
        (r.id, r.right, r.regime, r.state, f"{r.received_at:%Y-%m-%d}", r.due_on, r.opened_by, r.approved_by or "")
        for r in found
    ]
    output.table(
        "Subject requests", ("id", "right", "regime", "state", "received", "due", "opened by", "approved by"), rows
    )


def show(request: RequestId, as_json: Json = False) -> None:
    """One request."""
    _print(in_house(lambda house: house.rights.show(request)), as_json=as_json)


def preview(request: RequestId, as_json: Json = False) -> None:
    """What running it would touch, room by room; changes nothing."""
    seen = in_house(lambda house: house.rights.preview(request))
    if as_json:
        output.emit_json(seen)
        return
    rows = [(room, what, count) for room, held in seen.holdings.items() for what, count in held.items()]
    output.table(f"{request} would touch", ("room", "what", "count"), rows)
    if seen.keys:
        output.out.print(f"and destroy {seen.keys} keys: every word under them becomes unreadable, in backups too.")


def approve(
    request: RequestId,
    staff: Annotated[str, typer.Option("--as", help="Login name of the second member of staff.")],
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, envvar="CANDOR_STAFF_PASSWORD", help="Asked for when left out.")
    ],
    as_json: Json = False,
) -> None:
    """Agree to an erasure, as somebody else than the one who opened it."""

    async def work(house: "House") -> "Request":
        from kernel.errors import NotPermitted

        who = await house.access.check_login(staff, password)
        if who is None or not who.may({"officer"}):
            raise NotPermitted(
                "expected the login of an officer, got another",
                code="officer_needed",
                remedy="`candor staff add NAME --scope officer`.",
            )
        return await house.rights.approve(request, actor=who.actor)

    _print(in_house(work), as_json=as_json)


def run(request: RequestId, as_json: Json = False) -> None:
    """Do what was asked: erase, or close an objection."""
    done = in_house(lambda house: house.rights.run(request, actor=actor()))
    if as_json:
        output.emit_json({"request": done.request, "counts": done.counts})
        return
    output.table(f"{request} is {done.request.state}", ("room", "touched"), list(done.counts.items()))


def export(
    request: RequestId,
    out: Annotated[Path, typer.Option("--out", help="File to write, readable by you alone.")],
) -> None:
    """Run an access or portability request and write its package."""
    done = in_house(lambda house: house.rights.run(request, actor=actor()))
    out.touch(mode=0o600)
    out.write_text(json.dumps(done.package, indent=2, ensure_ascii=False, default=str), encoding="utf-8")
    output.say(f"package written to {out}; it holds personal data, hand it over and delete it.")


def _print(request: "Request", *, as_json: bool) -> None:
    if as_json:
        output.emit_json(request)
        return
    output.facts(
        "",
        [
            ("request", request.id),
            ("right", request.right),
            ("person", request.person),
            ("state", request.state),
            ("received", f"{request.received_at:%Y-%m-%d}"),
            ("due", request.due_on),
            ("opened by", request.opened_by),
            ("approved by", request.approved_by or "nobody yet"),
        ],
    )
