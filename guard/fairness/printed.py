"""The page on paper: a Chromium on this machine prints it, so that the PDF is the HTML and not a second layout.

Of the ways weighed, this one adds no package: a typesetter in a wheel is 80 MB and wants the report written twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from guard.errors import OperationError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 120
_QUIET = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def pdf(page: bytes) -> bytes:
    """The page as a tagged PDF. Raises OperationError where there is no Chromium, or where it fails."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise OperationError("a PDF is printed by Chromium, and there is none: install it, or print the HTML file")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # the page is ours and runs nothing; root has no sandbox
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_bytes(page)
        command = [browser, *_QUIET, *sandbox, f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
        command += [f"--print-to-pdf={target}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise OperationError(f"Chromium did not print within {_SECONDS} s: print the HTML file yourself") from None
        if done.returncode or not target.exists():
            raise OperationError(
                f"Chromium could not print (exit code {done.returncode}): print the HTML file yourself"
            )
        return target.read_bytes()
