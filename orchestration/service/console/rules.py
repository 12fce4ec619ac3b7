"""The rules that the gate goes by, for officers and auditors: what a purpose rests on where, what outranks what, who signed, and what would change.

Enters: perhaps the digest of rules of then. Leaves: every rule with its source, what the files on disk say otherwise, and what changed since then. Nothing here decides,
and nothing can be changed here: counsel changes files, and a start puts them in force.
"""

from collections.abc import Mapping

from consent import rule_changes
from consent.errors import PurposesInvalid, RulesUnsigned
from consent.rulebook import Rulebook
from consent.rules_store import InForce
from kernel.canonical import Json
from orchestration.service.console import words
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, page


@page("/rules", "rules.html", *words.READERS["rules"], api="/v1/rules")
async def rules(desk: AtDesk, since: str = "") -> View:
    """What is in force, where each rule comes from, and how it came to be."""
    book = desk.house.consent.book
    async with desk.house.kernel.db.reading() as conn:
        history = await book.history(conn)
    mine = book.mine
    then = next((one for one in reversed(history) if one.digest == since), None)
    return {
        **mine.as_json(),
        "places": _places(mine),
        "grounds": _grounds(mine),
        "history": [_line(one) for one in reversed(history)],
        "on_file": _on_file(desk, mine),
        "since": _line(then) if then is not None else None,
        "changed": _changes(then.says, _says(mine)) if then is not None else [],
    }


def _places(book: Rulebook) -> list[Json]:
    """The packs, with the place that is asked for everybody marked."""
    packs = book.rules.precedence.jurisdictions
    return [
        {
            "name": name, "title": pack.title, "version": pack.version, "source": pack.source,
            "home": pack is book.rules.precedence.pack(book.rules.jurisdiction),
        }
        for name, pack in packs.items()
    ]  # fmt: skip


def _grounds(book: Rulebook) -> list[Json]:
    """For each purpose what it rests on in each place, and where the law says so."""
    packs = book.rules.precedence.jurisdictions
    return [
        {
            "purpose": one.key, "title": one.title, "balancing_test": one.balancing_test, "channels": list(one.channels),
            "bases": [
                {"place": place, "basis": one.basis_in(place).value, "source": book.rules.source_of(one, place)}
                for place in packs
            ],
        }
        for one in book.rules.purposes.by_key.values()
    ]  # fmt: skip


def _on_file(desk: Desk, mine: Rulebook) -> Json:
    """What a restart would put in force; None when it is what is in force."""
    try:
        found = desk.house.consent.book.on_file()
    except (PurposesInvalid, RulesUnsigned) as fault:
        return {"digest": None, "refused": fault.message, "remedy": fault.remedy, "changes": []}
    if found.digest == mine.digest:
        return None
    return {"digest": found.digest, "refused": None, "remedy": None, "changes": _changes(_says(mine), _says(found))}


def _changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Json]:
    return [one.as_json() for one in rule_changes.changes(before, after)]


def _says(book: Rulebook) -> dict[str, Json]:
    return {"settings": {"jurisdiction": book.rules.jurisdiction}, **{part.name: part.says for part in book.parts}}


def _line(one: InForce) -> dict[str, Json]:
    return {
        "digest": one.digest, "jurisdiction": one.jurisdiction, "began_at": one.began_at.isoformat(), "signed_by": list(one.signed_by),
    }  # fmt: skip
