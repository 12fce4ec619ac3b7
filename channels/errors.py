"""What can go wrong in channels. Codes are stable; messages carry ids and codes, never an address or content."""

from collections.abc import Iterable

from kernel.errors import Conflict, InvalidInput, NotFound


class IllegalStep(Conflict):
    """A delivery was asked to take a step that its state does not allow."""

    def __init__(self, state: str, step: str, allowed: Iterable[str]) -> None:
        super().__init__(
            f"expected a delivery in {', '.join(allowed)} for the step {step}, got one in {state}",
            remedy="Read the delivery again; another worker or a receipt has moved it.",
            code="channels.illegal_step",
        )


class UnknownDelivery(NotFound):
    """No such delivery."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__(
            f"expected the id of a delivery, got {delivery_id!r}",
            remedy="Use the delivery_id that POST /v1/sends or the decision answered.",
            code="channels.unknown_delivery",
        )


class UnknownChannel(InvalidInput):
    """A delivery names a channel that has no connector."""

    def __init__(self, channel: str, known: Iterable[str]) -> None:
        super().__init__(
            f"expected one of the channels {', '.join(sorted(known))}, got {channel!r}",
            remedy="Register a connector for the channel, or drop it from the placement.",
            code="channels.unknown_channel",
        )


class Unrenderable(InvalidInput):
    """A message cannot be made as the law and the house require. `reason` is the code the delivery is withheld with."""

    def __init__(self, reason: str, detail: str, remedy: str) -> None:
        super().__init__(detail, remedy=remedy, code=f"channels.{reason}")
        self.reason = reason


class BadBaseUrl(InvalidInput):
    """Links would leave over plain HTTP."""

    def __init__(self, scheme: str) -> None:
        super().__init__(
            f"expected an https base_url (plain http on a loopback address only), got the scheme {scheme!r}",
            remedy="Set CANDOR_BASE_URL to the https address under which people reach this service (RFC 8058 asks for https).",
            code="channels.bad_base_url",
        )


class UnknownContact(NotFound):
    """A contact point that this installation does not hold."""

    def __init__(self, missing: int) -> None:
        super().__init__(
            f"expected contact points that somebody holds, got {missing} that are unknown or erased",
            remedy="Import suppressions of unknown contacts from a file (what: suppressions).",
            code="channels.unknown_contact",
        )
