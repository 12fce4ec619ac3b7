"""The installation's own secrets: what there is, rotating, retiring, and the removal of destroyed keys. Every act is an entry of the log.

Enters: the house and what to rotate. Leaves: what was done. Everything can be cut off at any place and called again: it goes on where it stopped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.entries import NewEntry
from audit.tags import Tag
from kernel.canonical import Json
from kernel.keys import KeyInUse, Kind, UnknownSecret
from kernel.removal import Removed, Told

if TYPE_CHECKING:
    from kernel.keys_store import Removal
    from orchestration.wiring import House

Progress = Callable[[int, int], None]
"""Called with (done, all) as it goes on."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret by name: never its bytes. `state`: current, overlap (still read, nothing new under it). `uses`: what hangs on it, where that is counted."""

    kind: str
    name: str
    state: str
    uses: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Every secret, what destroyed keys wait for the disk to forget them, and when it last did."""

    secrets: list[Secret]
    waiting: int
    waiting_seconds: float | None
    last_removal: "Removal | None"


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotation that ended. `begun`: it made a new secret (false: it ended one that had been cut off); `done`: what was wrapped or hashed anew."""

    name: str
    begun: bool
    done: int
    overlap: list[str]


async def standing(house: "House") -> Standing:
    """What there is."""
    kernel = house.kernel
    under = await kernel.vault.keks()
    current, tokens = kernel.secrets.token_secrets()
    names = kernel.vault.index_names
    found = [
        *(_secret("key-encryption key", name, kernel.secrets.current, under.get(name, 0)) for name in sorted({*kernel.secrets.names, *under})),
        *(_secret("token key", name, current) for name in tokens),
        *(_secret("index secret", name, names[0]) for name in reversed(names)),
    ]  # fmt: skip
    waiting = await kernel.removal.waiting()
    return Standing(found, waiting.keys, waiting.seconds, await kernel.removal.last())


async def rotate_keks(house: "House", *, actor: str, told: Progress | None = None, anew: bool = False) -> Rotated:
    """A new key-encryption key, and every data key wrapped under it. Words that were sealed stay as they are.

    A rotation that was cut off is ended first, without making yet another one, unless `anew`.
    """
    vault = house.kernel.vault
    under = await vault.keks()
    name = house.kernel.secrets.current
    begun = anew or not set(under) - {name}
    if begun:
        name = await vault.rotate_kek()
        await _note(house, Tag.SECRET_ROTATED, {"kind": "kek", "name": name}, actor)
        under = await vault.keks()
    expected, done = sum(count for kek, count in under.items() if kek != name), 0
    while step := await vault.rewrap():
        done += step
        if told is not None:
            told(done, max(done, expected))
    return Rotated(name, begun, done, [kek for kek in house.kernel.secrets.names if kek != name])


async def rotate_tokens(house: "House", *, actor: str) -> Rotated:
    """A new token key: links that are out go on working until the old one is retired or they expire."""
    return await _add(house, "tok", actor)


async def rotate_index(house: "House", *, actor: str, told: Progress | None = None) -> Rotated:
    """A new secret of the blind index, and every identifier hashed under it too; until the old one is retired both are looked up.

    A rotation that was cut off, or whose old secret was not retired yet, is ended without making yet another one.
    """
    indexing, names = house.identity.indexing, house.kernel.vault.index_names
    begun = len(names) == 1
    if begun:
        while await indexing.clear_other():  # what a retirement that was cut off left in the column that is used next
            continue
        name = house.kernel.secrets.add("idx")
        await _note(house, Tag.SECRET_ROTATED, {"kind": "idx", "name": name}, actor)
    expected, done, after = await indexing.lacking(), 0, ""
    while (step := await indexing.hash_anew(after))[0]:
        after, done = step[0], done + step[1]
        if told is not None:
            told(done, max(done, expected))
    await house.events.index_letters()
    await house.identity.rebuild_index()
    current, *overlap = house.kernel.vault.index_names
    return Rotated(current, begun, done, overlap)


async def retire(house: "House", name: str, *, actor: str) -> None:
    """Destroy a secret that was rotated out.

    Raises:
        UnknownSecret: there never was one of this name. KeyInUse: it is current, or something hangs on it.
    """
    if not house.kernel.secrets.known(name):
        raise UnknownSecret("expected the name of a secret, got another")
    if name.startswith("kek-"):
        await house.kernel.vault.retire_kek(name)
    else:
        index = name.startswith("idx-")
        if index and (left := await house.identity.indexing.lacking()):
            raise KeyInUse(f"expected every identifier under the current index secret, got {left} that are not")
        house.kernel.secrets.remove(name)
        while index and await house.identity.indexing.clear_other():
            continue
    await _note(house, Tag.SECRET_RETIRED, {"name": name}, actor)


async def remove(house: "House", *, actor: str, told: Told | None = None) -> Removed:
    """Let the disk forget every key that was destroyed."""
    done = await house.kernel.removal.run(told)
    if done.log is not None:
        await _note(house, Tag.KEYS_REMOVED, {"keys": done.keys, "moved": done.moved, "log": str(done.log)}, actor)
    return done


def _secret(kind: str, name: str, current: str, uses: int | None = None) -> Secret:
    return Secret(kind, name, "current" if name == current else "overlap", uses)


async def _add(house: "House", kind: Kind, actor: str) -> Rotated:
    name = house.kernel.secrets.add(kind)
    await _note(house, Tag.SECRET_ROTATED, {"kind": kind, "name": name}, actor)
    return Rotated(name, True, 0, [one for one in house.kernel.secrets.token_secrets()[1] if one != name])


async def _note(house: "House", tag: Tag, facts: Mapping[str, Json], actor: str) -> None:
    async with house.kernel.db.transaction() as conn:
        await house.audit.append(conn, [NewEntry(tag, {}, facts, actor=actor)])
