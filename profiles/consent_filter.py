"""The consent filter: the one way from raw to unified (DESIGN 5.2, features.V14).

What enters: a raw profile, the person's consent state, a purpose, a moment. What leaves: a ``UnifiedProfile``. Two locks, both
must open: the gate permits the purpose for this person, and the source told people that what it collects may serve this
purpose (it declared the purpose itself or one above it). A trait that the settings call sensitive needs a third: the purpose `sensitive`. Survivorship is decided after the filter, among what may be seen.
"""

from collections.abc import Iterable
from datetime import datetime

from consent.gate import Answer, ConsentState, Permission, permission, unused
from profiles.profile import _SEAL, UnifiedProfile
from profiles.raw import RawProfile


def see(
    raw: RawProfile, state: ConsentState, purpose: str, at: datetime, *, known_at: datetime | None = None
) -> UnifiedProfile:
    """What ``purpose`` may see of this person as of ``at``.

    ``known_at`` (default ``at``): look back at ``at`` with what was recorded by then; the gate must permit at both moments,
    so that a purpose withdrawn since sees nothing of the past either. A state of somebody else permits nothing.
    """
    known = at if known_at is None else known_at
    answer = permission(state, purpose, None, at)
    if answer.granted and known != at:
        answer = permission(state, purpose, None, known)
    if state.person != raw.person:
        answer = Permission(Answer.UNDETERMINED, "other_person")
    hidden = raw.sensitive if raw.sensitive and not _may_see_sensitive(state, {at, known}) else frozenset[str]()
    reach = frozenset(state.rules.purposes.lineage(purpose)) if answer.granted else frozenset[str]()
    return UnifiedProfile(
        person=raw.person,
        purpose=purpose,
        at=at,
        known_at=known,
        permission=answer,
        traits=raw.survivorship.survivors(
            [t for t in raw.traits(at, known) if serves(t.purposes, reach) and t.name not in hidden]
        )
        if reach
        else {},
        events=tuple(
            e for e in raw.events if e.event_time <= at and e.known_time <= known and serves(e.purposes, reach)
        )
        if reach
        else (),
        sure=raw.sure,
        graph_version=raw.graph_version,
        consent_version=state.version,
        seal=_SEAL,
        unused=unused(state, at) | unused(state, known) if state.by_purpose else frozenset(),
    )


def _may_see_sensitive(state: ConsentState, moments: Iterable[datetime]) -> bool:
    """Whether every purpose that is about sensitive data is permitted at each of these moments; without such a purpose: no."""
    asked = [one.key for one in state.rules.purposes.by_key.values() if one.sensitive]
    return bool(asked) and all(permission(state, key, None, at).granted for key in asked for at in moments)


def serves(declared: Iterable[str], reach: frozenset[str]) -> bool:
    """Whether something collected under these purposes may serve the purpose whose lineage is ``reach``."""
    return any(purpose in reach for purpose in declared)
