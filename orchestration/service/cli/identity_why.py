"""`candor identity why|why-not|how|runs|run`: why records are one person or not, how a person came together, what runs did."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from identity.because import Because
from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json, actor, in_house

if TYPE_CHECKING:
    from identity.run_store import Run
    from identity.why import Waterfall
    from kernel.db import Conn
    from kernel.ids import PersonId
    from orchestration.wiring import House

Left = Annotated[str, typer.Argument(help="A record (rec_…).")]
Right = Annotated[str, typer.Argument(help="Another record.")]
Words = Annotated[
    bool, typer.Option("--words", help="Also what both records say in each field; the reading is logged.")
]
_WIDTH: Final = 24  # of a bar, in characters
_SORTS: Final[Mapping[str, str]] = {
    "start": "before anything is compared",
    "relatives": "relatives would explain it too",
    "owned": "both carry an identifier that one person owns alone",
    "rounding": "rounded to a millionth",
    "unexplained": "rests on words that are gone",
}


def why(left: Left, right: Right, words: Words = False, as_json: Json = False) -> None:
    """Why two records are one person, or are not: what each field adds, up to the weight of the edge.

    Weights are powers of two: +1 makes it twice as likely that they are one person. Without an edge between them: the strongest path and its
    weakest link, which is the one told.
    """
    from kernel.ids import RecordId

    async def read(house: "House") -> Any:
        async with house.kernel.db.transaction() as conn:
            found = await house.identity.reasons.why(conn, RecordId(left), RecordId(right), words=words)
            await _note(house, conn, found.people, words=words)
            return found

    found = in_house(read)
    if as_json:
        output.emit_json(found.as_json())
        return
    path = " · ".join(f"{e.a} – {e.b} ({e.weight:.2f})" for e in found.path)
    output.facts(
        "Why",
        [
            ("one person", "yes" if found.same else "no"),
            ("people", ", ".join(dict.fromkeys(found.people))),
            ("edge", f"{found.edge.weight:.6f}" if found.edge else "none between these two"),
            *([("strongest path", path)] if path and not found.edge else []),
            *([("weakest link", f"{found.weakest.a} – {found.weakest.b}")] if found.weakest and not found.edge else []),
            *([("refused", f"{found.refused.cause}, {found.refused.weight:.6f}")] if found.refused else []),
            ("shared identifiers", ", ".join(f"{n} {kind}" for kind, n in found.shared.items()) or "none"),
        ],
    )
    _show_waterfall(found.waterfall)


def why_not(left: Left, right: Right, words: Words = False, as_json: Json = False) -> None:
    """The one cause why two records are not one person."""
    from kernel.ids import RecordId

    async def read(house: "House") -> Any:
        async with house.kernel.db.transaction() as conn:
            found = await house.identity.reasons.why_not(conn, RecordId(left), RecordId(right), words=words)
            await _note(house, conn, found.people, words=words)
            return found

    found = in_house(read)
    if as_json:
        output.emit_json(found.as_json())
        return
    cause = found.cause
    output.facts(
        "Why not",
        [
            ("cause", f"{cause.value}: {cause.text}" if cause else "none: they are one person"),
            ("people", ", ".join(dict.fromkeys(found.people))),
            *([("shared keys", ", ".join(found.keys) or "none")] if cause else []),
            *([("weight", f"{found.weight:.6f}")] if found.weight is not None else []),
            *([("threshold", found.threshold)] if cause else []),
            *(
                [("refused", f"{found.refused.a} – {found.refused.b}, {found.refused.weight:.6f}")]
                if found.refused
                else []
            ),
        ],
    )
    if cause is not None:
        _show_waterfall(found.waterfall)


def how(
    person: Annotated[str, typer.Argument(help="per_… or kind:value, for example email:ada@example.org.")],
    as_json: Json = False,
) -> None:
    """How a person came together, in order, and the single edges whose loss would split her."""

    async def read(house: "House") -> Any:
        async with house.kernel.db.transaction() as conn:
            found = await house.identity.lookup(conn, person)
            await _note(house, conn, (found, found), words=True, what="graph")
            return await house.identity.reasons.how(conn, found)

    found = in_house(read)
    if as_json:
        output.emit_json(found.as_json())
        return
    output.facts(
        "Person", [("person", found.person), ("records", len(found.records)), ("model", found.model or "no run yet")]
    )
    output.table(
        "What happened to her",
        ("version", "at", "cause", "what", "other person", "records"),
        [(s.version, f"{s.at:%Y-%m-%d %H:%M}", s.cause, s.kind, s.other or "", len(s.records)) for s in found.steps],
    )
    built = found.building
    output.table(
        "Joined in this order, by today's edges",
        ("", "record", "record", "weight", "sizes"),
        [
            (n, j.edge.a, j.edge.b, f"{j.edge.weight:.3f}", f"{j.left} + {j.right}")
            for n, j in enumerate(built.joins, 1)
        ],
    )
    output.table(
        "She hangs on these: without one of them she would be two",
        ("record", "record", "weight", "would leave"),
        [(b.edge.a, b.edge.b, f"{b.edge.weight:.3f}", ", ".join(b.parts[0])) for b in built.bridges],
    )
    if built.untied:
        held = "; ".join(", ".join(group) for group in built.untied)
        output.facts("", [("held by identifiers or judgements, not by edges", held)])


def runs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="So many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Runs of the linkage, and what the gate said of each."""

    async def read(house: "House") -> "list[Run]":
        async with house.kernel.db.reading() as conn:
            return await house.identity.runs.listed(conn, limit)

    found = in_house(read)
    if as_json:
        output.emit_json([one.as_json() for one in found])
        return
    output.table(
        "Runs",
        ("run", "at", "verdict", "objections", "graph", "records", "people", "largest", "led elsewhere", "drift"),
        [
            (
                one.run_id, f"{one.made_at:%Y-%m-%d %H:%M}", one.verdict, ", ".join(one.reasons) or "none",
                one.graph_version or "", one.card.records, one.card.people, one.card.largest, one.card.hands.elsewhere,
                f"{max((one.card.drift or {}).values(), default=0.0):.4f}",
            )
            for one in found
        ],
    )  # fmt: skip


