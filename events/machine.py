"""Was it a person? A verdict with its confidence, kept on the event (features V7).

What enters: the user agent that the event names. What leaves: ``Verdict``. Only a declared or plainly automatic agent is
called a machine; a proxy that also serves people (image caches of mail services) gets a confidence below the line, so
that raw and human rates can both be reported and nobody is filtered away on a hunch.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MACHINE_LINE: Final = 0.8
"""At or above: never trains a model, never counts as a person's act."""

# Declared crawlers name themselves (crawler, spider, …bot) or give a +http address; browsers never do (Cubot is a maker of phones).
_DECLARED: Final = re.compile(
    r"(?:(?<!cu)bot|crawl|spider|slurp|archiver|facebookexternalhit|preview)(?![a-z])|\+https?://", re.IGNORECASE
)
_HEADLESS: Final = re.compile(r"headless|phantomjs|puppeteer|playwright|selenium|lighthouse", re.IGNORECASE)
_LIBRARY: Final = re.compile(
    r"^(?:curl|wget|python-requests|python-urllib|python-httpx|aiohttp|okhttp|java|go-http-client|node-fetch|axios|libwww-perl|ruby)\b",
    re.IGNORECASE,
)
_SCANNER: Final = re.compile(
    r"barracuda|mimecast|proofpoint|safelinks|symantec|trendmicro|forcepoint|ironport|fireeye", re.IGNORECASE
)
_PROXY: Final = re.compile(r"googleimageproxy|yahoomailproxy|ggpht\.com", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``machine`` is ``confidence >= MACHINE_LINE``; confidence is how sure we are that no person acted, 0 to 1."""

    machine: bool
    confidence: float


HUMAN: Final = Verdict(machine=False, confidence=0.0)


@lru_cache(maxsize=4_096)
def verdict(user_agent: str | None) -> Verdict:
    """The verdict for one agent. No agent at all says nothing: servers and imports have none."""
    if not user_agent:
        return HUMAN
    for pattern, confidence in ((_DECLARED, 0.99), (_SCANNER, 0.95), (_HEADLESS, 0.9), (_LIBRARY, 0.9), (_PROXY, 0.6)):
        if pattern.search(user_agent):
            return Verdict(machine=confidence >= MACHINE_LINE, confidence=confidence)
    return HUMAN
