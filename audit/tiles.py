"""The tree as tiles (C2SP tlog-tiles): 256 hashes wide, eight levels high. Pure: names, coordinates, growth.

Enters: the hashes of new leaves and the tiles at the tree's right edge. Leaves: the tiles that changed. A tile is an
object keyed (level, index) whose value is up to 256 hashes of 32 bytes side by side; level L holds the hashes of perfect
subtrees of 256**L leaves. A proof at any size needs at most two tiles per level, so nothing ever loads all leaves.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from audit import merkle
from audit.errors import InvalidProof

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_LEAF = 0xFFFF  # an entry bundle writes each length as uint16

Coordinates = tuple[int, int]
"""(level, index) of a tile."""


@dataclass(frozen=True, slots=True)
class TileName:
    """Which file: `level` None is an entry bundle; `width` 256 is a full tile, fewer a partial one."""

    level: int | None
    index: int
    width: int = WIDTH


def path(name: TileName) -> str:
    """`tile/0/x001/x234/067`, `tile/1/000.p/17`, `tile/entries/000`."""
    groups = re.findall(r"\d{3}", f"{name.index:0{-(-len(str(name.index)) // 3) * 3}d}")
    where = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    level = "entries" if name.level is None else str(name.level)
    return f"tile/{level}/{where}" + ("" if name.width == WIDTH else f".p/{name.width}")


def parse_path(text: str) -> TileName | None:
    """The name behind a path as `path` writes it; None for anything else."""
    shape = re.fullmatch(r"tile/(entries|\d{1,2})/((?:x\d{3}/){0,5}\d{3})(?:\.p/(\d{1,3}))?", text)
    if shape is None:
        return None
    level = None if shape[1] == "entries" else int(shape[1])
    name = TileName(level, int(shape[2].replace("x", "").replace("/", "")), int(shape[3] or WIDTH))
    return name if path(name) == text and 0 < name.width <= WIDTH and (level or 0) < HEIGHT else None


def tiles_of(size: int) -> list[TileName]:
    """The right edge of the tree: per level the last tile, with its width. Empty tiles do not exist."""
    edge = []
    level = 0
    while size >> (HEIGHT * level):
        count = size >> (HEIGHT * level)
        edge.append(TileName(level, (count - 1) // WIDTH, (count - 1) % WIDTH + 1))
        level += 1
    return edge


def tiles_between(old: int, new: int) -> list[TileName]:
    """Every hash tile that the tree of `new` leaves has and the tree of `old` had not, or had narrower."""
    names = []
    level = 0
    while new >> (HEIGHT * level):
        before, count = old >> (HEIGHT * level), new >> (HEIGHT * level)
        for index in range(before // WIDTH, -(-count // WIDTH)):
            width = min(WIDTH, count - index * WIDTH)
            if index * WIDTH + width > before:
                names.append(TileName(level, index, width))
        level += 1
    return names


def bundles_between(old: int, new: int) -> list[TileName]:
    """Every entry bundle that is new or wider in the tree of `new` leaves."""
    indexes = range(old // WIDTH, -(-new // WIDTH)) if new > old else range(0)
    return [TileName(None, index, min(WIDTH, new - index * WIDTH)) for index in indexes]


def tile_of_node(height: int, position: int) -> tuple[Coordinates, int, int]:
    """Where the hash of a perfect subtree comes from: its tile, the first hash in it and how many to fold."""
    level, rise = divmod(height, HEIGHT)
    first = position << rise
    return (level, first // WIDTH), first % WIDTH, 1 << rise


def needed(ranges: Iterable[tuple[int, int]]) -> set[Coordinates]:
    """The tiles from which the hashes of these leaf ranges can be made."""
    return {tile_of_node(*node)[0] for begin, end in ranges for node in merkle.perfect_nodes(begin, end)}


def lookup_in(tiles: Mapping[Coordinates, bytes]) -> merkle.Lookup:
    """A `merkle.Lookup` over tiles; raises `InvalidProof` when a tile is absent or too narrow."""

    def lookup(height: int, position: int) -> bytes:
        where, first, count = tile_of_node(height, position)
        hashes = split(tiles.get(where, b""))[first : first + count]
        if len(hashes) != count:
            raise InvalidProof(f"expected tile {where} to hold {first + count} hashes, got fewer")
        return merkle.root_of_hashes(hashes)

    return lookup


def grow(size: int, edge: Mapping[Coordinates, bytes], leaf_hashes: Sequence[bytes]) -> dict[Coordinates, bytes]:
    """The tiles that change when `leaf_hashes` join a tree of `size` leaves with these right-edge tiles."""
    changed: dict[Coordinates, bytes] = {}
    fresh, level = list(leaf_hashes), 0
    while fresh:
        count = size >> (HEIGHT * level)
        index, kept = divmod(count, WIDTH)
        held = edge.get((level, index), b"")[: kept * merkle.HASH_SIZE]
        if len(held) != kept * merkle.HASH_SIZE:
            raise InvalidProof(f"expected tile {(level, index)} to hold {kept} hashes, got fewer")
        hashes = split(held) + fresh
        fresh = []
        for begin in range(0, len(hashes), WIDTH):
            part = hashes[begin : begin + WIDTH]
            changed[level, index + begin // WIDTH] = b"".join(part)
            if len(part) == WIDTH:
                fresh.append(merkle.root_of_hashes(part))
        level += 1
    return changed


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + merkle.HASH_SIZE] for at in range(0, len(tile), merkle.HASH_SIZE)]


def bundle(leaves: Iterable[bytes]) -> bytes:
    """An entry bundle: each leaf behind its length as a big-endian uint16."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def unbundle(data: bytes) -> list[bytes]:
    """The leaves of an entry bundle; `InvalidProof` when its lengths do not add up."""
    leaves, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + length]
        if len(leaf) != length or at + 2 > len(data):
            raise InvalidProof("expected an entry bundle of whole entries, got a cut one")
        leaves.append(leaf)
        at += 2 + length
    return leaves
