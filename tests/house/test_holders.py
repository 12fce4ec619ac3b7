"""A room that keeps anything of people can be asked for it and can erase it (consent.D5).

Read off the migrations: whoever adds a table with a column that names people, their records, identifiers or keys must have a front door that exports and erases.
"""

import ast
import re

import pytest

from consent.rights.gathering import NO_HOLDERS
from orchestration import wiring
from tests.house.tree import ROOT, sources, tree

_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)\.(\w+) \((.*?)\n\)", re.DOTALL)
_NAMES_PEOPLE = re.compile(r"^\s*(person|person_id|record_id|identifier_id|subject|key_id)\s+\w", re.MULTILINE)


def schemas() -> dict[str, set[str]]:
    """Schemas with tables that name people, and the tables."""
    found: dict[str, set[str]] = {}
    for path in sources():
        if "migrations" not in path.parts or path.parent.name == "keys":
            continue
        for schema, table, columns in _TABLE.findall(path.read_text()):
            if _NAMES_PEOPLE.search(columns):
                found.setdefault(schema, set()).add(table)
    return found


def holders() -> dict[str, str]:
    """Schema to the class that exports and erases it, of the front doors that the wiring builds."""
    found = {}
    for room in wiring.ROOMS:
        path = ROOT / room.replace(".", "/") / "service.py"
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                methods = {one.name for one in node.body if isinstance(one, ast.AsyncFunctionDef | ast.FunctionDef)}
                if {"export", "erase"} <= methods:
                    found[room.rsplit(".", 1)[-1]] = node.name
    return found


def test_every_schema_that_names_people_has_a_holder() -> None:
    missing = schemas().keys() - holders().keys() - NO_HOLDERS.keys()
    assert missing == set(), {schema: sorted(schemas()[schema]) for schema in missing}


def test_the_reading_of_migrations_sees_what_is_there() -> None:
    """Should the pattern stop to match, the test above would say nothing."""
    found = schemas()
    assert {"identity", "consent", "events", "channels", "decision", "explain", "learning"} <= found.keys()
    assert "acts" in found["consent"]


@pytest.mark.parametrize("room", sorted(holders()))
def test_every_holder_is_registered(room: str) -> None:
    """The wiring hands each of them to the subject requests, and says that these are all."""
    text = (ROOT / "orchestration/wiring.py").read_text()
    (line,) = re.findall(r"for holder in \((.*?)\):", text)
    names = {one.strip() for one in line.split(",")}
    assert {"decision": "decisions"}.get(room, room) in names
    assert "rights.all_registered()" in text
