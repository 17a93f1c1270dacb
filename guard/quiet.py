"""Quiet for the libraries that run models: their progress bars and warnings, which may quote a prompt."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

_verbosity_lock = threading.Lock()
_verbosity: dict[Any, tuple[int, bool]] = {}  # what the user had, while at least one `quiet` block runs
_quiet_blocks = 0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Mute the libraries' progress bars and warnings (diffusers' quote the prompt) while any thread is inside.

    Their verbosity is one value for the whole process, so the blocks are counted and the last one out restores it.
    """
    global _quiet_blocks  # noqa: PLW0603
    with _verbosity_lock:
        _quiet_blocks += 1
        for name in ("transformers", "diffusers"):
            library = sys.modules.get(f"{name}.utils.logging")
            if library and library not in _verbosity:
                _verbosity[library] = library.get_verbosity(), library.is_progress_bar_enabled()
                library.set_verbosity(logging.CRITICAL)
                library.disable_progress_bar()
    try:
        yield
    finally:
        with _verbosity_lock:
            _quiet_blocks -= 1
            while _quiet_blocks == 0 and _verbosity:
                library, (level, bars) = _verbosity.popitem()
                library.set_verbosity(level)
                if bars:
                    library.enable_progress_bar()
