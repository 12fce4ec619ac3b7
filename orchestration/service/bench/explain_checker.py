"""A second reading of a person's view: is every sentence of it in the decision's record?

Enters: the view as it is answered, the record, the catalogue, the model, the act behind the permission. Leaves: what is not supported, in words. It knows the English sentences by heart and takes
nothing from `explain/reasons.py`; which way a reason works it asks of every leaf (`explain_brute.py`); of `explain` it reads only which columns are one kind of information (`concepts.yaml`), as that is data. Short on purpose, so that it can be read beside
explain.E1 to E10 and X56.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np

from consent.acts import ConsentAct
from explain.concepts import kind_of, rule_of
from kernel.canonical import Json
from kernel.model import Model
from orchestration.decision.catalogue import Catalogue
from orchestration.decision.ranking import rows
from orchestration.decision.record import Record
from orchestration.service.bench.explain_brute import Trees, trees_of, without

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
NAMES: Final[Mapping[str, str]] = {
    "what you put in your cart": "cart", "how you use our emails": "email_use", "how you use our notices on your device": "push_use",
    "how much you spent with us": "spending", "how long ago you last bought something": "last_purchase", "what you bought from us": "purchases",
    "your visits to our pages": "visits", "how long you have been with us": "newcomer", "what you seem to like": "interests",
    "the area you live in": "place", "how you found us": "how_you_came", "what you did with us lately": "events_recent",
    "how sure we are that it is you": "identity", "what you told us about yourself": "profile", "other things we know about you": "other",
}  # fmt: skip
OF_MESSAGE: Final[Mapping[str, str]] = {
    "the message itself": "From our list of messages.", "the time and place of this choice": "From when and where we chose.",
    "things we do not know or may not use": "Nothing about you was used here.",
}  # fmt: skip
STAGES: Final[Mapping[str, str]] = {
    "because you have not agreed": "consent", "you had enough": "cap", "do-not-send list": "suppression", "cannot reach you": "reach", "no way to reach you": "reach",
    "meant for other people": "segment", "not ready or out of stock": "publication", "nothing ready to show": "publication",
    "does not interest you": "publication", "do not interest you": "publication", "not sure enough who you are": "sure", "elsewhere on this page": "diversity",
    "comparison group": "holdout", "asked for a break": "consent", "erased or on hold": "blocked",
}  # fmt: skip
_SUM: Final = 1e-9
_MOSTLY: Final = 0.5  # of its contribution a reason does by itself, where its way is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decision and what it rests on."""

    record: Record
    catalogue: Catalogue
    model: Model | None
    act: ConsentAct | None
    acts: Mapping[str, ConsentAct] = field(default_factory=dict)
    """Those that the origins name, by id."""


def unsupported(view: Mapping[str, Json], case: Case) -> list[str]:
    """Every claim of the view that the record does not hold."""
    found: list[str] = []
    for check in (_message, _who, _permission, _headline, _parameters, _rules):
        found += check(view, case)
    return found


def _message(view: Mapping[str, Json], case: Case) -> list[str]:
    at = datetime.fromisoformat(case.record.inputs.at)
    chosen = case.record.outcome.arm is not None
    wrong = []
    if (str(view["title"]) == "Why you got this message") is not chosen:
        wrong.append("title")
    if str(view["lead"]) != f"We decided this on {at.day} {MONTHS[at.month - 1]} {at.year}.":
        wrong.append("day")
    return wrong


def _who(view: Mapping[str, Json], case: Case) -> list[str]:
    arm = case.record.outcome.arm
    if arm is None:
        return ["advertising"] if view["is_advertisement"] or view["paid_by"] else []
    told = case.catalogue.variant(arm.variant)
    behalf, paid = told.on_behalf_of or case.catalogue.controller, told.paid_by or case.catalogue.controller
    same = (view["is_advertisement"], view["on_behalf_of"], view["paid_by"]) == (told.is_advertisement, behalf, paid)
    return [] if same else ["who is behind it"]


