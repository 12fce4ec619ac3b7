"""What people say of a decision acts: on the next decision, or on the desk of those who look after identities.

Enters: what explain was told on a why page, in the transaction that keeps it. Leaves: a new consent version of the person, which fences off
every decision that was gathered before and drops her hot profile and her standing choices; or a review of her identity (explain.E9).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from consent.service import Consent
from explain.facts import DecisionFacts
from explain.service import Feedback, OnFeedback
from identity.service import Identity
from kernel.db import Conn
from orchestration.decision.inputs import Arm
from orchestration.decision.variants import name_parts

NOT_ME: Final = "not_me"


def acting(identity: Identity, consent: Consent) -> OnFeedback:
    """The hook for `Explain.on_feedback`."""

    async def heard(conn: Conn, about: DecisionFacts, kind: Feedback) -> None:
        if about.person is None:
            return
        person = (await identity.current(conn, [about.person])).get(about.person)
        if person is None:  # erased meanwhile
            return
        if kind is Feedback.NOT_INTERESTED:
            await consent.touch(conn, [person])
        else:
            await identity.review(conn, person, NOT_ME, about=about.decision_id)

    return heard


def said_no(variant: str, said: Iterable[str], family: Callable[[str], str]) -> bool:
    """Whether a variant is what she said no to: the same content, or the same item."""
    name, item = name_parts(variant)
    parts = [name_parts(one) for one in said]
    if item is not None:
        return any(item == other for _, other in parts)
    return any(other is None and family(name) == family(head) for head, other in parts)


def declined(arms: Sequence[Arm], said: Iterable[str], family: Callable[[str], str]) -> frozenset[str]:
    """The arms that these words of a person rule out: the content in all its permutations, an item whatever says it.

    `family`: how the catalogue file names a variant.
    """
    parts = [name_parts(one) for one in said]
    names = {family(name) for name, item in parts if item is None}
    items = {item for _, item in parts if item is not None}
    return frozenset(
        arm.id for arm in arms if (arm.item in items if arm.item is not None else (arm.family or arm.variant) in names)
    )
