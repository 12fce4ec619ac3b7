"""The asset checks: what must hold after each step. A grave one that fails stops what would be made after it; a warning shows its figures.

Enters: an asset that was made. Leaves: passed or not, with the figures behind it. What is asked is in `checking/`; here it is only hung onto the graph.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.pipeline import assets
from orchestration.pipeline.checking import explaining, graph, keeping, learning, profiles
from orchestration.pipeline.facts import Found
from orchestration.pipeline.resource import HouseResource

if TYPE_CHECKING:
    from orchestration.wiring import House

    Question = Callable[[House], Coroutine[Any, Any, Found]]


def check(asset: dg.AssetsDefinition, question: "Question", *, grave: bool = True) -> dg.AssetChecksDefinition:
    """Hang a question onto an asset; `grave`: when it fails, nothing is made from the asset."""

    @dg.asset_check(asset=asset, name=question.__name__, description=question.__doc__, blocking=grave)
    def asked(house: HouseResource) -> dg.AssetCheckResult:
        found = house.run(question, quiet=True)
        severity = dg.AssetCheckSeverity.ERROR if found.grave else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(passed=found.passed, severity=severity, metadata=dict(found.figures))

    return asked


CHECKS = [
    check(assets.source_records, graph.records_have_people),
    check(assets.linkage_model, graph.agreement_speaks_for),
    check(assets.edges, graph.edges_join_the_living),
    check(assets.identity_graph, graph.nobody_lost),
    check(assets.identity_graph, graph.one_unique_id),
    check(assets.identity_graph, graph.graph_published, grave=False),
    check(assets.identity_graph, graph.ids_last, grave=False),
    check(assets.consent_state, profiles.everybody_counted),
    check(assets.raw_profiles, profiles.nothing_lost_on_the_way),
    check(assets.unified_profiles, profiles.nothing_unpermitted),
    check(assets.features, profiles.rows_complete),
    check(assets.features, profiles.nothing_unpermitted_in_features),
    check(assets.features, profiles.same_bits),
    check(assets.training_set, learning.only_the_permitted),
    check(assets.training_set, learning.drawn_as_recorded, grave=False),
    check(assets.training_set, learning.nobody_inferred, grave=False),
    check(assets.ranker, learning.additive),
    check(assets.ranker, learning.beats_the_others, grave=False),
    check(assets.ranker, learning.young_enough, grave=False),
    check(assets.evaluation, learning.supported, grave=False),
    check(assets.decision_store, profiles.hot_equals_postgres),
    check(assets.retention, keeping.nothing_overdue),
    check(assets.erasure_replay, keeping.nobody_came_back),
    check(assets.checkpoint_verification, keeping.chain_verifies),
    check(assets.explanations, explaining.reasons_hold),
    check(assets.explanations, explaining.reasons_steady, grave=False),
]
