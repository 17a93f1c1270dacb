"""The page and the JSON: complete, the same each time, and harmless whatever the groups are called."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.fairness import page, words
from guard.fairness.analysis import Options
from guard.fairness.cells import Cells, Row
from guard.fairness.measures import KNOWN, ODDS
from guard.fairness.report import Report, build, read_json, to_json
from guard.fairness.source import Chain, Source, period_of
from tests.fairness import planted

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x07</svg><img src=http://evil.test/x>"


def made(cells: Cells, **options: Any) -> Report:
    source = Source("data", "Rows of a test", "sha256:" + "ab" * 32, limits=["Made up."])
    source.policies[HOSTILE, "1", "sha256:00"] += 1
    source.models[HOSTILE, ""] += 1
    times = {"created": "2026-11-24T12:00:00.000000Z", "command": "guard fairness report --groups 'a b'"}
    return build(cells, source, Options(**options), id="r-1", **times)


class Tags(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "line", "rect", "circle", "path", "polygon", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_names_of_groups_stay_text() -> None:
    cells = planted.cells(600)
    cells.add_all(
        Row({"sex": HOSTILE, "age": HOSTILE}, {"block": 1.0, "released": 0.0, "length": 9.0}) for _ in range(50)
    )
    html = page.render(made(cells)).decode()
    tags = Tags(html)
    assert tags.open == []
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "link", "iframe", "object", "form"}
    for _, attributes in tags.seen:
        assert not [name for name in attributes if name.startswith("on")]
        assert not str(attributes.get("href") or "#").startswith(("http", "javascript"))
    assert "\u202e" not in html
    assert "\x07" not in html
    assert "⟨U+202E⟩" in html
    assert "<script>alert(1)</script>" in "".join(tags.text)
    assert "url(" not in html


def test_what_the_page_says_is_what_was_found() -> None:
    report = made(planted.cells(3000))
    html = page.render(report).decode()
    text = " ".join("".join(Tags(html).text).split())
    assert words.headline(report) in text
    assert report.verdicts["fail"] > 0
    assert f"{report.verdicts['fail']} of" in words.headline(report)
    for result, comparison in report.analysis.comparisons[:3]:
        assert words.sentence(result, comparison) in text
    for part in ("NYC Local Law 144", "Annex IV", "model card", "Wilson 1927", "Over time", "sha256:" + "ab" * 32):
        assert part in text
    assert html.count("<svg") == html.count("</svg>") > 10
    assert len(re.findall(r'<svg role="img"[^>]* aria-label="[^"]+"', html)) == html.count("<svg")
    assert page.render(report) == page.render(made(planted.cells(3000)))


def test_json_holds_everything_and_nothing_suppressed(tmp_path: Path) -> None:
    cells = planted.cells(600)
    cells.add_all(Row({"sex": "few", "age": "<40"}, {"block": 1.0, "released": 0.0, "length": 5.0}) for _ in range(9))
    cells.add_all(Row({"age": "<40"}, {"block": 1.0}) for _ in range(3))
    report = made(cells)
    path = tmp_path / "report.json"
    path.write_bytes(to_json(report))
    found = read_json(path)
    assert found == json.loads(to_json(report))
    [few] = [it for it in found["results"][0]["figures"] if it["group"] == ["few"]]
    assert {name: value for name, value in few.items() if value is not None} == {"group": ["few"], "note": "suppressed"}
    assert [it["rows"] for it in found["undeclared"]] == [3, 0, 3]
    html = page.render(report).decode()
    assert "3 rows (0.5 %) declare no sex" in html
    assert "withheld" in html


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "other"}'])
def test_what_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match="is not a fairness report"):
        read_json(tmp_path / "x.json")
    with pytest.raises(ConfigError, match="cannot read"):
        read_json(tmp_path / "none.json")


def test_reports_about_little_or_much_still_read_well() -> None:
    little = made(Cells(("g",), (KNOWN["refusal"],)).add_all([Row({"g": "a"}, {"refusal": 1.0})]))
    assert little.verdict == "inconclusive"
    assert "Nothing could be compared" in page.render(little).decode()
    same = Cells(("g",), (KNOWN["refusal"],))
    same.add_all(Row({"g": g}, {"refusal": float(at % 10 == 0)}) for g in "ab" for at in range(2000))
    assert "In none of 1 comparison do" in words.headline(made(same))
    many = Cells(("g",), (KNOWN["refusal"], *ODDS))
    many.add_columns(
        [[f"group {at % 500}" for at in range(20_000)]],
        {"refusal": [0.0] * 20_000, **{it.name: [float(at % 3 == 0) for at in range(20_000)] for it in ODDS}},
    )
    html = page.render(made(many))
    assert b"460 more are in the JSON" in html
    assert b"Equalised odds" in html
    assert len(html) < 400_000


def test_the_digest_of_rows_depends_on_each_and_on_their_order() -> None:
    def chained(rows: list[int]) -> str:
        chain = Chain()
        for row in rows:
            chain.add(row.to_bytes(32, "big"))
        return chain.label()

    rows = list(range(2500))
    labels = {chained(rows), chained(rows[:-1]), chained(rows[::-1]), chained([*rows[:1200], 7, *rows[1201:]])}
    assert len(labels) == 4
    assert chained(rows) == chained(rows)


def test_periods() -> None:
    assert [period_of("2027-01-01", it) for it in ("day", "week", "month")] == ["2027-01-01", "2026-W53", "2027-01"]
    with pytest.raises(ValueError, match="isoformat"):
        period_of("yesterday!", "week")
