"""The engines Candor stands on: embedded ones that it starts, adopts and stops, or external ones by URL.

What enters: ``KernelSettings``. What leaves: ``Addresses`` of running engines, and a ``stop`` that ends only what we started.
"""

from dataclasses import dataclass
from typing import Self

from kernel.engines.postgres import APP, DATABASE, KEYS_DATABASE, OWNER, EmbeddedPostgres
from kernel.engines.process import EngineFailed
from kernel.engines.remote import check_postgres, check_redis
from kernel.engines.valkey import EmbeddedValkey
from kernel.errors import InvalidInput
from kernel.settings import KernelSettings

__all__ = ["Addresses", "EmbeddedPostgres", "EmbeddedValkey", "EngineFailed", "EngineStatus", "Engines"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the engines answer. The owner addresses are for migrations; None when an external one was not given."""

    database: str
    keys: str
    redis: str
    owner: str | None
    keys_owner: str | None

    def __repr__(self) -> str:
        return "Addresses(…)"  # URLs hold passwords


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What ``candor doctor`` tells of one engine."""

    name: str
    embedded: bool
    running: bool
    pid: int | None
    where: str


class Engines:
    """The engines of one data folder. Methods block; call them before the event loop or through ``asyncio.to_thread``."""

    def __init__(self, settings: KernelSettings) -> None:
        self._settings = settings
        given = (settings.database_url, settings.keys_database_url)
        if (given[0] is None) != (given[1] is None):
            msg = "expected database_url and keys_database_url together, got only one of them"
            raise InvalidInput(
                msg,
                code="half_external",
                remedy="Give both; wrapped keys live in a database of their own, so that data dumps never carry them.",
            )
        self.postgres = EmbeddedPostgres(settings.data_dir / "postgres") if given[0] is None else None
        self.valkey = EmbeddedValkey(settings.data_dir / "valkey") if settings.redis_url is None else None

    def start(self) -> Self:
        """Check external addresses, start or adopt the embedded engines; on failure stop what was started."""
        self.addresses()
        try:
            if self.postgres is not None:
                self.postgres.start()
            if self.valkey is not None:
                self.valkey.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what this object started, unless another process uses it."""
        if self.valkey is not None:
            self.valkey.stop()
        if self.postgres is not None:
            self.postgres.stop()

    def addresses(self) -> Addresses:
        """Where the engines answer; external addresses are checked for TLS first."""
        settings = self._settings
        if settings.redis_url is not None:
            redis = settings.redis_url.get_secret_value()
            check_redis(redis)
        else:
            redis = self.valkey.url() if self.valkey is not None else ""
        if self.postgres is not None:
            local = self.postgres
            return Addresses(
                database=local.url(DATABASE, APP),
                keys=local.url(KEYS_DATABASE, APP),
                redis=redis,
                owner=local.url(DATABASE, OWNER),
                keys_owner=local.url(KEYS_DATABASE, OWNER),
            )
        fields = (settings.database_url, settings.keys_database_url, settings.owner_url, settings.keys_owner_url)
        database, keys, owner, keys_owner = (None if field is None else field.get_secret_value() for field in fields)
        for url in (database, keys, owner, keys_owner):
            if url is not None:
                check_postgres(url)
        return Addresses(database=database or "", keys=keys or "", redis=redis, owner=owner, keys_owner=keys_owner)

    def status(self) -> list[EngineStatus]:
        """What runs; reads only, starts nothing."""
        found = []
        for name, engine in (("postgres", self.postgres), ("valkey", self.valkey)):
            if engine is None:
                found.append(EngineStatus(name, embedded=False, running=True, pid=None, where="external"))
            else:
                pid = engine.pid()
                found.append(
                    EngineStatus(name, embedded=True, running=pid is not None, pid=pid, where=str(engine.folder))
                )
        return found
