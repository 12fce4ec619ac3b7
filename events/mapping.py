"""MAP.yaml: how the columns of a file become people, events, decisions, consents, suppressions or a catalogue.

What enters: the text of a map (CONTRACTS.md, "import MAP.yaml"). What leaves: a frozen ``Map`` with its digest. Unknown
keys, doubled keys and keys that this kind of import never reads are errors that name the path and the nearest known key.
YAML is read with the 1.2 rules for words, so ``yes`` stays a word and ``2024-01-01`` stays text.
"""

import difflib
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from events.errors import BadMap
from identity.identifiers import KINDS as IDENTIFIER_KINDS
from identity.kinds import KINDS as COLUMN_KINDS
from kernel.canonical import Json, digest
from kernel.errors import Problem

What = Literal["people", "events", "decisions", "consents", "suppressions", "catalogue"]
ValueType = Literal["auto", "text", "number", "integer", "boolean", "time"]
Column = str | int
Scalar = str | int | float | bool

TRAIT_KINDS: Final = tuple(dict.fromkeys((*COLUMN_KINDS, *IDENTIFIER_KINDS)))
GENERIC_KINDS: Final = frozenset({"category", "text", "time", "place"})
"""Kinds that say nothing of a trait's name: the column gives it. Every other kind is also the trait's name."""

ROW_KEY: Final = "record"
"""Subject kind of a key that names the row in its source and nothing in the world."""

_COMMON: Final = frozenset({"source", "what", "format", "collect_under"})
_READ: Final[Mapping[str, frozenset[str]]] = {
    "people": frozenset({"columns", "subject", "identifiers", "timestamp"}),
    "events": frozenset(
        {"subject", "identifiers", "event", "timestamp", "known_time", "properties", "message_id", "columns"}
    ),
    "decisions": frozenset(
        {"subject", "identifiers", "timestamp", "placement", "arm", "propensity", "outcomes", "features", "message_id"}
    ),
    "consents": frozenset({"subject", "identifiers", "consent", "timestamp"}),
    "suppressions": frozenset({"subject", "identifiers", "suppression", "timestamp"}),
    "catalogue": frozenset({"columns", "properties", "placement", "message_id"}),
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "people": ("columns",),
    "events": ("subject", "event", "timestamp"),
    "decisions": ("placement", "arm", "propensity", "outcomes"),
    "consents": ("subject", "consent"),
    "suppressions": ("subject",),
    "catalogue": ("properties",),
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Format(_Part):
    """How the file is written. What is left out is recognised."""

    kind: Literal["csv", "jsonl", "parquet"] | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=10)
    header: bool = True
    skip: int = Field(default=0, ge=0)
    encoding: str | None = None


class Subject(_Part):
    """Who the row is about: a column, or the number of the row where the file has no id.

    ``source``: with kind ``record`` in consents, the source whose record is meant.
    """

    kind: str
    source: str | None = None
    column: Column | None = None
    row_number: bool = False
    prefix: str = ""
    suffix: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.column is None) != self.row_number:
            msg = "expected either column or row_number: true"
            raise ValueError(msg)
        if self.kind not in {*IDENTIFIER_KINDS, ROW_KEY}:
            raise ValueError(
                f"expected kind to be one of {', '.join((*IDENTIFIER_KINDS, ROW_KEY))}{near(self.kind, IDENTIFIER_KINDS)}"
            )
        return self


class Trait(_Part):
    """What a people column holds: a kind, and the trait's name where the kind does not give it."""

    kind: str
    trait: str | None = Field(default=None, min_length=1, max_length=64)
    type: ValueType = "text"
    format: str | None = None

    @model_validator(mode="after")
    def _known_kind(self) -> Self:
        if self.kind not in TRAIT_KINDS:
            raise ValueError(f"expected kind to be one of {', '.join(TRAIT_KINDS)}{near(self.kind, TRAIT_KINDS)}")
        return self


class Value(_Part):
    """A cell, or a constant. ``values`` translates words of the file; a word it lacks is an error of that row."""

    column: Column | None = None
    constant: Scalar | None = None
    type: ValueType = "auto"
    format: str | None = None
    values: Mapping[str, Scalar] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.column is None) == (self.constant is None):
            msg = "expected either column or constant"
            raise ValueError(msg)
        return self


def _bare(key: str) -> BeforeValidator:
    """A bare word or position stands for ``{key: it}``."""
    return BeforeValidator(
        lambda given: {key: given} if isinstance(given, str | int) and not isinstance(given, bool) else given
    )


def _number(given: object) -> object:
    """A bare fraction is a constant; a bare word or position is a column."""
    if isinstance(given, float):
        return {"constant": given}
    return {"column": given} if isinstance(given, str | int) else given


def _several(given: object) -> object:
    return [given] if isinstance(given, dict) else given


def _named(given: object) -> object:
    return {str(name): name for name in given} if isinstance(given, list) else given


OfColumn = Annotated[Value, _bare("column")]
Constant = Annotated[Value, _bare("constant")]


class CollectUnder(_Part):
    """What this source declares: why it collects, on which legal basis, and which further purposes it told people of."""

    purpose: str = Field(min_length=1)
    basis: Literal["consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"]
    also_for: tuple[str, ...] = ()


