"""The tree against a naive one, by properties."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle, tiles
from audit.errors import InvalidProof


def naive_root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


def naive_path(index, hashes):
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if index < k:
        return [*naive_path(index, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(index - k, hashes[k:]), naive_root(hashes[:k])]


def naive_consistency(size1, hashes, whole=True):
    if size1 == len(hashes):
        return [] if whole else [naive_root(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if size1 <= k:
        return [*naive_consistency(size1, hashes[:k], whole), naive_root(hashes[k:])]
    return [*naive_consistency(size1 - k, hashes[k:], False), naive_root(hashes[:k])]


def leaf_hashes(size):
    return [merkle.leaf_hash(b"%d" % number) for number in range(size)]


@given(st.integers(0, 70))
def test_the_root_is_the_recursive_one(size):
    assert merkle.root([b"%d" % number for number in range(size)]) == naive_root(leaf_hashes(size))


@given(st.data())
def test_inclusion_proofs_are_the_recursive_ones_and_verify(data):
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    hashes = leaf_hashes(size)
    proof = merkle.inclusion_proof(index, size, merkle.lookup_over(hashes))
    assert proof == naive_path(index, hashes)
    merkle.verify_inclusion(index, size, hashes[index], proof, naive_root(hashes))


@given(st.data())
def test_consistency_proofs_are_the_recursive_ones_and_verify(data):
    size2 = data.draw(st.integers(1, 70))
    size1 = data.draw(st.integers(1, size2))
    hashes = leaf_hashes(size2)
    proof = merkle.consistency_proof(size1, size2, merkle.lookup_over(hashes))
    assert proof == naive_consistency(size1, hashes)
    merkle.verify_consistency(size1, size2, proof, naive_root(hashes[:size1]), naive_root(hashes))


@given(st.data())
def test_no_flipped_bit_survives(data):
    size = data.draw(st.integers(2, 40))
    index = data.draw(st.integers(0, size - 1))
    hashes = leaf_hashes(size)
    whole = [hashes[index], *merkle.inclusion_proof(index, size, merkle.lookup_over(hashes)), naive_root(hashes)]
    which, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    flipped = bytearray(whole[which])
    flipped[bit // 8] ^= 1 << bit % 8
    whole[which] = bytes(flipped)
    with pytest.raises(InvalidProof):
        merkle.verify_inclusion(index, size, whole[0], whole[1:-1], whole[-1])


@given(st.data())
def test_a_proof_for_one_place_or_size_proves_no_other(data):
    size = data.draw(st.integers(2, 40))
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    hashes = leaf_hashes(size)
    proof = merkle.inclusion_proof(index, size, merkle.lookup_over(hashes))
    with pytest.raises(InvalidProof):
        merkle.verify_inclusion(other, size, hashes[index], proof, naive_root(hashes))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=8), st.randoms())
def test_tiles_grown_in_steps_give_the_root_and_proofs_of_the_whole(steps, random):
    hashes = leaf_hashes(sum(steps))
    held, size = {}, 0
    for step in steps:
        held |= tiles.grow(size, held, hashes[size : size + step])
        size += step
    if not size:
        return
    lookup = tiles.lookup_in(held)
    root = merkle.range_hash(0, size, lookup)
    assert root == merkle.root_of_hashes(hashes)
    index, size1 = random.randrange(size), random.randint(1, size)
    merkle.verify_inclusion(index, size, hashes[index], merkle.inclusion_proof(index, size, lookup), root)
    old = merkle.root_of_hashes(hashes[:size1])
    merkle.verify_consistency(size1, size, merkle.consistency_proof(size1, size, lookup), old, root)
    assert {(name.level, name.index) for name in tiles.tiles_between(0, size)} == set(held)
    for name in tiles.tiles_between(0, size):
        assert len(held[name.level, name.index]) == 32 * name.width


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_tiles_between_two_sizes_are_those_that_changed(a, b):
    old, new = sorted((a, b))
    before = {(name.level, name.index): name.width for name in tiles.tiles_between(0, old)}
    after = {(name.level, name.index): name.width for name in tiles.tiles_between(0, new)}
    changed = {where: width for where, width in after.items() if before.get(where) != width}
    assert {(name.level, name.index): name.width for name in tiles.tiles_between(old, new)} == changed


@given(st.sampled_from([None, 0, 1, 7]), st.integers(0, 10**9), st.integers(1, 256))
def test_a_tile_path_names_one_tile(level, index, width):
    name = tiles.TileName(level, index, width)
    assert tiles.parse_path(tiles.path(name)) == name


@pytest.mark.parametrize(
    "odd",
    ["tile/0/1", "tile/0/x001/x234/67", "tile/0/000.p/0", "tile/0/000.p/257", "tile/00/000", "tile/0/x000/001",
     "tile/../000", "tile/0/000.p/256", "tile/8/000", "tile/entries/x/000", "", "tile/0/000\n"],
)  # fmt: skip
def test_a_path_written_another_way_names_none(odd):
    assert tiles.parse_path(odd) is None


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_unbundle(leaves):
    assert tiles.unbundle(tiles.bundle(leaves)) == leaves


def test_a_cut_bundle_is_refused():
    whole = tiles.bundle([b"one", b"two"])
    for cut in range(1, len(whole)):
        if cut != 5:
            with pytest.raises(InvalidProof):
                tiles.unbundle(whole[:cut])
