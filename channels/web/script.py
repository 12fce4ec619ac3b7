"""The page's script as it is served: its bytes, its immutable name and its SRI value, all worked out from the one file.

Enters: nothing. Leaves: `SNIPPET`. No build step: what is in static/candor.js is what a browser runs.
"""

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 5 * 1024  # gzipped (console.C10)
_FILE: Final = Path(__file__).parent / "static" / "candor.js"


@dataclass(frozen=True)  # without slots: digests are made once
class Snippet:
    """One version of the script."""

    words: bytes

    @cached_property
    def digest(self) -> str:
        """Sixteen characters that name this version."""
        return hashlib.sha256(self.words).hexdigest()[:16]

    @property
    def path(self) -> str:
        """Where exactly this version is served, for ever the same bytes."""
        return f"/candor.{self.digest}.js"

    @cached_property
    def integrity(self) -> str:
        """For the `integrity` attribute (W3C Subresource Integrity)."""
        return f"sha384-{base64.b64encode(hashlib.sha384(self.words).digest()).decode()}"

    @cached_property
    def gzipped(self) -> int:
        """Bytes on the wire."""
        return len(gzip.compress(self.words, 9))

    def tag(self, base_url: str, key: str, *, notice: str = "") -> str:
        """The element to paste into a page."""
        said = f' data-notice="{notice}"' if notice else ""
        return (
            f'<script async crossorigin="anonymous" src="{base_url.rstrip("/")}{self.path}" integrity="{self.integrity}" '
            f'data-key="{key}"{said}></script>'
        )


SNIPPET: Final = Snippet(_FILE.read_bytes())
