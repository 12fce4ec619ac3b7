"""The platform on one page: `dg dev` and `dg check defs` read this."""

import dagster as dg

from orchestration.pipeline.assets import WALK
from orchestration.pipeline.resource import HouseResource

walk = dg.define_asset_job("walk", selection=dg.AssetSelection.assets(*WALK), description="The whole batch walk.")

defs = dg.Definitions(
    assets=WALK,
    jobs=[walk],
    schedules=[dg.ScheduleDefinition(job=walk, cron_schedule="15 3 * * *", name="nightly_walk")],
    resources={"house": HouseResource()},
    executor=dg.in_process_executor,  # steps share one open house; Splink and LightGBM bring their own threads
)
