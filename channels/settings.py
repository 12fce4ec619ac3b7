"""Channels' section of the settings: who sends, from where, and how patiently. Enters: environment and candor.toml; leaves: a frozen section."""

from math import ceil
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from channels.email.settings import SendGridSettings
from channels.push.settings import PushSettings
from kernel.settings import Section


class ChannelsSettings(Section):
    """Sender identity of every message, and the dispatcher's patience."""

    sender_name: Annotated[
        str,
        Field(min_length=1, max_length=120, description="Name that people see as the sender of email."),
    ] = "Candor"
    sender_address: Annotated[
        str,
        Field(
            pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$",
            description="Address that email is sent from; the default's domain can never exist, so nothing pretends to be somebody.",
        ),
    ] = "hello@candor.invalid"
    postal_address: Annotated[
        str,
        Field(
            min_length=8,
            description="Postal address of the sender, printed in every email; without one nothing is rendered.",
        ),
    ] = "Candor, 1 Example Street, 00000 Example Town"
    list_domain: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9.-]+$",
            description="Domain of the List-ID and Message-ID headers (RFC 2919).",
        ),
    ] = "candor.invalid"
    locale: Annotated[str, Field(description="Locale of messages whose content names none; wordings are files.")] = "en"
    email_connector: Annotated[
        Literal["outbox", "sendgrid"],
        Field(
            description="How email leaves: `outbox` writes files, `sendgrid` sends through the account in `sendgrid`."
        ),
    ] = "outbox"
    sendgrid: Annotated[
        SendGridSettings, Field(description="The SendGrid account: its key, host and webhook keys.")
    ] = SendGridSettings()
    outbox_dir: Annotated[
        Path | None,
        Field(description="Folder into which email is written as files. Absent: outbox in data_dir."),
    ] = None
    why_days: Annotated[int, Field(ge=1, le=730, description="Days for which the why link in a message opens.")] = 90
    preferences_days: Annotated[
        int, Field(ge=1, le=3650, description="Days for which preference and one-click links work.")
    ] = 730
    send_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=60,
            description="Seconds a connector may take for one message; then the outcome is uncertain.",
        ),
    ] = 10.0
    claim_batch: Annotated[int, Field(ge=1, le=500, description="Deliveries that one worker claims at once.")] = 20
    senders: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Messages that one worker sends at the same time; each holds a database connection.",
        ),
    ] = 4
    lease_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds after which a claimed delivery without an outcome counts as uncertain.",
        ),
    ] = 90.0
    poll_seconds: Annotated[float, Field(gt=0, le=60, description="Pause of an idle dispatcher, seconds.")] = 0.5
    max_attempts: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Attempts that a provider may put off before the delivery counts as rejected.",
        ),
    ] = 8

    push: Annotated[PushSettings, Field(description="Web Push: who signs, which push services, how long.")] = (
        PushSettings()
    )
    web_streams_per_visitor: Annotated[
        int, Field(ge=1, le=1000, description="Open streams that one visitor may hold in one process.")
    ] = 6
    web_streams_per_address: Annotated[
        int,
        Field(ge=1, le=100_000, description="Open streams that one network address may hold in one process."),
    ] = 200
    web_ping_seconds: Annotated[
        float, Field(gt=0, le=15, description="A silent stream says that it lives this often, seconds.")
    ] = 12.0
    web_look_seconds: Annotated[
        float,
        Field(gt=0, le=15, description="Open streams look this often for changes that other processes made, seconds."),
    ] = 0.5

    @model_validator(mode="after")
    def _the_lease_outlives_the_batch(self) -> Self:
        """A lease that ends while its worker still sends would call live work uncertain."""
        longest = ceil(self.claim_batch / self.senders) * self.send_timeout
        if self.lease_seconds <= longest:
            msg = f"expected lease_seconds above {longest:g} (claim_batch / senders * send_timeout), got {self.lease_seconds:g}"
            raise ValueError(msg)
        return self
