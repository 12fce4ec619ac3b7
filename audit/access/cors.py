"""What a browser of another origin is told: which methods and headers it may use, and that an answer is for its page.

Enters: the origin that a key is bound to. Leaves: headers. No cookie is ever read, so no credentials are allowed. Pure.
"""

from typing import Final

VISITOR: Final = "Candor-Visitor"  # the header of the visitor's anonymous id: never in an address, which others keep
PREFLIGHT: Final = {
    "Access-Control-Allow-Origin": "*",  # a question carries no key; the key works only from its own origin
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": f"authorization, content-type, content-encoding, {VISITOR.lower()}, last-event-id",
    "Access-Control-Max-Age": "86400",
}
PUBLIC: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


def answer(origin: str | None) -> dict[str, str]:
    """Headers of an answer to a browser key: for its origin alone, kept by nobody on the way."""
    headers = {"Cache-Control": "no-store", "Vary": "Origin"}
    return headers if origin is None else {**headers, "Access-Control-Allow-Origin": origin}
