"""Profiles as a holder of personal data: what was derived of a person, each thing with the records that it rests on.

Enters: a filtered profile and a moment. Leaves: features and segments in words. A thing names every record that may have entered it, so that whoever hands it out can leave out
what may rest on somebody else's record.
"""

import math
from datetime import datetime

from kernel.canonical import Json
from profiles.features import FeatureSet, Origin
from profiles.profile import UnifiedProfile


def exported(features: FeatureSet, profile: UnifiedProfile, at: datetime) -> dict[str, Json]:
    """What one purpose may see of the person, as of ``at``."""
    found = features.evaluate(profile, at)
    origins = {one.feature: one for one in found.origins}
    rests: dict[str, list[Json]] = {name: _records(one) for name, one in origins.items()}
    told: list[Json] = []
    for name, value in zip(features.names, found.row.tolist(), strict=True):
        if math.isnan(value):
            continue
        one = origins.get(name)
        told.append(
            {"feature": name, "value": value, "of": one.trait if one else None, "source": one.source if one else None,
             "rests_on": rests.get(name, [])}
        )  # fmt: skip
    asked = {segment.name: [c.feature for c in segment.all] for segment in features.declared.segments}
    segments: list[Json] = [
        {"segment": name, "rests_on": [record for feature in asked[name] for record in rests.get(feature, [])]}
        for name in sorted(found.segments)
    ]
    return {"permitted": profile.permission.granted, "features": told, "segments": segments}


def _records(origin: Origin) -> list[Json]:
    """Every record that had a part in it."""
    return [one for one in (origin.record_id, *origin.also) if one is not None]
