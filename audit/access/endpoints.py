"""The guard of every route: `principal: Principal = needs("collect")`.

Enters: the request's Authorization (Bearer, or Basic with the key as user name, as Segment's clients send it). Leaves: the
`Principal`, or 401 `not_authenticated` / 403 `scope_missing`, `wrong_origin`. Holding any one of the named scopes is
enough. The `Access` object is found at `request.app.state.house.access`.
"""

import binascii
from base64 import b64decode
from typing import Annotated, Any, Final, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from audit.access.principal import Principal, Scope
from audit.access.service import Access
from audit.errors import NotAuthenticated, ScopeMissing, WrongOrigin

_BEARER: Final = HTTPBearer(auto_error=False, scheme_name="key", description="A key or session token.")


class Guard:
    """A dependency that lets only certain scopes pass. `scopes` can be read off a route, so tests can list who may what."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = frozenset(scopes)

    async def __call__(self, request: Request, _described: Annotated[object, Security(_BEARER)] = None) -> Principal:
        """The principal of a request that may pass. The second argument only describes the scheme in OpenAPI."""
        secret = credential(request)
        if secret is None:
            raise NotAuthenticated("expected a key in the Authorization header, got none")
        access = cast("Access", request.app.state.house.access)
        principal = await access.authenticate(secret)
        if principal is None:
            raise NotAuthenticated("expected a live key, got one that is unknown, expired or revoked")
        return admit(principal, self.scopes, request)


def needs(*scopes: str) -> Any:  # FastAPI's own type for a default that stands for a dependency
    """A dependency that gives the `Principal` when it holds any of `scopes`."""
    return Depends(Guard(*map(Scope, scopes)))


def admit(principal: Principal, scopes: frozenset[Scope], request: Request) -> Principal:
    """The principal, when it holds any of `scopes` and calls from where it may; for keys that come another way too.

    Raises:
        ScopeMissing, WrongOrigin: as their names say.
    """
    if not principal.may(scopes):
        raise ScopeMissing(f"expected a key with one of the scopes {', '.join(sorted(scopes))}, got another")
    if principal.origin is not None and _origin(request) != principal.origin:
        raise WrongOrigin("expected a call from the web origin that this key is bound to, got another or none")
    return principal


def credential(request: Request) -> str | None:
    """The secret in the Authorization header; None when there is none that can be read."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() == "basic":
        try:
            return b64decode(rest.strip(), validate=True).decode().partition(":")[0] or None
        except (binascii.Error, ValueError):
            return None
    return None


def _origin(request: Request) -> str | None:
    """Where a browser says it calls from: Origin, or for same-origin reads the Referer's."""
    origin = request.headers.get("origin")
    if origin is not None:
        return origin
    referer = urlsplit(request.headers.get("referer", ""))
    return f"{referer.scheme}://{referer.netloc}" if referer.netloc else None
