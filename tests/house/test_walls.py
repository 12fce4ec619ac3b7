"""Imports point down, and each outside library has one owner (ARCHITECTURE.md, "The floors")."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.house.tree import ROOMS, ROOT, imports, inside, sources

OWNERS = {  # library -> the files that may import it, as patterns of the path inside the project
    "psycopg": r".*/store\.py|.*/store/\w+\.py|kernel/.*",
    "psycopg_pool": r"kernel/.*",
    "redis": r".*/store\.py|kernel/.*",
    "duckdb": r".*/store\.py|kernel/.*|identity/(linkage|training)\.py|orchestration/learning/.*|orchestration/service/bench/splink_alone\.py",
    "fastapi": r".*endpoints\.py|orchestration/service/.*",
    "starlette": r".*endpoints\.py|orchestration/service/.*",
    "cryptography": r"kernel/.*|audit/.*|channels/.*",
    "splink": r"identity/(training|linkage)\.py|orchestration/service/bench/splink_alone\.py",
    "shap": r"explain/attribution\.py",
    "dagster": r"orchestration/pipeline/.*",
    "lightgbm": r"orchestration/learning/.*",
    "vowpalwabbit": r"orchestration/learning/vowpal\.py",
    "sendgrid": r"channels/email/.*",
    "alembic": r"kernel/.*|.*/migrations/\w+\.py",
    "typer": r"orchestration/service/cli/.*",
    "prometheus_client": r"kernel/metrics\.py",
    "uvicorn": r"orchestration/(service|demo)/.*",
}


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_only_by_its_owner(library: str) -> None:
    strangers = [
        inside(path)
        for path in sources()
        if any(name.split(".")[0] == library for name in imports(path))
        and not re.fullmatch(OWNERS[library], inside(path))
    ]
    assert strangers == [], f"{library} is imported outside {OWNERS[library]}"


def test_the_floors_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_no_other_distribution_owns_a_rooms_name() -> None:
    owners = packages_distributions()
    taken = {room: [d for d in owners.get(room, []) if d != "candor"] for room in ROOMS}
    assert {room: d for room, d in taken.items() if d} == {}


def test_a_room_is_entered_by_its_front_door() -> None:
    """Another room's store is private: all SQL of a room is in its own store."""
    trespassers = [
        f"{inside(path)} imports {name}"
        for path in sources()
        for name in imports(path)
        if name.split(".")[0] in ROOMS
        and name.split(".")[0] != "kernel"
        and name.split(".")[0] != path.relative_to(ROOT).parts[0]
        and "store" in name.split(".")
    ]
    assert trespassers == []


def test_heavy_libraries_stay_off_the_start_path() -> None:
    """Importing the service must not import SHAP, Dagster or Splink (seconds each; DESIGN: the hot path has none)."""
    probe = (
        "import sys, orchestration.service.app, orchestration.service.cli.main\n"
        "heavy = sorted({m.split('.')[0] for m in sys.modules} & {'shap', 'dagster', 'splink', 'matplotlib'})\n"
        "print(','.join(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
