"""Run the walk in this process, over a house that is open: for `candor pipeline run` and the demo.

Enters: an open house and a selection. Leaves: what each asset showed, in order, and what its checks answered. Dagster runs in a thread of its own and its
steps come back to the house's event loop.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from kernel.canonical import Json
from kernel.errors import CandorError, IntegrityError, InvalidInput
from orchestration.pipeline.assets import EVERYTHING
from orchestration.pipeline.checks import CHECKS
from orchestration.pipeline.resource import HouseResource, lend
from orchestration.wiring import House

NAMES = tuple(asset.key.to_user_string() for asset in EVERYTHING)


class CheckFailed(IntegrityError):
    """A grave check of the walk did not hold."""

    code = "pipeline_check_failed"
    remedy = (
        "Look at the figures with `candor pipeline run --json` or `dg dev`; what the check guards was not made further."
    )


@dataclass(frozen=True, slots=True)
class Walked:
    """One asset that was made: its figures, its pictures' files, and how long it took, seconds."""

    asset: str
    facts: dict[str, Json]
    reports: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Checked:
    """One check's answer. A grave one that fails stops what comes after; another only warns."""

    asset: str
    check: str
    passed: bool
    grave: bool
    figures: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk made and found. `stopped`: assets that were not made because a grave check failed before them."""

    assets: tuple[Walked, ...]
    checks: tuple[Checked, ...]
    stopped: tuple[str, ...]

    @property
    def failed(self) -> tuple[Checked, ...]:
        """Grave checks that did not hold."""
        return tuple(one for one in self.checks if one.grave and not one.passed)

    def ensure(self) -> "Walk":
        """This walk.

        Raises:
            CheckFailed: a grave check did not hold.
        """
        if self.failed:
            names = ", ".join(f"{one.asset}.{one.check}" for one in self.failed)
            raise CheckFailed(f"expected every grave check to hold, got {names}")
        return self


async def walk(house: House, selection: Sequence[str] = (), told: Callable[[str], None] = lambda _: None) -> Walk:
    """Make the assets of `selection` (all when empty) in order, and ask their checks.

    Raises:
        InvalidInput: a name that no asset has.
        CandorError: the error of the step that failed; what earlier steps stored stays.
    """
    unknown = sorted(set(selection) - set(NAMES))
    if unknown:
        raise InvalidInput(
            f"expected names of assets, got {', '.join(unknown)}",
            code="unknown_asset",
            remedy=f"Known are, in order: {', '.join(NAMES)}.",
        )
    loop = asyncio.get_running_loop()
    with lend(house, loop, told):
        return await asyncio.to_thread(_materialize, tuple(selection) or NAMES)


def _materialize(names: tuple[str, ...]) -> Walk:
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [*EVERYTHING, *CHECKS],
            selection=list(names),
            resources={"house": HouseResource()},
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for failure in result.all_events:
            if failure.is_step_failure and not _by_a_check(failure):
                _raise(failure)
        seconds = {
            str(event.step_key): event.step_success_data.duration_ms / 1000
            for event in result.all_events
            if event.is_step_success
        }
        made = [one for name in NAMES if name in names for one in result.asset_materializations_for_node(name)]
        walked = tuple(_walked(one, seconds) for one in made)
        checks = tuple(_checked(one) for one in result.get_asset_check_evaluations())
    done = {one.asset for one in walked}
    order = {name: place for place, name in enumerate(NAMES)}
    return Walk(
        walked,
        tuple(sorted(checks, key=lambda one: order[one.asset])),
        tuple(name for name in NAMES if name in names and name not in done),
    )


def _walked(made: dg.AssetMaterialization, seconds: dict[str, float]) -> Walked:
    name = made.asset_key.to_user_string()
    facts: dict[str, Json] = {}
    reports: list[str] = []
    for key, value in made.metadata.items():
        if isinstance(value, dg.PathMetadataValue):
            reports.append(str(value.path))
        elif not isinstance(value, dg.MarkdownMetadataValue):
            facts[key] = value.value  # type: ignore[assignment]
    return Walked(name, facts, tuple(reports), seconds.get(name, 0.0))


def _checked(made: dg.AssetCheckEvaluation) -> Checked:
    return Checked(
        made.asset_key.to_user_string(),
        made.check_name,
        made.passed,
        made.severity is dg.AssetCheckSeverity.ERROR,
        {key: value.value for key, value in made.metadata.items()},  # type: ignore[misc]
    )


def _by_a_check(failure: dg.DagsterEvent) -> bool:
    """Whether a step was ended by a blocking check that answered no, rather than by an accident."""
    error = failure.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _raise(failure: dg.DagsterEvent) -> None:
    if (fault := HouseResource.fault()) is not None:
        raise fault
    raise CandorError(
        f"expected the asset {failure.step_key} to be made, got a failure of the orchestrator",
        code="pipeline_step_failed",
        remedy="Look at the step's log with `dg dev`, mend the cause and run the walk again.",
    )
