"""`candor rights …`: subject requests from opening to done. Approving needs a second member of staff, who logs in."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from orchestration.service.cli import keys_secrets, output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from consent.lifecycle import Request
    from consent.requests import Outcome
    from consent.rights.correcting import Correction
    from kernel.removal import Removed
    from orchestration.wiring import House

_Word = TypeVar("_Word", bound=StrEnum)
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
    app.add("unseal")(unseal)
    app.add("check")(check)
    app.add("confirm")(confirm)
    app.add("extend")(extend)
    app.add("revoke")(revoke)
    app.add("deny")(deny)
    app.add("watch")(watch)


def open_request(
    right: Annotated[
        str,
        typer.Argument(
            help="access, access_categories, portability, rectification, erasure, restriction, objection, withdrawal, opt_out, opt_in,"
            " limit_sensitive, admt_opt_out, admt_access."
        ),
    ],
    person: Annotated[str, typer.Argument(help="per_… or kind:value.")],
    regime: Annotated[str | None, typer.Option(help="Whose clock runs: gdpr, uk, us-ca or default.")] = None,
    suppress: Annotated[
        bool, typer.Option("--suppress", help="After an erasure, keep the contacts silent for ever (as keyed hashes).")
    ] = False,
    manner: Annotated[
        str, typer.Option(help="How it was made: email, phone, post, in_person, web_form, staff …")
    ] = "staff",
    purpose: Annotated[str | None, typer.Option(help="Withdrawal: of which purpose; all without.")] = None,
    channel: Annotated[str | None, typer.Option(help="Withdrawal: on which channel; all without.")] = None,
    correct: Annotated[
        list[str] | None,
        typer.Option(help="Rectification: name=value of a detail, or kind:wrong=kind:right of a contact. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Open a request; the clock starts."""
    from consent.lifecycle import Manner

    how = _word(Manner, manner, "--manner")

    async def work(house: "House") -> "Request":
        about = {name: value for name, value in (("purpose", purpose), ("channel", channel)) if value is not None}
        return await house.rights.open(
            right, person, actor=actor(), regime=regime, suppress=suppress, manner=how, about=about,
            correction=_correction(correct) if correct else None,
        )  # fmt: skip

    _print(in_house(work), as_json=as_json)


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
    if seen.lines:
        found = [
            (one.room, one.kind, one.count, one.fate, " ".join(filter(None, (one.because, one.ground, one.law, f"until {one.until:%Y-%m-%d}" if one.until else None))))
            for one in seen.lines
        ]  # fmt: skip
        output.table(f"{request} would touch", ("room", "what", "count", "becomes", "because"), found)
    else:
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
    """Do what was asked. A request to know is answered with a link and its code, shown this once."""
    from orchestration.service import rotation

    async def work(house: "House") -> "tuple[Outcome, Removed]":
        ran = await house.rights.run(request, actor=actor())
        return ran, await rotation.remove(house, actor=actor())

    done, removed = in_house(work)
    handed = None
    if done.handed is not None:
        handed = {"link": done.handed.link, "code": done.handed.code, "expires_at": done.handed.expires_at}
    if as_json:
        output.emit_json(
            {
                "request": done.request,
                "counts": done.counts,
                "package": handed,
                "removed": removed,
                "copies": done.copies,
            }
        )
        return
    output.table(f"{request} is {done.request.state}", ("room", "touched"), list(done.counts.items()))
    if removed.log is not None:
        output.say(keys_secrets.said(removed))
    if done.copies is not None and done.copies.copies:
        output.say(
            f"{done.copies.copies} copies of the keys database hold her keys still; the last goes on {done.copies.until}."
        )
    if handed is not None:
        output.facts("send link and code by different ways; the code is kept nowhere", list(handed.items()))


def export(
    request: RequestId,
    out: Annotated[
        Path, typer.Option("--out", help="File to write, readable by you alone: sealed, the code is printed.")
    ],
) -> None:
    """Run a request to know and write its sealed package; open it with `candor rights unseal`."""
    done = in_house(lambda house: house.rights.run(request, actor=actor()))
    if done.handed is None:
        output.say(f"{request} is {done.request.state}; it has no package.")
        raise typer.Exit(1)
    out.touch(mode=0o600)
    out.write_bytes(done.handed.parcel)
    output.facts(
        f"sealed package written to {out}",
        [
            ("label", done.handed.id),
            ("code", done.handed.code),
            ("link", done.handed.link),
            ("until", done.handed.expires_at),
        ],
    )


