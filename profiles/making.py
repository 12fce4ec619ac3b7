"""One hot profile, from what a purpose may see of somebody. Pure but for the tables of permissions that it remembers.

Enters: a unified profile, a consent state, contacts, a moment. Leaves: a `HotProfile` as of that moment.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consent.gate import ConsentState
from consent.tables import Tables
from identity.people import Contact
from profiles import interests
from profiles.features import FeatureSet
from profiles.hot import HotProfile, granted_on, reach, stale_from, version_of
from profiles.interests import Kind
from profiles.profile import UnifiedProfile
from profiles.settings import ProfilesSettings


@dataclass(slots=True)
class Maker:
    """`code`: the keyed hash under which a hot profile knows a category, an item or a content."""

    features: FeatureSet
    settings: ProfilesSettings
    rules: interests.Rules
    code: Callable[[Kind, str], str]
    _tables: Tables = field(default_factory=Tables)

    def made(
        self,
        seen: UnifiedProfile,
        state: ConsentState,
        contacts: Sequence[Contact],
        now: datetime,
        *,
        declined: frozenset[str],
        odd: Counter[str] | None = None,
    ) -> HotProfile:
        """Her hot profile; `odd` counts what was unreadable."""
        found = self.features.evaluate(seen, now)
        if odd is not None:
            odd.update(found.odd)
        permissions = self._tables.of(state, now)
        return HotProfile(
            person=seen.person,
            purpose=seen.purpose,
            at=now,
            until=stale_from(state, now, self.settings.hot_seconds),
            feature_set=self.features.digest,
            rules=state.rules.digest,
            graph_version=seen.graph_version,
            consent_version=state.version,
            profile_version=version_of(seen, self.features.digest),
            permitted=seen.permission.granted,
            features=tuple(found.row.tolist()),
            permissions=permissions,
            reach=reach(contacts, granted_on(state, permissions), self.settings.reach),
            sure=seen.sure,
            segments=found.segments,
            origins=found.origins,
            declined=declined,
            interests=interests.interests(seen, self.rules, now, self.code),
        )
