"""Settings of the audit room (`CANDOR_AUDIT__…`)."""

from pydantic import Field

from kernel.settings import Section


class AuditSettings(Section):
    """The log's name, its pace, and how long credentials live."""

    origin: str = Field(
        default="candor.invalid/log",
        pattern=r"^[^\s+]{1,200}$",
        description="Name of this log, first line of every checkpoint and name of its key: a host and path you own, "
        "without scheme. Choose it before the first checkpoint; it cannot change afterwards.",
    )
    interval_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Pause between two looks for entries without a place."
    )
    heartbeat_seconds: float = Field(
        default=60.0, gt=0, description="A log with no new entry for so long gets a heartbeat entry, so gaps show."
    )
    batch: int = Field(
        default=10_000, ge=1, le=100_000, description="Most entries taken into the tree in one transaction."
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=168, description="A staff member's console session lasts this long at most."
    )
    session_idle_minutes: float = Field(
        default=30.0, gt=0, le=1440, description="A console session that nobody uses for so long ends."
    )
    access_cache_seconds: float = Field(
        default=3.0, ge=0, le=5, description="A key found valid is trusted this long without asking Postgres."
    )
