"""Inspection on behalf of one installation: its keys, its record, and what it trusts, opened once for any number of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guard import settings
from guard.audit.read import Reader
from guard.audit.rotation import log_vkeys
from guard.audit.vault import Vault
from guard.errors import ConfigError
from guard.keys import KeyRing
from guard.provenance import certs
from guard.provenance import inspect as looks
from guard.provenance.inspect import Detector, Found
from guard.provenance.registry import Registry
from guard.provenance.verdict import Inspection, Mark
from guard.provenance.watermark import IMAGE_MARK, key_ring
from guard.settings import Settings
from guard.store.engine import open_engine, require_current
from guard.types import Content, Image

SIDECAR = ".stamp.json"


def image_marks(keys: KeyRing) -> Detector:
    """Detects the image marks of an installation, of all its keys. Makes none."""

    def detect(image: Image, search: bool) -> Found | None:
        from guard.provenance.watermark.image import detect as read

        if not (keys.folder / f"{IMAGE_MARK}.key").exists():
            return None
        return read(image, key_ring(keys, IMAGE_MARK), search=search)

    return detect


class Inspector:
    """Safe to share between threads. `anchors` (PEM) are trusted beside the installation's own."""

    def __init__(
        self,
        keys: KeyRing,
        reader: Reader | None = None,
        *,
        vault: Vault | None = None,
        anchors: Sequence[str] = (),
        stampers: Sequence[str] = (),
        vkeys: Sequence[str] = (),
        detect: Detector | None = None,
        watermark: Callable[[str], Mark] | None = None,
    ) -> None:
        self.keys, self.reader = keys, reader
        self.registry = Registry(reader, vault) if reader is not None and vault is not None else None
        self._anchors, self._stampers, self._vkeys = anchors, stampers, vkeys
        self._detect, self._watermark = detect or image_marks(keys), watermark

    @classmethod
    @contextmanager
    def open(
        cls,
        chosen: Settings,
        *,
        anchors: Sequence[str] = (),
        detect: Detector | None = None,
        watermark: Callable[[str], Mark] | None = None,
    ) -> Iterator[Inspector]:
        """With the record that the settings name, where there is one: looking must not create it."""
        keys = KeyRing(chosen.keys)
        trusted = [*certs.configured_anchors(chosen.c2pa_chain), *anchors]
        stampers = [certs.read_anchors(chosen.tsa_anchors)] if chosen.tsa_anchors else []
        if chosen.store is None and not (chosen.home / "guard.db").exists():
            yield cls(keys, anchors=trusted, stampers=stampers, detect=detect, watermark=watermark)
            return
        engine = open_engine(chosen.store_url, create=False)
        try:
            require_current(engine)
            vault = Vault(keys)
            vkeys = log_vkeys(keys, chosen.origin) if (chosen.keys / "log.pem").exists() else ()
            reader = Reader(engine, vault)
            yield cls(
                keys,
                reader,
                vault=vault,
                anchors=trusted,
                stampers=stampers,
                vkeys=vkeys,
                detect=detect,
                watermark=watermark,
            )
        finally:
            engine.dispose()

    def inspect(
        self,
        data: bytes,
        *,
        name: str | None = None,
        sidecar: str | None = None,
        search: bool | None = None,
        released_only: bool = False,
    ) -> Inspection:
        """See `guard.provenance.inspect.inspect`."""
        return looks.inspect(
            data,
            keys=self.keys,
            name=name,
            reader=self.reader,
            sidecar=sidecar,
            watermark=self._watermark,
            anchors=self._anchors,
            stampers=self._stampers,
            registry=self.registry,
            detect=self._detect,
            vkeys=self._vkeys,
            search=search,
            released_only=released_only,
        )


def inspect(
    data: bytes | str | Path | Content,
    *,
    sidecar: str | None = None,
    search: bool | None = None,
    store: str | None = None,
    home: str | Path | None = None,
) -> Inspection:
    """What can be said about where bytes, a text, a file (a Path) or content come from. Never that it was not made by AI.

    `sidecar` is what was stamped beside a text; of a file it is what lies at FILE.stamp.json. `search` looks for what takes
    long always, never, or (None) where nothing else names an entry. `store` and `home` are as for `Guard`.
    To look at many files, open an `Inspector` once.
    """
    name = None
    if isinstance(data, Path):
        path, name = data, data.name
        beside = path.with_name(path.name + SIDECAR)
        try:
            if sidecar is None and beside.is_file():
                sidecar = beside.read_text("utf-8")
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{beside} is not UTF-8: hand over the stamp as it was written") from error
    raw = data if isinstance(data, bytes | str) else data.data
    with Inspector.open(settings.load(store=store, home=home)) as inspector:
        return inspector.inspect(
            raw.encode() if isinstance(raw, str) else raw, name=name, sidecar=sidecar, search=search
        )
