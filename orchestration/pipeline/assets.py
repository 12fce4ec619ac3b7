"""The batch walk as Dagster assets. Every body is thin: it asks the house for one step and shows the step's figures.

Enters: what collection stored. Leaves: the identity graph, consent states, profiles, features, the ranker; stored by their rooms. No asset hands
rows to another through Dagster: personal words would land in its storage. An asset's value is where its room keeps it.
"""

import dagster as dg

from orchestration.pipeline import steps
from orchestration.pipeline.resource import HouseResource


def shown(facts: steps.Facts) -> dg.MaterializeResult[None]:
    """A step's figures as metadata: counts, versions and digests, never a person's words."""
    return dg.MaterializeResult(metadata={name: value for name, value in facts.items()})  # noqa: C416 - typed anew, value by value


@dg.asset(group_name="identity", kinds={"postgres"})
def people(house: HouseResource) -> dg.MaterializeResult[None]:
    """Source records and the people they make up so far."""
    return shown(house.run(steps.people))


@dg.asset(group_name="identity", kinds={"splink"}, deps=[people])
def linkage_model(house: HouseResource) -> dg.MaterializeResult[None]:
    """What agreement and disagreement of each field is worth, learned without labels."""
    return shown(house.run(steps.linkage_model))


@dg.asset(group_name="identity", kinds={"splink", "duckdb"}, deps=[linkage_model])
def edges(house: HouseResource) -> dg.MaterializeResult[None]:
    """Pairs of records that may be one person, with their match weight."""
    return shown(house.run(steps.edges))


@dg.asset(group_name="identity", kinds={"postgres"}, deps=[edges])
def identity_graph(house: HouseResource) -> dg.MaterializeResult[None]:
    """Guarded clusters published as people whose ids last."""
    return shown(house.run(steps.identity_graph))


@dg.asset(group_name="consent", kinds={"postgres"}, deps=[identity_graph])
def consent_state(house: HouseResource) -> dg.MaterializeResult[None]:
    """What each person permits, strictest over the graph, counted by purpose and reason."""
    return shown(house.run(steps.consent_state))


@dg.asset(group_name="profiles", kinds={"valkey"}, deps=[identity_graph, consent_state])
def unified_profiles(house: HouseResource) -> dg.MaterializeResult[None]:
    """Profiles through the consent filter, written to the hot store."""
    return shown(house.run(steps.unified_profiles))


@dg.asset(group_name="profiles", kinds={"parquet"}, deps=[unified_profiles])
def features(house: HouseResource) -> dg.MaterializeResult[None]:
    """Feature rows by the same code as online, under pseudonymous ids."""
    return shown(house.run(steps.features))


@dg.asset(group_name="learning", kinds={"parquet"}, deps=[features])
def training_set(house: HouseResource) -> dg.MaterializeResult[None]:
    """Logged decisions with features as they were then, and their outcomes."""
    return shown(house.run(steps.training_set))


@dg.asset(group_name="learning", kinds={"lightgbm"}, deps=[training_set])
def ranker(house: HouseResource) -> dg.MaterializeResult[None]:
    """The ranker of each placement, promoted when the evidence says so."""
    return shown(house.run(steps.ranker))


WALK = [people, linkage_model, edges, identity_graph, consent_state, unified_profiles, features, training_set, ranker]
