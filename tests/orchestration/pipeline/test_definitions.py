"""The batch walk as Dagster sees it: it loads, its graph is the one below, and names nobody knows are refused."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from kernel.errors import InvalidInput
from orchestration.pipeline.run import NAMES, walk
from tests.house.tree import ROOT
from tests.support.needs import lacking

# Dagster reads pydantic's models the old way.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")

# A change here is a change of the walk that every installation runs at night: make it on purpose.
GRAPH = {
    "source_records": [],
    "linkage_model": ["source_records"],
    "edges": ["linkage_model"],
    "identity_graph": ["edges"],
    "consent_state": ["identity_graph"],
    "raw_profiles": ["identity_graph"],
    "unified_profiles": ["consent_state", "raw_profiles"],
    "features": ["unified_profiles"],
    "training_set": ["features"],
    "ranker": ["training_set"],
    "evaluation": ["ranker"],
    "decision_store": ["evaluation", "unified_profiles"],
    "retention": [],
    "erasure_replay": [],
    "checkpoint_verification": [],
    "explanations": [],
}
GROUPS = {
    "identity": {"source_records", "linkage_model", "edges", "identity_graph"},
    "consent": {"consent_state"},
    "profiles": {"raw_profiles", "unified_profiles", "features"},
    "learning": {"training_set", "ranker", "evaluation"},
    "decision": {"decision_store"},
    "keeping": {"retention", "erasure_replay", "checkpoint_verification", "explanations"},
}
# asset -> check -> whether what is made from the asset waits for it
CHECKS = {
    "source_records": {"records_have_people": True},
    "linkage_model": {"agreement_speaks_for": True},
    "edges": {"edges_join_the_living": True},
    "identity_graph": {"nobody_lost": True, "one_unique_id": True, "graph_published": False, "ids_last": False},
    "consent_state": {"everybody_counted": True},
    "raw_profiles": {"nothing_lost_on_the_way": True},
    "unified_profiles": {"nothing_unpermitted": True},
    "features": {"rows_complete": True, "nothing_unpermitted_in_features": True, "same_bits": True},
    "training_set": {"only_the_permitted": True, "drawn_as_recorded": False, "nobody_inferred": False},
    "ranker": {"additive": True, "beats_the_others": False, "young_enough": False},
    "evaluation": {"supported": False},
    "decision_store": {"hot_equals_postgres": True},
    "retention": {"nothing_overdue": True},
    "erasure_replay": {"nobody_came_back": True},
    "checkpoint_verification": {"chain_verifies": True},
    "explanations": {"reasons_hold": True, "reasons_steady": False},
}


@pytest.fixture(scope="module")
def defs():
    from orchestration.pipeline.definitions import defs

    return defs


def test_the_definitions_load_and_hold_together(defs) -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_asset_graph_is_the_walk(defs) -> None:
    nodes = {node.key.to_user_string(): node for node in defs.resolve_asset_graph().asset_nodes}
    assert {name: sorted(k.to_user_string() for k in node.parent_keys) for name, node in nodes.items()} == GRAPH
    assert tuple(GRAPH) == NAMES, "the order in which `candor pipeline run` shows them"
    assert {g: {name for name, node in nodes.items() if node.group_name == g} for g in GROUPS} == GROUPS
    assert [name for name, node in nodes.items() if not node.description] == []


def test_every_asset_is_checked(defs) -> None:
    found: dict[str, dict[str, bool]] = {}
    for one in defs.asset_checks:
        for spec in one.check_specs:
            found.setdefault(spec.asset_key.to_user_string(), {})[spec.name] = spec.blocking
            assert spec.description
    assert found == CHECKS


def test_every_check_is_broken_once_by_a_test() -> None:
    told = "".join(
        file.read_text() for file in Path(__file__).parent.glob("test_*.py") if file.name != Path(__file__).name
    )
    assert [name for checks in CHECKS.values() for name in checks if name not in told] == []


def test_no_asset_body_is_longer_than_fifteen_lines() -> None:
    tree = ast.parse((ROOT / "orchestration/pipeline/assets.py").read_text())
    bodies = {
        node.name: node.end_lineno - node.lineno
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    assert set(bodies) == set(GRAPH)
    assert max(bodies.values()) <= 15


def test_no_asset_hands_rows_through_dagsters_storage(defs) -> None:
    """Personal words would land there: assets depend on each other without inputs, and return figures only."""
    for asset in defs.assets:
        assert list(asset.node_def.input_defs) == [] or all(
            d.dagster_type.kind.name == "NOTHING" for d in asset.node_def.input_defs
        ), asset.key


# job -> the assets that it makes
JOBS = {
    "whole_graph": set(GRAPH),
    "walk": set(GRAPH) - GROUPS["keeping"] - GROUPS["learning"],
    "weekly_learning": {"features", "training_set", "ranker", "evaluation", "decision_store"},
    "fresh_profiles": {"unified_profiles"},
    "keeping": GROUPS["keeping"],
    "verify_log": {"checkpoint_verification"},
}
HOURS = {
    "nightly_walk": ("walk", "15 3 * * *"),
    "weekly_learning": ("weekly_learning", "45 22 * * 0"),
    "daily_keeping": ("keeping", "30 4 * * *"),
    "hourly_verification": ("verify_log", "5 * * * *"),
}


def test_jobs_make_what_they_say_and_run_at_their_hour(defs) -> None:
    made = {
        name: {key.to_user_string() for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys}
        for name in JOBS
    }
    assert made == JOBS
    assert {one.name: (one.job_name, one.cron_schedule) for one in defs.schedules} == HOURS
    assert {one.default_status.value for one in defs.schedules} == {"RUNNING"}
    assert {one.execution_timezone or "UTC" for one in defs.schedules} == {"UTC"}
    assert [(one.name, sorted(job.name for job in one.jobs)) for one in defs.sensors] == [
        ("new_events", ["fresh_profiles", "walk"])
    ]


@pytest.mark.anyio
async def test_a_name_that_no_asset_has_is_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidInput) as caught:
        await walk(None, ["source_records", "identity_grpah"])
    assert "identity_grpah" in caught.value.message
    assert "identity_graph" in caught.value.remedy


def test_the_page_about_it_is_of_today() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs/draw_pipeline.py", "--check"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_dagsters_own_check_finds_nothing(tmp_path: Path) -> None:
    tool = Path(sys.executable).parent / "dg"
    if not tool.is_file():
        lacking("dagster-dg-cli", "make setup")
    done = subprocess.run(
        [str(tool), "check", "defs"],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path), "HOME": str(tmp_path), "DAGSTER_TELEMETRY_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
