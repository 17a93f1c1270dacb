"""Training on the spot: once, into the cache, keyed by a digest of the recipe and of the code that draws the data.

`python -m guard.demo.train KIND CACHE` trains one model and prints `<done> <total> <note>` lines.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from guard.demo import corpus, muon, scenes, train_image, train_text
from guard.demo.train_image import ImageRecipe
from guard.demo.train_text import TextRecipe
from guard.digest import canonical, file_label, label
from guard.errors import OperationError

Progress = Callable[[int, int, str], None]


def ensure_models(cache: Path, progress: Mapping[str, Progress]) -> dict[str, Path]:
    """The folders of both models, `text` and `image`; what the cache lacks is trained, both at the same time.

    Each has a process and half the cores of its own: models as small as these gain little from more threads, and lose much
    where other work keeps the cores busy.
    """
    folders = {"text": _text_folder(cache, TextRecipe()), "image": _image_folder(cache, ImageRecipe())}
    threads = max(1, (os.cpu_count() or 2) // 2)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with contextlib.ExitStack() as stack:
        running = []
        for kind in (kind for kind, folder in folders.items() if not folder.is_dir()):
            command = [sys.executable, "-P", "-m", "guard.demo.train", kind, str(cache)]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
            )
            stack.callback(process.kill)  # before the wait of Popen's own exit: Ctrl-C leaves nothing behind
            reader = threading.Thread(target=_follow, args=(process, progress[kind]))
            reader.start()
            running.append((kind, process, reader))
        for kind, process, reader in running:
            reader.join()
            if process.wait():
                raise OperationError(
                    f"training the {kind} model failed: run  {sys.executable} -m guard.demo.train {kind} {cache}  to see why"
                )
    return folders


def _follow(process: subprocess.Popen[str], report: Progress) -> None:
    for line in process.stdout or ():
        done, total, note = line.rstrip("\n").split(" ", 2)
        report(int(done), int(total), note)


def ensure_text_model(cache: Path, *, progress: Progress, recipe: TextRecipe | None = None) -> Path:
    """The folder of the trained language model; trains it where the cache has none."""
    chosen = recipe or TextRecipe()
    return _ensured(_text_folder(cache, chosen), lambda folder: train_text.train(chosen, folder, progress))


def ensure_image_model(cache: Path, *, progress: Progress, recipe: ImageRecipe | None = None) -> Path:
    """The folder of the trained text-to-image pipeline; trains it where the cache has none."""
    chosen = recipe or ImageRecipe()
    return _ensured(_image_folder(cache, chosen), lambda folder: train_image.train(chosen, folder, progress))


def _text_folder(cache: Path, recipe: TextRecipe) -> Path:
    return cache / f"text-{_digest('text', asdict(recipe), corpus.__file__, muon.__file__, train_text.__file__)}"


def _image_folder(cache: Path, recipe: ImageRecipe) -> Path:
    return cache / f"image-{_digest('image', asdict(recipe), scenes.__file__, muon.__file__, train_image.__file__)}"


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


def _main(kind: str, cache: str) -> None:
    def report(done: int, total: int, note: str) -> None:
        sys.stdout.write(f"{done} {total} {note}\n")
        sys.stdout.flush()

    if kind == "text":
        ensure_text_model(Path(cache), progress=report)
    else:
        ensure_image_model(Path(cache), progress=report)


if __name__ == "__main__":
    _main(*sys.argv[1:])
