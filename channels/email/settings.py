"""SendGrid's part of the channels section. Enters: environment and candor.toml; leaves: a frozen section."""

from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from channels.email.errors import BadWebhookKey
from channels.email.signature import read_key
from kernel.settings import Section

PUBLIC_API: Final = "https://api.sendgrid.com"


class SendGridSettings(Section):
    """The account that email leaves through. It is used when `email_connector` is `sendgrid`."""

    api_key: Annotated[
        SecretStr | None,
        Field(
            description="API key of the account; it needs the right Mail Send, Suppressions for the list sync, and Recipients Data Erasure for erasures."
        ),
    ] = None
    base_url: Annotated[
        str,
        Field(
            description="Host of SendGrid's API: https, or plain http on a loopback address. EU accounts have their own."
        ),
    ] = PUBLIC_API
    sandbox: Annotated[
        bool, Field(description="Let SendGrid check every message and send none: for a rehearsal of the whole walk.")
    ] = False
    connect_seconds: Annotated[
        float, Field(gt=0, le=30, description="Seconds to wait for a connection; nothing has left until then.")
    ] = 3.0
    connections: Annotated[int, Field(ge=1, le=200, description="Connections that are open at the same time.")] = 20
    categories: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9 ._:/-]+$")], ...],
        Field(
            max_length=10,
            description="Fixed categories for SendGrid's statistics. They are kept for ever there: never anything of a person.",
        ),
    ] = ()
    asm_group_id: Annotated[
        int | None,
        Field(ge=1, description="Unsubscribe group that messages belong to in the SendGrid account, if any."),
    ] = None
    asm_purpose: Annotated[
        str,
        Field(min_length=1, description="Purpose that the unsubscribe group stands for, when the lists are synced."),
    ] = "marketing.email"
    ip_pool: Annotated[
        str | None,
        Field(min_length=2, max_length=64, description="Name of the pool of addresses to send from, if any."),
    ] = None
    track_opens: Annotated[
        bool, Field(description="Put SendGrid's pixel into the HTML part; it tells when a message is opened.")
    ] = False
    track_clicks: Annotated[
        bool,
        Field(
            description="Lead the button's link through SendGrid; the why, preference and one-click links never are."
        ),
    ] = False
    webhook_public_keys: Annotated[
        tuple[str, ...],
        Field(
            max_length=4,
            description="Verification keys of the signed event webhook (base64); two of them while one replaces the other.",
        ),
    ] = ()
    webhook_window_seconds: Annotated[
        int, Field(ge=30, le=3600, description="Seconds for which a signed post is taken; an older one is a replay.")
    ] = 300
    webhook_posts: Annotated[
        int, Field(ge=1, le=32, description="Posts that are folded at the same time; each holds a database connection.")
    ] = 2
    webhook_waiting: Annotated[
        int, Field(ge=0, le=1000, description="Posts that may wait for their turn; more are asked to come back later.")
    ] = 16

    @field_validator("base_url")
    @classmethod
    def _safe(cls, value: str) -> str:
        """The key and every address travel to this host."""
        parts = urlsplit(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback(parts.hostname or "")):
            msg = f"expected an https address (plain http on a loopback address only), got the scheme {parts.scheme!r}"
            raise ValueError(msg)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            msg = "expected a host and nothing secret in it, got another address"
            raise ValueError(msg)
        return value.rstrip("/")

    @field_validator("webhook_public_keys")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A key that cannot be one would refuse every post, silently."""
        try:
            for one in value:
                read_key(one)
        except BadWebhookKey as fault:
            raise ValueError(f"{fault.message}. {fault.remedy}") from None
        return value

    @property
    def local(self) -> bool:
        """Whether the API is a stand-in on this machine."""
        return loopback(urlsplit(self.base_url).hostname or "")


def loopback(host: str) -> bool:
    """Whether a name can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
