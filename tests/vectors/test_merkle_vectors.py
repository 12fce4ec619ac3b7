"""Roots and proofs of other implementations, and the traps that some of them fell into."""

import base64
import json

import pytest

from audit import merkle
from audit.errors import InvalidProof
from tests.support.shared import shared_path

pytestmark = pytest.mark.shared


def cases(name):
    return json.loads(shared_path("cases/merkle.json").read_text())[name]


def unpack(text):
    return base64.b64decode(text or "")


def holds(check):
    try:
        check()
    except InvalidProof:
        return False
    return True


def test_roots_of_every_size():
    tree = cases("tree")
    leaves = [bytes.fromhex(leaf) for leaf in tree["leaf_inputs_hex"]]
    for size, root in tree["root_hash_by_size_hex"].items():
        assert merkle.root(leaves[: int(size)]).hex() == root


def test_leaf_and_node_hashes():
    for case in cases("hasher")["cases"]:
        if "leaf_data_utf8" in case:
            assert merkle.leaf_hash(case["leaf_data_utf8"].encode()).hex() == case["hex"]
        elif "left_utf8" in case:
            assert merkle.node_hash(case["left_utf8"].encode(), case["right_utf8"].encode()).hex() == case["hex"]
        else:
            assert merkle.root([]).hex() == case["hex"]


def test_inclusion_proofs():
    for case in cases("inclusion"):
        proof = [unpack(part) for part in case["proof"] or []]
        root, leaf = unpack(case["root"]), unpack(case["leafHash"])
        verdict = holds(lambda: merkle.verify_inclusion(case["leafIdx"], case["treeSize"], leaf, proof, root))  # noqa: B023
        assert verdict is not case["wantErr"], case["source_path"]


def test_consistency_proofs():
    for case in cases("consistency"):
        proof = [unpack(part) for part in case["proof"] or []]
        old, new = unpack(case["root1"]), unpack(case["root2"])
        verdict = holds(lambda: merkle.verify_consistency(case["size1"], case["size2"], proof, old, new))  # noqa: B023
        assert verdict is not case["wantErr"], case["source_path"]


def test_subtree_inclusion_proofs():
    for case in cases("subtreeinclusion"):
        proof = [unpack(part) for part in case["proof"] or []]
        root, leaf = unpack(case["root"]), unpack(case["leafHash"])
        where = (case["leafIdx"], case["start"], case["end"])
        verdict = holds(lambda: merkle.verify_subtree_inclusion(*where, leaf, proof, root))  # noqa: B023
        assert verdict is not case["wantErr"], case["source_path"]


def test_subtree_consistency_proofs():
    for case in cases("subtreeconsistency"):
        proof = [unpack(part) for part in case["proof"] or []]
        old, new = unpack(case["root1"]), unpack(case["root2"])
        where = (case["start"], case["end"], case["size"])
        verdict = holds(lambda: merkle.verify_subtree_consistency(*where, proof, old, new))  # noqa: B023
        assert verdict is not case["wantErr"], case["source_path"]


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_a_hash_of_another_length_never_verifies(length):
    odd = b"x" * length
    for check in (
        lambda: merkle.verify_inclusion(0, 1, odd, [], odd),
        lambda: merkle.verify_consistency(1, 1, [], odd, odd),
        lambda: merkle.verify_inclusion(0, 2, b"l" * 32, [odd], b"r" * 32),
    ):
        with pytest.raises(InvalidProof, match="32 bytes"):
            check()


def test_an_empty_tree_is_consistent_with_nothing():
    for size2 in (0, 1, 8):
        with pytest.raises(InvalidProof):
            merkle.verify_consistency(0, size2, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT)
