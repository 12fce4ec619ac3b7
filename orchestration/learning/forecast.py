"""How well what is known of people at a moment tells what they will do after it, and whether a set of features knows too much.

Enters: people, a moment, an event, features by name. Leaves: the area under the ROC curve of each feature and of all together, cross-fitted. Features are worked out by the
same code as everywhere, from what had happened and was known by the moment (features.F45). Features that gain more than a little from what came later are
refused: a model trained on them would not do in service what it did in its test (features.F46).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consent.service import Consent
from events.service import Events
from kernel.db import Conn
from kernel.ids import PersonId
from orchestration.learning.errors import LeakFound, TooLittleToLearn, UnknownFeature
from orchestration.learning.evaluation import folds
from orchestration.learning.logs import Floats
from orchestration.learning.ranker import fit
from orchestration.learning.ranks import auc
from orchestration.learning.settings import LearningSettings
from profiles.consent_filter import see
from profiles.service import Profiles

LEAK: Final = 0.03  # the area may differ by so much by chance and a month's ageing; the leak on record gains .07
_CHUNK: Final = 2_000  # people at a time: bounded memory
_LEAST: Final = 100
_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Probe:
    """The same features as of a later moment: their area, and whether they would be refused for it."""

    at: datetime
    area: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """Who was looked at, how many did it, and how well each feature of the moment tells, alone and all together."""

    event: str
    at: datetime
    until: datetime
    people: int
    did: int
    auc: dict[str, float]
    together: float
    probe: Probe | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows as of the moment, rows as of `features_at`, and who did it afterwards."""

    people: list[PersonId]
    rows: Floats
    later: Floats
    did: NDArray[np.bool_]


def cross_fitted(rows: Floats, did: NDArray[np.bool_], settings: LearningSettings) -> float:
    """The area of all features together, every person judged by a model that has not seen her."""
    part = folds(len(rows), settings.folds, settings.seed)
    label = did.astype(np.float64)
    score = np.empty(len(rows))
    for fold in range(int(part.max()) + 1):
        test = part == fold
        score[test] = fit(rows[~test], label[~test], settings).predict(rows[test], num_threads=1)
    return auc(score, did)


def refuse_leaks(seen: Seen, names: Sequence[str], settings: LearningSettings) -> tuple[float, float]:
    """The areas of the rows as of the moment and of the rows that are offered.

    Raises:
        LeakFound: the offered rows tell more than rows of the moment can.
    """
    honest, offered = areas(seen, settings)
    if offered - honest > LEAK:
        gain = [abs(auc(seen.later[:, k], seen.did) - auc(seen.rows[:, k], seen.did)) for k in range(len(names))]
        raise LeakFound(
            f"expected features that were known at the moment (area {honest:.3f}), got some that know what came later "
            f"(area {offered:.3f}); look at {names[int(np.argmax(gain))]} first"
        )
    return honest, offered


def areas(seen: Seen, settings: LearningSettings) -> tuple[float, float]:
    """The areas of all features together: as of the moment, and as offered."""
    honest = cross_fitted(seen.rows, seen.did, settings)
    if np.array_equal(seen.rows, seen.later, equal_nan=True):
        return honest, honest
    return honest, cross_fitted(seen.later, seen.did, settings)


async def look(
    conn: Conn, *, consent: Consent, events: Events, profiles: Profiles, people: Sequence[PersonId], purpose: str, event: str,
    at: datetime, until: datetime, features_at: datetime, names: Sequence[str],
) -> Seen:  # fmt: skip
    """Read what is needed, a part of the people at a time. Whoever never did it before the moment, or does not permit the purpose then, is left out.

    Raises:
        UnknownFeature: a name that is not declared.
    """
    features = profiles.features
    if strange := sorted(set(names) - set(features.names)):
        raise UnknownFeature(f"expected declared features, got {', '.join(strange)}")
    wanted = [features.names.index(name) for name in names]
    kept: list[PersonId] = []
    rows: list[Floats] = []
    later: list[Floats] = []
    did: list[bool] = []
    for start in range(0, len(people), _CHUNK):
        part = people[start : start + _CHUNK]
        states = await consent.states(conn, part)
        raw = await profiles.raw(conn, part)
        after = await events.of_people(
            conn, part, since=at + timedelta(microseconds=1), until=until, known_by=_EVER, names=[event]
        )
        for person, profile in raw.items():
            then = see(profile, states[person], purpose, at)
            if not any(one.name == event and not one.machine for one in then.events):
                continue
            kept.append(person)
            rows.append(features.row(then, at)[wanted])
            offered = then if features_at == at else see(profile, states[person], purpose, features_at)
            later.append(features.row(offered, features_at)[wanted])
            did.append(any(not one.machine for one in after.get(person, ())))
    shape = (len(kept), len(wanted))
    return Seen(kept, np.array(rows).reshape(shape), np.array(later).reshape(shape), np.array(did, dtype=bool))


def forecast(
    seen: Seen, *, event: str, at: datetime, until: datetime, features_at: datetime, names: Sequence[str],
    settings: LearningSettings, probe: bool = False,
) -> Forecast:  # fmt: skip
    """The areas, or a refusal. `probe`: tell what rows of `features_at` would gain, instead of refusing them.

    Raises:
        TooLittleToLearn: too few people, or all of them did the same. LeakFound: see `refuse_leaks`.
    """
    yes = int(seen.did.sum())
    if len(seen.people) < _LEAST or yes == 0 or yes == len(seen.people):
        raise TooLittleToLearn(
            f"expected at least {_LEAST} people of whom some did it again and some did not, got {len(seen.people)} and {yes}"
        )
    honest, offered = areas(seen, settings) if probe else refuse_leaks(seen, names, settings)
    return Forecast(
        event=event, at=at, until=until, people=len(seen.people), did=yes,
        auc={name: auc(seen.rows[:, place], seen.did) for place, name in enumerate(names)}, together=honest,
        probe=Probe(features_at, offered, offered - honest > LEAK) if features_at != at else None,
    )  # fmt: skip
