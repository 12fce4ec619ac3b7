"""Routes of decisions, sends and published content.

Enters: HTTP with a key of the scope named at the route. Leaves: JSON as CONTRACTS.md has it; a "no" is an answer with a reason, an accident a problem. The
house is found at `request.app.state.house`. `/content` is public and immutable: an edge cache may serve it for ever.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Self, cast

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from audit.access import asking, cors
from audit.access.endpoints import needs
from audit.access.principal import Principal
from audit.entries import NewEntry
from audit.service import Audit, LineageEntry
from audit.tags import Tag
from channels.service import Channels
from identity.identifiers import Identifier
from kernel import metrics
from kernel.canonical import Json, canonical
from kernel.errors import NotFound
from kernel.ids import is_id
from kernel.kernel import Kernel
from orchestration.decision import item_store, store
from orchestration.decision.counterfactual import Change
from orchestration.decision.errors import UnknownDecision
from orchestration.decision.request import Decision, DecisionRequest, Replay
from orchestration.decision.service import Decisions
from orchestration.decision.slate import Slate
from orchestration.decision.variants import name_parts

router = APIRouter(tags=["decisions"])
_MOST_PLACEMENTS = 20  # of one page
_LONGEST_TRIGGER = 200  # a name, kept in clear beside the sealed record


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Subject(_Body):
    """Whom it is about: `person` ("per_…" or "kind:value"), or `identifiers` by kind."""

    person: Annotated[str, Field(min_length=3, max_length=512)] | None = None
    identifiers: dict[str, Annotated[str, Field(min_length=1, max_length=512)]] = {}
    context: dict[str, Any] = {}
    channels: Annotated[list[str], Field(max_length=10)] | None = None
    dry_run: bool = False

    def about(self) -> dict[str, Any]:
        """The parts that every request shares."""
        return {
            "person": self.person,
            "identifiers": tuple(Identifier(kind, value) for kind, value in self.identifiers.items()),
            "context": self.context,
            "channels": None if self.channels is None else frozenset(self.channels),
            "dry_run": self.dry_run,
        }


class DecideBody(Subject):
    """One `placement`, or several `placements` of one page: no variant or item twice, no category or brand beyond its share."""

    placement: str | None = None
    placements: Annotated[list[str], Field(max_length=_MOST_PLACEMENTS)] = []
    trigger: Annotated[str, Field(max_length=_LONGEST_TRIGGER)] | None = None
    seed: Annotated[str, Field(max_length=128)] | None = None

    @property
    def names(self) -> list[str]:
        """Where to decide."""
        return self.placements or [self.placement or ""]

    @property
    def acts(self) -> list[str]:
        """The decisions asked for, by names of their own: a placement that is named twice is two of them."""
        names = self.names
        return [f"decision:{name}" + (f"#{at}" if name in names[:at] else "") for at, name in enumerate(names)]

    @model_validator(mode="after")
    def _one_of(self) -> "DecideBody":
        if (self.placement is None) == (not self.placements):
            msg = "expected exactly one of placement and placements"
            raise ValueError(msg)
        if self.seed is not None and not self.dry_run:  # whoever chooses the draw chooses the arm
            msg = "expected a seed with dry_run only"
            raise ValueError(msg)
        return self


class SendBody(Subject):
    """A message to queue, if one may leave."""

    placement: str
    trigger: Annotated[str, Field(max_length=_LONGEST_TRIGGER)]
    deliver_after: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None


class ChangeBody(_Body):
    """What would have been otherwise; at least one of these."""

    withdraw: Annotated[str, Field(max_length=200, description="A purpose taken back, perhaps `purpose|channel`.")] | None = None  # fmt: skip
    without: Annotated[list[str], Field(max_length=500, description="Features done without.")] = []
    features: dict[str, float] = Field(default={}, description="Other values of features.")
    context: dict[str, Any] = Field(default={}, description="Merged into the request's context.")
    exclude: Annotated[list[str], Field(max_length=500, description="Candidates that may not be chosen.")] = []
    ranker: Annotated[str, Field(pattern=r"^(rules|sha256:[0-9a-f]{64})$")] | None = None
    seed: Annotated[str, Field(max_length=128)] | None = None

    @model_validator(mode="after")
    def _something(self) -> "ChangeBody":
        if not self.model_fields_set:
            msg = "expected a change, got none"
            raise ValueError(msg)
        return self


Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=asking.LONGEST,
        description="Names this asking, for whoever never hears the answer: the same key with the same body is answered with what was decided first.",
    ),
]


class _House:
    """The services these routes use, as the app holds them."""

    def __init__(self, request: Request) -> None:
        self._hold(request.app.state.house)

    @classmethod
    def of(cls, house: Any) -> Self:
        """The same where the house is at hand."""
        made = cls.__new__(cls)
        made._hold(house)  # noqa: SLF001 - its own
        return made

    def _hold(self, house: Any) -> None:
        self.kernel = cast("Kernel", house.kernel)
        self.audit = cast("Audit", house.audit)
        self.channels = cast("Channels", house.channels)
        self.decisions = cast("Decisions", house.decisions)

    def asked(self, key: str | None, principal: Principal, what: str, body: _Body) -> asking.Asked | None:
        """The asking that an Idempotency-Key names."""
        content = body.model_dump(mode="json") if key is not None else None
        return asking.asked(self.kernel.vault, key, actor=principal.actor, what=what, content=content)

    def links(self, decision_id: str) -> dict[str, Json]:
        """Where a person reads why, where an auditor gets the proof."""
        base = self.kernel.settings.base_url.rstrip("/")
        return {
            "why_url": self.channels.links.why(cast("Any", decision_id)),
            "receipt_url": f"{base}/v1/decisions/{decision_id}/receipt",
        }


@router.post("/v1/decisions")
async def decide(
    request: Request,
    response: Response,
    body: DecideBody,
    principal: Principal = needs("decide"),
    idempotency_key: Key = None,
) -> dict[str, Json]:
    """Choose content and channel for a person; nothing is queued."""
    house = _House(request)
    asked = [house.asked(idempotency_key, principal, one, body) for one in body.acts]
    answer, repeated = await decided(request.app.state.house, body, principal, asked)
    if repeated:
        response.headers["Idempotent-Replay"] = "true"
    return answer


async def decided(
    house: Any, body: DecideBody, principal: Principal, asked: Sequence[asking.Asked | None]
) -> tuple[dict[str, Json], bool]:
    """The answer to a body that was understood, and whether a part of it was given before. `asked` has one for each placement."""
    rooms = _House.of(house)
    made: list[dict[str, Json]] = []
    repeated = False
    slate: Slate | None = None
    for placement, one in zip(body.names, asked, strict=True):
        if slate is None and body.placements:
            shelved = await rooms.decisions.shelf.current()
            slate = Slate(len(body.placements), shelved.catalogue.page, shelved.kind)
        wish = DecisionRequest(
            placement=placement, trigger=body.trigger, seed=body.seed, actor=principal.actor, asked=one,
            beside=slate.beside() if slate is not None else None, **body.about(),
        )  # fmt: skip
        chosen = await rooms.decisions.decide(wish)
        if slate is not None:
            slate.add(chosen.variant)
        repeated = repeated or chosen.repeated
        with metrics.stage("render"):
            made.append(await _answer(rooms, chosen))
    return ({"decisions": list[Json](made)} if body.placements else made[0]), repeated


@router.post("/v1/sends")
async def send(
    request: Request,
    response: Response,
    body: SendBody,
    principal: Principal = needs("send"),
    idempotency_key: Key = None,
) -> dict[str, Json]:
    """Choose, and queue the message in the same commit; `{withheld: reason}` when none may or should leave.

    Whoever may ask twice, because an answer was lost, sends an Idempotency-Key: one message at most leaves for it.
    """
    house = _House(request)
    asked = DecisionRequest(
        placement=body.placement, trigger=body.trigger, deliver_after=body.deliver_after, expires_at=body.expires_at,
        send=True, actor=principal.actor, asked=house.asked(idempotency_key, principal, "send", body), **body.about(),
    )  # fmt: skip
    made = await house.decisions.decide(asked)
    _say_repeated(response, made)
    told: dict[str, Json] = {"decision_id": made.decision_id} | (house.links(made.decision_id) if made.entry_id else {})
    if made.delivery_id is not None:
        return {"delivery_id": made.delivery_id, **told}
    if made.dry_run and not made.nothing:
        return {"would_send": made.choice, **told}
    return {"withheld": made.withheld or "nothing_was_better", **told}


@router.get("/v1/decisions/{decision_id}")
async def show(
    request: Request, decision_id: str, principal: Principal = needs("decide", "officer", "auditor")
) -> dict[str, Json]:
    """The record of a decision: every candidate with its one rejection or its score, the exact probabilities, the versions."""
    house = _House(request)
    await _note_reading(house, decision_id, principal, "decision")
    return {**await house.decisions.show(decision_id), **house.links(decision_id)}


@router.post("/v1/decisions/{decision_id}/replay")
async def replay(
    request: Request, decision_id: str, principal: Principal = needs("officer", "auditor", "operate")
) -> dict[str, Json]:
    """Decide again from the stored inputs and compare the bytes."""
    return _replayed(await _House(request).decisions.replay(decision_id, actor=principal.actor))


@router.post("/v1/decisions/{decision_id}/counterfactual")
async def counterfactual(
    request: Request, decision_id: str, body: ChangeBody, principal: Principal = needs("officer", "auditor", "operate")
) -> dict[str, Json]:
    """What would have been decided under a change. Nothing is reserved, counted, learned from or kept as a decision; the reading is noted."""
    house = _House(request)
    await _note_reading(house, decision_id, principal, "counterfactual")
    change = Change(
        withdraw=body.withdraw, without=tuple(body.without), features=body.features, context=body.context,
        exclude=tuple(body.exclude), ranker=body.ranker, seed=body.seed,
    )  # fmt: skip
    return (await house.decisions.counterfactual.ask(decision_id, change)).to_json()


@router.get("/v1/decisions/{decision_id}/receipt")
async def receipt(request: Request, decision_id: str, principal: Principal = needs("officer", "auditor")) -> Response:
    """The file that proves offline what the decision rested on; `candor verify` checks it."""
    house = _House(request)
    await _note_reading(house, decision_id, principal, "receipt")
    await house.audit.sequence()
    made = await house.decisions.receipt(decision_id)
    name = f'attachment; filename="{decision_id}.receipt.json"'
    return Response(made.text, media_type="application/json", headers={"Content-Disposition": name})


@router.get("/v1/decisions/{decision_id}/lineage")
async def lineage(
    request: Request, decision_id: str, principal: Principal = needs("officer", "auditor")
) -> dict[str, Json]:
    """The acts that the decision rests on and that rest on it, both directions."""
    house = _House(request)
    await _note_reading(house, decision_id, principal, "lineage")
    return {"entries": [_entry(one) for one in await house.audit.lineage([("decision", decision_id)])]}


@router.get("/content/{placement}/variant-{variant}.json")
async def content(request: Request, placement: str, variant: str) -> Response:
    """A published variant, as words with their slots; the same bytes for ever."""
    house = _House(request)
    shelved = await house.decisions.shelf.current()
    place, (family, item) = shelved.catalogue.placement(placement), name_parts(variant)
    filled = item is not None and family in {rule.template for rule in place.sources}
    if not filled and not (item is None and shelved.offers(place, variant)):
        raise NotFound("expected a variant that this placement publishes, got another", code="unknown_variant")
    async with house.kernel.db.reading() as conn:
        found = await (store.words(conn, variant) if item is None else item_store.content(conn, variant))
    if found is None:
        raise NotFound("expected a published variant, got one that is not", code="unknown_variant")
    digest, words = found
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{digest.removeprefix("sha256:")}"',
        **cors.PUBLIC,
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(canonical(words), media_type="application/json", headers=headers)


async def _answer(house: _House, made: Decision) -> dict[str, Json]:
    shelved = await house.decisions.shelf.known()
    arm = made.outcome.arm
    words = shelved.words(made.variant) if made.variant else None
    listed = {"item": arm.item, "source": arm.source, "section": arm.section} if arm is not None and arm.item else {}
    return {
        "decision_id": made.decision_id,
        "placement": made.placement,
        "choice": made.choice,
        "variant": made.variant,
        "channel": made.channel,
        "content": words,
        **listed,
        "propensity": made.propensity,
        "withheld": made.withheld,
        "expires_at": made.expires_at.isoformat(),
        **(house.links(made.decision_id) if made.entry_id else {"dry_run": True}),
    }


def _say_repeated(response: Response, made: Decision) -> None:
    if made.repeated:
        response.headers["Idempotent-Replay"] = "true"


async def _note_reading(house: _House, decision_id: str, principal: Principal, what: str) -> None:
    """Looking at a person's decision is an act of its own."""
    if not is_id(decision_id, "dec"):
        raise UnknownDecision("expected the id of a decision (dec_…), got something else")
    row = await house.decisions.row(decision_id)
    entry = NewEntry(Tag.READ_PERSONAL, {"decision": row.id}, {"what": what}, key_id=row.key_id, actor=principal.actor)
    async with house.kernel.db.transaction() as conn:
        await house.audit.append(conn, [entry])


def _replayed(made: Replay) -> dict[str, Json]:
    return {
        "decision_id": made.decision_id, "status": made.status, "recorded": made.recorded, "replayed": made.replayed,
        "entry_id": made.entry_id,
    }  # fmt: skip


def _entry(one: LineageEntry) -> dict[str, Json]:
    return {
        "entry_id": one.entry_id, "tag": one.tag, "at": one.at.isoformat(), "leaf_index": one.leaf_index,
        "refs": {kind: list(refs) for kind, refs in one.refs.items()},
    }  # fmt: skip
