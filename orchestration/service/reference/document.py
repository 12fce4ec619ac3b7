"""The OpenAPI 3.1 document: what FastAPI knows of the routes, completed by what only people know.

Enters: an application. Leaves: its description as plain JSON, the same bytes for the same routes. Beside every `endpoints.py` lies a `reference.yaml`
that gives each operation its id, summary, examples and the codes of its problems; scopes are read off the routes' guards, so they cannot drift.
An operation without an entry keeps what FastAPI says of it, and a test shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict

from audit.access.endpoints import Guard
from kernel.yaml_text import read_yaml
from orchestration.service.reference import problems
from orchestration.service.reference.shapes import shape

JSON: Final = "application/json"
Document = dict[str, Any]  # OpenAPI's own open form


class Operation(BaseModel):
    """What people say of one operation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    summary: str
    more: str = ""
    request: dict[str, Any] = {}  # name -> an example of the body
    request_type: str = JSON
    takes: dict[str, Any] | None = None  # schema of a body that the route reads by itself
    answer: dict[str, Any] = {}  # name -> an example of what comes back
    answer_type: str | None = None
    maps: frozenset[str] = frozenset()  # members of the answer whose own members are names, as of features
    says: str = "Done."  # what the answer is, in a sentence
    also: dict[int, str] = {}  # other statuses that are no problem documents, as pages
    problems: dict[int, str] = {}  # status -> codes, in words


class Tag(BaseModel):
    """A group of operations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str


class About(BaseModel):
    """What is said once: the introduction, and the groups in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str
    introduction: str
    bearer: str
    basic: str
    tags: tuple[Tag, ...]


def document(app: FastAPI) -> Document:
    """The description of an application's routes."""
    about = _about()
    found = get_openapi(
        title=app.title,
        version=version("candor"),
        summary=about.summary,
        description=about.introduction,
        routes=app.routes,
        tags=[tag.model_dump() for tag in about.tags],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    operations = _operations(found)
    described = _entries(app)
    doors = _doors(app)
    for name, operation in operations.items():
        said = described.get(name) or Operation(id=operation["operationId"], summary=operation["summary"])
        _complete(operation, said, sorted(doors[name][1]))
    components = found["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["schemas"] |= problems.SCHEMAS
    components["responses"] = problems.RESPONSES
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": about.bearer},
        "basic": {"type": "http", "scheme": "basic", "description": about.basic},
    }
    return found


def strays(app: FastAPI) -> list[str]:
    """Operations without an entry, entries without an operation, and answers as JSON without an example."""
    entries = _entries(app)
    bare = [
        name
        for name, operation in _operations(document(app)).items()
        for status, answer in operation["responses"].items()
        for content in [answer.get("content", {}).get(JSON)]
        if status.startswith("2") and content is not None and "examples" not in content
    ]
    return sorted({*(entries.keys() ^ _doors(app).keys()), *bare})


def _operations(found: Document) -> dict[str, Document]:
    return {f"{method.upper()} {path}": op for path, item in found["paths"].items() for method, op in item.items()}


def _complete(operation: Document, said: Operation, held: Sequence[str]) -> None:
    operation["operationId"] = said.id
    operation["summary"] = said.summary
    who = f"Needs a key with the scope {_or([f'`{scope}`' for scope in held])}." if held else "Needs no key."
    operation["description"] = "\n\n".join(part for part in (operation["description"], said.more.strip(), who) if part)
    operation["tags"] = list(dict.fromkeys(operation["tags"]))[-1:]
    if held:
        operation["security"] = [{scheme: [scope]} for scope in held for scheme in ("key", "basic")]
    else:
        operation.pop("security", None)
    _body(operation, said)
    _answers(operation, said)
    _refusals(operation, said, guarded=bool(held))


def _body(operation: Document, said: Operation) -> None:
    if said.takes is not None:
        operation["requestBody"] = {"required": True, "content": {said.request_type: {"schema": said.takes}}}
    if said.request:
        content = operation["requestBody"]["content"][said.request_type]
        content["examples"] = {name: {"value": value} for name, value in said.request.items()}


def _answers(operation: Document, said: Operation) -> None:
    status = next(code for code in operation["responses"] if code.startswith("2"))
    answer = operation["responses"][status]
    answer["description"] = said.says
    if said.answer_type is not None:
        kept = answer.get("content", {}).get(said.answer_type, {})
        answer["content"] = {said.answer_type: kept or {"schema": {"type": "string"}}}
    elif said.answer and JSON in answer.get("content", {}):
        content = answer["content"][JSON]
        if not _modelled(content["schema"]):
            content["schema"] = shape(list(said.answer.values()), said.maps)
    if said.answer:
        (content,) = answer["content"].values()
        content["examples"] = {name: {"value": value} for name, value in said.answer.items()}
    for code, words in said.also.items():
        if code < 300:  # the same answer under another status
            operation["responses"][str(code)] = {**answer, "description": words}
            continue
        page = {"content": {"text/html": {"schema": {"type": "string"}}}} if code >= 400 else {}
        operation["responses"][str(code)] = {"description": words, **page}


def _modelled(schema: Document) -> bool:
    """Whether FastAPI knows the form, or only that it is JSON."""
    of = schema.get("$ref") or schema.get("items", {}).get("$ref")
    return of is not None and not of.endswith("/Json")


def _refusals(operation: Document, said: Operation, *, guarded: bool) -> None:
    answers = operation["responses"]
    page = "text/html" in next(iter(answers.values())).get("content", {})
    takes = "requestBody" in operation
    if "422" in answers and page:  # a page takes any token
        del answers["422"]
    common = [401, 403] if guarded else []
    common += [413] if takes else []
    common += [422] if not page and (takes or "422" in answers) else []
    for status in sorted({*common, *said.problems}):
        answers[str(status)] = problems.refusal(status, said.problems.get(status))
    answers.setdefault("500", problems.refusal(500, None))
    answers.setdefault("503", problems.refusal(503, None))
    operation["responses"] = dict(sorted(answers.items()))


def _doors(app: FastAPI) -> dict[str, tuple[str, frozenset[str]]]:
    """`METHOD path` -> the package of the route's function, and the scopes of its guard."""
    found = {}
    for route in iter_route_contexts(app.routes):
        if not getattr(route.route, "include_in_schema", False) or route.endpoint is None:
            continue
        held = frozenset(scope.value for guard in _guards(getattr(route, "dependant", None)) for scope in guard.scopes)
        package = route.endpoint.__module__.rpartition(".")[0]
        for method in (route.methods or set()) - {"HEAD"}:
            found[f"{method} {route.path_format}"] = (package, held)
    return found


def _guards(dependant: Dependant | None) -> Iterator[Guard]:
    if dependant is None:
        return
    if isinstance(dependant.call, Guard):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _guards(inner)


def _entries(app: FastAPI) -> dict[str, Operation]:
    packages = sorted({package for package, _ in _doors(app).values()})
    return {name: entry for package in packages for name, entry in _described(package).items()}


@cache
def _described(package: str) -> Mapping[str, Operation]:
    place = files(package) / "reference.yaml"
    if not place.is_file():
        return {}
    return {name: Operation(**entry) for name, entry in read_yaml(place.read_text(encoding="utf-8")).items()}


@cache
def _about() -> About:
    place = files(__package__) / "about.yaml"
    return About(**cast("dict[str, Any]", read_yaml(place.read_text(encoding="utf-8"))))


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
