"""The audit of proxies: features of a training set against sensitive attributes that only an audit may look at (spec explain.E7).

Enters: a training set or its file; traits through the consent filter, under the purpose of the audit. Leaves: figures about nobody, and a refusal of a model whose features tell an
attribute that no officer accepted. What a model never does: see the attribute; this is the one place on the way of learning that looks at it, and it keeps no value.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import gate
from consent.service import Consent
from identity.service import Identity
from kernel.canonical import Json
from kernel.ids import PersonId
from kernel.kernel import Kernel
from orchestration.learning import proxy_store as store
from orchestration.learning.errors import NothingToAccept, ProxyFound
from orchestration.learning.logs import Floats
from orchestration.learning.proxies import Told, held_back, inferred
from orchestration.learning.proxy_store import Accepted, ProxyRun
from orchestration.learning.sensitive import load
from orchestration.learning.settings import LearningSettings
from orchestration.learning.training import TrainingSet
from profiles.service import Profiles

_CHUNK: Final = 500


class ProxyAudit:
    """Stands at ``Learning.proxies``."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, profiles: Profiles,
        settings: LearningSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._audit = audit
        self._identity = identity
        self._consent = consent
        self._profiles = profiles
        self._settings = settings
        self.sensitive = load(settings.sensitive_file)

    @property
    def direct(self) -> dict[str, str]:
        """Declared features that are made of a sensitive attribute, with its name: never columns of a model."""
        return self.sensitive.features(self._profiles.features.declared)

    async def run(
        self, placement: str, people: Sequence[PersonId], names: Sequence[str], features: Floats
    ) -> list[Told]:
        """Audit these rows (one a person is looked at) and keep the figures."""
        first: dict[PersonId, int] = {}
        for place, person in enumerate(people):
            first.setdefault(person, place)
        chosen = _spread(sorted(first), self._settings.proxy_people)
        known = await self._attributes(chosen)
        rows = features[[first[person] for person in chosen]] if chosen else np.empty((0, len(names)))
        found: list[Told] = []
        untried: list[Json] = []
        for attribute in self.sensitive.attributes:
            values = [known.get(person, {}).get(attribute.name) for person in chosen]
            told = await asyncio.to_thread(
                inferred, attribute.name, values, rows, list(names), area=self._settings.proxy_area, seed=self._settings.seed
            )  # fmt: skip
            found += told
            if not told:
                untried.append(attribute.name)
        kept = [one.to_json() for one in found if one.flagged or one.kind != "feature" or one.figure > one.chance]
        run = ProxyRun(
            placement=placement, at=self._kernel.clock.now(), people=len(chosen), findings=kept, direct={**self.direct}, untried=untried
        )  # fmt: skip
        async with self._kernel.db.transaction() as conn:
            await store.add(conn, run)
        return found

    async def refuse(self, made: TrainingSet) -> None:
        """Look at a training set before a model is made of it.

        Raises:
            ProxyFound: a feature is made of a sensitive attribute, or tells one and no officer accepted that.
        """
        names = made.log.feature_names
        direct = {name: attribute for name, attribute in self.direct.items() if name in names}
        if direct:
            name, attribute = min(direct.items())
            raise ProxyFound(
                f"expected features that are no sensitive attribute, got {len(direct)}: {name} is {attribute}",
                remedy="Take the feature out of the declared features: a special category is never a parameter (DSA Art. 26(3)).",
            )
        back = held_back(await self.run(made.placement, made.people, names, made.log.features), await self._words())
        if back:
            worst = back[0]
            raise ProxyFound(
                f"expected features that tell no sensitive attribute, got {len(back)}: {worst.subject} tells {worst.attribute} with "
                f"{'an area' if worst.measure == 'area' else 'a share of its spread'} of {worst.figure:.3f} ({worst.chance:.3f} by chance)"
            )

    async def accept(self, attribute: str, feature: str, *, actor: str, reason: str) -> bool:
        """An officer's word that this feature may be used although it tells the attribute; False when it was accepted before.

        Raises:
            NothingToAccept: no audit found that, or the feature is made of an attribute.
        """
        found = {
            (str(one["attribute"]), str(one["subject"]))
            for run in await self.newest()
            for one in run.findings
            if isinstance(one, dict) and one["flagged"] and one["kind"] == "feature"
        }
        if (attribute, feature) not in found or feature in self.direct:
            raise NothingToAccept("expected a feature that an audit found to tell this attribute, got another")
        word = Accepted(attribute=attribute, feature=feature, reason=reason, actor=actor, at=self._kernel.clock.now())
        facts: dict[str, Json] = {"attribute": attribute, "feature": feature, "reason": reason}
        async with self._kernel.db.transaction() as conn:
            if not await store.accept(conn, word):
                return False
            await self._audit.append(conn, [NewEntry(Tag.PROXY_ACCEPTED, {}, facts, actor=actor)])
        return True

    async def newest(self) -> list[ProxyRun]:
        """The newest audit of each placement."""
        async with self._kernel.db.reading() as conn:
            return await store.newest(conn)

    async def accepted(self) -> list[Accepted]:
        """What officers accepted."""
        async with self._kernel.db.reading() as conn:
            return await store.accepted(conn)

    async def _words(self) -> Mapping[tuple[str, str], str]:
        return {(one.attribute, one.feature): one.reason for one in await self.accepted()}

    async def _attributes(self, people: Sequence[PersonId]) -> dict[PersonId, dict[str, object]]:
        """Attribute to value of each person, as the purpose of the audit may see it."""
        found: dict[PersonId, dict[str, object]] = {}
        now, purpose = self._kernel.clock.now(), self._settings.proxy_purpose
        for start in range(0, len(people), _CHUNK):
            part = people[start : start + _CHUNK]
            async with self._kernel.db.reading() as conn:
                live = await self._identity.current(conn, list(part))
                states = await self._consent.states(conn, sorted(set(live.values())))
                # Asked first: what a person does not permit is not opened at all.
                may = [who for who, state in states.items() if gate.permission(state, purpose, None, now).granted]
                told = await self._profiles.unified(conn, sorted(may), purpose, now) if may else {}
            for person, who in live.items():
                if who in told:
                    traits = told[who].traits
                    found[person] = {hit: traits[name].value for name, hit in self.sensitive.traits(list(traits)).items()}  # fmt: skip
        return found


def _spread(people: Sequence[PersonId], most: int) -> list[PersonId]:
    if len(people) <= most:
        return list(people)
    return [people[place * len(people) // most] for place in range(most)]
