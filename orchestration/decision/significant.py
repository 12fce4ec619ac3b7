"""Placements whose choices matter a lot to a person (`significant_decision`): nobody is decided about by machine who does not permit it (spec explain.E8).

Enters: a placement, the gate's answers. Leaves: the permissions that the decision looks at; for explain, which decisions and placements are such. Follows 11 CCR 7220 to 7222, GDPR Art. 22.
"""

from collections.abc import Mapping, Sequence

from consent.gate import Permission
from explain.significant import Use
from kernel.canonical import Json
from kernel.errors import NotFound
from orchestration.decision.catalogue import Catalogue, Placement
from orchestration.decision.facts import MARK, refused
from orchestration.decision.inputs import Arm, Permit
from orchestration.decision.sealed import Sealer
from orchestration.decision.shelf import Shelf


def permitted(placement: Placement, told: Mapping[str, Permission], arms: Sequence[Arm]) -> dict[str, Permit]:
    """What the gate says of the purposes of these arms; at a significant placement no to all of them, unless the machine may use what is known of her."""
    machine = f"{placement.personalize_under}|"
    wanted = {arm.permit for arm in arms} | {machine}
    found = {
        key: Permit(answer=str(one.answer), reason=str(one.reason), act=one.act)
        for key, one in sorted(told.items())
        if key in wanted
    }
    if not placement.significant_decision or (machine in found and found[machine].answer == "granted"):
        return found
    return refused(found, keep=machine, act=found[machine].act if machine in found else None)


def marked(placement: Placement, context: Mapping[str, Json]) -> dict[str, Json]:
    """The context that the decision keeps; whoever asks cannot say the mark."""
    kept = {name: value for name, value in context.items() if name != MARK}
    return kept | {MARK: True} if placement.significant_decision else kept


class Significance:
    """Stands at ``Decisions.significance``; what explain asks (protocol ``explain.significant.Source``)."""

    def __init__(self, sealer: Sealer, shelf: Shelf) -> None:
        self._sealer = sealer
        self._shelf = shelf

    async def of_decision(self, decision_id: str) -> Use | None:
        """The placement's use as it was declared when this was decided; None where it is not significant."""
        row = await self._sealer.row(decision_id)
        return _use(await self._shelf.by_digest(row.catalogue), row.placement)

    async def of_placement(self, name: str) -> Use | None:
        """The same of what is declared now."""
        try:
            catalogue = (await self._shelf.current()).catalogue
        except NotFound:  # no catalogue was published yet
            return None
        return _use(catalogue, name) if any(one.name == name for one in catalogue.placements) else None


def _use(catalogue: Catalogue, name: str) -> Use | None:
    placement = catalogue.placement(name)
    if not placement.significant_decision:
        return None
    purposes = dict.fromkeys(placement.purpose_on(channel) for channel in placement.channels)
    return Use(placement.name, tuple(purposes), placement.personalize_under, catalogue.controller)
