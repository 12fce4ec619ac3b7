"""`candor report features|segments` and `candor learn forecast`: what is known of people as of a moment, and what it tells of afterwards."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from orchestration.learning.forecast import Forecast
    from orchestration.wiring import House
    from profiles.segments import Membership
    from profiles.service import Batch

Names = Annotated[str, typer.Option(help="Declared features, separated by commas.")]
Purpose = Annotated[str, typer.Option(help="The purpose that looks; who does not permit it then has no features.")]
Source = Annotated[str | None, typer.Option(help="Only people with a record of this source.")]


def register_report(app: Commands) -> None:
    """Add the command to `candor report`."""
    app.add("features")(features)
    app.add("segments")(segments)


def register_learn(app: Commands) -> None:
    """Add the command to `candor learn`."""
    app.add("forecast")(forecast)


def features(
    names: Names,
    at: Annotated[
        datetime | None, typer.Option(help="As of this moment (UTC), from what was known by then; now by default.")
    ] = None,
    purpose: Purpose = "marketing.personalize",
    source: Source = None,
    examples: Annotated[int, typer.Option(min=0, max=20, help="Rows to show, by pseudonymous id.")] = 3,
    as_json: Json = False,
) -> None:
    """How features are distributed as of a moment, and some rows.

    People of whom none of the features is known, or all are nought, are not counted.
    """
    chosen = [one.strip() for one in names.split(",") if one.strip()]
    moment = _utc(at)
    found = in_house(lambda house: _batch(house, moment, purpose, source))
    columns = _columns(found.names, chosen)
    rows = found.batch.rows[:, columns]
    some = _some(rows)
    told = [{"feature": name, **_spread(rows[some, place])} for place, name in enumerate(chosen)]
    shown = [
        {"person": found.batch.people[row], **dict(zip(chosen, map(_plain, rows[row].tolist()), strict=True))}
        for row in some.nonzero()[0][:: max(1, int(some.sum()) // max(examples, 1))][:examples].tolist()
    ]
    if as_json:
        output.emit_json(
            {
                "at": found.batch.at,
                "people": int(some.sum()),
                "of": len(found.batch.people),
                "features": told,
                "examples": shown,
            }
        )
        return
    output.table(
        f"{int(some.sum()):,} of {len(found.batch.people):,} people, as of {found.batch.at:%Y-%m-%d}",
        ("feature", "known", "mean", "least", "quarter", "half", "three quarters", "most"),
        [(one["feature"], f"{one['known']:,}", *(_word(one[key]) for key in _KEYS)) for one in told],
    )
    if shown:
        output.table(
            "Some of them",
            ("person", *chosen),
            [(one["person"], *(_word(one[name]) for name in chosen)) for one in shown],
        )


def segments(
    person: Annotated[str, typer.Argument(help="A person id, or kind:value.")],
    purpose: Purpose = "marketing.personalize",
    as_json: Json = False,
) -> None:
    """Why a person is in each segment, or is not.

    Every condition with what is known of it, whether it holds, and by how much it is missed.
    """

    async def work(house: "House") -> "tuple[Membership, ...]":
        house.consent.rules.purposes.expect(purpose)
        async with house.kernel.db.reading() as conn:
            living = await house.identity.lookup(conn, person)
            return await house.profiles.memberships(conn, living, purpose)

    found = in_house(work)
    if as_json:
        output.emit_json(found)
        return
    output.table(
        "Segments",
        ("segment", "", "asked", "known", "holds", "missed by"),
        [
            (
                one.segment,
                "in" if one.member else "not in",
                held.asked,
                "nothing" if held.value is None else held.word or f"{held.value:.4g}",
                "yes" if held.holds else "no",
                "" if held.gap is None else f"{held.gap:.4g}",
            )
            for one in found
            for held in one.conditions
        ],
    )


def forecast(
    event: Annotated[str, typer.Option(help="The event that is foretold.")],
    at: Annotated[datetime, typer.Option(help="The moment that parts what is known from what is foretold (UTC).")],
    names: Names,
    days: Annotated[float, typer.Option(min=0.1, help="How long afterwards the event counts.")] = 180.0,
    features_at: Annotated[
        datetime | None, typer.Option(help="Offer the features as of another moment; refused when they know too much.")
    ] = None,
    probe_days: Annotated[
        float | None, typer.Option(min=0.1, help="Tell what the same features would gain as of so many days later.")
    ] = None,
    purpose: Purpose = "marketing.personalize",
    source: Source = None,
    as_json: Json = False,
) -> None:
    """How well features of a moment tell who does something afterwards.

    Of people who did it before. Features that know what came after the moment are refused.
    """
    chosen = [one.strip() for one in names.split(",") if one.strip()]
    moment = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    offered = moment + timedelta(days=probe_days) if probe_days else _utc(features_at) or moment
    found = in_house(
        lambda house: _forecast(house, event, moment, days, offered, purpose, source, chosen, probe=bool(probe_days))
    )
    if as_json:
        output.emit_json(found)
        return
    probe = found.probe
    output.facts(
        f"{event} between {found.at:%Y-%m-%d} and {found.until:%Y-%m-%d}",
        [
            (
                "people",
                f"{found.people:,} who did it before; {found.did:,} ({found.did / found.people:.1%}) did it again",
            ),
            *((f"area of {name}", f"{value:.3f}") for name, value in found.auc.items()),
            ("area of all", f"{found.together:.3f}, cross-fitted; as of {found.at:%Y-%m-%d} and known by then"),
            *(
                [("a leak", f"as of {probe.at:%Y-%m-%d} {probe.area:.3f}: {'refused' if probe.refused else 'no leak'}")]
                if probe
                else []
            ),
        ],
    )


_KEYS = ("mean", "least", "quarter", "half", "three_quarters", "most")


class _Found:
    def __init__(self, names: "tuple[str, ...]", batch: "Batch") -> None:
        self.names = names
        self.batch = batch


async def _batch(house: "House", at: datetime | None, purpose: str, source: str | None) -> _Found:
    moment = at or house.kernel.clock.now()
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn, source=source)
        return _Found(house.profiles.features.names, await house.profiles.batch(conn, people, purpose, moment))


async def _forecast(
    house: "House", event: str, at: datetime, days: float, features_at: datetime, purpose: str, source: str | None,
    names: "Sequence[str]", *, probe: bool,
) -> "Forecast":  # fmt: skip
    from orchestration.learning import forecast as foretold

    until = at + timedelta(days=days)
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn, source=source)
        seen = await foretold.look(
            conn, consent=house.consent, events=house.events, profiles=house.profiles, people=people, purpose=purpose, event=event,
            at=at, until=until, features_at=features_at, names=names,
        )  # fmt: skip
    return foretold.forecast(
        seen,
        event=event,
        at=at,
        until=until,
        features_at=features_at,
        names=names,
        settings=house.learning.settings,
        probe=probe,
    )


def _columns(names: "tuple[str, ...]", chosen: "list[str]") -> "list[int]":
    from orchestration.learning.errors import UnknownFeature

    if strange := sorted(set(chosen) - set(names)):
        raise UnknownFeature(f"expected declared features, got {', '.join(strange)}")
    return [names.index(name) for name in chosen]


def _some(rows: "NDArray[np.float64]") -> "NDArray[np.bool_]":
    import numpy as np

    return np.asarray((np.isfinite(rows) & (rows != 0)).any(axis=1), dtype=bool)


def _spread(column: "NDArray[np.float64]") -> dict[str, float | None]:
    import numpy as np

    known = column[np.isfinite(column)]
    if not len(known):
        return {"known": 0, **dict.fromkeys(_KEYS, None)}
    low, quarter, half, three, high = np.percentile(known, [0, 25, 50, 75, 100]).tolist()
    values = (float(known.mean()), low, quarter, half, three, high)
    return {"known": len(known), **dict(zip(_KEYS, values, strict=True))}


def _plain(value: float) -> float | None:
    """An absent number is null, in JSON too."""
    return value if value == value else None  # noqa: PLR0124 - NaN differs from itself


def _word(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
