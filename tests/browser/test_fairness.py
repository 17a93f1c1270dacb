"""A fairness report in a real browser: it loads nothing, runs nothing, fits a phone and can be read by everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

from guard.fairness import page
from guard.fairness.cells import Cells, Row
from tests.fairness import planted
from tests.fairness.test_report import HOSTILE, made

pytestmark = pytest.mark.browser
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cells = Cells(("sex",), planted.MEASURES).add_all(planted.rows(900))
    cells.add_all(
        Row({"sex": HOSTILE, "age": "<40"}, {"block": 1.0, "released": 0.0, "length": 9.0}) for _ in range(60)
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(page.render(made(cells)))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_for_everybody(chromium: Any, report: Path, shots: Path, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": 1100, "height": 1400}, color_scheme=scheme, bypass_csp=True)
    shown = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    shown.on("request", lambda it: asked.append(it.url))
    shown.on("pageerror", lambda it: errors.append(str(it)))
    shown.on("dialog", lambda it: errors.append(it.message))
    shown.goto(report.as_uri())
    shown.screenshot(path=str(shots / f"fairness-{scheme}.png"))
    assert (asked, errors) == ([report.as_uri()], [])
    found = Axe().run(shown, options=RULES)
    assert not found.violations_count, found.generate_report()
    shown.set_viewport_size({"width": 390, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
