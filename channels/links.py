"""The links that every message carries: why, preferences, one-click.

Enters: opaque ids. Leaves: URLs under `base_url` with a signed, scoped, expiring token each; no address, no name, nothing of a person
is in one. Follows RFC 8058 (https; POST acts, GET does not), spec channels.A10, A38 and explain.E9.
"""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from channels.errors import BadBaseUrl
from kernel.ids import DecisionId, DeliveryId, IdentifierId
from kernel.tokens import Tokens

WHY: Final = "why"
PREFERENCES: Final = "preferences"
UNSUBSCRIBE: Final = "unsubscribe"
REPORT: Final = "push-report"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLinks:
    """The three links of one message; on push also where the browser reports what became of it, and its right to."""

    why: str
    preferences: str
    one_click: str
    report: str = ""
    report_token: str = ""


class Links:
    """Makes links. `base_url` must be https; plain http is taken on a loopback address only, where nothing leaves the machine."""

    def __init__(
        self, tokens: Tokens, base_url: str, *, why_days: int, preferences_days: int, report_days: int = 30
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname or "")):
            raise BadBaseUrl(parts.scheme)
        self._tokens = tokens
        self._base = base_url.rstrip("/")
        self._why_ttl = timedelta(days=why_days)
        self._preferences_ttl = timedelta(days=preferences_days)
        self._report_ttl = timedelta(days=report_days)

    def why(self, decision_id: DecisionId) -> str:
        """Where a person reads why this decision was made."""
        return f"{self._base}/why/{self._tokens.issue(WHY, decision_id, self._why_ttl)}"

    def preferences(self, identifier_id: IdentifierId, *, sent_by: str | None = None, language: str = "") -> str:
        """Where a person sees and changes what they agreed to; acts on the identifier the message went to.

        `sent_by`: the channel that carries this very link to the identifier, so whoever opens it reads what comes there.
        """
        claims = {"sent": sent_by} if sent_by else {}
        token = self._tokens.issue(PREFERENCES, identifier_id, self._preferences_ttl, **claims)
        return f"{self._base}/preferences/{token}{_in(language)}"

    def one_click(
        self, identifier_id: IdentifierId, delivery_id: DeliveryId, *, purpose: str, channel: str, language: str = ""
    ) -> str:
        """The RFC 8058 address: one POST ends this purpose on this channel for the identifier."""
        token = self._tokens.issue(
            UNSUBSCRIBE, identifier_id, self._preferences_ttl, delivery=delivery_id, purpose=purpose, channel=channel
        )
        return f"{self._base}/u/{token}{_in(language)}"

    def of_message(
        self,
        decision_id: DecisionId,
        delivery_id: DeliveryId,
        identifier_id: IdentifierId,
        *,
        purpose: str,
        channel: str,
        language: str = "",
    ) -> MessageLinks:
        """All of them; `language`: of the message, for the pages behind them."""
        reports = channel == "push"
        return MessageLinks(
            report=f"{self._base}/webhooks/push" if reports else "",
            report_token=self._tokens.issue(REPORT, delivery_id, self._report_ttl) if reports else "",
            why=self.why(decision_id),
            preferences=self.preferences(identifier_id, sent_by=channel, language=language),
            one_click=self.one_click(identifier_id, delivery_id, purpose=purpose, channel=channel, language=language),
        )


def _in(language: str) -> str:
    """The part of an address that says in which language its page is wanted; English is where pages begin."""
    short = language.replace("_", "-").split("-", maxsplit=1)[0].lower()
    return f"?lang={short}" if short.isalpha() and short != "en" else ""


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
