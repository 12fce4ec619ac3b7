"""What somebody did with which things, as a point: an embedding that needs no list of things and no training (features.V18).

What enters: one declared feature, a unified profile, a moment. What leaves: `dimensions` numbers in [-1, 1] and the events they rest on. Pure, free of the order of events.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime

from events.log import Event
from profiles.behaviour import weighed, weights, words
from profiles.declarations import Feature
from profiles.profile import UnifiedProfile


def embedding(feature: Feature, profile: UnifiedProfile, at: datetime) -> tuple[list[float], Sequence[Event]]:
    """What she did with which things, newer ones more, as a point: every word is a corner of a cube by its hash, the point their weighed mean.

    Feature hashing (Weinberger et al. 2009) with signs: things that nobody declared have a place too, equal histories have equal points, and the coordinates lie in
    [-1, 1]. Nothing known is the middle.
    """
    found = weighed(feature, profile, at)
    fades = weights([event for event, _ in found], feature.fade or 1.0)
    parts = [
        (fade * weight, word)
        for fade, (event, weight) in zip(fades, found, strict=True)
        for word in words(event, feature.property or "")
    ]
    whole = math.fsum(abs(part) for part, _ in parts)
    many = feature.dimensions or 1
    if whole == 0:
        return [0.0] * many, ()
    corners = [(part, corner(word, many)) for part, word in parts]
    point = [math.fsum(part * signs[place] for part, signs in corners) / whole for place in range(many)]
    return point, [event for event, _ in found if words(event, feature.property or "")]


def corner(word: str, many: int) -> tuple[int, ...]:
    """The corner of a word in so many dimensions: 1 or -1 each, by its hash."""
    bits = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
    return tuple(1 if bits >> place & 1 else -1 for place in range(many))