def _permission(view: Mapping[str, Json], case: Case) -> list[str]:
    said, arm = str(view["permission"]), case.record.outcome.arm
    if not said:
        return []
    if arm is None or case.record.inputs.permit(arm).answer != "granted":
        return ["permission"]
    agreed = re.fullmatch(r"You agreed to “.+” on (\d+) (\w+) (\d{4})\.", said)
    if agreed is None:
        return [] if said.startswith("We may do this under") else ["permission"]
    if case.act is None or case.act.basis != "consent":
        return ["consent"]
    day, month, year = int(agreed[1]), MONTHS.index(agreed[2]) + 1, int(agreed[3])
    return (
        []
        if (case.act.given_at.year, case.act.given_at.month, case.act.given_at.day) == (year, month, day)
        else ["day of consent"]
    )


def _headline(view: Mapping[str, Json], case: Case) -> list[str]:
    said, made, state = str(view["headline"]), case.record.outcome, case.record.inputs
    lost = {one.rejection.stage.value for one in made.judged if one.rejection is not None}
    learned = str((state.policy or {}).get("name", "")) if state.policy else ""
    true: list[tuple[str, Callable[[], bool]]] = [
        ("You are in a comparison group", lambda: made.holdout),
        ("We were trying something new", lambda: made.explored),
        ("by chance, to learn if our messages help", lambda: made.explored),
        ("weighing what we know about you", lambda: made.ranked_by == "ranker" and not made.explored),
        ("because of the message itself", lambda: made.ranked_by == "ranker" and not made.explored),
        ("no message would be better", lambda: made.ranked_by == "ranker" and made.arm is None),
        ("We show this to everyone", lambda: made.ranked_by == "rules" and not _grouped(case)),
        ("everyone in a group", lambda: _grouped(case)),
        ("Fixed rules that are the same for everyone", lambda: made.ranked_by == "rules" and made.arm is None),
        ("usual way of picking was not ready", lambda: made.fallback not in {None, "no_model"}),
        ("the only message that could go", lambda: sum(one.propensity > 0 for one in made.judged) == 1),
        ("did well", lambda: bool(learned or made.policy)),
        ("changed while we were choosing", lambda: made.withheld == "contention"),
        ("We sent nothing here.", lambda: made.arm is None),
    ]  # fmt: skip
    for words, holds in true:
        if words in said:
            return [] if holds() else [f"headline: {words}"]
    stages = [stage for words, stage in STAGES.items() if words in said]
    return [] if made.arm is None and stages and stages[0] in lost else [f"headline: {said}"]


def _grouped(case: Case) -> bool:
    state = case.record.inputs
    return bool(state.segment_all or state.segment_any or state.segment_none)


def _parameters(view: Mapping[str, Json], case: Case) -> list[str]:
    told = view["main_parameters"]
    assert isinstance(told, list)
    if not told:
        return []
    if case.model is None or case.record.outcome.ranked_by != "ranker" or len(told) > 5:
        return ["parameters where no model ruled, or too many"]
    wrong: list[str] = []
    for one in told:
        assert isinstance(one, dict)
        wrong += _parameter({key: str(value) for key, value in one.items()}, case.model, case)
    return wrong


def _parameter(one: Mapping[str, str], model: Model, case: Case) -> list[str]:
    state, name = case.record.inputs, one["name"]
    wrong = [] if _moves(one, model, case) else [f"{name}: moved another way"]
    if name in OF_MESSAGE:
        return wrong if one["source"] == OF_MESSAGE[name] else [*wrong, name]
    kind = NAMES.get(name)
    origins = [o for o in state.origins if kind_of(o.feature) == kind]
    if kind is None or not origins:
        return [f"{name}: nothing in the record says where it came from"]
    newest = max(origins, key=lambda o: o.observed_at)
    age = _age((datetime.fromisoformat(state.at) - datetime.fromisoformat(newest.observed_at)).days)
    if one["source"] != f"From {newest.source}, {age}.":
        wrong.append(f"{name}: source or age")
    act = case.acts.get(newest.act or "")
    given = None if act is None or act.basis != "consent" else act.given_at
    begin = "" if given is None else f"You agreed to that on {given.day} {MONTHS[given.month - 1]} {given.year}, "
    said = one.get("consent", "")
    if not said.startswith(begin) or (given is None) != (said == ""):
        wrong.append(f"{name}: since when she agreed")
    return wrong


