"""The kernel as one object: what every room's constructor gets first.

What enters: settings and the rooms' migration folders. What leaves: a ``Kernel`` whose engines run, whose schema is at its
head and whose pools are open; when the block ends everything is closed, and engines we started are stopped.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kernel.cache import Cache
from kernel.clock import Clock, SystemClock
from kernel.db import Database
from kernel.engines import Addresses, Engines
from kernel.errors import Unavailable
from kernel.head import MIGRATIONS, at_head
from kernel.keys import FileKeys, KeyFileRefused
from kernel.removal import Removal
from kernel.settings import KernelSettings
from kernel.tokens import Tokens
from kernel.vault import Vault


@dataclass(frozen=True, slots=True)
class Kernel:
    """Settings, time, the system of record, the hot store, the keys, the tokens. Belongs to one event loop."""

    settings: KernelSettings
    clock: Clock
    db: Database
    keys_db: Database
    cache: Cache
    vault: Vault
    tokens: Tokens
    secrets: FileKeys
    removal: Removal


@asynccontextmanager
async def open_kernel(
    settings: KernelSettings,
    migrations: Sequence[Path] = (),
    *,
    clock: Clock | None = None,
    engines: Engines | None = None,
) -> AsyncIterator[Kernel]:
    """Engines up, schema at its head, pools open.

    ``migrations`` are the folders of the rooms above (the kernel's own comes first by itself). ``engines`` that are given
    are already started and stay the caller's; otherwise they are started here and stopped at the end.

    Raises:
        Unavailable: an engine does not start or answer. A cache that is down is not among them: it is cold, not missing.
        MigrationBroken, UnsafeRole, KeyFileRefused, InsecureAddress: as their names say.
    """
    async with AsyncExitStack() as stack:
        if engines is None:
            engines = Engines(settings)
            await asyncio.to_thread(engines.start)
            stack.callback(engines.stop)
        addresses = engines.addresses()
        await asyncio.to_thread(_migrate, addresses, migrations)
        async with open_at(settings, addresses, clock=clock) as kernel:
            yield kernel


@asynccontextmanager
async def open_at(
    settings: KernelSettings, addresses: Addresses, *, clock: Clock | None = None
) -> AsyncIterator[Kernel]:
    """The same on engines that run and a schema that is there."""
    clock = clock if clock is not None else SystemClock()
    async with AsyncExitStack() as stack:
        db, keys_db = (
            Database(url, name=name, pool_size=settings.pool_size, statement_timeout_ms=settings.statement_timeout_ms)
            for url, name in ((addresses.database, "data"), (addresses.keys, "keys"))
        )
        for database in (db, keys_db):
            stack.push_async_callback(database.close)
            await database.open()
        secrets = await _secrets(settings.secrets_file, keys_db)
        cache = Cache(addresses.redis, timeout_ms=settings.cache_timeout_ms)
        stack.push_async_callback(cache.close)
        vault = Vault(
            keys_db,
            secrets,
            secrets,
            cache_size=settings.key_cache_size,
            cache_seconds=settings.key_cache_seconds,
        )
        stack.push_async_callback(vault.close)
        yield Kernel(
            settings=settings,
            clock=clock,
            db=db,
            keys_db=keys_db,
            cache=cache,
            vault=vault,
            tokens=Tokens(clock, *secrets.token_secrets(), renew=secrets.token_secrets),
            secrets=secrets,
            removal=Removal(keys_db, clock),
        )


def _migrate(addresses: Addresses, migrations: Sequence[Path]) -> None:
    if addresses.owner is None or addresses.keys_owner is None:
        if migrations:
            msg = "expected owner_url and keys_owner_url for the migrations, got none"
            raise Unavailable(
                msg,
                code="owner_url_missing",
                remedy="Give the owner addresses, or run the migrations elsewhere and open without any.",
            )
        return
    for address, folders, schema in (
        (addresses.owner, [MIGRATIONS, *migrations], "kernel"),
        (addresses.keys_owner, [MIGRATIONS / "keys"], "keys"),
    ):
        if not at_head(address, folders, schema=schema):
            from kernel.migrate import (
                migrate,  # Alembic takes most of a second to load, and most starts need none of it
            )

            migrate(address, folders, schema=schema)


async def _secrets(path: Path, keys_db: Database) -> FileKeys:
    """The key file, made on first start; never made anew while there are keys that the old one wrapped."""
    if await asyncio.to_thread(path.exists):
        return FileKeys.load(path)
    async with keys_db.reading() as conn:
        row = await (await conn.execute("SELECT EXISTS (SELECT FROM keys.subject_keys) AS used")).fetchone()
    if row is None or row["used"]:
        msg = f"expected the key file that wrapped the subject keys at {path}, got no file"
        raise KeyFileRefused(msg)
    return FileKeys.create(path)
