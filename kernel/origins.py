"""Where a browser says that a request comes from. Pure; follows Fetch Metadata (Sec-Fetch-Site) and the Origin header (RFC 6454).

Enters: headers by lower-case name, the scheme of the request, our address. Leaves: whether one of our own pages sent it.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit


def same_origin(headers: Mapping[str, str], scheme: str, base_url: str) -> bool:
    """Whether a browser sent this from one of our pages. Without any sign of a browser the token alone decides."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    ours = {urlsplit(base_url)[:2], (scheme, headers.get("host", ""))}
    return urlsplit(origin)[:2] in ours
