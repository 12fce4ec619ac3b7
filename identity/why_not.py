"""Why two records are not one person: exactly one cause for a pair, the first that stood in the way (identity.I40).

Enters: what is known of the pair.  Leaves: `WhyNot`.  The causes are tried in the order in which a run works: what the linkage table holds, what staff
decided, which pairs are compared, what they weigh, what the guard refuses.  Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from identity.evidence_store import Refused
from identity.why import Waterfall
from kernel.canonical import Json
from kernel.ids import PersonId, RecordId


class Cause(StrEnum):
    """Why not. A value is never renamed: programs read it."""

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        """A cause is its code; the text is for readers."""
        cause = str.__new__(cls, value)
        cause._value_ = value
        cause.text = text
        return cause

    NO_RUN = "no_run", "No linkage run has left its parameters yet."
    OLDER_VERSION = "older_version", "One of them is an older version of its row; it goes where the current one goes."
    SINCE_THE_RUN = (
        "since_the_run",
        "One of them came after the last run and was compared with nothing yet; the next settling or run does.",
    )
    JUDGEMENT = "judgement", "Staff decided that they are not one person."
    NO_SHARED_KEY = "no_shared_key", "They share no key by which pairs are found, so they were never compared."
    BLOCK_LEFT_OUT = (
        "block_left_out",
        "The keys they share are not paired: too many records bear them, or too few pairs of them match.",
    )
    BELOW_THRESHOLD = "below_threshold", "They were compared and weigh less than the threshold."
    UNIQUE_IDENTIFIER = (
        "unique_identifier",
        "Together they would hold two values of an identifier of which nobody has two.",
    )
    LIMIT = (
        "limit",
        "Together they would have more values of an identifier than its limit allows, and nothing more important ties them.",
    )
    FIRST_NAME = "first_name", "Their groups have clearly different first names."
    BIRTH_DATE = "birth_date", "Their groups have clearly different birth dates."
    CONTACT = "contact", "Their groups have the same name and household but different contacts: namesakes."
    AMBIGUOUS = "ambiguous", "One of them fits two groups equally well."
    COHESION = "cohesion", "One strong pair joins two groups that as wholes agree too little."
    SIZE = "size", "Together they would be larger than the policy allows."
    OTHER = "other", "They weigh enough and no refusal is on record: the next run decides anew."


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known of a pair of two people's records.

    ``weight`` is the edge's, or what the pair weighs by the same model. ``refused``: the bridge that was refused between the two people, this pair's or
    a heavier one's. ``in_run``: both were in the run's table, or have settled since.
    """

    run: bool
    current: bool
    in_run: bool
    judged_apart: bool
    keys: Sequence[str]
    edge: float | None
    weight: float | None
    threshold: float
    faintest: float
    refused: Refused | None


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer. ``cause`` None: they are one person."""

    a: RecordId
    b: RecordId
    people: tuple[PersonId, PersonId]
    cause: Cause | None
    keys: tuple[str, ...] = ()
    weight: float | None = None
    threshold: float | None = None
    refused: Refused | None = None
    waterfall: Waterfall | None = None

    def as_json(self) -> Json:
        """For HTTP, the console and the command line."""
        refused = self.refused
        return {
            "records": [self.a, self.b],
            "people": list(self.people),
            "same": self.cause is None,
            "cause": self.cause.value if self.cause else None,
            "text": self.cause.text if self.cause else "They are one person.",
            "shared_keys": list(self.keys),
            "weight": self.weight,
            "threshold": self.threshold,
            "refused": {"a": refused.a, "b": refused.b, "weight": refused.weight, "cause": refused.cause}
            if refused
            else None,
            "waterfall": self.waterfall.as_json() if self.waterfall else None,
        }


_REFUSALS: Mapping[str, Cause] = {
    one.value: one
    for one in (
        Cause.UNIQUE_IDENTIFIER,
        Cause.LIMIT,
        Cause.FIRST_NAME,
        Cause.BIRTH_DATE,
        Cause.CONTACT,
        Cause.AMBIGUOUS,
        Cause.COHESION,
        Cause.SIZE,
        Cause.JUDGEMENT,
    )
}


def judge(pair: Pair) -> Cause:
    """The one cause."""
    if not pair.current:
        return Cause.OLDER_VERSION
    if pair.judged_apart:
        return Cause.JUDGEMENT
    if pair.refused and pair.refused.cause == Cause.LIMIT.value and not (pair.run and pair.in_run):
        return Cause.LIMIT  # found when the later one came
    if not pair.run:
        return Cause.NO_RUN
    if not pair.in_run:
        return Cause.SINCE_THE_RUN
    if pair.edge is None:
        if not pair.keys:
            return Cause.NO_SHARED_KEY
        # Whatever weighs this much and was compared has an edge.
        if pair.weight is not None and pair.weight >= pair.faintest:
            return Cause.BLOCK_LEFT_OUT
    weight = pair.edge if pair.edge is not None else pair.weight
    if weight is None or weight < pair.threshold:
        return Cause.BELOW_THRESHOLD
    return _REFUSALS.get(pair.refused.cause, Cause.OTHER) if pair.refused else Cause.OTHER
