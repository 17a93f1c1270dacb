"""Merkle trees as in RFC 9162, and their storage in tiles as in C2SP tlog-tiles. Pure functions over bytes.

A node is addressed by (level, index): it covers the leaves from index·2^level up to (index+1)·2^level.
A tile (level, index) holds the hashes of up to 256 neighbouring nodes at height 8·level, so a proof needs few reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from guard.digest import DIGEST_SIZE, sha256
from guard.errors import ProofError

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"")

TileId = tuple[int, int]
ReadNode = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(b"\x00" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right)


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over some leaves (their data, not their hashes)."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree.root()


class CompactRange:
    """A growing tree, remembered by the roots of its perfect subtrees only, largest first."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: bytes = b"") -> None:
        if size < 0 or len(peaks) != DIGEST_SIZE * size.bit_count():
            raise ProofError(f"a tree of {size} leaves cannot have {len(peaks)} bytes of peaks")
        self.size = size
        self.peaks = split(peaks)

    def append(self, hashed: bytes) -> None:
        """Add one leaf by its hash."""
        rest = self.size
        while rest & 1:
            hashed = sha256(b"\x01" + self.peaks.pop() + hashed)
            rest >>= 1
        self.peaks.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return _fold(self.peaks)


def split(hashes: bytes) -> list[bytes]:
    """Concatenated hashes, one by one."""
    return [hashes[at : at + DIGEST_SIZE] for at in range(0, len(hashes), DIGEST_SIZE)]


def _fold(peaks: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees of falling size."""
    if not peaks:
        return EMPTY_ROOT
    result = peaks[-1]
    for peak in reversed(peaks[:-1]):
        result = node_hash(peak, result)
    return result


# --- making proofs -------------------------------------------------------------------------------------------------


def inclusion_proof(index: int, size: int, read: ReadNode) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, nearest sibling first."""
    if not 0 <= index < size:
        raise ProofError(f"there is no entry {index} in a tree of {size}")
    start, end = 0, size
    path = []
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if index < middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(start, middle, read))
            start = middle
    return path[::-1]


def consistency_proof(size1: int, size2: int, read: ReadNode) -> list[bytes]:
    """The proof that the tree of `size1` leaves is a prefix of the tree of `size2`."""
    if not 0 < size1 <= size2:
        raise ProofError(f"a tree of {size2} cannot be shown to extend one of {size1}")
    start, end = 0, size2
    path = []
    while size1 != end:
        middle = start + _largest_power_below(end - start)
        if size1 <= middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(start, middle, read))
            start = middle
    if start:
        path.append(_range_root(start, end, read))
    return path[::-1]


def tree_root(size: int, read: ReadNode) -> bytes:
    """The root of the tree of `size` leaves from stored nodes."""
    return _fold(stored_peaks(size, read))


def stored_peaks(size: int, read: ReadNode) -> list[bytes]:
    """The roots of the perfect subtrees of a tree of `size` leaves, largest first."""
    return _perfect_roots(0, size, read)


def _range_root(start: int, end: int, read: ReadNode) -> bytes:
    return _fold(_perfect_roots(start, end, read))


def _perfect_roots(start: int, end: int, read: ReadNode) -> list[bytes]:
    """`start` is a multiple of the largest power of two that fits, as it is wherever RFC 9162 splits a tree."""
    roots = []
    while start < end:
        level = (end - start).bit_length() - 1
        roots.append(read(level, start >> level))
        start += 1 << level
    return roots


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


# --- checking proofs -----------------------------------------------------------------------------------------------


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless `proof` shows that the leaf is number `index` (from 0) of `size` under `root`."""
    _require_sizes(index, size)
    if not 0 <= index < size:
        raise ProofError(f"entry {index} lies outside a tree of {size}")
    _require_hashes([leaf_hash, root])
    inner, outer = _path_lengths(index, size)
    _require_proof(proof, inner + outer)
    if _climb(leaf_hash, index, proof, inner) != root:
        raise ProofError(f"the proof of entry {index} does not lead to the root")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Raise ProofError unless `proof` shows that the tree under `root2` starts with the whole tree under `root1`."""
    _require_sizes(size1, size2)
    if not 0 < size1 <= size2:
        raise ProofError(f"a tree of {size2} cannot be shown to extend one of {size1}")
    _require_hashes([root1, root2])
    if size1 == size2:
        _require_proof(proof, 0)
        if root1 != root2:
            raise ProofError(f"two different trees of {size1} entries")
        return
    shift = (size1 & -size1).bit_length() - 1  # the largest perfect subtree that ends at size1 is the common start
    inner, outer = _path_lengths(size1 - 1, size2)
    inner -= shift
    whole = size1 == 1 << shift
    _require_proof(proof, inner + outer + (0 if whole else 1))
    seed, path = (root1, proof) if whole else (proof[0], proof[1:])
    position = (size1 - 1) >> shift
    old = seed
    for height, sibling in enumerate(path):
        if height >= inner or position >> height & 1:
            old = node_hash(sibling, old)
    if old != root1:
        raise ProofError(f"the proof does not lead to the older root, at {size1} entries")
    if _climb(seed, position, path, inner) != root2:
        raise ProofError(f"the proof does not lead to the newer root, at {size2} entries")


