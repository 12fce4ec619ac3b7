"""Models and their cards (spec explain.E1): what each was trained on, what it looks at, how well it foretells, who let it rule, and what it is not for.

Enters: nothing, or a model's digest. Leaves: figures of the registry and of the gate; never a person.
"""

import re
from typing import Any, Final, cast

from kernel.canonical import Json
from orchestration.learning.card import card
from orchestration.learning.errors import UnknownModel
from orchestration.service.console import words
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, page
from orchestration.service.console.why import concept

READERS: Final = words.READERS["models"]
_HEX: Final = re.compile(r"[0-9a-f]{6,64}")


@page("/models", "models.html", *READERS)
async def models(desk: AtDesk) -> View:
    """Every model, and which rule."""
    rows: list[Json] = []
    for one in await desk.house.learning.status():
        judged = cast("dict[str, Any]", one["evaluation"])
        rows.append({
            **{name: one[name] for name in ("digest", "placement", "rows", "trained_at", "active")}, "name": _name(one["digest"]),
            "decision": judged.get("decision"), "refused": bool(judged.get("refused")), "reason": judged.get("reason"),
        })  # fmt: skip
    return {"models": rows}


@page("/models/{model}", "model.html", *READERS)
async def model(desk: AtDesk, model: str) -> View:
    """The card of one."""
    if _HEX.fullmatch(model) is None:
        raise UnknownModel("expected the digest of a registered model, got something else")
    told = cast("dict[str, Any]", await card(desk.house.learning, model))
    accepted = {(one.attribute, one.feature) for one in await desk.house.learning.proxies.accepted()}
    for one in told["columns"]:
        one["words"] = concept(one["concept"])
    for one in (told["proxies"] or {}).get("flagged", []):
        one["accepted"] = (one["attribute"], one["subject"]) in accepted
    return {**cast("View", told), "names": dict(await desk.names())}


def _name(digest: Json) -> str:
    return str(digest).removeprefix("sha256:")
