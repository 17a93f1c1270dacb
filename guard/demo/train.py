"""Training on the spot: once, into the cache, keyed by a digest of the recipe and of the code that draws the data."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from guard.demo import corpus, muon, scenes, train_image, train_text
from guard.demo.train_image import ImageRecipe
from guard.demo.train_text import TextRecipe
from guard.digest import canonical, file_label, label

Progress = Callable[[int, int, str], None]


def ensure_text_model(cache: Path, *, progress: Progress, recipe: TextRecipe | None = None) -> Path:
    """The folder of the trained language model; trains it where the cache has none."""
    chosen = recipe or TextRecipe()
    key = _digest("text", asdict(chosen), corpus.__file__, muon.__file__, train_text.__file__)
    return _ensured(cache / f"text-{key}", lambda folder: train_text.train(chosen, folder, progress))


def ensure_image_model(cache: Path, *, progress: Progress, recipe: ImageRecipe | None = None) -> Path:
    """The folder of the trained text-to-image pipeline; trains it where the cache has none."""
    chosen = recipe or ImageRecipe()
    key = _digest("image", asdict(chosen), scenes.__file__, muon.__file__, train_image.__file__)
    return _ensured(cache / f"image-{key}", lambda folder: train_image.train(chosen, folder, progress))


def _digest(kind: str, recipe: dict[str, float | int], *files: str | None) -> str:
    sources = [file_label(Path(file)) for file in files if file]
    return label(canonical({"kind": kind, "recipe": recipe, "sources": sources})).removeprefix("sha256:")[:16]


def _ensured(folder: Path, train: Callable[[Path], None]) -> Path:
    """Train into a sibling and rename when complete, so that a killed training leaves nothing half-made behind."""
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            scratch = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            train(scratch)
            scratch.rename(folder)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process trains; the others wait for it and find the model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