def _path_lengths(index: int, size: int) -> tuple[int, int]:
    """How many steps of a path lie below the point where it joins the right edge, and how many above."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(start: bytes, index: int, path: Sequence[bytes], inner: int) -> bytes:
    result = start
    for height, sibling in enumerate(path):
        left = height >= inner or index >> height & 1
        result = node_hash(sibling, result) if left else node_hash(result, sibling)
    return result


def _require_sizes(*numbers: object) -> None:
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise ProofError("indexes and sizes must be whole numbers")


def _require_hashes(hashes: Sequence[object]) -> None:
    if not all(isinstance(item, bytes) and len(item) == DIGEST_SIZE for item in hashes):
        raise ProofError(f"every hash must be {DIGEST_SIZE} bytes")


def _require_proof(proof: object, length: int) -> None:
    if not isinstance(proof, list | tuple):
        raise ProofError("a proof must be a list of hashes")
    if len(proof) != length:
        raise ProofError(f"the proof has {len(proof)} hashes instead of {length}")
    _require_hashes(proof)


# --- tiles ---------------------------------------------------------------------------------------------------------


class TileNodes:
    """Reads single nodes out of tiles: the `read` argument of the functions above."""

    def __init__(self, read_tile: Callable[[int, int], bytes]) -> None:
        self._read_tile = read_tile
        self._nodes: dict[tuple[int, int], bytes] = {}  # proofs of neighbours share most of their nodes

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of one node."""
        node = self._nodes.get((level, index))
        if node is None:
            if level % TILE_HEIGHT:
                node = node_hash(self(level - 1, 2 * index), self(level - 1, 2 * index + 1))
            else:
                node = self._stored(level // TILE_HEIGHT, index)
            self._nodes[level, index] = node
        return node

    def _stored(self, level: int, index: int) -> bytes:
        tile, offset = divmod(index, TILE_WIDTH)
        start = offset * DIGEST_SIZE
        found = self._read_tile(level, tile)[start : start + DIGEST_SIZE]
        if len(found) != DIGEST_SIZE:
            raise ProofError(f"tile {level}/{tile} is too short for the tree")
        return found


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^n neighbouring hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def edge_tiles(size: int) -> list[TileId]:
    """The partial tiles on the right edge of a tree: the only ones that change when it grows."""
    tiles = []
    level, count = 0, size
    while count:
        if count % TILE_WIDTH:
            tiles.append((level, count // TILE_WIDTH))
        level, count = level + 1, count // TILE_WIDTH
    return tiles


def path_tiles(index: int, size: int) -> list[TileId]:
    """The tiles above leaf `index`; with `edge_tiles`, all that its inclusion proof needs."""
    tiles = []
    level, count, at = 0, size, index
    while count:
        at //= TILE_WIDTH
        if at * TILE_WIDTH < count:
            tiles.append((level, at))
        level, count = level + 1, count // TILE_WIDTH
    return tiles


def grow(size: int, tiles: Mapping[TileId, bytes], hashes: Iterable[bytes]) -> dict[TileId, bytes]:
    """Add leaf hashes to a tree of `size` whose edge tiles are given; returns the tiles that changed, in full."""
    edge: dict[int, list[bytes]] = {}
    changed: dict[TileId, bytes] = {}
    counts: dict[int, int] = {}

    def push(level: int, hashed: bytes) -> None:
        if level not in edge:
            counts[level] = size >> (TILE_HEIGHT * level)
            edge[level] = split(tiles[level, counts[level] // TILE_WIDTH]) if counts[level] % TILE_WIDTH else []
        edge[level].append(hashed)
        counts[level] += 1
        if len(edge[level]) == TILE_WIDTH:
            changed[level, counts[level] // TILE_WIDTH - 1] = b"".join(edge[level])
            push(level + 1, perfect_root(edge[level]))
            edge[level] = []

    for hashed in hashes:
        push(0, hashed)
    for level, rest in edge.items():
        if rest:
            changed[level, counts[level] // TILE_WIDTH] = b"".join(rest)
    return changed
