"""Who must have signed: the trust policy file of C2SP tlog-policy. Pure, offline.

Enters: the file's text. Leaves: `Policy`, which checks a checkpoint note: one of the logs signed it, and enough witnesses
cosigned it. Below the quorum nothing is verified.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from audit import note
from audit.checkpoint import Checkpoint, verify_checkpoint
from audit.errors import InvalidNote
from audit.note import COSIGNATURE, VerifierKey


class InvalidPolicy(InvalidNote):
    """A policy file that cannot be read, or that a checkpoint does not satisfy."""

    code = "invalid_policy"
    remedy = "Correct the policy file, or ask for a checkpoint that enough witnesses have cosigned."


@dataclass(frozen=True, slots=True)
class Group:
    """A set of witnesses or groups of which `threshold` must have witnessed."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Known logs, known witnesses by name, groups of them, and the name of the quorum (`none`: no witness needed)."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str

    def verify(self, text: str) -> Checkpoint:
        """The checkpoint in a note, signed by a known log and cosigned by the quorum; else `InvalidNote`."""
        checkpoint = verify_checkpoint(text, self.logs)
        signed = note.verify(text, (*self.logs, *self.witnesses.values()))
        who = {(signature.name, signature.key_hash) for signature in signed.verified}
        present = {name for name, key in self.witnesses.items() if (key.name, key.key_hash) in who}
        if not self._witnessed(self.quorum, present):
            raise InvalidPolicy(f"expected cosignatures that satisfy the quorum, got {len(present)} of them")
        return checkpoint

    def _witnessed(self, name: str, present: set[str]) -> bool:
        if name == "none":
            return True
        group = self.groups.get(name)
        if group is None:
            return name in present
        return sum(self._witnessed(member, present) for member in group.members) >= group.threshold


def parse(text: str) -> Policy:
    """Read a policy file.

    Raises:
        InvalidPolicy: with the line's number and what is wrong with it.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        bad = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)
        if bad:
            raise InvalidPolicy(f"line {number}: invalid octet 0x{ord(bad.group()):02x}")
        words = re.findall(r"[^ \t]+", line)
        if words and not words[0].startswith("#"):
            reader.take(number, words)
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorums: list[str] = []
        self.used: set[str] = set()
        self.number = 0

    def take(self, number: int, words: list[str]) -> None:
        self.number = number
        keyword, *rest = words
        readers = {"log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum}
        self._require(keyword in readers, "unknown keyword")
        readers[keyword](rest)

    def finish(self) -> Policy:
        if len(self.quorums) != 1:
            raise InvalidPolicy(f"expected exactly one quorum line, got {len(self.quorums)}")
        return Policy(tuple(self.logs), self.witnesses, self.groups, self.quorums[0])

    def _log(self, words: list[str]) -> None:
        self._require(len(words) in {1, 2}, "invalid log definition")
        key = self._key(words[0], "log")
        self._require(all(key.material != other.material for other in self.logs), "duplicate log public key")
        self.logs.append(key)

    def _witness(self, words: list[str]) -> None:
        self._require(len(words) in {2, 3}, "invalid witness definition")
        self._fresh(words[0])
        key = self._key(words[1], "witness")
        self._require(key.algorithm == COSIGNATURE, f"key type 0x{key.algorithm:02x} is not a cosignature key type")
        known = self.witnesses.values()
        self._require(all(key.material != other.material for other in known), "duplicate witness public key")
        self.witnesses[words[0]] = key

    def _group(self, words: list[str]) -> None:
        self._require(len(words) >= 3, "invalid group definition")
        name, threshold, *members = words
        self._fresh(name)
        for member in members:
            self._require(member in self.witnesses or member in self.groups, "unknown member")
            self._require(member not in self.used, "member listed more than once")
            self.used.add(member)
        named = {"all": str(len(members)), "any": "1"}.get(threshold, threshold)
        self._require(re.fullmatch(r"[0-9]{1,9}", named) is not None, "invalid threshold")
        self._require(1 <= int(named) <= len(members), f"threshold outside [1, {len(members)}]")
        self.groups[name] = Group(int(named), tuple(members))

    def _quorum(self, words: list[str]) -> None:
        self._require(len(words) == 1, "invalid quorum definition")
        name = words[0]
        self._require(name == "none" or name in self.witnesses or name in self.groups, f'quorum "{name}" not defined')
        self._require(not self.quorums, "expected exactly one quorum line")
        self.quorums.append(name)

    def _key(self, vkey: str, what: str) -> VerifierKey:
        try:
            return note.parse_key(vkey)
        except InvalidNote as fault:
            raise InvalidPolicy(f"line {self.number}: invalid {what} vkey: {fault.message}") from fault

    def _fresh(self, name: str) -> None:
        self._require(name != "none", "name is reserved")
        self._require(name not in self.witnesses and name not in self.groups, "duplicate name")

    def _require(self, condition: bool, message: str) -> None:  # noqa: FBT001  a private assertion
        if not condition:
            raise InvalidPolicy(f"line {self.number}: {message}")
