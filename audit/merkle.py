"""The Merkle tree of RFC 6962 §2.1 and RFC 9162 §2.1: roots, proofs and their verification. Pure, no store.

Enters: leaf data or 32-byte hashes. Leaves: 32-byte hashes, proofs as lists of them, or `InvalidProof`. A leaf hash is
SHA-256(0x00 || data), a node hash SHA-256(0x01 || left || right). Proof makers ask a `Lookup` for perfect subtrees, so the
same code serves a list in memory and tiles on disk. Subtree proofs follow draft-ietf-plants-merkle-tree-certs §4.
Every verifier checks sizes and the length of every hash before it hashes anything: an empty "hash" equals an empty root.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence

from audit.errors import InvalidProof

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1  # sizes travel as signed 64-bit integers in Postgres and in Go's tlog
EMPTY_ROOT = hashlib.sha256(b"").digest()

Lookup = Callable[[int, int], bytes]
"""(height, position) -> hash of the perfect subtree over leaves [position << height, (position + 1) << height)."""


def leaf_hash(data: bytes) -> bytes:
    """The 32-byte hash of one leaf's data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_inputs: Sequence[bytes]) -> bytes:
    """The tree head over leaf data, in order; of no leaves SHA-256 of nothing."""
    return root_of_hashes([leaf_hash(data) for data in leaf_inputs])


def root_of_hashes(leaf_hashes: Sequence[bytes]) -> bytes:
    """The tree head over leaf hashes, in order.

    Pairs are folded level by level; an odd last node moves up unchanged, which is the same tree as RFC 6962's recursion.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        folded = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            folded.append(level[-1])
        level = folded
    return level[0]


def lookup_over(leaf_hashes: Sequence[bytes]) -> Lookup:
    """A `Lookup` over leaf hashes held in memory."""

    def lookup(height: int, position: int) -> bytes:
        return root_of_hashes(leaf_hashes[position << height : (position + 1) << height])

    return lookup


def perfect_nodes(begin: int, end: int) -> list[tuple[int, int]]:
    """The perfect subtrees (height, position) whose concatenation is [begin, end), left to right."""
    nodes: list[tuple[int, int]] = []
    while begin < end:
        fits = (end - begin).bit_length() - 1
        height = min(fits, (begin & -begin).bit_length() - 1) if begin else fits
        nodes.append((height, begin >> height))
        begin += 1 << height
    return nodes


def range_hash(begin: int, end: int, lookup: Lookup) -> bytes:
    """The hash of the (sub)tree over leaves [begin, end): its perfect subtrees folded from the right."""
    if begin == end:
        return EMPTY_ROOT
    hashes = [lookup(height, position) for height, position in perfect_nodes(begin, end)]
    folded = hashes.pop()
    while hashes:
        folded = node_hash(hashes.pop(), folded)
    return folded


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The leaf ranges whose hashes are the inclusion proof of `index` in a tree of `size`, leaf end first."""
    _require(0 <= index < size <= MAX_SIZE, f"expected 0 <= index < size, got index {index} and size {size}")
    ranges: list[tuple[int, int]] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def consistency_ranges(size1: int, size2: int) -> list[tuple[int, int]]:
    """The leaf ranges whose hashes are the consistency proof from `size1` to `size2` (RFC 9162 §2.1.4.1)."""
    _require(0 < size1 <= size2 <= MAX_SIZE, f"expected 0 < size1 <= size2, got {size1} and {size2}")
    ranges: list[tuple[int, int]] = []
    begin, end, whole = 0, size2, True
    while size1 != end:
        middle = begin + _split(end - begin)
        if size1 <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin, whole = middle, False
    if not whole:
        ranges.append((begin, end))
    return ranges[::-1]


def inclusion_proof(index: int, size: int, lookup: Lookup) -> list[bytes]:
    """The hashes that prove leaf `index` in the tree of `size`."""
    return [range_hash(begin, end, lookup) for begin, end in inclusion_ranges(index, size)]


