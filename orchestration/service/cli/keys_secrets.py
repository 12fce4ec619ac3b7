"""`candor keys secrets · rotate · retire · shred`: the installation's own secrets. No command shows one.

Rotation keeps everything running: nothing sealed is touched, nobody is kept out, and what was cut off goes on when it is called again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json, actor, in_house

if TYPE_CHECKING:
    from audit.keylist import LogKey
    from kernel.removal import Removed, Told
    from orchestration.service.rotation import Rotated, Standing
    from orchestration.wiring import House


class What(StrEnum):
    """What can be rotated."""

    KEK = "kek"
    TOKENS = "tokens"
    INDEX = "index"


def secrets(as_json: Json = False) -> None:
    """Every secret by name, what hangs on it, and which destroyed keys the disk has not forgotten yet."""
    from orchestration.service import rotation

    found = in_house(rotation.standing)
    if as_json:
        output.emit_json(found)
        return
    rows = [(one.name, one.kind, one.state, "" if one.uses is None else one.uses) for one in found.secrets]
    output.table("Secrets", ("name", "kind", "state", "keys under it"), rows)
    output.say(_waiting(found))


def rotate(
    what: Annotated[What, typer.Argument(help="kek (key-encryption key), tokens, or index (the hash that identifiers are found by).")],
    retire_old: Annotated[
        bool, typer.Option("--retire", help="Destroy the old ones at the end. Links under a retired token key stop working.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Make a new secret even though an earlier rotation has not ended.")
    ] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Make a new secret and move everything under it, while work goes on. Cut off, it goes on when called again."""
    from orchestration.service import rotation

    async def work(house: "House") -> "Rotated":
        with _bar("wrapping keys anew" if what is What.KEK else "hashing identifiers anew") as told:
            match what:
                case What.KEK:
                    done = await rotation.rotate_keks(house, actor=actor(), told=told, anew=anew)
                case What.INDEX:
                    done = await rotation.rotate_index(house, actor=actor(), told=told)
                case What.TOKENS:
                    done = await rotation.rotate_tokens(house, actor=actor())
        for name in done.overlap if retire_old else ():
            await rotation.retire(house, name, actor=actor())
        return done

    done = in_house(work)
    if as_json:
        output.emit_json(done)
        return
    anew_words = {What.KEK: f"; {done.done} wrapped anew", What.INDEX: f"; {done.done} hashed anew", What.TOKENS: ""}[
        what
    ]
    output.say(
        f"{done.name} is current{anew_words}."
        if done.begun
        else f"The rotation to {done.name} has ended; {done.done} were left."
    )
    for name in done.overlap:
        output.say(f"{name} is destroyed." if retire_old else f"{name} is kept beside it; end it with: candor keys retire {name}")  # fmt: skip


def retire(name: Annotated[str, typer.Argument(help="Name of a secret, as `candor keys secrets` shows it.")]) -> None:
    """Destroy a secret that was rotated out. What only it could open stays closed in every copy and backup, for ever."""
    from orchestration.service import rotation

    in_house(lambda house: rotation.retire(house, name, actor=actor()))
    output.say(f"{name} is destroyed.")


def log(
    rotate: Annotated[bool, typer.Option("--rotate", help="Sign checkpoints with a new key from now on.")] = False,
    revoke: Annotated[
        int | None, typer.Option(help="Number of a key that somebody else may have: its secret is destroyed, and verifiers are told.")
    ] = None,
    reason: Annotated[str, typer.Option(help="With --revoke: why, in words that everybody may read.")] = "",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The keys that sign the log's checkpoints, and with them every receipt; the last one that holds signs."""
    from kernel.errors import InvalidInput

    if (revoke is None) == bool(reason):
        raise InvalidInput(
            "expected --revoke and --reason together, got one of them",
            code="reason_missing",
            remedy="Say why: whoever verifies an old receipt reads it.",
        )

    async def work(house: "House") -> "dict[int, LogKey]":
        if rotate:
            await house.audit.rotate_key(actor())
        if revoke is not None:
            await house.audit.revoke_key(revoke, reason, actor=actor())
        return await house.audit.keys()

    rows = [(number, one.state, one.key.text, one.at, one.reason) for number, one in in_house(work).items()]
    if as_json:
        output.emit_json(
            [dict(zip(("number", "state", "vkey", "revoked_at", "reason"), row, strict=True)) for row in rows]
        )
    else:
        output.table("Keys of the log", ("number", "state", "key", "revoked", "reason"), rows)


def shred(as_json: Json = False) -> None:
    """Let the disk forget every key that was destroyed: tables, indexes and the write-ahead log. A serving process does it by itself."""
    from orchestration.service import rotation

    async def work(house: "House") -> "Removed":
        with _bar("moving living keys") as told:
            return await rotation.remove(house, actor=actor(), told=told)

    done = in_house(work)
    if as_json:
        output.emit_json(done)
    else:
        output.say(said(done))


def said(done: "Removed") -> str:
    """What a removal did, in words."""
    if done.busy:
        return "Another process is removing destroyed keys right now."
    if done.log is None:
        return "No destroyed key waits."
    log = {
        "cleared": "the write-ahead log let go of everything older.",
        "not_permitted": "the write-ahead log belongs to somebody else: see docs/keys.md.",
        "held_back": "a slot, an archive or wal_keep_size holds older segments of the write-ahead log: see docs/keys.md.",
    }[done.log]
    return f"{done.keys} destroyed keys left the disk; {done.moved} living ones were moved; {log}"


@contextmanager
def _bar(words: str) -> "Iterator[Told]":
    """A bar on stderr, from the first call on."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=output.err, transient=True) as bar:
        task = bar.add_task(words, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _waiting(found: "Standing") -> str:
    last = found.last_removal
    before = (
        f" The last removal ended {last.ended_at:%Y-%m-%d %H:%M} UTC: {last.keys} keys, log {last.log}." if last else ""
    )
    if not found.waiting:
        return f"No destroyed key waits for the disk to forget it.{before}"
    return f"{found.waiting} destroyed keys wait for the disk to forget them, the oldest for {found.waiting_seconds or 0:.0f} s.{before}"
