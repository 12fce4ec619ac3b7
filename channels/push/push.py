"""The push channel put together: keys, signer, connector, subscriptions. Enters: the kernel, the rooms below, the section. Leaves: its parts."""

from collections.abc import Sequence
from datetime import timedelta

from audit.service import Audit
from channels.push import store
from channels.push.answers import VAPID_REFUSED
from channels.push.connector import PushConnector
from channels.push.keyring import Keyring
from channels.push.settings import PushSettings
from channels.push.subscriptions import Subscriptions
from channels.push.vapid import Signer
from consent.service import Consent
from events.service import Events
from identity.service import Identity
from kernel.kernel import Kernel
from profiles.service import Profiles


class Push:
    """One per process and event loop. Without a subject in the settings there is no connector, and nobody can subscribe."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, events: Events, profiles: Profiles,
        settings: PushSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self.settings = settings
        self.keyring = Keyring(kernel, audit)
        self.subscriptions = Subscriptions(kernel, audit, identity, consent, events, profiles, self.keyring, settings)
        self.connectors: Sequence[PushConnector] = ()
        if settings.subject is not None:
            signer = Signer(
                kernel.clock,
                settings.subject,
                self.keyring.private,
                lasts=timedelta(hours=settings.token_hours),
                reused=timedelta(hours=settings.token_reuse_hours),
            )
            self.connectors = (PushConnector(kernel.clock, settings, signer),)

    @property
    def on(self) -> bool:
        """Whether browsers may subscribe."""
        return bool(self.connectors)

    async def refused(self) -> int:
        """Pushes of the last day that push services refused for our signature; their subscriptions stay."""
        since = self._kernel.clock.now() - timedelta(days=1)
        async with self._kernel.db.reading() as conn:
            return await store.refused_since(conn, VAPID_REFUSED, since)

    async def close(self) -> None:
        """End what the connector keeps open."""
        for one in self.connectors:
            await one.close()
