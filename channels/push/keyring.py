"""Our signing keys: made once, kept while a subscription lives under them (spec channels.A24).

Enters: nothing, or the wish to rotate or retire. Leaves: public halves, and private ones to the signer in memory. A subscription takes messages
signed by the key it was made under and no other, so a new key never replaces an old one: browsers subscribe anew under it at their next
visit, and the old key goes when nobody is left. The private number is sealed under a key of the vault, like every secret.
"""

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels.push import store
from channels.push.errors import UnknownVapidKey, VapidKeyInUse, VapidKeyLost
from channels.push.vapid import VapidKey, private_key, public_of, secret_of
from kernel.db import Conn
from kernel.ids import new_id
from kernel.kernel import Kernel

_TABLE = "channels.vapid_keys"


class Keyring:
    """Keeps the keys. One per process and event loop."""

    def __init__(self, kernel: Kernel, audit: Audit) -> None:
        self._kernel = kernel
        self._audit = audit
        self._opened: dict[str, EllipticCurvePrivateKey] = {}

    async def keys(self) -> list[VapidKey]:
        """Every key, oldest first; the last one is current."""
        async with self._kernel.db.reading() as conn:
            rows = await store.vapid_keys(conn)
        return [VapidKey(row.vapid_id, row.public, row.made_at, row.live, current=row is rows[-1]) for row in rows]

    async def current(self) -> VapidKey:
        """The key that browsers subscribe under now; made when there is none."""
        held = await self.keys()
        return held[-1] if held else await self._make(actor="system", only_first=True)

    async def rotate(self, *, actor: str) -> VapidKey:
        """A new current key. The others go on writing to the subscriptions that were made under them."""
        return await self._make(actor=actor, only_first=False)

    async def retire(self, vapid_id: str, *, actor: str) -> None:
        """Destroy a key that nobody is subscribed under.

        Raises:
            UnknownVapidKey: there is none. VapidKeyInUse: it is current, or subscriptions live under it.
        """
        async with self._kernel.db.transaction() as conn:
            await store.lock_keys(conn)
            rows = await store.vapid_keys(conn)
            found = next((row for row in rows if row.vapid_id == vapid_id), None)
            if found is None:
                raise UnknownVapidKey("expected the id of a signing key, got another")
            if found is rows[-1]:
                raise VapidKeyInUse("expected a signing key that was rotated out, got the current one")
            if not await store.remove_vapid_key(conn, vapid_id):
                raise VapidKeyInUse(f"expected a signing key without subscriptions, got one with {found.live}")
            await self._audit.append(conn, [NewEntry(Tag.VAPID_RETIRED, {"vapid": vapid_id}, {}, actor=actor)])
        self._opened.pop(vapid_id, None)
        await self._kernel.vault.destroy([found.key_id])

    async def private(self, vapid_id: str) -> EllipticCurvePrivateKey:
        """The whole key, opened once.

        Raises:
            UnknownVapidKey: there is none. VapidKeyLost: what seals it is gone.
        """
        if vapid_id not in self._opened:
            async with self._kernel.db.reading() as conn:
                row = await store.vapid_key(conn, vapid_id)
            if row is None:
                raise UnknownVapidKey("expected the signing key of a subscription, got the name of none")
            held = (await self._kernel.vault.unwrap([row.key_id])).get(row.key_id)
            if held is None:
                raise VapidKeyLost(f"expected the key that seals {vapid_id}, got none")
            self._opened[vapid_id] = private_key(held.open(_TABLE, "private", vapid_id, row.private))
        return self._opened[vapid_id]

    async def named(self, conn: Conn, public: str | None) -> VapidKey | None:
        """The key with this public half, the current one when none is named; None for a stranger's."""
        rows = await store.vapid_keys(conn)
        if public is None:
            rows = rows[-1:]
        found = next((row for row in rows if public in {None, row.public}), None)
        return None if found is None else VapidKey(found.vapid_id, found.public, found.made_at, found.live)

    async def _make(self, *, actor: str, only_first: bool) -> VapidKey:
        (key_id,) = await self._kernel.vault.create_keys(1)
        seal = (await self._kernel.vault.unwrap([key_id]))[key_id]
        made = generate_private_key(SECP256R1())
        vapid_id, public = new_id("vpd"), public_of(made)
        async with self._kernel.db.transaction() as conn:
            await store.lock_keys(conn)
            held = await store.vapid_keys(conn)
            if held and only_first:
                row = held[-1]
            else:
                row = store.KeyRow(
                    vapid_id=vapid_id,
                    public=public,
                    key_id=key_id,
                    private=seal.seal(_TABLE, "private", vapid_id, secret_of(made)),
                    made_at=self._kernel.clock.now(),
                )
                await store.add_vapid_key(conn, row)
                await self._audit.append(
                    conn, [NewEntry(Tag.VAPID_MADE, {"vapid": vapid_id}, {"public": public}, actor=actor)]
                )
        if row.key_id != key_id:
            await self._kernel.vault.destroy([key_id])
        return VapidKey(row.vapid_id, row.public, row.made_at, row.live, current=True)
