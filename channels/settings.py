"""Channels' section of the settings: who sends, from where, and how patiently. Enters: environment and candor.toml; leaves: a frozen section."""

from math import ceil
from typing import Annotated, Self

from pydantic import Field, model_validator

from kernel.settings import Section


class ChannelsSettings(Section):
    """Sender identity of every message, and the dispatcher's patience."""

    sender_name: Annotated[
        str,
        Field(
            default="Candor", min_length=1, max_length=120, description="Name that people see as the sender of email."
        ),
    ]
    sender_address: Annotated[
        str,
        Field(
            default="hello@candor.invalid",
            pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$",
            description="Address that email is sent from; the default's domain can never exist, so nothing pretends to be somebody.",
        ),
    ]
    postal_address: Annotated[
        str,
        Field(
            default="Candor, 1 Example Street, 00000 Example Town",
            min_length=8,
            description="Postal address of the sender, printed in every email; without one nothing is rendered.",
        ),
    ]
    list_domain: Annotated[
        str,
        Field(
            default="candor.invalid",
            pattern=r"^[A-Za-z0-9.-]+$",
            description="Domain of the List-ID and Message-ID headers (RFC 2919).",
        ),
    ]
    locale: Annotated[
        str, Field(default="en", description="Locale of messages whose content names none; wordings are files.")
    ]
    why_days: Annotated[
        int, Field(default=90, ge=1, le=730, description="Days for which the why link in a message opens.")
    ]
    preferences_days: Annotated[
        int, Field(default=730, ge=1, le=3650, description="Days for which preference and one-click links work.")
    ]
    send_timeout: Annotated[
        float,
        Field(
            default=10.0,
            gt=0,
            le=60,
            description="Seconds a connector may take for one message; then the outcome is uncertain.",
        ),
    ]
    claim_batch: Annotated[
        int, Field(default=20, ge=1, le=500, description="Deliveries that one worker claims at once.")
    ]
    senders: Annotated[
        int,
        Field(
            default=4,
            ge=1,
            le=64,
            description="Messages that one worker sends at the same time; each holds a database connection.",
        ),
    ]
    lease_seconds: Annotated[
        float,
        Field(
            default=90.0,
            gt=0,
            le=3600,
            description="Seconds after which a claimed delivery without an outcome counts as uncertain.",
        ),
    ]
    poll_seconds: Annotated[float, Field(default=0.5, gt=0, le=60, description="Pause of an idle dispatcher, seconds.")]
    max_attempts: Annotated[
        int,
        Field(
            default=8,
            ge=1,
            le=100,
            description="Attempts that a provider may put off before the delivery counts as rejected.",
        ),
    ]

    @model_validator(mode="after")
    def _the_lease_outlives_the_batch(self) -> Self:
        """A lease that ends while its worker still sends would call live work uncertain."""
        longest = ceil(self.claim_batch / self.senders) * self.send_timeout
        if self.lease_seconds <= longest:
            msg = f"expected lease_seconds above {longest:g} (claim_batch / senders * send_timeout), got {self.lease_seconds:g}"
            raise ValueError(msg)
        return self
