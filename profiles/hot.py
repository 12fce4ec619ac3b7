"""The hot profile: what a decision needs of a person, without a word of hers.

What enters: an evaluated profile, permissions, reach. What leaves: ``HotProfile`` and its bytes in the hot store. Floats travel
as hexadecimal (``float.hex``), so that what comes out has the bits that went in. It holds ids, codes, numbers and times; no
trait of text, no identifier's value, no key.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from consent.gate import Answer, ConsentState, Permission
from identity.people import Contact
from kernel.ids import GraphVersion, IdentifierId, PersonId
from profiles.features import Origin
from profiles.interests import Interest
from profiles.profile import UnifiedProfile

FORM: Final = 5  # raised when older bytes can no longer be read; what has another form is cold
_ANSWERS: Final = {str(one): one for one in Answer}
_VERSION_BYTES: Final = 6  # fits a JSON number, which holds 53 bits exactly


@dataclass(frozen=True, slots=True)
class HotProfile:
    """``at``: the moment of its features; ``until``: from then on it is stale (age, or a consent that runs out).
    ``rules``: digest of the rules by which its permissions were worked out; under others it is not used.

    ``profile_version`` is the same for the same records, events and declarations. ``permitted``: whether the purpose may see
    anything; when not, the features are those of somebody of whom nothing is known. ``declined``: the catalogue's ids of what she said
    does not interest her; that is an instruction, which holds whatever the purpose may see. ``interests``: things she engages with, by keyed hash.
    """

    person: PersonId
    purpose: str
    at: datetime
    until: datetime
    feature_set: str
    rules: str
    graph_version: GraphVersion
    consent_version: int
    profile_version: int
    permitted: bool
    features: tuple[float, ...]
    permissions: Mapping[str, Permission]
    reach: Mapping[str, IdentifierId]
    sure: float
    segments: frozenset[str]
    origins: tuple[Origin, ...]
    declined: frozenset[str] = frozenset()
    interests: tuple[Interest, ...] = ()

    def good(self, now: datetime, feature_set: str, rules: str) -> bool:
        """Whether it holds now, for these features and under these rules of consent."""
        return self.at <= now < self.until and (self.feature_set, self.rules) == (feature_set, rules)

    def row(self) -> NDArray[np.float64]:
        """The features as a row."""
        return np.array(self.features, dtype=np.float64)


def pack(hot: HotProfile) -> bytes:
    """The bytes of a hot profile; equal profiles have equal bytes."""
    return orjson.dumps(
        {
            "form": FORM,
            "person": hot.person,
            "purpose": hot.purpose,
            "at": hot.at.isoformat(),
            "until": hot.until.isoformat(),
            "feature_set": hot.feature_set,
            "rules": hot.rules,
            "graph": hot.graph_version,
            "consent": hot.consent_version,
            "profile": hot.profile_version,
            "permitted": hot.permitted,
            "features": [value.hex() for value in hot.features],
            "permissions": {name: [p.answer.value, str(p.reason), p.act] for name, p in hot.permissions.items()},
            "reach": dict(hot.reach),
            "sure": hot.sure.hex(),
            "segments": sorted(hot.segments),
            "declined": sorted(hot.declined),
            "interests": [[i.kind, i.code, i.weight.hex(), i.deed] for i in hot.interests],
            "origins": [
                [
                    o.feature,
                    o.trait,
                    o.source,
                    o.observed_at.isoformat(),
                    o.purpose,
                    o.record_id,
                    o.act,
                    o.count,
                    o.also,
                ]
                for o in hot.origins
            ],
        },
        option=orjson.OPT_SORT_KEYS,
    )


def unpack(words: bytes) -> HotProfile | None:
    """The hot profile; None when the bytes are of another form."""
    form: dict[str, Any] = orjson.loads(words)
    if form.get("form") != FORM:
        return None
    return HotProfile(
        person=form["person"],
        purpose=form["purpose"],
        at=datetime.fromisoformat(form["at"]),
        until=datetime.fromisoformat(form["until"]),
        feature_set=form["feature_set"],
        rules=form["rules"],
        graph_version=form["graph"],
        consent_version=form["consent"],
        profile_version=form["profile"],
        permitted=form["permitted"],
        features=tuple(float.fromhex(value) for value in form["features"]),
        permissions={
            name: Permission(_ANSWERS[a], reason, act) for name, (a, reason, act) in form["permissions"].items()
        },
        reach=form["reach"],
        sure=float.fromhex(form["sure"]),
        segments=frozenset(form["segments"]),
        origins=tuple(
            Origin(feature, trait, source, datetime.fromisoformat(seen), purpose, record, act, count, tuple(also))
            for feature, trait, source, seen, purpose, record, act, count, also in form["origins"]
        ),
        declined=frozenset(form["declined"]),
        interests=tuple(Interest(kind, code, float.fromhex(w), deed) for kind, code, w, deed in form["interests"]),
    )


def still_good(words: bytes, now: datetime, feature_set: str, rules: str) -> bool:
    """Whether packed bytes are of this form, these features and these rules of consent and hold now; nothing else of them is read."""
    form: dict[str, Any] = orjson.loads(words)
    return (
        form.get("form") == FORM
        and (form["feature_set"], form["rules"]) == (feature_set, rules)
        and datetime.fromisoformat(form["at"]) <= now < datetime.fromisoformat(form["until"])
    )


def version_of(profile: UnifiedProfile, feature_set: str) -> int:
    """A number for what the profile rests on: equal for the same records, events and declarations."""
    parts = [
        feature_set,
        *sorted({t.record_id for t in profile.traits.values()}),
        *sorted(e.event_id for e in profile.events),
        *sorted(f"-{kind}" for kind in profile.unused),
    ]
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:_VERSION_BYTES])


def stale_from(state: ConsentState, at: datetime, seconds: int) -> datetime:
    """When a profile made at ``at`` must be made anew: at the age limit, or when an act begins or runs out before that."""
    age = at + timedelta(seconds=seconds)
    return min([age, *(moment for moment in state.boundaries if moment > at)])


def reach(
    held: Sequence[Contact],
    granted: Iterable[tuple[str, str]],
    channels: Mapping[str, Sequence[str]],
) -> dict[str, IdentifierId]:
    """The contact point of each channel: of the channel's kinds the best one that is held.

    Among several of one kind, one on which the person herself granted this channel comes first, then the newest. ``held``
    has the newest first; ``granted`` is (channel, identifier).
    """
    chosen = set(granted)
    found: dict[str, IdentifierId] = {}
    for channel, kinds in channels.items():
        for kind in kinds:
            of_kind = [contact.id for contact in held if contact.kind == kind]
            if of_kind:
                found[channel] = next((i for i in of_kind if (channel, i) in chosen), of_kind[0])
                break
    return found


def granted_on(state: ConsentState, permissions: Mapping[str, Permission]) -> list[tuple[str, str]]:
    """(channel, subject) of the acts by which a channel is permitted."""
    subject = {act.id: act.subject for act in state.acts}
    return [
        (name.partition("|")[2], subject[p.act])
        for name, p in permissions.items()
        if p.granted and p.act is not None and p.act in subject and not name.endswith("|")
    ]
