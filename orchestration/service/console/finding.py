"""Finding something: a person by a contact point, anything else by its id. The value comes in a form's body, never in an address or a log.

Enters: a form. Leaves: a redirect to the page of what was found, or the form again with what to do.
"""

from typing import Final

from fastapi.responses import Response

from audit.access.principal import Scope
from identity.errors import AmbiguousContact, InvalidIdentifier, UnknownKind
from identity.identifiers import KINDS, Identifier, normalise
from kernel.errors import NotFound
from kernel.ids import is_id
from orchestration.service.console import words
from orchestration.service.console.guard import STAFF, AtDesk, Desk
from orchestration.service.console.pages import View, act, answer, page, see

_SHOWN: Final = [kind for kind in KINDS if kind != "push"]


@page("/find", "find.html", *STAFF)
async def find(desk: AtDesk) -> View:  # noqa: ARG001 - the page's own door
    """The form."""
    return _view()


@act("/find", *STAFF)
async def found(desk: AtDesk) -> Response:
    """Look, and go there."""
    form = await desk.form()
    kind, value = str(form.get("kind") or "id"), await desk.field("value")
    if kind == "id" and "@" in value:
        kind = "email"
    if kind == "id":
        if target := words.link(value):
            return see(target)
        return _again(desk, "id", "Expected an id such as dec_01J… or per_01J…, got something else.", 422)
    desk.need(Scope.OFFICER)
    return await _by_contact(desk, kind, value)


async def _by_contact(desk: Desk, kind: str, value: str) -> Response:
    house = desk.house
    try:
        contact = Identifier(kind, normalise(kind, value, region=house.identity.settings.default_region))
        async with house.kernel.db.reading() as conn:
            person = await house.identity.lookup(conn, f"{contact.kind}:{contact.value}")
    except (InvalidIdentifier, UnknownKind) as fault:
        return _again(desk, kind, f"{fault.message[0].upper()}{fault.message[1:]}.", 422)
    except AmbiguousContact:
        async with house.kernel.db.reading() as conn:
            several = (await house.identity.resolve(conn, [[contact]]))[0].candidates
        await desk.note({"person": several[0]}, "find")
        told = "Several people hold this contact. It names nobody by itself: look at each."
        return answer(desk, "find.html", {**_view(kind), "told": told, "people": list(several)})
    except NotFound:
        return _again(desk, kind, "Nobody holds this contact. Whoever was erased cannot be found any more.", 404)
    if not is_id(person, "per"):
        return _again(desk, kind, "Nobody holds this contact.", 404)
    await desk.note({"person": person}, "find")
    return see(f"/console/people/{person}")


def _view(kind: str = "email") -> View:
    return {"kinds": list(_SHOWN), "kind": kind, "told": "", "people": []}


def _again(desk: Desk, kind: str, told: str, status: int) -> Response:
    return answer(desk, "find.html", {**_view(kind), "told": told}, status=status)
