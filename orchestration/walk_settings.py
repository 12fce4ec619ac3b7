"""The pipeline section of the settings tree: when news starts a walk before its hour does. It lies outside the wing because settings lie below it."""

from pydantic import Field

from kernel.settings import Section


class PipelineSettings(Section):
    """What the sensor on new events does with what it sees."""

    walk_after_records: int = Field(
        default=1_000, ge=1, description="So many new records since the last walk start a whole walk before its hour."
    )
    refresh_after_events: int = Field(
        default=1, ge=1, description="So many new events make the profiles of their people anew."
    )
