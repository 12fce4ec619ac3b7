"""Rights that a person starts on her preference page: opened under her link, and carried out at once where nobody needs to look first.

Enters: the identifier of her link, a right, perhaps what is to be corrected. Leaves: what the page says next, as a query. What is not offered to her, or holds
already, opens nothing: a form that is sent twice is one request.
"""

from typing import Final

from consent.lifecycle import Manner, Right
from consent.pages_endpoints import House
from consent.rights.checks import Method
from consent.rights.correcting import Correction
from kernel.ids import IdentifierId

_LONGEST: Final = 500  # characters of a corrected detail


async def ask(house: House, identifier: IdentifierId, right: str, told: tuple[str, str] | None) -> dict[str, str]:
    """Open it; no proof of identity is asked beyond the link. ``told``: a detail of hers and what is right."""
    async with house.kernel.db.reading() as conn:
        found = await house.preferences.offer(conn, identifier, right)
        details = await house.preferences.details(conn, identifier) if right == Right.RECTIFICATION else []
    if found is None:
        return {}
    person, offer = found
    correction = None
    if offer.right is Right.RECTIFICATION:
        if told is None or told[0] not in details or not 0 < len(told[1].strip()) <= _LONGEST:
            return {"saved": "w"}
        correction = Correction({told[0]: told[1].strip()})
    opened = await house.rights.open(
        offer.right, person, actor="person", regime=offer.regime, manner=Manner.PREFERENCE_PAGE, check=Method.CONTACT_LINK,
        correction=correction, seeds=[identifier],
    )  # fmt: skip
    if not offer.at_once:
        return {"saved": "r", "by": opened.due_on.isoformat()}
    await house.rights.run(opened.id, actor="person")
    return {"saved": "d"}