def run(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="run_…, or `last`.")],
    allow: Annotated[Because | None, typer.Option("--allow", help="Overrule the gate: the next run goes live if it meets no other objections. Logged.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """The card of a run: what each field is worth, policy, pairs, sizes, drift, refusals, and what the gate said."""

    async def work(house: "House") -> "Run":
        async with house.kernel.db.transaction() as conn:
            newest = await house.identity.runs.listed(conn, 1)
            named = newest[0].run_id if run_id == "last" and newest else run_id
            if allow is not None:
                return await house.identity.runs.allow(conn, named, actor=actor(), because=allow)
            return await house.identity.runs.get(conn, named)

    found = in_house(work)
    if as_json:
        output.emit_json(found.as_json())
        return
    card = found.card
    output.facts(
        "Run",
        [
            ("run", found.run_id),
            ("verdict", found.verdict),
            ("objections", ", ".join(found.reasons) or "none"),
            *([("allowed", f"by {found.allowed_by}, because: {found.allowed_for}")] if found.allowed_by else []),
            ("graph version", found.graph_version or "none"),
            ("model", card.model),
            ("records", card.records),
            ("people", card.people),
            ("largest", card.largest),
            ("led elsewhere", f"{card.hands.elsewhere} of {card.hands.before}"),
            ("threshold", card.policy.get("threshold", "")),
            ("prior", f"{card.prior:.3g}"),
            ("refused", ", ".join(f"{n} {cause}" for cause, n in card.refused.items()) or "none"),
        ],
    )
    output.table(
        "What agreement is worth",
        ("field", "level", "m", "u", "weight", "by rarity"),
        [
            (
                f["name"],
                x["label"],
                f"{x['m']:.6f}",
                f"{x['u']:.6g}",
                f"{_weight(x):+.3f}",
                "yes" if x["rarity"] else "",
            )
            for f in card.fields
            for x in f["levels"]
        ],
    )
    output.table(
        "Pairs found by each key",
        ("key", "pairs", "rows in blocks too large"),
        [(name, counts["pairs"], counts["left_out"]) for name, counts in card.keys.items()],
    )
    if card.drift is not None:
        moved = sorted(card.drift.items(), key=lambda one: -one[1])
        output.table("Drift since the last graph", ("what", "index"), [(name, f"{value:.6f}") for name, value in moved])


def _weight(level: Mapping[str, Any]) -> float:
    from math import log2

    return log2(level["m"] / level["u"])


def _show_waterfall(drawn: "Waterfall | None") -> None:
    if drawn is None:
        output.facts("", [("weight", "no run has left its parameters, or the words are gone")])
        return
    reach = max(abs(bar.weight) for bar in drawn.bars) or 1.0
    what = "the edge" if drawn.stored else "what the pair weighs; there is no edge"
    words = drawn.words or {}
    said = ("words",) if words else ()
    rows: list[Sequence[object]] = []
    at = 0.0
    for bar in drawn.bars:
        at += bar.weight
        name = (
            f"{bar.field}: {bar.level}"
            if bar.sort == "field"
            else f"{bar.field}: how rare it is"
            if bar.sort == "rarity"
            else _SORTS[bar.sort]
        )
        shown = " | ".join(one or "–" for one in words.get(bar.field, ())) if bar.sort == "field" else ""
        rows.append((name, f"{bar.weight:+.6f}", f"{at:+.6f}", _bar(bar.weight, reach), *((shown,) if said else ())))
    output.table(f"{drawn.a} – {drawn.b}: {what}", ("", "adds", "so far", "", *said), rows)
    output.facts("", [("weight", f"{drawn.weight:.6f}"), ("model", drawn.model)])


def _bar(weight: float, reach: float) -> str:
    size = round(abs(weight) / reach * _WIDTH)
    return ("+" if weight >= 0 else "-") * size


async def _note(
    house: "House", conn: "Conn", people: "tuple[PersonId, PersonId]", *, words: bool, what: str = "linkage"
) -> None:
    from audit.entries import NewEntry
    from audit.tags import Tag

    if words:
        whom = cast("list[str]", sorted(set(people)))
        await house.audit.append(conn, [NewEntry(Tag.READ_PERSONAL, {"person": whom}, {"what": what}, actor=actor())])
