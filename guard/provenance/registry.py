"""Finding what was released by what it looks, reads or sounds like: an index in memory over the sealed fingerprints.

Fingerprints lie in the record as bodies of their entries, sealed under the key of whom they concern. So they are written in
the record's own transaction, are erased and pruned with the rest, and no backup tells of them once that key is gone. The
price: an index must open each of them, some tens of microseconds, when a process first looks for something; from then on it
reads only what was added. An image takes about 60 bytes of memory, a kilobyte of text 0.7 kB, a second of sound 0.4 kB.

What an index finds are candidates. Each is compared with what was released itself, opened from the record and held against
the commitment in its entry, before anybody hears of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select

from guard.audit.names import mark_name
from guard.audit.read import Entry, Reader
from guard.audit.spent import KEY_REF
from guard.audit.vault import Vault
from guard.errors import EvidenceError
from guard.provenance.fingerprint import ROLE, THUMBNAIL, audio, image, parse, text
from guard.provenance.neighbours import Postings, Rows, hamming
from guard.store.bulk import stream
from guard.store.engine import reading
from guard.store.tables import LogBody, LogEntry
from guard.types import Audio, Content, Image, Text

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PDQ_WITHIN, PHASH_WITHIN = 31, 8  # bits that differ: the first is the usual threshold of PDQ
CANDIDATES = 8  # that are opened and compared
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that released something like it; `likeness` up to 1 is for those who run the record, not for the public."""

    entry: Entry
    likeness: float


class Registry:
    """The index over one record. Safe to share between threads."""

    def __init__(self, reader: Reader, vault: Vault) -> None:
        self._reader, self._vault = reader, vault
        self._last = -1
        self._lock = threading.Lock()
        self._pdq, self._phash, self._pictures = hamming(32), hamming(8), Rows(1, np.int64)
        self._texts, self._sounds = Postings(), Postings()

    def refresh(self) -> int:
        """Take in what was released since; how many items that was."""
        with self._lock:
            return self._refresh()

    def _refresh(self) -> int:
        count, pictures = 0, list[tuple[int, bytes, bytes]]()
        try:
            for seq, data in self._added():
                self._last = seq
                found: Any = parse(data) if data is not None else {}
                count += bool(found)
                if "image" in found:
                    pictures.append((seq, bytes.fromhex(found["image"]["pdq"]), bytes.fromhex(found["image"]["phash"])))
                elif "text" in found:
                    self._texts.add(seq, text.unpack(found["text"]))
                elif "audio" in found:
                    frames = audio.unpack(found["audio"])
                    self._sounds.add(seq, np.unique(frames[frames != 0]).astype(np.uint64))
                if len(pictures) >= _AT_ONCE:
                    self._add_pictures(pictures)
        finally:  # what was read before a failure is not read again
            self._add_pictures(pictures)
        return count

    def _add_pictures(self, pictures: list[tuple[int, bytes, bytes]]) -> None:
        if pictures:
            seqs, pdqs, phashes = zip(*pictures, strict=True)
            self._pdq.add(np.frombuffer(b"".join(pdqs), np.uint8).reshape(-1, 32))
            self._phash.add(np.frombuffer(b"".join(phashes), np.uint8).reshape(-1, 8))
            self._pictures.add(np.array(seqs, np.int64)[:, None])
            pictures.clear()

    def _added(self) -> Iterator[tuple[int, bytes | None]]:
        columns = (LogBody.seq, LogBody.ciphertext, LogBody.wrapped_key, LogEntry.id, KEY_REF.label("key_ref"))
        query = select(*columns).join(LogEntry, LogEntry.seq == LogBody.seq)
        query = query.where(LogBody.role == ROLE, LogBody.seq > self._last, LogBody.erased_at.is_(None))
        with (
            reading(self._reader.engine) as connection,
            closing(stream(connection, query.order_by(LogBody.seq), _AT_ONCE)) as rows,
        ):
            for row in rows:
                sealed = (row.ciphertext, row.wrapped_key)
                yield row.seq, self._vault.peek(*sealed, entry_id=row.id, role=ROLE, key_ref=row.key_ref)

    # --- looking ---------------------------------------------------------------------------------------------------

    def marked(self, mark_id: bytes) -> list[Entry]:
        """The entries whose content carries a mark."""
        return self._reader.named(mark_name(mark_id.hex()))

    def fits(self, picture: Picture, entry: Entry, view: image.View) -> image.Likeness | None:
        """How well a picture fits what an entry released; None where there is nothing to compare."""
        size = self._size(entry)
        thumbnail = self._body(entry, THUMBNAIL)
        if size is None or not isinstance(thumbnail, Image):
            return None
        return image.likeness(picture, thumbnail, size, view)

    def similar(self, content: Content) -> list[Hit]:
        """The entries that released something like it, most alike first. Raises ContentError where it does not decode."""
        if isinstance(content, Image):
            hits = self._like_picture(image.opened(content))
        elif isinstance(content, Text):
            hits = self._like_text(content)
        elif isinstance(content, Audio):
            hits = self._like_sound(content)
        else:
            return []
        return sorted(hits, key=lambda hit: -hit.likeness)

    def _like_picture(self, picture: Picture) -> Iterator[Hit]:
        hashes, phashes = image.turned_hashes(picture)
        with self._lock:
            self._refresh()
            near = [*self._pdq.within(hashes, PDQ_WITHIN), *self._phash.within(phashes, PHASH_WITHIN)]
            seqs = self._pictures.values[:, 0]
            found = dict.fromkeys((hit.which, int(seqs[hit.row])) for hit in near)
        turns = image.turns(picture)
        for which, entry in self._entries(list(found)[:CANDIDATES]):
            like = self.fits(turns[which], entry, image.View())
            if like is not None and like.same:
                yield Hit(entry, like.whole)

    def _like_text(self, content: Text) -> Iterator[Hit]:
        keys = text.keys(content.text)
        for entry in self._sharing(self._texts, keys):
            released = self._body(entry, "release")
            like = text.likeness(content.text, released.text) if isinstance(released, Text) else 0.0
            if like >= text.SAME:
                yield Hit(entry, like)

    def _like_sound(self, content: Audio) -> Iterator[Hit]:
        frames = audio.frames(content)
        for entry in self._sharing(self._sounds, audio.probes(frames)):
            body: Any = self._body(entry, ROLE)
            found: Any = parse(body.data) if body is not None else {}
            apart = audio.likeness(frames, audio.unpack(found["audio"])) if "audio" in found else 1.0
            if apart <= audio.SAME:
                yield Hit(entry, 1 - apart)

    def _sharing(self, postings: Postings, keys: Any) -> Iterator[Entry]:
        with self._lock:
            self._refresh()
            found = postings.sharing(keys)[:CANDIDATES] if len(keys) else []
        for _, entry in self._entries([(0, seq) for seq, _ in found]):
            yield entry

    # --- what the record holds ----------------------------------------------------------------------------------------

    def _entries(self, found: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Entry]]:
        seen = set[int]()
        for which, seq in found:
            entry = self._reader.entry(seq) if seq not in seen else None
            if entry is not None:
                seen.add(seq)
                yield which, entry

    def _body(self, entry: Entry, role: str) -> Content | None:
        """What an entry sealed; None where it was erased, or does not hold."""
        try:
            return self._reader.body(entry.seq, role)
        except EvidenceError:
            return None

    def _size(self, entry: Entry) -> tuple[int, int] | None:
        body = self._body(entry, ROLE)
        found: Any = parse(body.data) if body is not None else {}
        return tuple(found["image"]["size"]) if "image" in found else None
