"""The route of the rules: what is in force, since when, and where the law says so.

Enters: HTTP with an officer's key. Leaves: JSON; nothing of anybody.
"""

from typing import Any, Protocol, cast

from fastapi import APIRouter, Request

from audit.access.endpoints import needs
from consent.service import Consent
from kernel.kernel import Kernel

router = APIRouter(tags=["consent"])


class _House(Protocol):
    kernel: Kernel
    consent: Consent


@router.get("/v1/rules", dependencies=[needs("officer")])
async def rules(request: Request) -> dict[str, Any]:
    """The rules that the gate goes by, each with its source, and when rules were put in force here."""
    house = cast("_House", request.app.state.house)
    book = house.consent.book
    async with house.kernel.db.reading() as conn:
        history = await book.history(conn)
    return {
        **book.mine.as_json(),
        "history": [
            {"digest": one.digest, "began_at": one.began_at.isoformat(), "signed_by": list(one.signed_by)}
            for one in history
        ],
    }
