"""Run the walk in this process, over a house that is open: for `candor pipeline run` and the demo.

Enters: an open house and a selection. Leaves: what each asset showed, in order. Dagster runs in a thread of its own and its steps come back to
the house's event loop.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from kernel.canonical import Json
from kernel.errors import CandorError, InvalidInput
from orchestration.pipeline.assets import WALK
from orchestration.pipeline.resource import HouseResource, lend
from orchestration.wiring import House

NAMES = tuple(asset.key.to_user_string() for asset in WALK)


@dataclass(frozen=True, slots=True)
class Walked:
    """One asset that was made: its figures and how long it took, seconds."""

    asset: str
    facts: dict[str, Json]
    seconds: float


async def walk(
    house: House, selection: Sequence[str] = (), told: Callable[[str], None] = lambda _: None
) -> list[Walked]:
    """Make the assets of `selection` (all when empty) in order.

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


def _materialize(names: tuple[str, ...]) -> list[Walked]:
    logging.getLogger("dagster").setLevel(logging.ERROR)
    walked: list[Walked] = []
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            WALK,
            selection=list(names),
            resources={"house": HouseResource()},
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for name in NAMES:
            if name not in names:
                continue
            failure = next((f for f in result.all_events if f.is_step_failure and f.step_key == name), None)
            if failure is not None:
                _raise(failure)
            for made in result.asset_materializations_for_node(name):
                stats = [e for e in result.all_events if e.is_step_success and e.step_key == name]
                seconds = stats[0].step_success_data.duration_ms / 1000 if stats else 0.0
                walked.append(Walked(name, {k: v.value for k, v in made.metadata.items()}, seconds))  # type: ignore[misc]
    return walked


def _raise(failure: dg.DagsterEvent) -> None:
    data = failure.step_failure_data
    cause = data.user_failure_data or data.error
    text = str(cause)
    raise CandorError(f"expected the asset {failure.step_key} to be made, got a failure: {text[-800:]}", code="pipeline_step_failed",
                      remedy="Look at the step's log with `dg dev`, mend the cause and run the walk again.")  # fmt: skip
