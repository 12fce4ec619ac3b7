"""The events section of the settings tree: limits of the door, sizes of commits, ages of what is kept aside."""

from typing import Annotated

from pydantic import Field

from kernel.settings import Section


class EventsSettings(Section):
    """How much the collection door takes at once, and how it writes."""

    event_bytes: Annotated[int, Field(ge=1_024, description="Largest event as JSON, bytes.")] = 32_768
    batch_bytes: Annotated[int, Field(ge=1_024, description="Largest request body after decompression, bytes.")] = (
        512_000
    )
    batch_items: Annotated[int, Field(ge=1, description="Most calls in one batch.")] = 5_000
    properties: Annotated[int, Field(ge=1, description="Most properties, or traits, of one event.")] = 300
    commit_items: Annotated[
        int, Field(ge=1, description="Most waiting requests that one group commit takes together.")
    ] = 64
    commit_wait_ms: Annotated[
        float,
        Field(
            ge=0,
            le=1_000,
            description="Longest wait of a request for company, milliseconds; only after a group of several, a lone one waits for nobody.",
        ),
    ] = 2.0
    queue_items: Annotated[
        int,
        Field(ge=1, description="Calls that may wait for a commit before callers get 429, one process."),
    ] = 20_000
    import_batch: Annotated[int, Field(ge=1, description="Rows of a file that commit together.")] = 1_500
    days_ahead: Annotated[int, Field(ge=1, le=60, description="Daily partitions made ahead of their day.")] = 7
