"""The name of a visitor: the one subject a public browser key may act for.

Enters: the anonymous id that a page's script made and keeps after consent. Leaves: an `Identifier`, or `NotAVisitor`. A browser key is public
and bound to its web origin; whose page it is follows from the anonymous id alone, which therefore is the visitor's secret: it must be long
enough that nobody finds one by trying. Pure.
"""

import re
from typing import Final

from identity.identifiers import Identifier
from kernel.errors import InvalidInput

KIND: Final = "anonymous_id"
_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{16,128}")  # a UUID has 36; what a person could type or count up is refused


class NotAVisitor(InvalidInput):
    """No anonymous id, or one that somebody else could guess."""

    code = "not_a_visitor"
    remedy = (
        "Send the visitor's anonymousId (a UUID, 16 to 128 characters), in the header Candor-Visitor or where the route "
        "names it; a browser key acts for no other subject."
    )


def visitor(given: str | None) -> Identifier:
    """The visitor who has this anonymous id.

    Raises:
        NotAVisitor: absent, or not of its form.
    """
    if given is None or not _FORM.fullmatch(given.strip()):
        raise NotAVisitor("expected an anonymous id of 16 to 128 characters, got none or another")
    return Identifier(KIND, given.strip())
