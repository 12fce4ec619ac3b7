"""The description of the HTTP API is whole, valid, as committed, and its examples fit what it says itself."""

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from orchestration.service.app import create_app, description
from orchestration.service.problems import MEDIA_TYPE
from orchestration.service.reference.document import strays
from orchestration.service.reference.shapes import shape
from tests.house.tree import ROOT, sources

COMMITTED = Path(__file__).with_name("openapi.json")
RENEW = "the HTTP API changed: look at the difference, then run `make openapi` and commit what it wrote"
DOCUMENT = description()
OPERATIONS = [
    pytest.param(operation, id=f"{method.upper()} {path}")
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


def fits(schema: dict, value: object) -> list[str]:
    whole = {**schema, "components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_the_committed_description_is_the_one_of_the_routes() -> None:
    """In a process of its own, with another order of hashing and no settings: nothing in it may depend on where it was made."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-m", "orchestration.service.cli.main", "openapi"]
    made = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=True).stdout
    assert json.loads(made) == json.loads(COMMITTED.read_text()), RENEW
    assert made == COMMITTED.read_text(), RENEW


def written_by(name: str) -> str:
    spec = spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.text()


def test_the_page_of_routes_is_the_one_of_the_routes() -> None:
    assert written_by("make_http") == (ROOT / "docs" / "http.md").read_text(), RENEW


def test_the_codes_of_problems_are_those_of_the_code() -> None:
    assert (
        written_by("make_problems") == (ROOT / "orchestration" / "service" / "reference" / "problems.yaml").read_text()
    ), RENEW


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []
    broken = {**DOCUMENT, "paths": {"/x": {"get": {"responses": {"200": {}}}}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_every_operation_is_described_with_an_example() -> None:
    """A route's entry stands in the reference.yaml beside its endpoints.py."""
    assert strays(create_app(None)) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_says_what_it_is_who_may_and_how_it_refuses(operation: dict) -> None:
    assert 8 <= len(operation["summary"]) <= 70
    assert not operation["summary"].endswith(".")
    assert operation["operationId"].islower()
    assert operation["operationId"].isidentifier()
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert ("Needs a key with the scope" in operation["description"]) is bool(operation.get("security"))
    answers = operation["responses"]
    assert {"500", "503"} <= answers.keys()
    if operation.get("security"):
        assert {"401", "403"} <= answers.keys()
    if "requestBody" in operation:
        assert "413" in answers
        assert next(iter(operation["requestBody"]["content"].values()))["examples"]
    for status, answer in answers.items():
        told = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        assert len(answer.get("description") or told["description"]) > 4
        if int(status) >= 400:
            assert set(told.get("content", {})) <= {MEDIA_TYPE, "text/html"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_example_fits_its_schema(operation: dict) -> None:
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for place in [*bodies, *(one for one in operation["responses"].values() if "$ref" not in one)]:
        for content in place.get("content", {}).values():
            for name, example in content.get("examples", {}).items():
                assert fits(content["schema"], example["value"]) == [], name


def test_problems_are_examples_of_their_schema_and_their_codes_are_real() -> None:
    code = "\n".join(path.read_text() for path in sources())
    said = "\n".join(path.read_text() for path in ROOT.rglob("reference.yaml") if ".venv" not in path.parts)
    for response in DOCUMENT["components"]["responses"].values():
        (example,) = response["content"][MEDIA_TYPE]["examples"].values()
        assert fits({"$ref": "#/components/schemas/Problem"}, example["value"]) == []
        said += f"\nproblems: {{0: '{response['description']}'}}"
    named = {
        found
        for line in said.splitlines()
        if "problems:" in line or re.match(r"    \d{3}: ", line)
        for found in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", line)
        if found not in {"errors", "batch"}
    }
    assert len(named) > 25
    assert {one for one in named if f'"{one}"' not in code} == set()


def test_ids_and_paths_are_named_once() -> None:
    ids = [operation.values[0]["operationId"] for operation in OPERATIONS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("examples", "schema"),
    [
        ([1, 2.5], {"type": "number"}),
        ([None, "a"], {"type": ["null", "string"]}),
        ([True], {"type": "boolean"}),
        ([[], [{"a": 1}]], {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}),
        ([{"a": 1}, {"a": None, "b": []}], {"type": "object", "properties": {"a": {"type": ["integer", "null"]}, "b": {"type": "array", "items": {}}}, "required": ["a"]}),
        ([{"m": {"x": 1, "y": 2}}], {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}, "required": ["m"]}),
    ],
)  # fmt: skip
def test_a_shape_is_the_least_schema_that_its_examples_fit(examples: list, schema: dict) -> None:
    assert shape(examples, {"m"}) == schema
    assert all(fits(schema, one) == [] for one in examples)


def test_a_file_that_cannot_be_written_is_wrong_usage_with_a_remedy(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "orchestration.service.cli.main",
        "openapi",
        "--out",
        str(tmp_path / "no" / "x.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr
    assert "file_not_usable" in done.stderr
    assert "Traceback" not in done.stderr
