"""Routes of the log. Checkpoint and hash tiles are public, so that anyone can watch the log; leaves and proofs need auditor.

Enters: indexes and paths. Leaves: text and bytes as C2SP has them, and JSON. Full tiles never change and are cached for
ever; a checkpoint is not cached at all.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict

from audit import merkle, tiles
from audit.access.endpoints import Guard, needs
from audit.access.principal import Principal, Scope
from audit.errors import EntryNotFound
from audit.note import base64_of
from audit.service import Audit

router = APIRouter(prefix="/audit", tags=["audit"])
_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_auditor = Guard(Scope.AUDITOR)


class EntryView(BaseModel):
    """A leaf and its place; no openings, an auditor proves without reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    entry_id: str
    index: int
    leaf: str


class InclusionView(BaseModel):
    """The proof of one leaf, hashes in base64 from the leaf's sibling up."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    index: int
    size: int
    leaf_hash: str
    proof: list[str]
    checkpoint: str


class ConsistencyView(BaseModel):
    """The proof that one tree extends another."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size1: int
    size2: int
    proof: list[str]


@router.get("/checkpoint", response_class=PlainTextResponse)
async def checkpoint(request: Request) -> Response:
    """The checkpoint last published: a signed note."""
    shown = await _audit(request).checkpoint()
    return PlainTextResponse(shown.note, headers={"Cache-Control": "no-cache"})


@router.get("/keys", response_class=PlainTextResponse)
async def keys(request: Request) -> Response:
    """Every key of the log and whether it holds: a signed note."""
    return PlainTextResponse(await _audit(request).key_list(), headers={"Cache-Control": "no-cache"})


@router.get("/tile/{path:path}", response_class=Response)
async def tile(request: Request, path: str) -> Response:
    """A tile as C2SP tlog-tiles names it. Entry bundles (`entries/…`) need the scope auditor."""
    name = tiles.parse_path(f"tile/{path}")
    if name is not None and name.level is None:
        await _auditor(request)
    data = None if name is None else await _audit(request).tile(name)
    if data is None:
        raise EntryNotFound("expected the path of a published tile, got another", code="tile_not_found")
    return Response(data, media_type="application/octet-stream", headers=_IMMUTABLE)


@router.get("/entries/{index}")
async def entry(
    request: Request, index: Annotated[int, Path(ge=0, lt=2**63)], _principal: Principal = needs("auditor")
) -> EntryView:
    """The leaf at a place of the tree."""
    stored = await _audit(request).entry_at(index)
    return EntryView(entry_id=stored.entry_id, index=index, leaf=stored.leaf.decode())


@router.get("/proof/inclusion/{index}")
async def inclusion(
    request: Request, index: Annotated[int, Path(ge=0, lt=2**63)], _principal: Principal = needs("auditor")
) -> InclusionView:
    """The proof of the leaf at a place, under the published checkpoint."""
    stored = await _audit(request).entry_at(index)
    proven = await _audit(request).inclusion(stored.entry_id)
    return InclusionView(
        index=proven.leaf_index,
        size=proven.checkpoint.size,
        leaf_hash=base64_of(merkle.leaf_hash(proven.leaf)),
        proof=[base64_of(part) for part in proven.proof],
        checkpoint=proven.checkpoint.note,
    )


@router.get("/proof/consistency")
async def consistency(
    request: Request,
    size1: Annotated[int, Query(ge=1, lt=2**63)],
    size2: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    _principal: Principal = needs("auditor"),
) -> ConsistencyView:
    """The proof that the tree at `size2` (published by default) extends the tree at `size1`."""
    reached, proof = await _audit(request).consistency(size1, size2)
    return ConsistencyView(size1=size1, size2=reached, proof=[base64_of(part) for part in proof])


def _audit(request: Request) -> Audit:
    return cast("Audit", request.app.state.house.audit)
