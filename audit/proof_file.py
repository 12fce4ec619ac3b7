"""Proof files (C2SP tlog-proof, `.tlog-proof`): one entry's inclusion under a signed checkpoint. Pure, offline.

Enters: the file's text, the leaf's data and a policy. Leaves: the checkpoint that proves it, or an integrity error.
"""

import re
from dataclasses import dataclass

from audit import merkle, note
from audit.checkpoint import Checkpoint
from audit.errors import InvalidProof
from audit.policy import Policy

_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class ProofFile:
    """The parts of a proof file. `extra` is not authenticated; nothing may rest on it."""

    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    @property
    def text(self) -> str:
        """The file."""
        extra = [] if self.extra is None else [f"extra {note.base64_of(self.extra)}"]
        lines = [_HEADER, *extra, f"index {self.index}", *map(note.base64_of, self.proof), ""]
        return "\n".join(lines) + "\n" + self.checkpoint

    def verify(self, leaf_data: bytes, policy: Policy) -> Checkpoint:
        """The checkpoint under which `leaf_data` is proven; raises `InvalidProof` or `InvalidNote`."""
        checkpoint = policy.verify(self.checkpoint)
        leaf = merkle.leaf_hash(leaf_data)
        merkle.verify_inclusion(self.index, checkpoint.size, leaf, self.proof, checkpoint.root)
        return checkpoint


def parse(text: str) -> ProofFile:
    """Take a proof file apart; `InvalidProof` or `InvalidNote` when malformed. The checkpoint is not looked into."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != _HEADER:
        raise InvalidProof("expected a proof file with its header line, a blank line and a checkpoint")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = note.unbase64(lines.pop(0)[len("extra ") :], "extra data")
    number = re.fullmatch(r"index (0|[1-9][0-9]{0,19})", lines.pop(0) if lines else "")
    if number is None or int(number.group(1)) >= 2**64:
        raise InvalidProof("expected a line 'index N' with a 64-bit number")
    proof = tuple(note.unbase64(line, "hash") for line in lines)
    if any(len(value) != merkle.HASH_SIZE for value in proof):
        raise InvalidProof("expected hashes of 32 bytes")
    return ProofFile(int(number.group(1)), proof, checkpoint, extra)
