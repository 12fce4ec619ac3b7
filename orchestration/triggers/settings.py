"""The triggers section of the settings tree: how often a worker looks, how patiently it tries."""

from pydantic import Field

from kernel.settings import Section


class TriggersSettings(Section):
    """What a worker does with runs, segments and calendars."""

    poll_seconds: float = Field(default=1.0, gt=0, le=60, description="Pause of a worker that found nothing due.")
    rules_seconds: float = Field(
        default=1.0, ge=0, le=60, description="A process looks for newer triggers and pauses this often."
    )
    claim_batch: int = Field(default=50, ge=1, le=1000, description="Runs that one worker claims at once.")
    campaign_batch: int = Field(
        default=200, ge=1, le=5000, description="People whom one worker of a campaign decides for together; a pause waits for them."
    )  # fmt: skip
    at_once: int = Field(default=4, ge=1, le=64, description="Runs that one worker decides at the same time.")
    lease_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds after which a claimed run whose worker fell silent is taken up again."
    )  # fmt: skip
    max_attempts: int = Field(
        default=10, ge=1, le=100, description="Attempts that may find a part of the house down before the run fails."
    )
    retry_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Pause before the second attempt; doubles, to ten minutes at most."
    )
    news_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="How often segments are asked of those to whom something happened."
    )
    sweep_seconds: float = Field(
        default=900.0, gt=0, le=86_400, description="How often segments are asked of everybody: time alone moves people, too."
    )  # fmt: skip
