"""What can go wrong with push. Codes are stable; messages carry origins and ids, never an endpoint: whoever knows one can write to it."""

from kernel.errors import Conflict, InvalidInput, NotFound, NotPermitted, Unavailable


class BadSubscription(InvalidInput):
    """What a browser sent is no push subscription, or one of a push service that is not allowed."""

    code = "channels.bad_subscription"
    remedy = "Send PushSubscription.toJSON() as it is; a push service that is not in channels.push.origins must be added there."


class PushOff(Conflict):
    """Push is not set up here."""

    code = "channels.push_off"
    remedy = "Set CANDOR_CHANNELS__PUSH__SUBJECT to a mailto: or https: address that push services may turn to."


class UnknownVapidKey(NotFound):
    """No such signing key."""

    code = "channels.unknown_vapid_key"
    remedy = "List them with `candor keys vapid`."


class VapidKeyInUse(Conflict):
    """The key signs for living subscriptions, or is the one that new subscriptions are made under."""

    code = "channels.vapid_key_in_use"
    remedy = "Rotate first, and wait until browsers have subscribed anew; a push service takes no other key for a subscription."


class VapidKeyLost(Unavailable):
    """A signing key's private half cannot be opened."""

    code = "channels.vapid_key_lost"
    remedy = "Restore the keys database; without the key its subscriptions can never be written to again."


class BadReport(NotPermitted):
    """A report about a push without the right to make it."""

    code = "channels.bad_report"
    remedy = "Reports are sent by the service worker that was given the message; its token ends after report_days."