def unseal(
    file: Annotated[Path, typer.Argument(help="A sealed package.", exists=True, dir_okay=False)],
    label: Annotated[str, typer.Option(help="Its label (pkg_…), as it was printed when it was made.")],
    code: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="CANDOR_PACKAGE_CODE", help="Its code.")],
    out: Annotated[Path, typer.Option("--out", help="ZIP file to write, readable by you alone.")],
) -> None:
    """Open a sealed package with its code. Stand-alone."""
    from consent.rights.bundle import faults
    from kernel.parcel import unseal as opened

    bundle = opened(file.read_bytes(), code, label)
    wrong = faults(bundle)
    out.touch(mode=0o600)
    out.write_bytes(bundle)
    output.say(f"written to {out}; {'every file is as its manifest says' if not wrong else '; '.join(wrong)}.")
    if wrong:
        raise typer.Exit(1)


def check(
    request: RequestId,
    method: Annotated[str, typer.Option(help="contact_link, points, login, document or declaration.")],
    passed: Annotated[bool, typer.Option("--passed/--failed", help="Whether it was them.")] = True,
    point: Annotated[
        list[str] | None, typer.Option(help="Method points: kind:value of what they named. Repeatable.")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            help="What was shown. Its salted digest is kept, then THE FILE IS DELETED.", exists=True, dir_okay=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Note what came of looking at who asks."""
    from consent.rights.checks import Method

    looked = _word(Method, method, "--method")
    shown = evidence.read_bytes() if evidence is not None else None
    noted = in_house(
        lambda house: house.rights.check(
            request, looked, actor=actor(), passed=passed, evidence=shown, points=point or ()
        )
    )
    if evidence is not None:
        evidence.unlink()
    _print(noted, as_json=as_json)


def confirm(request: RequestId, as_json: Json = False) -> None:
    """Note that the person was told that it came in."""
    _print(in_house(lambda house: house.rights.clock.confirm(request, actor=actor())), as_json=as_json)


def extend(
    request: RequestId,
    reason: Annotated[str, typer.Option(help="Why more time is needed, as the person was told.")],
    as_json: Json = False,
) -> None:
    """Move the due date, once, before it."""
    _print(in_house(lambda house: house.rights.clock.extend(request, actor=actor(), reason=reason)), as_json=as_json)


def revoke(request: RequestId, as_json: Json = False) -> None:
    """The person took it back."""
    _print(in_house(lambda house: house.rights.revoke(request, actor=actor())), as_json=as_json)


def deny(
    request: RequestId,
    reason: Annotated[
        str, typer.Option(help="One of the protocol's: no_match, claim_not_covered, insuf_verification …")
    ],
    as_json: Json = False,
) -> None:
    """Refuse, with a reason."""
    from consent.lifecycle import Denial

    because = _word(Denial, reason, "--reason")
    _print(in_house(lambda house: house.rights.deny(request, actor=actor(), reason=because)), as_json=as_json)


def watch(as_json: Json = False) -> None:
    """Raise the alarms of clocks that are at 50, 80 or 100 percent; each once. Exit code 1 when one is at 100."""
    found = in_house(lambda house: house.rights.clock.watch(actor=actor()))
    if as_json:
        output.emit_json(found)
    else:
        output.table("Alarms", ("request", "percent", "due"), [(one.request, one.percent, one.due_on) for one in found])
    if any(one.percent >= 100 for one in found):
        raise typer.Exit(1)


def _word(words: type[_Word], given: str, option: str) -> _Word:
    """The word of a list that was typed; wrong usage otherwise."""
    if given not in {one.value for one in words}:
        raise typer.BadParameter(f"expected one of {', '.join(words)}", param_hint=option)
    return words(given)


def _correction(given: list[str]) -> "Correction":
    from consent.rights.correcting import parse_correction

    pairs = [one.partition("=") for one in given]
    if any(not sign or not name for name, sign, _ in pairs):
        raise typer.BadParameter("expected name=value or kind:wrong=kind:right", param_hint="--correct")
    return parse_correction((name, value) for name, _, value in pairs)


def _print(request: "Request", *, as_json: bool) -> None:
    if as_json:
        output.emit_json(request)
        return
    from consent.rights import checks
    from consent.rights.clockwork import dates

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
            ("made", request.manner),
            (
                "identity check",
                "done" if checks.passed(request) else f"{checks.needed(request.right).name.lower()} needed",
            ),
            *((name.replace("_", " "), day) for name, day in dates(request).items()),
            ("told that it came in", request.confirmed_at or "not yet"),
            ("extended", request.extension_reason or "no"),
            ("time that its alarms told of", f"{request.alarmed} %" if request.alarmed else "none yet"),
            ("response", request.response or "none yet"),
        ],
    )
