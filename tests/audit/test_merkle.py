"""The tree against a naive reading of RFC 9162, the RFC's own example, a foreign implementation and malformed proofs."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pymerkle  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.audit import merkle
from guard.audit.merkle import TileId, leaf_hash, node_hash
from guard.errors import ProofError

LEAVES = [f"leaf {number}".encode() for number in range(70)]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def reader(leaves: list[bytes]) -> merkle.TileNodes:
    tiles = merkle.grow(0, {}, [leaf_hash(leaf) for leaf in leaves])
    return merkle.TileNodes(lambda level, index: tiles[level, index])


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


def test_roots_of_all_small_trees() -> None:
    tree = merkle.CompactRange()
    for size in range(len(LEAVES) + 1):
        expected = naive_root(LEAVES[:size])
        assert merkle.root(LEAVES[:size]) == tree.root() == merkle.tree_root(size, reader(LEAVES[:size])) == expected
        assert merkle.CompactRange(size, b"".join(tree.peaks)).root() == expected
        if size < len(LEAVES):
            tree.append(leaf_hash(LEAVES[size]))


def test_every_inclusion_proof_of_every_small_tree() -> None:
    for size in range(1, len(LEAVES) + 1):
        read, root = reader(LEAVES[:size]), naive_root(LEAVES[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, read)
            merkle.verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, root)
            for wrong in {(index + 1) % size, index ^ 1} - {index}:
                with pytest.raises(ProofError):
                    merkle.verify_inclusion(leaf_hash(LEAVES[index]), wrong, size, proof, root)


def test_every_consistency_proof_of_every_small_tree() -> None:
    roots = [naive_root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
    read = reader(LEAVES)
    for size2 in range(1, len(LEAVES) + 1):
        for size1 in range(1, size2 + 1):
            proof = merkle.consistency_proof(size1, size2, read)
            merkle.verify_consistency(size1, size2, proof, roots[size1], roots[size2])
            with pytest.raises(ProofError):
                merkle.verify_consistency(size1, size2, proof, roots[size1 - 1], roots[size2])
            if size1 < size2:
                with pytest.raises(ProofError):
                    merkle.verify_consistency(size1, size2, proof, roots[size1], roots[size2 - 1])


def test_the_example_of_the_rfc() -> None:
    """RFC 9162, section 2.1.5: a tree of seven leaves and the names of its nodes."""
    data = [f"d{number}".encode() for number in range(7)]
    a, b, c, d, e, f, j = (leaf_hash(item) for item in data)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741
    read = reader(data)
    assert merkle.root(data) == node_hash(k, l)
    assert merkle.inclusion_proof(0, 7, read) == [b, h, l]
    assert merkle.inclusion_proof(3, 7, read) == [c, g, l]
    assert merkle.inclusion_proof(4, 7, read) == [f, j, k]
    assert merkle.inclusion_proof(6, 7, read) == [i, k]
    assert merkle.consistency_proof(3, 7, read) == [c, d, g, l]
    assert merkle.consistency_proof(4, 7, read) == [l]
    assert merkle.consistency_proof(6, 7, read) == [i, j, k]


def test_a_foreign_implementation_agrees() -> None:
    foreign = pymerkle.InmemoryTree(algorithm="sha256")
    for size in range(1, 151):
        foreign.append_entry(numbered(150)[size - 1])
    read = reader(numbered(150))
    for size in range(1, 151):
        root = merkle.tree_root(size, read)
        assert foreign.get_root(size) == root
        index = random.Random(size).randrange(size)
        theirs = foreign.prove_inclusion(index + 1, size).path
        ours = merkle.inclusion_proof(index, size, read)
        assert sorted(theirs) == sorted([leaf_hash(numbered(150)[index]), *ours])
        older = max(1, size // 3)
        pymerkle.verify_inclusion(leaf_hash(numbered(150)[index]), root, foreign.prove_inclusion(index + 1, size))
        pymerkle.verify_consistency(merkle.tree_root(older, read), root, foreign.prove_consistency(older, size))


@pytest.fixture(scope="module")
def large() -> tuple[int, dict[TileId, bytes], Callable[[int], bytes]]:
    """A tree with tiles on three levels, grown in uneven batches."""
    size, count, tiles = 0, 66_500, dict[TileId, bytes]()
    hashes = [leaf_hash(leaf) for leaf in numbered(count)]
    chance = random.Random(7)
    while size < count:
        batch = hashes[size : size + chance.randint(1, 3000)]
        edge = {tile: tiles[tile] for tile in merkle.edge_tiles(size)}  # nothing else may be needed
        tiles |= merkle.grow(size, edge, batch)
        size += len(batch)
    peaks = {}
    tree = merkle.CompactRange()
    for hashed in hashes:
        tree.append(hashed)
        peaks[tree.size] = b"".join(tree.peaks)
    return count, tiles, lambda at: merkle.CompactRange(at, peaks[at]).root()


def test_tiles_have_the_c2sp_layout(large: tuple[int, dict[TileId, bytes], Callable[[int], bytes]]) -> None:
    size, tiles, _ = large
    for level in range(3):
        count = size >> (8 * level)
        widths = [len(tiles[level, index]) // 32 for index in range(-(-count // 256))]
        assert sum(widths) == count
        assert all(width == 256 for width in widths[:-1])
    assert len(tiles) == 260 + 2 + 1
    first = merkle.split(tiles[0, 3])
    assert merkle.split(tiles[1, 0])[3] == naive_root_of_hashes(first)
    assert tiles[0, 0][:32] == leaf_hash(numbered(1)[0])


def naive_root_of_hashes(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    half = len(hashes) // 2
    return node_hash(naive_root_of_hashes(hashes[:half]), naive_root_of_hashes(hashes[half:]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_proofs_in_a_large_tree_take_a_handful_of_tiles(
    large: tuple[int, dict[TileId, bytes], Callable[[int], bytes]], data: st.DataObject
) -> None:
    full, tiles, root = large
    edges = st.sampled_from([1, 255, 256, 257, 65_535, 65_536, 65_537, full])
    size = data.draw(edges | st.integers(1, full))
    index = data.draw(st.integers(0, size - 1))
    allowed = {*merkle.path_tiles(index, size), *merkle.edge_tiles(size)}
    assert len(allowed) <= 6
    used = set()

    def read_tile(level: int, at: int) -> bytes:
        used.add((level, at))
        return tiles[level, at]

    proof = merkle.inclusion_proof(index, size, merkle.TileNodes(read_tile))
    assert used <= allowed
    merkle.verify_inclusion(leaf_hash(numbered(full)[index]), index, size, proof, root(size))
    older = data.draw(st.integers(1, size))
    steps = merkle.consistency_proof(older, size, merkle.TileNodes(read_tile))
    merkle.verify_consistency(older, size, steps, root(older), root(size))


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(2, 70),
    index=st.integers(0, 69),
    other=st.integers(1, 69),
    change=st.sampled_from(["flip", "drop", "add", "short", "text", "reverse"]),
    at=st.integers(0, 10_000),
)
def test_any_malformed_proof_is_refused(size: int, index: int, other: int, change: str, at: int) -> None:
    index, other = index % size, 1 + other % (size - 1)
    read, root = reader(LEAVES[:size]), naive_root(LEAVES[:size])
    old = naive_root(LEAVES[:other])
    cases: list[tuple[list[bytes], Callable[[Any], None]]] = [
        (
            merkle.inclusion_proof(index, size, read),
            lambda path: merkle.verify_inclusion(leaf_hash(LEAVES[index]), index, size, path, root),
        ),
        (
            merkle.consistency_proof(other, size, read),
            lambda path: merkle.verify_consistency(other, size, path, old, root),
        ),
    ]
    for proof, check in cases:
        check(proof)
        bad: list[object] = list(proof)
        place = at % len(bad)
        if change == "flip":
            flipped = bytearray(proof[place])
            flipped[at % 32] ^= 1 << at % 8
            bad[place] = bytes(flipped)
        elif change == "drop":
            del bad[place]
        elif change == "add":
            bad.insert(place, bytes(32))
        elif change == "short":
            bad[place] = proof[place][:31]
        elif change == "text":
            bad[place] = proof[place].hex()
        elif bad[::-1] != bad:
            bad.reverse()
        else:
            bad = []
        with pytest.raises(ProofError):
            check(bad)


@pytest.mark.parametrize(
    ("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1), ("0", 3), (0.0, 3), (True, 3), (0, 1 << 80), (None, 3)]
)
def test_positions_outside_the_tree_are_refused(index: int, size: int) -> None:
    with pytest.raises(ProofError):
        merkle.verify_inclusion(bytes(32), index, size, [], bytes(32))
    with pytest.raises(ProofError):
        merkle.verify_consistency(index, size, [], bytes(32), bytes(31))


def test_hashes_of_a_wrong_length_are_refused() -> None:
    hashed = leaf_hash(b"x")
    merkle.verify_inclusion(hashed, 0, 1, [], hashed)
    for bad in (hashed[:31], hashed + b"\0", b"", hashed.hex(), None):
        with pytest.raises(ProofError):
            merkle.verify_inclusion(bad, 0, 1, [], bad)  # type: ignore[arg-type]
        with pytest.raises(ProofError):
            merkle.verify_consistency(1, 1, [], bad, bad)  # type: ignore[arg-type]


def test_nothing_is_consistent_with_the_empty_tree() -> None:
    """RFC 9162 defines no proof from size 0: whoever kept an empty tree has nothing to compare."""
    with pytest.raises(ProofError):
        merkle.verify_consistency(0, 1, [], merkle.EMPTY_ROOT, leaf_hash(b"x"))
    with pytest.raises(ProofError):
        merkle.consistency_proof(0, 1, reader(LEAVES[:1]))
    with pytest.raises(ProofError):
        merkle.verify_consistency(2, 1, [], leaf_hash(b"x"), leaf_hash(b"x"))
    with pytest.raises(ProofError, match="two different trees"):
        merkle.verify_consistency(1, 1, [], leaf_hash(b"x"), leaf_hash(b"y"))


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


def test_a_compact_range_needs_the_peaks_of_its_size() -> None:
    for size, peaks in ((1, b""), (0, bytes(32)), (3, bytes(32)), (-1, bytes(32)), (1, bytes(31))):
        with pytest.raises(ProofError):
            merkle.CompactRange(size, peaks)


def test_a_short_tile_is_refused() -> None:
    tiles = merkle.grow(0, {}, [leaf_hash(leaf) for leaf in LEAVES])
    with pytest.raises(ProofError, match="too short"):
        merkle.inclusion_proof(0, 70, merkle.TileNodes(lambda level, index: tiles[level, index][:64]))
