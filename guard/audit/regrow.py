"""The tree, grown again from the hashes of the entries and compared with the tiles that the writer stored."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from guard.audit import merkle
from guard.audit.problems import Problems
from guard.digest import DIGEST_SIZE
from guard.store.tables import LogTile


class Regrown:
    """Takes the hash of each entry in order; a stored tile that differs names the very entry."""

    def __init__(self, connection: Connection, problems: Problems) -> None:
        self._connection = connection
        self._problems = problems
        self._edge: list[list[bytes]] = [[]]  # by level, the hashes of the tile that is filling up
        self._tiles = 0
        self._pruned: tuple[int, list[bytes]] = -1, []
        self._tree = merkle.CompactRange()
        self.dense = True  # after a gap, the tree over the rest can be compared with nothing

    @property
    def size(self) -> int:
        """How many entries there were."""
        return self._tree.size

    @property
    def peaks(self) -> bytes:
        """The compact range, as the head of the log stores it."""
        return b"".join(self._tree.peaks)

    def root(self) -> bytes:
        """The root over what was taken so far."""
        return self._tree.root()

    def append(self, hashed: bytes) -> None:
        """Take the next hash."""
        self._tree.append(hashed)
        self._push(0, hashed)

    def append_pruned(self, seq: int) -> bool:
        """Take the hash of an entry that is not there any more from the lowest tile, which every root vouches for.

        False: the tile does not have it.
        """
        index, offset = divmod(seq, merkle.TILE_WIDTH)
        if self._pruned[0] != index:
            stored = self._stored(0, index)
            self._pruned = index, merkle.split(stored) if isinstance(stored, bytes) else []
        hashes = self._pruned[1]
        if offset >= len(hashes) or len(hashes[offset]) != DIGEST_SIZE:
            return False
        self.append(hashes[offset])
        return True

    def finish(self) -> None:
        """Compare the tiles that are not full, and count all."""
        for level, hashes in enumerate(self._edge):
            if hashes:
                self._tile(level, hashes)
        stored = self._connection.execute(select(func.count()).select_from(LogTile)).scalar_one()
        if stored != self._tiles and self.dense:
            self._problems.report(None, f"there are {stored} tiles of tree hashes instead of {self._tiles}")

    def _push(self, level: int, hashed: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
        hashes = self._edge[level]
        hashes.append(hashed)
        if len(hashes) == merkle.TILE_WIDTH:
            self._tile(level, hashes)
            self._push(level + 1, merkle.perfect_root(hashes))
            hashes.clear()

    def _stored(self, level: int, index: int) -> object:
        query = select(LogTile.hashes).where(LogTile.level == level, LogTile.idx == index)
        return self._connection.execute(query).scalar_one_or_none()

    def _tile(self, level: int, hashes: list[bytes]) -> None:
        """Compare a stored tile with the recomputed hashes; the lowest level names the very entry."""
        if not self.dense:
            return
        index = ((self.size >> (merkle.TILE_HEIGHT * level)) - 1) // merkle.TILE_WIDTH
        stored = self._stored(level, index)
        self._tiles += stored is not None
        if stored == b"".join(hashes):
            return
        if not isinstance(stored, bytes) or len(stored) != DIGEST_SIZE * len(hashes):
            self._problems.report(None, f"the tile {level}/{index} of tree hashes is missing or has a wrong length")
        theirs = merkle.split(stored) if isinstance(stored, bytes) else []
        wrong = [offset for offset, (one, two) in enumerate(zip(hashes, theirs, strict=False)) if one != two]
        for offset in wrong if len(theirs) == len(hashes) else wrong[:1]:  # a shift makes all that follows differ
            first = (index * merkle.TILE_WIDTH + offset) << (merkle.TILE_HEIGHT * level)
            if not self._problems.any_in(range(first, first + (1 << (merkle.TILE_HEIGHT * level)))):
                self._problems.report(first, f"is not what the tree recorded (tile {level}/{index}, hash {offset})")
