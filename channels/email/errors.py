"""What can go wrong with SendGrid. Codes are stable; messages carry codes and counts, never an address or a provider's prose."""

from kernel.errors import InvalidInput, NotPermitted, Unavailable


class Unsendable(InvalidInput):
    """A message that SendGrid would refuse; `reason` is what the delivery is rejected with."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"expected a message that SendGrid can take, got one refused for {reason}",
            remedy="Correct the contact, the sender or the content; docs/channels/sendgrid.md lists the reasons.",
            code=f"channels.{reason}",
        )
        self.reason = reason


class BadWebhookKey(InvalidInput):
    """A setting that is no verification key."""

    code = "channels.bad_webhook_key"
    remedy = "Copy the verification key from SendGrid (Mail Settings, Event Webhook, Signature Verification)."


class NotGenuine(NotPermitted):
    """A post that SendGrid did not sign just now. One answer for every cause, so that nobody learns which it was."""

    code = "channels.not_genuine"
    remedy = (
        "Set channels.sendgrid.webhook_public_keys to the keys that SendGrid shows, and check this machine's clock."
    )

    def __init__(self) -> None:
        super().__init__("expected a fresh post signed by SendGrid, got another")


class NotEvents(InvalidInput):
    """Signed, and yet not the array of events that it should be."""

    code = "channels.not_events"
    remedy = "Report it: SendGrid signed a body that is not a JSON array."


class ListsUnreachable(Unavailable):
    """SendGrid's suppression lists could not be read or written to the end."""

    code = "channels.lists_unreachable"
    remedy = (
        "Run it again later: what was exchanged stands, and the rest follows. Check the key's right to Suppressions."
    )


class NoApiKey(InvalidInput):
    """There is no account to talk to."""

    code = "channels.no_api_key"
    remedy = "Set CANDOR_CHANNELS__SENDGRID__API_KEY."

    def __init__(self) -> None:
        super().__init__("expected an API key of SendGrid in the settings, got none")


class WebhookBusy(Unavailable):
    """More posts wait than the settings allow; SendGrid sends each of them again."""

    code = "too_busy"
    remedy = (
        "Nothing was taken; it is sent again. If it lasts, raise channels.sendgrid.webhook_posts and kernel.pool_size."
    )