class ConsentMap(_Part):
    """One consent act a row. An act without notice and time stays unverified; consent judges that, not the map.

    ``confirmed_at`` and ``confirmation``: when a double opt-in was confirmed in the other system, and what it has to show for it.
    """

    purpose: Constant
    status: Constant
    mechanism: Constant
    notice: Constant | None = None
    given_at: OfColumn | None = None
    channel: Constant | None = None
    basis: Constant | None = None
    jurisdiction: Constant | None = None
    expires_at: OfColumn | None = None
    signal: OfColumn | None = None
    signal_kind: Literal["tcf", "gpp"] | None = None
    confirmed_at: OfColumn | None = None
    confirmation: Constant | None = None


class SuppressionMap(_Part):
    """Never write to this address again, on this channel, for this reason."""

    channel: Constant | None = None
    reason: Constant | None = None


class Map(_Part):
    """A whole map, checked."""

    source: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    what: What
    format: Format = Format()
    columns: Mapping[Column, Annotated[Trait, _bare("kind")]] = Field(default_factory=dict)
    subject: Subject | None = None
    identifiers: tuple[Subject, ...] = ()
    event: Value | None = None
    timestamp: OfColumn | None = None
    known_time: OfColumn | None = None
    message_id: OfColumn | None = None
    properties: Mapping[str, OfColumn] = Field(default_factory=dict)
    collect_under: CollectUnder | None = None
    placement: Constant | None = None
    arm: OfColumn | None = None
    propensity: Annotated[Value, BeforeValidator(_number)] | None = None
    outcomes: Mapping[str, OfColumn] = Field(default_factory=dict)
    features: Annotated[Mapping[str, OfColumn], BeforeValidator(_named)] = Field(default_factory=dict)
    consent: Annotated[tuple[ConsentMap, ...], BeforeValidator(_several)] = ()
    suppression: SuppressionMap | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = {name for name in self.model_fields_set if getattr(self, name) not in (None, (), {})}
        stray = sorted(given - _COMMON - _READ[self.what])
        if stray:
            raise ValueError(f"{', '.join(stray)}: not read when what is {self.what}")
        absent = [name for name in _NEEDED[self.what] if name not in given]
        if absent:
            raise ValueError(f"{', '.join(absent)}: needed when what is {self.what}")
        if (
            self.what != "people"
            and self.subject is not None
            and self.subject.kind == ROW_KEY
            and self.what != "consents"
        ):
            raise ValueError(f"subject: kind {ROW_KEY} names no one; give an identifier kind")
        named = [
            trait_name(column, trait)
            for column, trait in self.columns.items()
            if trait.kind not in {*IDENTIFIER_KINDS, "ignore"}
        ]
        doubled = sorted({name for name in named if named.count(name) > 1})
        if doubled:
            raise ValueError(
                f"columns: more than one gives the trait {doubled[0]}; name one with {{kind: …, trait: …}}"
            )
        return self

    @property
    def digest(self) -> str:
        """``sha256:…`` of the map's meaning, whatever the order and spelling of its YAML."""
        return digest(cast("Json", self.model_dump(mode="json", exclude_defaults=True)))


def trait_name(column: Column, trait: Trait) -> str:
    """The trait a people column becomes."""
    if trait.trait is not None:
        return trait.trait
    return str(column) if trait.kind in GENERIC_KINDS else trait.kind


def load(path: Path) -> Map:
    """The map in a file.

    Raises:
        BadMap: absent, not YAML, or not a map; ``problems`` lists each path with its reason.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadMap(
            f"expected a readable UTF-8 map file, got {type(fault).__name__}", remedy="Check the path given with --map."
        ) from fault
    return parse(text)


def parse(text: str) -> Map:
    """The map in a text; errors as for ``load``."""
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader with fewer words
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark is not None else ""
        problem = getattr(fault, "problem", None) or "not YAML"
        raise BadMap(f"expected YAML, got text that cannot be read{place}: {problem}") from fault
    if not isinstance(raw, dict):
        raise BadMap(f"expected a YAML mapping, got {type(raw).__name__}")
    try:
        return Map.model_validate(raw)
    except ValidationError as fault:
        problems = tuple(
            _problem(error["loc"], error["type"], error["msg"]) for error in fault.errors(include_input=False)
        )
        listed = "; ".join(f"{problem.pointer or 'map'}: {problem.reason}" for problem in problems)
        raise BadMap(f"expected a map as in CONTRACTS.md, got {listed}", problems=problems) from None


def _problem(loc: tuple[int | str, ...], kind: str, message: str) -> Problem:
    path = ".".join(str(step) for step in loc)
    if kind == "extra_forbidden":
        known = _fields_at(loc[:-1])
        return Problem(path, f"unknown key{near(str(loc[-1]), known)}; known here: {', '.join(sorted(known))}")
    return Problem(path, message.removeprefix("Value error, "))


def _fields_at(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Field names of the part that sits at a path; keys of free mappings and list places are passed through."""
    model: type[BaseModel] = Map
    for step in loc:
        field = model.model_fields.get(str(step))
        if field is not None and (inner := _model_in(field.annotation)) is not None:
            model = inner
    return tuple(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def near(word: str, known: tuple[str, ...]) -> str:
    """`` (did you mean …?)`` when a known word is close, else nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


class _Loader(yaml.SafeLoader):
    """Safe YAML whose only booleans are true and false, without dates, and without doubled keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 -- PyYAML's signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key given twice, or one that is no word", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
