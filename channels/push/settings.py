"""The push section of channels' settings (`CANDOR_CHANNELS__PUSH__…`). Enters: environment and candor.toml; leaves: a frozen section."""

from typing import Annotated, Literal

from pydantic import Field

from kernel.settings import Section

LONGEST_TTL = 2_419_200  # four weeks: what the large push services keep a message for, at most


class PushSettings(Section):
    """Who signs pushes, where they may go, how long they are worth showing."""

    subject: Annotated[
        str | None,
        Field(
            pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://[^\s/]+(/\S*)?)$",
            description="Whom a push service may turn to (RFC 8292): a real mailto: or https: address. Absent: push is off.",
        ),
    ] = None
    origins: Annotated[
        tuple[str, ...],
        Field(
            description="Push services that subscriptions may belong to: https origins; https://*.example.org means every "
            "host below. A public address is asked for at each send."
        ),
    ] = (
        "https://fcm.googleapis.com",
        "https://jmt17.google.com",
        "https://updates.push.services.mozilla.com",
        "https://*.push.services.mozilla.com",
        "https://*.notify.windows.com",
        "https://web.push.apple.com",
        "https://*.push.apple.com",
    )
    private_origins: Annotated[
        tuple[str, ...],
        Field(
            description="Push services of your own: exact origins that may lie on a private or loopback address; plain http "
            "is taken on loopback only."
        ),
    ] = ()
    urgency: Annotated[
        Literal["very-low", "low", "normal", "high"],
        Field(description="Urgency of every push (RFC 8030 5.3): what may wake a device that saves its battery."),
    ] = "normal"
    ttl_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=LONGEST_TTL,
            description="A push service keeps a message for this long at most, and never past its own expiry.",
        ),
    ] = 86_400
    timeout: Annotated[
        float, Field(gt=0, le=30, description="Seconds that a push service may take to answer; then it is uncertain.")
    ] = 8.0
    token_hours: Annotated[
        float,
        Field(gt=1, le=24, description="Hours that a signed VAPID token lasts; RFC 8292 allows 24."),
    ] = 12.0
    token_reuse_hours: Annotated[
        float,
        Field(ge=1, le=23, description="Hours for which one token is reused per push service; less than it lasts."),
    ] = 6.0
    report_days: Annotated[
        int, Field(ge=1, le=90, description="Days for which a shown message may be reported as clicked or dismissed.")
    ] = 30