def _age(days: int) -> str:
    for unit, size in (("year", 365), ("month", 30), ("day", 1)):
        if days >= size:
            return f"one {unit} old" if days // size == 1 else f"{days // size} {unit}s old"
    return "from the same day"


def _moves(one: Mapping[str, str], model: Model, case: Case) -> bool:
    """Whether what is said of the way in which a kind of information worked is so: by its contribution, and when it is not known."""
    arm, state = case.record.outcome.arm, case.record.inputs
    table = rows(model.feature_names, state, [arm] if arm else [])
    row = np.asarray(table[0] if arm else table[-1], dtype=np.float64)
    known = {o.feature for o in state.origins}
    columns = [at for at, name in enumerate(model.feature_names) if _is(one["name"], name, name in known)]
    _, parts = model.contributions(row)
    moved = sum(float(parts[at]) for at in columns)
    booster = getattr(model, "booster", None)
    if booster is None:
        alone = moved  # a model without trees in which nothing works together
    else:
        alone = float(model.score(row.reshape(1, -1))[0]) - without(_trees(model), row, frozenset(columns))
    mostly = alone / moved > _MOSTLY if abs(moved) > _SUM else abs(alone) <= _SUM
    match one["contribution"]:
        case "This made our choice more likely.":
            return moved > 0 and mostly
        case "This made our choice less likely.":
            return moved < 0 and mostly
        case "This counted together with other things.":
            return not mostly
        case _:
            return False


def _is(name: str, column: str, known: bool) -> bool:
    """Whether a column is part of what a name means."""
    rule, kind = rule_of(column), kind_of(column)
    if name in NAMES:
        return known and kind == NAMES[name]
    if name == "things we do not know or may not use":
        return not known and kind is not None
    return not known and rule is not None and rule.concept == {"the message itself": "message", "the time and place of this choice": "moment"}.get(name)  # fmt: skip


_read: Final[dict[str, Trees]] = {}  # by the model's digest


def _trees(model: Model) -> Trees:
    if model.digest not in _read:
        _read.clear()
        _read[model.digest] = trees_of(getattr(model, "booster", None))
    return _read[model.digest]


def _rules(view: Mapping[str, Json], case: Case) -> list[str]:
    told = view["rules"]
    assert isinstance(told, list)
    lost = {one.rejection.stage.value for one in case.record.outcome.judged if one.rejection is not None}
    wrong: list[str] = []
    for said in (str(one) for one in told):
        if said.startswith("This is for a group that you are in"):
            wrong += [] if _grouped(case) else [said]
            continue
        stages = [stage for words, stage in STAGES.items() if words in said]
        wrong += [] if stages and stages[0] in lost else [said]
    return wrong


def withheld_names(view: Mapping[str, Json], case: Case) -> Sequence[str]:
    """Kinds of information that the view names anywhere and of which the record has no origin: what consent withheld or nobody knows."""
    text = " ".join([str(view["headline"]), *map(str, _texts(view))])
    have = {kind_of(o.feature) for o in case.record.inputs.origins}
    return [name for name, kind in NAMES.items() if name in text and kind not in have]


def _texts(view: Mapping[str, Json]) -> list[Json]:
    told, levers, rules = view["main_parameters"], view["levers"], view["rules"]
    assert isinstance(told, list)
    assert isinstance(levers, list)
    assert isinstance(rules, list)
    return [*(one["name"] for one in told if isinstance(one, dict)), *levers, *rules]
