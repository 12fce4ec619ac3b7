"""The platform on one page: `dg dev` and `dg check defs` read this."""

import dagster as dg

from orchestration.pipeline.assets import EVERYTHING, KEEPING, WALK
from orchestration.pipeline.checks import CHECKS
from orchestration.pipeline.resource import HouseResource

walk = dg.define_asset_job("walk", selection=dg.AssetSelection.assets(*WALK), description="The whole batch walk.")
keeping = dg.define_asset_job("keeping", selection=dg.AssetSelection.assets(*KEEPING), description="What keeps order.")

defs = dg.Definitions(
    assets=EVERYTHING,
    asset_checks=CHECKS,
    jobs=[walk, keeping],
    schedules=[dg.ScheduleDefinition(job=walk, cron_schedule="15 3 * * *", name="nightly_walk")],
    resources={"house": HouseResource()},
    executor=dg.in_process_executor,  # steps share one open house; Splink and LightGBM bring their own threads
)
