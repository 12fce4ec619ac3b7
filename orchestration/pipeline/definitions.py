"""The platform on one page: `dg dev` and `dg check defs` read this."""

import dagster as dg

from orchestration.pipeline.assets import EVERYTHING
from orchestration.pipeline.checks import CHECKS
from orchestration.pipeline.jobs import JOBS, SCHEDULES, new_events
from orchestration.pipeline.resource import HouseResource

defs = dg.Definitions(
    assets=EVERYTHING,
    asset_checks=CHECKS,
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=[new_events],
    resources={"house": HouseResource()},
    executor=dg.in_process_executor,  # steps share one open house; Splink and LightGBM bring their own threads
)
