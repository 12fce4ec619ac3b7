"""Rights that are a no, and the two that are a word of hers: restriction, objection, opt-outs, limits, withdrawal, opting in (consent.D1, D15).

What enters: a request. What leaves: consent acts on everything the person has, so that they survive a split; the gate does the rest, in decisions, training and
sends. Which purposes an opt-out of automated decisions or a limit of sensitive data is about is data: flags in ``data/purposes.yaml``.
"""

from collections.abc import Mapping
from typing import Final

from consent.acts import NewAct, Status
from consent.errors import RequestState
from consent.lifecycle import Request, Right
from consent.purposes import EVERYTHING, SALE_SHARE, PurposeTree
from consent.service import Consent
from identity.service import Identity
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import IdentifierId, RecordId

OFFICER: Final = "officer"
REQUESTED: Final = "opt_out_request"
_OPT_IN_WORDS: Final = "You asked us to lift your opt-out of the sale and sharing of your data. From now on it may be sold or shared again. You may opt out again at any time."


class Effects:
    """Carries out requests that are answered by consent acts."""

    def __init__(self, consent: Consent, identity: Identity, clock: Clock) -> None:
        self._consent = consent
        self._identity = identity
        self._clock = clock

    async def apply(self, conn: Conn, request: Request, actor: str) -> int:
        """Record it on everything of the person; the number of acts. What holds already gets no second one."""
        held = (await self._identity.members(conn, [request.person])).get(request.person)
        if held is None:
            return 0
        subjects: list[IdentifierId | RecordId] = [*held.identifiers, *held.records]
        if request.right is Right.OPT_IN:
            return await self._opt_in(conn, subjects, actor)
        asked = denials(request, self._consent.rules.purposes)
        given = [
            await self._consent.withdraw(conn, subject, purpose, channel, mechanism=mechanism, actor=actor)
            for subject in subjects
            for purpose, channel, mechanism in asked
        ]
        return sum(act is not None for act in given)

    def purposes(self, request: Request) -> list[str]:
        """Keys of the purposes that it is a no to, for whoever must be told; none where it is a yes."""
        if request.right is Right.OPT_IN:
            return []
        return sorted({purpose for purpose, _, _ in denials(request, self._consent.rules.purposes)})

    async def _opt_in(self, conn: Conn, subjects: list[IdentifierId | RecordId], actor: str) -> int:
        """Her word against her own opt-out; whether the law lets it lift one is the jurisdiction pack's to say."""
        version = f"opt-in-{self._consent.rules.purposes.version}"
        notice = await self._consent.publish_notice(conn, _OPT_IN_WORDS, version=version, language="en")
        acts = [
            NewAct(
                subject=subject, purpose=SALE_SHARE, status=Status.GRANTED, channel=None, basis="consent",
                jurisdiction=self._consent.settings.jurisdiction, notice=notice, mechanism="directive_override", actor=actor,
                given_at=self._clock.now(),
            )
            for subject in subjects
        ]  # fmt: skip
        return len(await self._consent.record(conn, acts))


def denials(request: Request, purposes: PurposeTree) -> list[tuple[str, str | None, str]]:
    """Which purposes the request is a no to: purpose, channel, and by which mechanism it is recorded.

    Raises:
        RequestState: the right is not a no.
    """
    tree = purposes.by_key.values()
    simple: Mapping[Right, tuple[str, str]] = {
        Right.RESTRICTION: (EVERYTHING, "restriction"),
        Right.OPT_OUT: (SALE_SHARE, REQUESTED),
    }
    if (one := simple.get(request.right)) is not None:
        return [(one[0], None, one[1])]
    if request.right is Right.OBJECTION:  # every purpose at the top of the tree that a person may refuse
        return [(p.key, None, OFFICER) for p in tree if p.parent is None and p.takes_choice()]
    if request.right is Right.LIMIT_SENSITIVE:
        return [(p.key, None, REQUESTED) for p in tree if p.sensitive]
    if request.right is Right.ADMT_OPT_OUT:
        return [(p.key, None, REQUESTED) for p in tree if p.automated]
    if request.right is Right.WITHDRAWAL:
        named = request.about.get("purpose")
        keys = [purposes.expect(named).key] if named else [p.key for p in tree if p.parent is None and p.takes_choice()]
        return [(key, request.about.get("channel") if named else None, OFFICER) for key in keys]
    raise RequestState(f"expected a right that is answered by a no, got {request.right}")
