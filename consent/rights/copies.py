"""Copies of the keys database: each still holds the wrapped keys of people who were erased since, so each has a day on which it goes (consent.D12).

What enters: where a copy lies and when it was made. What leaves: on its day a file of this machine is overwritten, removed and looked for; one that lies elsewhere is staff's to remove and to say so.
A copy that only destroyed key-encryption keys open is done with at once. Each end is an entry of the log, with how it came about: that is the proof. Under the path of a copy a newer file may lie by
then: it is known by its digest and left alone.
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.errors import CopyInvalid, CopyNotFound
from consent.rights import copies_store as rows
from consent.rights.copies_store import Copy
from kernel.canonical import Json
from kernel.db import Conn
from kernel.durable import sync_folder
from kernel.ids import new_id
from kernel.kernel import Kernel
from kernel.log import get_logger

_PART: Final = 1 << 20
_log = get_logger("consent.copies")


class How(StrEnum):
    """How a copy came to be no copy any more."""

    OVERWRITTEN = "overwritten"  # we wrote zeros over it, removed it and did not find it any more
    ABSENT = "absent"  # what we noted does not lie there any more
    TOLD = "told"  # it lay elsewhere; staff say that it is gone
    UNOPENABLE = "unopenable"  # every key-encryption key that opens it was destroyed


@dataclass(frozen=True, slots=True)
class Left:
    """Copies that hold the keys of somebody who is erased now: how many, and the day on which the last one goes."""

    copies: int
    until: date | None


class Copies:
    """Stands at ``Rights.copies``. ``most_days``: no copy is kept longer."""

    def __init__(self, kernel: Kernel, audit: Audit, most_days: int) -> None:
        self._kernel = kernel
        self._audit = audit
        self._most = most_days

    async def note(
        self, place: str, *, actor: str, here: bool = True, made_at: datetime | None = None, days: int | None = None
    ) -> Copy:
        """Note a copy; the day on which it goes is at most ``most_days`` after it was made.

        Raises:
            CopyInvalid: no such file, a day that is later, one of the future.
        """
        now = self._kernel.clock.now()
        made, kept = made_at or now, self._most if days is None else days
        if not 0 <= kept <= self._most:
            raise CopyInvalid(f"expected at most {self._most} days, got {kept}")
        if made > now:
            raise CopyInvalid("expected a copy that was made already, got one of later")
        if not place.strip():
            raise CopyInvalid("expected where the copy lies, got nothing")
        where, digest = await asyncio.to_thread(_look, place) if here else (place.strip(), None)
        if here and digest is None:
            raise CopyInvalid("expected a file of this machine that can be read, got none there")
        keks = (
            self._kernel.secrets.names
        )  # whichever of those that live it needs: one that is gone already opens nothing
        one = Copy(new_id("kbk"), where, here, digest, keks, made, made.date() + timedelta(days=kept), actor)
        async with self._kernel.db.transaction() as conn:
            await rows.insert(conn, one)
            facts: dict[str, Json] = {
                "made_at": made.isoformat(),
                "purge_on": one.purge_on.isoformat(),
                "digest": digest,
            }
            await self._note(conn, Tag.KEY_COPY_NOTED, one, facts, actor)
        return one

    async def tell_gone(self, name: str, *, actor: str) -> None:
        """Staff removed one that lies elsewhere.

        Raises:
            CopyNotFound: none of this id stands. CopyInvalid: it lies on this machine, so the day's run looks itself.
        """
        one = next((one for one in await self.listed(standing=True) if one.id == name), None)
        if one is None:
            raise CopyNotFound("expected the id of a copy that stands, got another")
        if one.here and await asyncio.to_thread(_digest, Path(one.place)) == one.digest:
            raise CopyInvalid("expected a copy that is gone, got one that lies there still")
        await self._end(one, How.ABSENT if one.here else How.TOLD, actor)

    async def listed(self, *, standing: bool = False) -> list[Copy]:
        """All of them, or those that are not gone, the first to go first."""
        async with self._kernel.db.reading() as conn:
            return await rows.listed(conn, standing=standing)

    async def purge(self, *, actor: str = "system:copies") -> list[Copy]:
        """End those whose day has come or whom nothing opens any more; those that ended."""
        today = self._kernel.clock.now().date()
        found = await self.listed(standing=True)
        ended = []
        for one in found:
            how = await self._over(one, due=one.purge_on <= today)
            if how is not None and await self._end(one, how, actor):
                ended.append(one)
        return ended

    async def overdue(self) -> list[Copy]:
        """Those that should be gone and are not: nobody said so, the file cannot be removed, or it lies there again."""
        today = self._kernel.clock.now().date()
        late = []
        for one in await self.listed():
            if one.purged_at is None:
                late += [one] if one.purge_on < today else []
            elif one.how == How.OVERWRITTEN and await asyncio.to_thread(_digest, Path(one.place)) == one.digest:
                late.append(one)  # put back from somewhere
        return late

    async def left(self, conn: Conn, before: datetime) -> Left:
        """Which copies made before a moment still stand."""
        held = [one for one in await rows.listed(conn, standing=True) if one.made_at <= before]
        return Left(len(held), max((one.purge_on for one in held), default=None))

    async def _over(self, one: Copy, *, due: bool) -> How | None:
        if one.keks and not set(one.keks) & set(self._kernel.secrets.names):
            return How.UNOPENABLE
        if not due or not one.here:
            return None
        assert one.digest is not None, "a file of this machine was read when it was noted"
        try:
            return await asyncio.to_thread(_remove, Path(one.place), one.digest)
        except OSError as fault:
            _log.error("key_copy_stays", copy=one.id, code=type(fault).__name__)
            return None

    async def _end(self, one: Copy, how: How, actor: str) -> bool:
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            if not await rows.gone(conn, one.id, now, actor, how):
                return False
            facts: dict[str, Json] = {
                "how": how, "made_at": one.made_at.isoformat(), "purge_on": one.purge_on.isoformat(), "digest": one.digest,
                "late_days": max(0, (now.date() - one.purge_on).days),
            }  # fmt: skip
            await self._note(conn, Tag.KEY_COPY_GONE, one, facts, actor)
        return True

    async def _note(self, conn: Conn, tag: Tag, one: Copy, facts: dict[str, Json], actor: str) -> None:
        await self._audit.append(conn, [NewEntry(tag, {"key_copy": one.id}, facts, actor=actor)])


def _look(place: str) -> tuple[str, str | None]:
    """Where a file lies, whatever folder is looked from, and its digest."""
    path = Path(place).absolute()
    return str(path), _digest(path)


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, None where none can be read."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()


def _remove(path: Path, digest: str) -> How:
    """Write zeros over the file, remove it, look whether it is gone. Another file under the same name stays."""
    if _digest(path) != digest:
        return How.ABSENT
    with path.open("r+b") as file:
        left = file.seek(0, os.SEEK_END)
        file.seek(0)
        while left:
            left -= file.write(bytes(min(left, _PART)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync_folder(path.parent)
    if path.exists():
        raise FileExistsError
    return How.OVERWRITTEN
