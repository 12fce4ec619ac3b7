"""The batch walk as Dagster assets. Every body is thin: it asks the house for one step and shows the step's figures and pictures.

Enters: what collection stored. Leaves: the identity graph, consent states, profiles, features, the ranker, a warm decision store; stored by their rooms. No
asset hands rows to another through Dagster: personal words would land in its storage. An asset's value is where its room keeps it.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from orchestration.pipeline import pictures
from orchestration.pipeline.facts import Facts
from orchestration.pipeline.pictures import Picture
from orchestration.pipeline.resource import HouseResource
from orchestration.pipeline.steps import consents, explaining, hot_store, keeping, learning, linkage, profiles
from orchestration.wiring import House


def shown(facts: Facts, drawn: Sequence[Picture] = ()) -> dg.MaterializeResult[None]:
    """A step's figures as metadata: counts, versions and digests, never a person's words; its pictures inline and by path."""
    metadata: dict[str, Any] = dict(facts)
    for one in drawn:
        inline = base64.b64encode(one.png).decode()
        metadata[one.name] = dg.MetadataValue.md(f"![{one.name}](data:image/png;base64,{inline})")
        metadata[f"{one.name}_file"] = dg.MetadataValue.path(str(one.path))
    return dg.MaterializeResult(metadata=metadata)


class Stretch(dg.Config):
    """Whose profiles: of those with events received after `since`, up to `until` (ISO 8601); everybody's when empty."""

    since: str = ""
    until: str = ""

    @property
    def whole(self) -> bool:
        """Whether everybody is meant."""
        return not self.since

    async def changed_profiles(self, house: House) -> Facts:
        """The step for a stretch of time."""
        return await profiles.changed_profiles(house, *map(datetime.fromisoformat, (self.since, self.until)))


class Calendar(dg.Config):
    """Whether the job of the week is meant, which is done once a week."""

    weekly: bool = False


@dg.asset(group_name="identity", kinds={"postgres"})
def source_records(house: HouseResource) -> dg.MaterializeResult[None]:
    """Source records and the people they make up so far."""
    return shown(house.run(linkage.source_records))


@dg.asset(group_name="identity", kinds={"splink"}, deps=[source_records])
def linkage_model(house: HouseResource) -> dg.MaterializeResult[None]:
    """What agreement and disagreement of each field is worth, learned without labels."""
    return shown(house.run(linkage.linkage_model), house.run(pictures.of_model, quiet=True))


@dg.asset(group_name="identity", kinds={"splink", "duckdb"}, deps=[linkage_model])
def edges(house: HouseResource) -> dg.MaterializeResult[None]:
    """Pairs of records that may be one person, with their match weight."""
    return shown(house.run(linkage.edges), house.run(pictures.of_edges, quiet=True))


@dg.asset(group_name="identity", kinds={"postgres"}, deps=[edges])
def identity_graph(house: HouseResource) -> dg.MaterializeResult[None]:
    """Guarded clusters published as people whose ids last."""
    return shown(house.run(linkage.identity_graph), house.run(pictures.of_graph, quiet=True))


@dg.asset(group_name="consent", kinds={"postgres"}, deps=[identity_graph])
def consent_state(house: HouseResource) -> dg.MaterializeResult[None]:
    """What each person permits, strictest over the graph, counted by purpose."""
    return shown(house.run(consents.consent_state))


@dg.asset(group_name="profiles", kinds={"postgres"}, deps=[identity_graph])
def raw_profiles(house: HouseResource) -> dg.MaterializeResult[None]:
    """What profiles are made of before the filter: opened in memory only, so that this asset is a count."""
    return shown(house.run(profiles.raw_profiles))


@dg.asset(group_name="profiles", kinds={"valkey"}, deps=[raw_profiles, consent_state])
def unified_profiles(house: HouseResource, config: Stretch) -> dg.MaterializeResult[None]:
    """Profiles through the consent filter, written to the hot store: everybody's, or of those to whom something just happened."""
    return shown(house.run(profiles.unified_profiles if config.whole else config.changed_profiles))


@dg.asset(group_name="profiles", kinds={"parquet"}, deps=[unified_profiles])
def features(house: HouseResource) -> dg.MaterializeResult[None]:
    """Feature rows by the same code as online, under pseudonymous ids."""
    return shown(house.run(profiles.features))


@dg.asset(group_name="learning", kinds={"parquet"}, deps=[features])
def training_set(house: HouseResource) -> dg.MaterializeResult[None]:
    """Logged decisions with features as they were then, and their outcomes."""
    return shown(house.run(learning.training_set))


@dg.asset(group_name="learning", kinds={"lightgbm"}, deps=[training_set])
def ranker(house: HouseResource, config: Calendar) -> dg.MaterializeResult[None]:
    """The ranker of each placement; a better one goes into a rollout, the first of a placement rules; in the weekly job once a week, whatever happens to the process."""
    step = learning.weekly_learning if config.weekly else learning.ranker
    return shown(house.run(step), house.run(pictures.of_rankers, quiet=True))


@dg.asset(group_name="learning", kinds={"numpy"}, deps=[ranker])
def evaluation(house: HouseResource) -> dg.MaterializeResult[None]:
    """What each ranker is worth off-policy, doubly robust with intervals: against the rules, uniform, the best fixed arm, the model that ruled."""
    return shown(house.run(learning.evaluation), house.run(pictures.of_evaluation, quiet=True))


@dg.asset(group_name="decision", kinds={"valkey"}, deps=[evaluation, unified_profiles])
def decision_store(house: HouseResource) -> dg.MaterializeResult[None]:
    """The hot store as decisions read it: profiles, identifier index, models and catalogue, warm; rebuilt from Postgres at any time."""
    return shown(house.run(hot_store.decision_store))


@dg.asset(group_name="keeping", kinds={"postgres"})
def retention(house: HouseResource) -> dg.MaterializeResult[None]:
    """What is past its time goes, by the schedule, but for what is held back."""
    return shown(house.run(keeping.retention))


@dg.asset(group_name="keeping", kinds={"postgres"})
def erasure_replay(house: HouseResource) -> dg.MaterializeResult[None]:
    """Whoever the erasure ledger names and a restore brought back is erased again."""
    return shown(house.run(keeping.erasure_replay))


@dg.asset(group_name="keeping", kinds={"postgres"})
def checkpoint_verification(house: HouseResource) -> dg.MaterializeResult[None]:
    """The log derived anew from its leaves and compared with everything that was signed and published."""
    return shown(house.run(keeping.checkpoint_verification))


@dg.asset(group_name="keeping", kinds={"postgres"})
def explanations(house: HouseResource) -> dg.MaterializeResult[None]:
    """What counted in explanations, by day: counts that name nobody, and how far reasons moved."""
    return shown(house.run(explaining.explanations))


WALK = [
    source_records, linkage_model, edges, identity_graph, consent_state, raw_profiles, unified_profiles, features, training_set,
    ranker, evaluation, decision_store,
]  # fmt: skip
LEARNED = [training_set, ranker, evaluation]  # made by the weekly job, not every night
KEEPING = [retention, erasure_replay, checkpoint_verification, explanations]
EVERYTHING = [*WALK, *KEEPING]
