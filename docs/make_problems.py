"""Write the list of problem codes that `/problems` shows, out of the code: every class of accident, and every code that is given where one is raised.

    python docs/make_problems.py [--out FILE]

`make openapi` runs it, and a test compares. A class says what it means in its docstring; a code given at the raising inherits the meaning of its class.
"""

import argparse
import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kernel.errors import CandorError
from orchestration.service.problems import NAMELESS, status_of

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("kernel", "audit", "identity", "consent", "events", "profiles", "channels", "explain", "orchestration")
FILE = ROOT / "orchestration" / "service" / "reference" / "problems.yaml"
HEAD = "# Written by `make openapi` (docs/make_problems.py) out of the code; do not edit.\n"


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "migrations" not in path.parts and any(word in text for word in ("Error", "code=", " code = ")):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(text)


def classes(kind: type[CandorError]) -> Iterator[type[CandorError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from classes(one)


def entry(kind: type[CandorError], code: str, remedy: str | None = None) -> dict[str, Any]:
    probe = kind.__new__(kind)
    probe.code = code
    means = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
    return {"status": status_of(probe), "title": kind.title, "means": means, "remedy": remedy or kind.remedy}


def given(tree: ast.Module, module: Any) -> Iterator[tuple[type[CandorError], str, str | None]]:
    """Codes given at a call of an error's class, or of its parent's constructor."""
    calls = [(call.func.id, call) for call in ast.walk(tree) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)]
    for owner in ast.walk(tree):
        if isinstance(owner, ast.ClassDef):
            calls += [
                (owner.name, call)
                for call in ast.walk(owner)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"
            ]
    for name, call in calls:
        kind = getattr(module, name, None)
        words = {one.arg: one.value.value for one in call.keywords if isinstance(one.value, ast.Constant)}
        if isinstance(kind, type) and issubclass(kind, CandorError) and isinstance(words.get("code"), str):
            yield kind, words["code"], words.get("remedy")


def text() -> str:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, tree in modules():
        module = importlib.import_module(name)
        for kind, code, remedy in given(tree, module):
            found.setdefault(code, []).append(entry(kind, code, remedy))
    for kind in sorted(classes(CandorError), key=lambda one: (one.__module__, one.__qualname__)):
        if "code" in vars(kind) and kind is not CandorError and kind.__module__.split(".")[0] in ROOMS:
            found.setdefault(kind.code, []).insert(0, entry(kind, kind.code))
    said = {code: merged(entries) for code, entries in found.items()} | NAMELESS
    return HEAD + yaml.safe_dump(dict(sorted(said.items())), allow_unicode=True, width=140, sort_keys=False)


def merged(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """One code may be raised in several places; what it means and what to do is then told for each."""
    told = {name: " Or: ".join(dict.fromkeys(one[name] for one in entries)) for name in ("means", "remedy")}
    return {"status": entries[0]["status"], "title": entries[0]["title"], **told}


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--out", type=Path, default=FILE)
    options.parse_args().out.write_text(text(), encoding="utf-8")
