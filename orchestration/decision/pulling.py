"""The levers of a decision, pulled: the kept inputs under one change that a person, or time, can bring about (explain.E4).

Enters: a record's inputs and a change. Leaves: the inputs under it, or None where the record cannot tell: a promise that rests on a guess is not made. Pure,
but for `Pulling`, which decides again. The seed, the models and the versions stay, so that only the change differs.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from consent.service import Consent
from explain.concepts import kind_of
from explain.facts import Verdict
from kernel.canonical import Json
from orchestration.decision import facts
from orchestration.decision.catalogue import Placement
from orchestration.decision.inputs import Inputs, Permit
from orchestration.decision.record import Record
from orchestration.decision.sealed import Opened, Sealer
from orchestration.decision.shelf import Shelf
from orchestration.decision.together import Pick
from profiles.kinds import DEEDS

_CAP: Final = "cap"
_PLACE: Final = "place"
_OF_TASTE: Final = frozenset(DEEDS.values())
Again = Callable[[Opened, Inputs], Awaitable[Record]]
Picks = Callable[[Opened, Sequence[Inputs]], Awaitable[list[Pick]]]
Takes = Callable[[str], bool]
Segments = Callable[[Inputs], facts.SegmentsOf | None]


class Pulling:
    """Stands behind `Decisions.again`."""

    def __init__(
        self, sealer: Sealer, shelf: Shelf, consent: Consent, segments: Segments, *, again: Again, picks: Picks
    ) -> None:
        """`again` decides anew in full, `picks` only what is chosen, of several inputs at once."""
        self._sealer = sealer
        self._shelf = shelf
        self._consent = consent
        self._segments = segments
        self._again = again
        self._picks = picks

    async def pull(self, decision_id: str, change: Mapping[str, Json]) -> Verdict:
        """What would be chosen under the change; what was chosen, where nobody can tell."""
        opened = await self._sealer.open_lately(decision_id)
        changed = self._changed(opened.inputs, change)
        made = opened.decoded().outcome if changed is None else (await self._again(opened, changed)).outcome
        return await self._verdict(
            opened, change, Pick(made.choice, made.arm, made.propensity), told=changed is not None
        )

    async def pull_all(self, decision_id: str, changes: Sequence[Mapping[str, Json]]) -> list[Verdict]:
        """The same for several changes, each by itself."""
        opened = await self._sealer.open_lately(decision_id)
        changed = [self._changed(opened.inputs, change) for change in changes]
        made = iter(await self._picks(opened, [one for one in changed if one is not None]))
        was = opened.decoded().outcome
        return [
            await self._verdict(opened, change, next(made), told=True)
            if state is not None
            else await self._verdict(opened, change, Pick(was.choice, was.arm, was.propensity), told=False)
            for change, state in zip(changes, changed, strict=True)
        ]

    def _changed(self, state: Inputs, change: Mapping[str, Json]) -> Inputs | None:
        return pulled(state, change, self._segments(state), self._takes_choice)

    async def _verdict(self, opened: Opened, change: Mapping[str, Json], made: Pick, *, told: bool) -> Verdict:
        state, after = opened.inputs, None
        if change.get("uncapped") and made.arm is not None:
            catalogue = await self._shelf.by_digest(state.versions.catalogue)
            reason = (state.refused or {}).get(made.arm.id, "")
            after = room_by(catalogue.placement(state.placement), reason, datetime.fromisoformat(state.at))
        channel = made.arm.channel if made.arm else None
        return Verdict(
            choice=made.choice, channel=channel, probability=made.propensity, after=after, told=told,
            outdated=not told and outdated(state, change, self._segments(state)),
        )  # fmt: skip

    def _takes_choice(self, purpose: str) -> bool:
        declared = self._consent.rules.purposes.get(purpose)
        return declared is not None and declared.takes_choice()


def outdated(state: Inputs, change: Mapping[str, Json], segments_of: facts.SegmentsOf | None) -> bool:
    """Whether the record could tell by the rules of then what it cannot tell by those of today."""
    if "pause" in change or "grant" in change:
        return "pause" in change or change["grant"] in state.permits
    return segments_of is None and pulled(state, change, lambda _: frozenset(), lambda _: True) is not None


def pulled(
    state: Inputs, change: Mapping[str, Json], segments_of: facts.SegmentsOf | None, takes_choice: Takes
) -> Inputs | None:
    """The inputs under a change; None where the record does not tell what they would have been."""
    if isinstance(kind := change.get("unused"), str):
        return _unused(state, kind, segments_of)
    if isinstance(variant := change.get("declined"), str):
        return _declined(state, variant)
    if isinstance(channel := change.get("pause"), str):
        if not any(on == channel and takes_choice(of) for of, _, on in (key.partition("|") for key in state.permits)):
            return None  # a break was hers to take then, and is not by the purposes of today
        permits = {
            key: Permit(answer="denied", reason="pause.channel")
            if key.partition("|")[2] == channel and takes_choice(key.partition("|")[0])
            else permit
            for key, permit in state.permits.items()
        }
        return replace(state, permits=permits)
    if isinstance(key := change.get("grant"), str):
        if key not in state.permits or not takes_choice(key.partition("|")[0]):
            return None
        return replace(state, permits={**state.permits, key: Permit(answer="granted", reason="consent.granted")})
    if change.get("uncapped"):
        free = {arm: why for arm, why in (state.refused or {}).items() if not _is_cap(why)}
        return replace(state, refused=free)
    return _closed(state, change, segments_of)


def room_by(placement: Placement, reason: str, at: datetime) -> datetime | None:
    """The moment by which a full cap has room again, if nothing more is sent: all that counts now has left its window by then."""
    scope = reason.partition(":")[2].partition(":")[0] or "placement"
    ends = [
        _midnight(at, cap.zone) if cap.window == "day" else at + timedelta(seconds=cap.window)
        for cap in placement.caps
        if cap.scope == scope
    ]
    return max(ends, default=None)


def _midnight(at: datetime, zone: str) -> datetime:
    here = at.astimezone(ZoneInfo(zone))
    return (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def _is_cap(why: str) -> bool:
    return why == _CAP or why.startswith(f"{_CAP}:")


def _unused(state: Inputs, kind: str, segments_of: facts.SegmentsOf | None) -> Inputs | None:
    """Without a kind of information, as the consent filter would leave it out. What an arm owes to it besides its columns is not in the record."""
    if state.market.profile and kind == _PLACE:
        return None
    if kind in _OF_TASTE and any(arm.personal_source or arm.taste for arm in state.arms):
        return None
    gone: list[Json] = [name for name in state.feature_names if kind_of(name) == kind]
    return _closed(state, {"without": gone}, segments_of)


def _closed(state: Inputs, change: Mapping[str, Json], segments_of: facts.SegmentsOf | None) -> Inputs | None:
    """As `facts.closed`, but where the placement asks for segments that nobody can judge anew, nobody can tell."""
    made = facts.closed(state, change, segments_of)
    asked = state.segment_all or state.segment_any or state.segment_none
    moved = [value.hex() for value in made.features] != [value.hex() for value in state.features]
    return None if segments_of is None and asked and moved else made


def _declined(state: Inputs, variant: str) -> Inputs:
    """With her word against a content: all its permutations, or its item whatever says it."""
    said = next((arm for arm in state.arms if arm.variant == variant), None)
    if said is None:
        return state
    if said.item is not None:
        gone = {arm.id for arm in state.arms if arm.item == said.item}
    else:
        family = said.family or said.variant
        gone = {arm.id for arm in state.arms if arm.item is None and (arm.family or arm.variant) == family}
    return replace(state, declined=state.declined | gone)