def consistency_proof(size1: int, size2: int, lookup: Lookup) -> list[bytes]:
    """The hashes that prove that the tree of `size2` only added leaves to the tree of `size1`."""
    return [range_hash(begin, end, lookup) for begin, end in consistency_ranges(size1, size2)]


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:  # noqa: A002,RUF100
    """Raise `InvalidProof` unless `proof` shows `leaf_hash` at `index` of the tree with `size` and `root`."""
    _require(0 <= index < size <= MAX_SIZE, f"expected 0 <= index < size, got index {index} and size {size}")
    _require_hashes(leaf_hash, root, *proof)
    _match(_climb(index, size - 1, leaf_hash, proof), root)


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Raise `InvalidProof` unless `proof` shows that the tree (size2, root2) extends the tree (size1, root1).

    `size1` 0 is refused: nothing can be proven about an empty tree, and accepting it would let any root pass.
    """
    _require(0 < size1 <= size2 <= MAX_SIZE, f"expected 0 < size1 <= size2, got {size1} and {size2}")
    verify_subtree_consistency(0, size1, size2, proof, root1, root2)


def verify_subtree_inclusion(
    index: int, begin: int, end: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise `InvalidProof` unless `proof` shows `leaf_hash` at `index` of the subtree [begin, end) with `root`."""
    _require_subtree(begin, end)
    _require(begin <= index < end, f"expected {begin} <= index < {end}, got index {index}")
    verify_inclusion(index - begin, end - begin, leaf_hash, proof, root)


def verify_subtree_consistency(
    begin: int, end: int, size: int, proof: Sequence[bytes], subtree_root: bytes, root: bytes
) -> None:
    """Raise `InvalidProof` unless `proof` shows the subtree [begin, end) at its place in the tree (size, root)."""
    _require_subtree(begin, end)
    _require(end <= size <= MAX_SIZE, f"expected end <= size, got end {end} and size {size}")
    _require_hashes(subtree_root, root, *proof)
    first, last, tree = begin, end - 1, size - 1
    # Climb to the subtree that both trees share whole: the proof starts there.
    while first != last and (last & 1 or last == tree):
        first, last, tree = first >> 1, last >> 1, tree >> 1
    rest = list(proof)
    if first == last:
        old = new = subtree_root
    else:
        _require(bool(rest), "expected a proof of at least one hash, got none")
        old = new = rest.pop(0)
    for sibling in rest:
        _require(tree > 0, "expected the proof to end at the root, got more hashes")
        if last & 1 or last == tree:
            if first < last:
                old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not last & 1:
                first, last, tree = first >> 1, last >> 1, tree >> 1
        else:
            new = node_hash(new, sibling)
        first, last, tree = first >> 1, last >> 1, tree >> 1
    _require(tree == 0, "expected the proof to reach the root, got too few hashes")
    _match(old, subtree_root)
    _match(new, root)


def _climb(position: int, last: int, start: bytes, proof: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2: fold `proof` onto `start`, from `position` among nodes 0..last."""
    folded = start
    for sibling in proof:
        _require(last > 0, "expected the proof to end at the root, got more hashes")
        if position & 1 or position == last:
            folded = node_hash(sibling, folded)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            folded = node_hash(folded, sibling)
        position, last = position >> 1, last >> 1
    _require(last == 0, "expected the proof to reach the root, got too few hashes")
    return folded


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _require_subtree(begin: int, end: int) -> None:
    _require(0 <= begin < end <= MAX_SIZE, f"expected 0 <= begin < end, got {begin} and {end}")
    width = 1 << (end - begin - 1).bit_length()
    _require(begin % width == 0, f"expected a subtree that begins at a multiple of {width}, got {begin}")


def _require_hashes(*hashes: bytes) -> None:
    for value in hashes:
        _require(len(value) == HASH_SIZE, f"expected a hash of {HASH_SIZE} bytes, got {len(value)}")


def _match(computed: bytes, claimed: bytes) -> None:
    _require(hmac.compare_digest(computed, claimed), f"expected root {claimed.hex()}, got {computed.hex()}")


def _require(condition: bool, message: str) -> None:  # noqa: FBT001  a private assertion reads best positionally
    if not condition:
        raise InvalidProof(message)
