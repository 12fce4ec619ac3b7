"""Models as files named by digest beside rows that say which one rules.

Enters: model bytes. Leaves: `ActiveModel` for decision, within a second of a promotion or rollback in any process; a broken or missing file is a
fallback with a name and a line in `faults`, never an exception on the path (decision.D11, D39).
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from kernel.kernel import Kernel
from kernel.log import get_logger
from kernel.looking import Looking
from orchestration.decision.models import ActiveModel
from orchestration.learning import store
from orchestration.learning.errors import ModelBroken, UnknownModel
from orchestration.learning.gbm import GbmModel

_LOOK_AGAIN: Final = 0.5  # seconds; a rollback rules everywhere within one
_MOST_LOADED: Final = 32

_log = get_logger("learning.registry")


class Registry:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.folder = kernel.settings.data_dir / "models"
        self._loaded: OrderedDict[str, GbmModel] = OrderedDict()
        self._broken: dict[str, tuple[float, str]] = {}
        self._active: dict[str, str | None] = {}
        self._looking = Looking(_LOOK_AGAIN)

    def path(self, digest: str) -> Path:
        """The file of a model."""
        return self.folder / f"{digest.removeprefix('sha256:')}.json"

    def keep(self, content: bytes) -> str:
        """Write a model's file; its digest. Writing the same bytes again changes nothing."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        store.write_file(self.path(digest), content)
        return digest

    async def active(self, placement: str) -> ActiveModel:
        """What scores a placement now; the rules, by name, when there is none or its file cannot be used."""
        if self._looking.due:
            with self._looking.look():
                async with self._kernel.db.reading() as conn:
                    self._active = await store.active(conn)
        digest = self._active.get(placement)
        if digest is None:
            return ActiveModel(None, "no_model")
        try:
            return ActiveModel(await self.model(digest))
        except ModelBroken as fault:
            return ActiveModel(None, fault.code)

    def forget(self) -> None:
        """Look again at the next decision."""
        self._looking.forget()

    async def model(self, digest: str) -> GbmModel:
        """A model by digest, from memory or its file.

        Raises:
            UnknownModel: none is registered under it. ModelBroken: its file is missing or altered.
        """
        found = self._loaded.get(digest)
        if found is not None:
            self._loaded.move_to_end(digest)
            return found
        failed = self._broken.get(digest)
        if failed is not None and time.monotonic() - failed[0] < _LOOK_AGAIN:
            raise ModelBroken(failed[1])
        try:
            found = await asyncio.to_thread(self._load, digest)
        except ModelBroken as fault:
            self._broken[digest] = (time.monotonic(), fault.message)
            _log.error("model_broken", digest=digest, remedy=fault.remedy)
            if not self.path(digest).exists() and await self._unknown(digest):
                raise UnknownModel("expected the digest of a registered model, got another") from None
            raise
        self._broken.pop(digest, None)
        self._loaded[digest] = found
        if len(self._loaded) > _MOST_LOADED:
            self._loaded.popitem(last=False)
        return found

    async def faults(self) -> list[str]:
        """Models that rule and whose file cannot be used, each with its remedy. `Unavailable` without Postgres."""
        async with self._kernel.db.reading() as conn:
            ruling = await store.active(conn)
        found: list[str] = []
        for placement, digest in ruling.items():
            if digest is None:
                continue
            try:
                await asyncio.to_thread(self._load, digest)
            except ModelBroken as fault:
                found.append(f"placement {placement} is ranked by rules: {fault}")
        return found

    def _load(self, digest: str) -> GbmModel:
        path = self.path(digest)
        try:
            content = path.read_bytes()
        except OSError as fault:
            raise ModelBroken(f"expected the file of model {digest[:19]}…, got {fault.strerror}") from None
        # The digest first: LightGBM is never handed bytes that nobody vouched for.
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise ModelBroken(f"expected the bytes that {digest[:19]}… names, got an altered file")
        return GbmModel(content)

    async def _unknown(self, digest: str) -> bool:
        async with self._kernel.db.reading() as conn:
            return await store.model(conn, digest) is None
