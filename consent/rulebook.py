"""The rules that the gate goes by, as one thing with a name: every file of them, its version and digest, and who signed.

Enters: the shipped files, files of one's own, and by settings a signature over all of them. Leaves: a ``Rulebook``: the ``Rules`` for the gate, a digest that
names them, a line for each rule with its source. The digest is over what the files say (RFC 8785), so a comment changes nothing and every
rule does. Signatures are signed notes (C2SP signed-note) over ``statement``. Pure but for reading files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import orjson

from audit import note
from audit.errors import InvalidNote
from consent import precedence, purposes
from consent.errors import PurposesInvalid, RulesUnsigned
from consent.precedence import Precedence, Rules
from consent.purposes import PurposeTree
from consent.settings import ConsentSettings
from consent.signals import table
from kernel.canonical import Json, digest

FORM: Final = "candor-rules/v1"
_PACK: Final = "pack/"
_DEMONSTRATE: Final = (
    "GDPR Art. 7(1): the controller must be able to demonstrate consent; the installation's own choice"
)
_MOST_BYTES: Final = 100_000  # of a signature file; a real one has a few hundred


@dataclass(frozen=True, slots=True)
class Part:
    """One file of rules: what it says, as JSON."""

    name: str
    version: str
    says: Json

    @property
    def digest(self) -> str:
        """Names what the file says."""
        return digest(self.says)


@dataclass(frozen=True, slots=True)
class Line:
    """One rule, what it says in short, and where the law or standard says so."""

    part: str
    rule: str
    says: str
    source: str

    def as_json(self) -> dict[str, Json]:
        """As `candor consent rules --json` prints it and the log keeps it."""
        return {"part": self.part, "rule": self.rule, "says": self.says, "source": self.source}


@dataclass(frozen=True)
class Rulebook:
    """All the rules, checked; ``signed_by`` are the names of the demanded keys that signed them."""

    rules: Rules
    parts: tuple[Part, ...]
    signed_by: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names the rules."""
        return self.rules.digest

    @property
    def statement(self) -> str:
        """What is signed: the form, the digest, the jurisdiction asked for everyone, and each part with version and digest."""
        return _statement(self.rules.jurisdiction, self.parts)

    def as_json(self) -> dict[str, Json]:
        """As `candor consent rules --json` prints it, the route answers and the log keeps it."""
        return {
            "digest": self.digest,
            "jurisdiction": self.rules.jurisdiction,
            "signed_by": list(self.signed_by),
            "parts": [{"name": one.name, "version": one.version, "digest": one.digest} for one in self.parts],
            "rules": [line.as_json() for line in self.lines()],
        }

    def lines(self) -> Iterator[Line]:
        """Every rule with its source."""
        for kind in self.rules.precedence.classes:
            lifted = f"stands until {', '.join(sorted(kind.lifted_by))}" if kind.lifted_by else "nothing lifts it"
            yield Line("precedence", kind.name, lifted, kind.source)
        for place, pack in self.rules.precedence.jurisdictions.items():
            for name, rule in sorted(pack.rules.items()):
                yield Line(f"{_PACK}{place}", name, "allowed" if rule.allowed else "not allowed", rule.source)
            for right, source in sorted(pack.rights.items()):
                yield Line(f"{_PACK}{place}", f"right of {right}", "a person may ask for it", source)
        for purpose in self.rules.purposes.by_key.values():
            for place in self.rules.precedence.jurisdictions:
                basis = purpose.basis_in(place)
                yield Line("purposes", f"{purpose.key} in {place}", basis, self.rules.source_of(purpose, place))
        for key, channel in sorted(self.rules.purposes.double_opt_in):
            yield Line("purposes", f"{key} on {channel}", "a yes counts once a mailed link confirmed it", _DEMONSTRATE)
        signals = table.load()
        for key, needed in signals.tcf.purposes.items():
            numbers = ", ".join(str(number) for number in needed)
            yield Line("signals", f"tcf for {key}", f"needs purposes {numbers}", signals.tcf.source)
        yield Line("signals", "gpp", "an opt-out is one of sale and sharing; nothing is granted", signals.gpp.source)


