"""The shape of examples as a JSON Schema: for answers whose form is written in no model.

Enters: examples of one answer. Leaves: a schema that all of them fit: a member is required when every example has it, and may be null when one is.
Tests hold it against what the routes answer.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

Schema = dict[str, Any]  # JSON Schema's own open form
_NAMES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def shape(examples: Sequence[object], maps: Container[str] = ()) -> Schema:
    """The least schema of this form that every example fits; members named in `maps` hold names of their own, as a list of permissions does."""
    objects = [one for one in examples if isinstance(one, Mapping)]
    lists = [one for one in examples if isinstance(one, list | tuple)]
    names = {_NAMES[type(one)] for one in examples if type(one) in _NAMES}
    if "number" in names:
        names -= {"integer"}
    found: Schema = {}
    if objects:
        names.add("object")
        found |= _members(objects, maps) if any(objects) else {}
    if lists:
        names.add("array")
        items = [item for one in lists for item in one]
        found["items"] = shape(items, maps) if items else {}
    kinds = sorted(names)
    return {"type": kinds[0] if len(kinds) == 1 else kinds, **found} if kinds else {}


def _members(objects: Sequence[Mapping[str, object]], maps: Container[str]) -> Schema:
    every = list(dict.fromkeys(name for one in objects for name in one))
    members: Schema = {}
    for name in every:
        values = [one[name] for one in objects if name in one]
        members[name] = _map(values, maps) if name in maps else shape(values, maps)
    return {"properties": members, "required": [name for name in every if all(name in one for one in objects)]}


def _map(values: Sequence[object], maps: Container[str]) -> Schema:
    inner = [held for one in values if isinstance(one, Mapping) for held in one.values()]
    kinds: str | list[str] = ["null", "object"] if None in values else "object"
    return {"type": kinds, "additionalProperties": shape(inner, maps)}
