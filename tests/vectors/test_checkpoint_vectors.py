"""Notes, keys, checkpoints, proof files and policies of other implementations."""

import base64
import json

import pytest

from audit import checkpoint, note, policy, proof_file, tiles
from audit.errors import InvalidNote
from kernel.errors import IntegrityError
from tests.support.shared import shared_path

pytestmark = pytest.mark.shared


def cases(name):
    return json.loads(shared_path("cases/checkpoint.json").read_text())[name]


def test_valid_keys_read_and_write_back():
    for vkey in cases("verifier_keys")["valid"]:
        assert checkpoint.parse_key(vkey).text == vkey


def test_invalid_keys_are_refused():
    for case in cases("verifier_keys")["invalid"]:
        with pytest.raises(InvalidNote):
            checkpoint.parse_key(case["vkey"])


def test_every_part_and_every_mangling_of_a_key_is_refused():
    vkey = cases("verifier_keys")["valid"][0]
    parts = [vkey[i:j] for i in range(len(vkey) + 1) for j in range(i + 1, len(vkey) + 1) if (i, j) != (0, len(vkey))]
    flips = [vkey[:i] + chr(ord(vkey[i]) ^ 1 << bit) + vkey[i + 1 :] for i in range(len(vkey)) for bit in range(7)]
    for mangled in parts + flips:
        with pytest.raises(InvalidNote):
            checkpoint.parse_key(mangled)


def test_signing_gives_the_expected_note():
    case = cases("signing")
    signer = checkpoint.SignerKey.parse(case["skey"])
    assert signer.text == case["skey"]
    assert note.sign(case["text"], signer) == case["expected_note"]
    assert case["skey"] not in repr(signer)


def test_notes():
    for case in cases("notes"):
        if case["valid"]:
            names = checkpoint.verify(case["note"], case["vkeys"]).names
            assert list(names) == case.get("verified_names", list(names))
        else:
            with pytest.raises(InvalidNote):
                checkpoint.verify(case["note"], case["vkeys"])


def test_checkpoints():
    for case in cases("checkpoints"):
        taken = checkpoint.verify_checkpoint(case["note"], [case["vkey"]])
        assert taken == checkpoint.parse(case["note"])
        assert taken.origin == case.get("origin", taken.origin)
        assert taken.size == case.get("size", taken.size)
        assert base64.b64encode(taken.hash).decode() == case.get("root_b64", base64.b64encode(taken.root).decode())


def test_checkpoint_bodies():
    for case in cases("checkpoint_bodies"):
        if not case["valid"]:
            with pytest.raises(InvalidNote):
                checkpoint.parse(case["body"])
            continue
        taken = checkpoint.parse(case["body"])
        want = case["parsed"]
        assert (taken.origin, taken.size, taken.hash) == (
            want["origin"],
            want["size"],
            base64.b64decode(want["hash_b64"]),
        )


def test_cosignature_times():
    for case in cases("cosignature_timestamps"):
        if "error" in case:
            with pytest.raises(InvalidNote):
                checkpoint.cosignature_time(case["sig_b64"])
        else:
            assert checkpoint.cosignature_time(case["sig_b64"]) == case["time"]


def test_proof_files_under_their_policies():
    for case in cases("tlog_proofs"):

        def check(case=case):
            taken = proof_file.parse(case["proof"])
            assert taken.text == case["proof"]
            return taken.verify(bytes.fromhex(case["leaf_data_hex"]), policy.parse(case["policy"]))

        if case["valid"]:
            assert check().size == 8
        else:
            with pytest.raises(IntegrityError):
                check()


def test_policies():
    for case in cases("policies"):
        if case["valid"]:
            policy.parse(case["policy"])
        else:
            with pytest.raises(policy.InvalidPolicy) as caught:
                policy.parse(case["policy"])
            assert case["error"] in caught.value.message


def test_tile_paths_and_layout():
    for case in cases("tile_paths"):
        name = tiles.TileName(case["level"], case["index"])
        assert tiles.path(name) == case["path"]
        assert tiles.parse_path(case["path"]) == name
    layout = cases("tile_layout")
    edge = tiles.tiles_of(layout["tree_size"])
    assert [(tile.level, tile.index, tile.width) for tile in edge] == [
        (0, layout["full_level0"], layout["partial_level0_width"]),
        (1, layout["full_level1"], layout["partial_level1_width"]),
        (2, 0, layout["partial_level2_width"]),
    ]
