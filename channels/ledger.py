"""The delivery ledger's rules: which step may follow which.

Enters: a state and a step. Leaves: the next state, or `IllegalStep`. Pure; `store.py` repeats every step's `FROM` set in its SQL, so that
two workers cannot both take one. Follows DESIGN 5.4 and spec channels.A6, operations.B5:

    reserved ── claim ──> intent ── accept ──> accepted ── receipts ──> deferred, blocked, delivered, dropped, ...
        │                   ├──── reject ──> rejected
        │                   ├──── lose ────> uncertain ── receipts ──> accepted, ... (a late word settles it)
        │                   └──── defer ───> reserved     (the provider said that nothing was taken)
        └── cancel, withhold (also from intent, before the first byte) ──> cancelled, withheld

An intent is durable before the first byte leaves. What is found in `intent` without a live worker is `uncertain`: nobody knows, so nobody resends.
"""

from enum import StrEnum
from typing import Final

from channels.errors import IllegalStep


class State(StrEnum):
    """Where one delivery stands."""

    RESERVED = "reserved"
    INTENT = "intent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNCERTAIN = "uncertain"
    DEFERRED = "deferred"
    BLOCKED = "blocked"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    CANCELLED = "cancelled"
    WITHHELD = "withheld"


class Step(StrEnum):
    """What may happen to a delivery."""

    CLAIM = "claim"
    ACCEPT = "accept"
    REJECT = "reject"
    LOSE = "lose"
    DEFER = "defer"
    CANCEL = "cancel"
    WITHHOLD = "withhold"


class Receipt(StrEnum):
    """The provider's later word, folded by rank: the order of arrival and repetition make no difference (A6)."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    BLOCKED = "blocked"
    """Turned away for what it was, or for now: the address is good, and the provider may still get it through (A33)."""
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    UNSUBSCRIBED = "unsubscribed"
    DROPPED = "dropped"
    """The provider did not try: the address is on a list of its own."""
    BOUNCED = "bounced"
    COMPLAINED = "complained"


FROM: Final[dict[Step, tuple[frozenset[State], State]]] = {
    Step.CLAIM: (frozenset({State.RESERVED}), State.INTENT),
    Step.ACCEPT: (frozenset({State.INTENT}), State.ACCEPTED),
    Step.REJECT: (frozenset({State.INTENT}), State.REJECTED),
    Step.LOSE: (frozenset({State.INTENT}), State.UNCERTAIN),
    Step.DEFER: (frozenset({State.INTENT}), State.RESERVED),
    Step.CANCEL: (frozenset({State.RESERVED, State.INTENT}), State.CANCELLED),
    Step.WITHHOLD: (frozenset({State.RESERVED, State.INTENT}), State.WITHHELD),
}

# A receipt of a higher rank moves the state, any other leaves it. Bounced outranks delivered: mailbox providers bounce after accepting.
_RANK: Final[dict[State, int]] = {
    State.UNCERTAIN: 0,
    State.ACCEPTED: 1,
    State.DEFERRED: 2,
    State.BLOCKED: 3,
    State.DELIVERED: 4,
    State.DROPPED: 5,
    State.BOUNCED: 6,
    State.COMPLAINED: 7,
}
# What somebody does with a message proves that it arrived, even where the provider's own word for that is lost.
_PROVES: Final[dict[Receipt, State]] = {
    Receipt.OPENED: State.DELIVERED,
    Receipt.CLICKED: State.DELIVERED,
    Receipt.DISMISSED: State.DELIVERED,
    Receipt.UNSUBSCRIBED: State.DELIVERED,
}

HEARD_IN: Final = tuple(_RANK)
"""States that a receipt can be about; `intent` too, when the provider is faster than our own record."""
ENGAGED: Final = frozenset({Receipt.OPENED, Receipt.CLICKED})
"""What somebody, or a machine, does with a message."""
FINAL: Final = frozenset({State.CANCELLED, State.WITHHELD, State.REJECTED})
UNSENT: Final = frozenset({State.CANCELLED, State.WITHHELD, State.REJECTED})
"""States in which nothing left: the cap's place is given back. Uncertain keeps it: the message may have gone out."""


def after(state: State, step: Step) -> State:
    """The state that follows. Raises IllegalStep where the step may not be taken."""
    allowed, following = FROM[step]
    if state not in allowed:
        raise IllegalStep(state, step, sorted(allowed))
    return following


def fold(state: State, receipt: Receipt) -> State:
    """The state after a provider's receipt. Raises IllegalStep when no attempt was made that a receipt could be about."""
    reported = _PROVES.get(receipt) or State(receipt)
    if state is State.INTENT:  # the provider was faster than our own record
        return reported
    if state not in _RANK:
        raise IllegalStep(state, receipt, HEARD_IN)
    return reported if _RANK[reported] > _RANK[state] else state
