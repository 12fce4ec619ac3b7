"""Who may do what: staff and keys, for operators. Secrets are nowhere to be read; making and ending credentials is done at the command line."""

from audit.access.principal import Scope
from kernel.canonical import Json
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, page


@page("/staff", "staff.html", Scope.OPERATE)
async def staff(desk: AtDesk) -> View:
    """Every member of staff and every key, ended ones too."""
    now = desk.house.kernel.clock.now()
    people: list[Json] = [
        {
            "id": one.staff_id, "name": one.name, "scopes": sorted(one.scopes), "since": one.created_at.isoformat(),
            "ended": one.removed_at.isoformat() if one.removed_at else None,
        }
        for one in await desk.house.access.staff()
    ]  # fmt: skip
    keys: list[Json] = [
        {
            "id": one.api_key_id, "hint": one.hint, "name": one.name, "scopes": sorted(one.scopes), "source": one.source,
            "origin": one.origin, "made_by": one.created_by, "since": one.created_at.isoformat(), "alive": one.alive(now),
            "ended": (one.revoked_at or one.expires_at).isoformat() if one.revoked_at or one.expires_at else None,  # type: ignore[union-attr]
            "last_used": one.last_used_at.isoformat() if one.last_used_at else None,
        }
        for one in await desk.house.access.keys()
    ]  # fmt: skip
    return {"staff": people, "keys": keys}