def load(settings: ConsentSettings) -> Rulebook:
    """The rules that the settings name, signed by a key that the settings demand, if they demand one.

    Raises:
        PurposesInvalid: a file is unreadable or does not hold together; the message names it.
        RulesUnsigned: a signature is demanded and there is none, or none that fits what the files say.
    """
    own = settings.purposes_file
    says: dict[str, object] = {"purposes": purposes.read(purposes.SHIPPED)}
    if own is not None:
        says["purposes/own"] = purposes.read(own)
    says["precedence"] = purposes.read(precedence.SHIPPED)
    says["signals"] = purposes.read(table.SHIPPED)
    says |= {f"{_PACK}{name}": purposes.read(path) for name, path in precedence.pack_files(settings.packs_dir).items()}
    made = build(says, settings.jurisdiction)
    table.load()
    return replace(made, signed_by=_signers(made.statement, settings)) if settings.rules_keys else made


def build(says: Mapping[str, object], jurisdiction: str) -> Rulebook:
    """The rulebook of files that say this, by their part's name: of those on disk, or of those that were in force earlier.

    Raises:
        PurposesInvalid: they do not hold together.
    """
    packs = {name.removeprefix(_PACK): said for name, said in says.items() if name.startswith(_PACK)}
    tree = purposes.parse(says.get("purposes"), says.get("purposes/own"))
    ranks = precedence.parse(says.get("precedence"), packs)
    _fits(tree, ranks)
    parts = tuple(Part(name, _version(said), _plain(said)) for name, said in sorted(says.items()))
    named = digest([jurisdiction, [[part.name, part.version, part.digest] for part in parts]])
    return Rulebook(Rules(tree, ranks, jurisdiction, named), parts)


def _fits(tree: PurposeTree, ranks: Precedence) -> None:
    """Every purpose rests on a basis that the pack of each jurisdiction gives a source for."""
    for purpose in tree.by_key.values():
        for place, pack in ranks.jurisdictions.items():
            if purpose.basis_in(place) not in pack.bases:
                raise PurposesInvalid(
                    f"expected a basis that the pack of {place} knows for '{purpose.key}', got {purpose.basis_in(place)}"
                )


def _statement(jurisdiction: str, parts: Sequence[Part]) -> str:
    lines = [f"{part.name} {part.version} {part.digest}" for part in parts]
    return "\n".join([FORM, f"jurisdiction {jurisdiction}", *lines, ""])


def _signers(statement: str, settings: ConsentSettings) -> tuple[str, ...]:
    file = settings.rules_signature
    if file is None:
        raise RulesUnsigned("expected rules_signature, because rules_keys demands a signature, got none")
    try:
        signed = file.read_bytes()[:_MOST_BYTES].decode()
    except (OSError, UnicodeDecodeError) as fault:
        raise RulesUnsigned(f"expected a signature over the rules in {file.name}, got {type(fault).__name__}") from None
    try:
        found = note.verify(signed, settings.rules_keys)
    except InvalidNote as fault:
        raise RulesUnsigned(
            f"expected a signature by one of {len(settings.rules_keys)} keys: {fault.message}"
        ) from None
    if found.text != statement:
        raise RulesUnsigned(f"expected the rules that were signed, got others: {_difference(found.text, statement)}")
    return found.names


def _difference(signed: str, held: str) -> str:
    """Which parts differ, by name."""
    theirs, ours = (dict(line.split(" ", 1) for line in text.splitlines() if " " in line) for text in (signed, held))
    odd = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    return ", ".join(odd) or "another form"


def _version(said: object) -> str:
    found = said.get("version") if isinstance(said, dict) else None
    return "".join(str(found or "").split()) or "none"


def _plain(said: object) -> Json:
    """What YAML made of a file, as JSON: dates as text, numbers that name something as text."""
    return cast("Json", orjson.loads(orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS)))
