"""The log: entries newest first by tag, one entry with its proof, the checkpoint that is signed.

Enters: a tag, an entry's id. Leaves: leaves and proofs; what an entry opens to is for officers, and looking at it is an entry itself.
"""

import json
from datetime import datetime
from typing import Annotated, Final, cast

from fastapi import Query

from audit import merkle
from audit.access.principal import Scope
from audit.entries import Redacted
from audit.note import base64_of
from audit.tags import Tag
from kernel import paging
from kernel.canonical import Json
from kernel.errors import NotFound
from orchestration.service.console import words
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, page

SEERS: Final = words.READERS["log"]


@page("/log", "log.html", *SEERS)
async def log(
    desk: AtDesk,
    tag: str = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MOST)] = paging.DEFAULT,
) -> View:
    """Entries, newest first."""
    audit = desk.house.audit
    wanted = words.TAGS.get(tag)
    before = paging.read(cursor, 1)[0] if cursor else None
    cut = paging.cut(
        await audit.entries(tag=wanted, before=before, limit=limit + 1), limit, lambda one: (one.entry_id,)
    )
    size, waiting = await audit.standing()
    return {
        "entries": [_line(one.entry_id, one.tag, one.at, one.leaf_index) for one in cut.items],
        "next": cut.next,
        "tag": wanted.value if wanted else "",
        "tags": sorted(one.value for one in Tag),
        "size": size,
        "waiting": waiting,
        "checkpoint": await _checkpoint(desk),
    }


@page("/log/{entry}", "entry.html", *SEERS)
async def entry(desk: AtDesk, entry: str) -> View:
    """One entry: its leaf, its place, the path to the signed root; for officers also what it says."""
    audit = desk.house.audit
    stored = await audit.entry(entry)
    proven: Json = None
    try:
        found = await audit.inclusion(stored.entry_id)
    except NotFound:  # it still waits for its place
        pass
    else:
        proven = {
            "index": found.leaf_index, "size": found.checkpoint.size, "root": found.checkpoint.root.hex(),
            "leaf_hash": base64_of(merkle.leaf_hash(found.leaf)), "proof": [base64_of(part) for part in found.proof],
            "checkpoint": found.checkpoint.note,
        }  # fmt: skip
    opened: Json = None
    if desk.may(Scope.OFFICER):
        if stored.key_id is not None and stored.tag != Tag.READ_PERSONAL:
            await desk.note({"entry": stored.entry_id}, "entry")
        opened = {
            name: "redacted" if isinstance(value, Redacted) else value
            for name, value in (await audit.open_entry(entry)).items()
        }
    line = _line(stored.entry_id, stored.tag, stored.at, stored.leaf_index)
    actor = opened.get("actor") if isinstance(opened, dict) else None
    name = (await desk.names()).get(actor) if isinstance(actor, str) else None
    return {
        **line,
        "actor_name": name,
        "leaf": cast("Json", json.loads(stored.leaf)),
        "proven": proven,
        "opened": opened,
    }


async def _checkpoint(desk: Desk) -> str | None:
    try:
        return (await desk.house.audit.checkpoint()).note
    except NotFound:  # an empty log
        return None


def _line(entry_id: str, tag: str, at: datetime, index: int | None) -> dict[str, Json]:
    return {"id": entry_id, "tag": tag, "at": at.isoformat(), "index": index}
