"""The events section of the settings tree: limits of the door, sizes of commits, ages of what is kept aside."""

from typing import Annotated

from pydantic import Field

from kernel.settings import Section


class EventsSettings(Section):
    """How much the collection door takes at once, and how it writes."""

    event_bytes: Annotated[int, Field(default=32_768, ge=1_024, description="Largest event as JSON, bytes.")]
    batch_bytes: Annotated[
        int, Field(default=512_000, ge=1_024, description="Largest request body after decompression, bytes.")
    ]
    batch_items: Annotated[int, Field(default=5_000, ge=1, description="Most calls in one batch.")]
    properties: Annotated[int, Field(default=300, ge=1, description="Most properties, or traits, of one event.")]
    commit_items: Annotated[
        int, Field(default=64, ge=1, description="Most waiting requests that one group commit takes together.")
    ]
    commit_wait_ms: Annotated[
        float, Field(default=2.0, ge=0, le=1_000, description="Longest wait of a request for company, milliseconds.")
    ]
    queue_items: Annotated[
        int,
        Field(
            default=20_000, ge=1, description="Calls that may wait for a commit before callers get 429, one process."
        ),
    ]
    import_batch: Annotated[int, Field(default=2_000, ge=1, description="Rows of a file that commit together.")]
    days_ahead: Annotated[int, Field(default=7, ge=1, le=60, description="Daily partitions made ahead of their day.")]
