"""Will they buy again? Purchases of a real shop, features of the right day, and of a day that knows too much (spec features.F46).

Enters: the folder with CDNOW_master.txt (Fader and Hardie; one line a purchase: buyer, day, units, dollars). Leaves: rows for `candor bench learning`. Features are the shipped ones
about orders, by the code that serves; whoever bought by the day is asked whether she buys within the 90 days after it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from events.log import Event
from kernel.ids import EventId, GraphVersion, PersonId, RecordId
from orchestration.learning.errors import LeakFound
from orchestration.learning.forecast import Seen, areas, refuse_leaks
from orchestration.learning.logs import Floats
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench.learning_people import PURPOSE, state
from orchestration.service.bench.learning_rows import Progress, Row, find
from profiles import survivorship
from profiles.consent_filter import see
from profiles.declarations import load
from profiles.features import FeatureSet
from profiles.raw import RawProfile

CUTS: Final = (datetime(1998, 1, 1, tzinfo=UTC), datetime(1998, 2, 15, tzinfo=UTC), datetime(1998, 4, 1, tzinfo=UTC))
AHEAD: Final = timedelta(days=90)
LEAK: Final = timedelta(days=30)
LEAST: Final = 0.80
_ORDER: Final = "Order Completed"


def repurchase(full: bool, progress: Progress, shared: Path) -> list[Row]:
    """F46: three days from which 90 days are foretold; then the same with features of 30 days later."""
    declared = load()
    features = FeatureSet(
        declared.model_copy(
            update={"features": tuple(one for one in declared.features if one.event == _ORDER), "segments": ()}
        )
    )
    buyers = _buyers(find(shared, "CDNOW_master.txt"))
    settings = LearningSettings()
    rows: list[Row] = []
    for cut in CUTS if full else CUTS[1:2]:
        seen = _seen(buyers, features, cut)
        honest, offered = areas(seen, settings)
        progress(f"{cut:%Y-%m-%d}: {honest:.3f}, {offered:.3f} with 30 days more")
        what = f"90 days from {cut:%Y-%m-%d}, {len(seen.people):,} buyers, {seen.did.mean():.1%} bought again"
        rows.append(Row("features.F46", what, f"area >= {LEAST:.2f}, cross-fitted", f"{honest:.3f}", honest >= LEAST))
        try:
            refuse_leaks(seen, features.names, settings)
            word = "accepted"
        except LeakFound:
            word = "refused"
        rows.append(
            Row(
                "features.F46",
                f"the same with features of 30 days after {cut:%Y-%m-%d}",
                "the model is refused",
                f"{word}: area {honest:.3f} to {offered:.3f}",
                word == "refused",
            )
        )
    return rows


def _buyers(path: Path) -> list[RawProfile]:
    """Every buyer with her purchases as events."""
    bought: dict[str, list[Event]] = {}
    for number, line in enumerate(path.read_text().splitlines()[1:]):
        who, day, units, dollars = line.split()
        at = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        bought.setdefault(who, []).append(
            Event(
                event_id=EventId(f"evt_{number:06}"), record_id=RecordId(f"rec_{who}"), type="track", name=_ORDER, event_time=at, known_time=at,
                received_at=at, source="cdnow", purpose=PURPOSE, basis="consent",
                properties={"units": int(units), "revenue": float(dollars)}, traits={}, context={}, machine=False, confidence=1.0,
            )
        )  # fmt: skip
    rules = survivorship.load()
    return [
        RawProfile(PersonId(f"per_{who}"), (), tuple(events), 1.0, GraphVersion(1), rules)
        for who, events in bought.items()
    ]


def _seen(buyers: list[RawProfile], features: FeatureSet, cut: datetime) -> Seen:
    """Rows of the day, rows of thirty days later, and who bought within the time that is foretold."""
    people: list[PersonId] = []
    rows: list[Floats] = []
    later: list[Floats] = []
    did: list[bool] = []
    for raw in buyers:
        if not any(one.event_time <= cut for one in raw.events):
            continue
        people.append(raw.person)
        for kept, at in ((rows, cut), (later, cut + LEAK)):
            kept.append(features.row(see(raw, state(raw.person), PURPOSE, at), at))
        did.append(any(cut < one.event_time <= cut + AHEAD for one in raw.events))
    return Seen(people, np.array(rows), np.array(later), np.array(did, dtype=bool))
