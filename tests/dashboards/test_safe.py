"""Untrusted text: whatever comes in, only our own markup comes out."""

from __future__ import annotations

import ast
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import safe, words

VIEWS = Path(safe.__file__).parent
PAYLOADS = st.text() | st.sampled_from(
    ["<script>x</script>", "![a](http://e/)", "</pre><img src=x>", '"onload="x', "\u202eabc", "&lt;", "⟨U+0041⟩"]
)


class Tags(HTMLParser):
    """Which elements and attributes a browser would see, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    return tags


@given(st.lists(PAYLOADS).map("".join), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), PAYLOADS)))
def test_markup_holds_only_our_elements_and_all_of_the_text(text: str, spans: list[tuple[int, int, str]]) -> None:
    marks = [safe.Mark(start, end, title, number) for number, (start, end, title) in enumerate(spans, 1)]
    seen = parsed(safe.markup(text, marks))
    assert {tag for tag, _ in seen.tags} <= {"mark", "b", "span"}
    for tag, attributes in seen.tags:
        assert set(attributes) <= {"mark": {"title", "class"}, "span": {"class"}, "b": set()}[tag]
    bare = parsed(safe.markup(text))
    assert bare.text == safe.reveal(text)


@given(st.text())
def test_revealed_text_hides_nothing(text: str) -> None:
    shown = safe.reveal(text)
    assert not re.search(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x0b-\x1f\x7f]", shown)
    if text.isascii() and text.isprintable():
        assert shown == text


def test_reveal_counts_runs_and_stops_stacks() -> None:
    assert safe.reveal("a\u202eb") == "a⟨U+202E⟩b"
    assert safe.reveal("\u200b" * 300) == "⟨U+200B ×300⟩"
    assert safe.reveal("e" + "\u0301" * 40) == "e⟨U+0301 ×40⟩"
    assert safe.reveal("e\u0301 naïve\r\nnext") == "e\u0301 naïve\nnext"
    assert safe.reveal("\ud800") == "⟨U+D800⟩"


def test_overlapping_marks_are_split_and_numbered_where_they_end() -> None:
    html = safe.markup("abcdef", [safe.Mark(0, 4, "one", 1), safe.Mark(2, 6, "two", 2), safe.Mark(3, 99, "bad", 3)])
    assert html == (
        '<mark title="one">ab</mark><mark title="one; two">cd<b>1</b></mark><mark title="two">ef<b>2</b></mark>'
    )


@given(st.text())
def test_labels_and_cells_stay_on_one_line_and_short(text: str) -> None:
    assert len(safe.cell(text, 40)) <= 40
    assert not re.search(r"[\n\t]", safe.cell(text, 40))
    assert not re.search(r"(?<!\\)[`*\[\]()<>!]", safe.label(text, 40))
    assert not re.search(r":(?!\u2060)|/(?!\u2060)", safe.label(text, 40))


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t=1", "＝1", "\r=1"])
def test_no_spreadsheet_runs_a_cell(value: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([safe.spreadsheet(value)])
    assert next(csv.reader(io.StringIO(out.getvalue(), newline="")))[0].startswith("'")
    assert safe.spreadsheet(None) == ""
    assert safe.spreadsheet(7) == "7"


def test_excerpts_reach_every_finding_of_a_megabyte() -> None:
    text = ("x" * 9_999 + "é") * 100
    marks = [safe.Mark(at, at + 1, "found", number) for number, at in enumerate(range(9_999, 10**6, 50_000), 1)]
    shown = "".join(safe._excerpts(text, marks, ""))
    assert shown.count("<mark") == len(marks)
    assert len(shown) < 30_000


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(30, "< 1 min"), (720, "12 min"), (7_200, "2 h"), (7_560, "2 h 6 min"), (90_000, "1 day 1 h"), (86_400, "1 day")],
)  # fmt: skip
def test_durations(seconds: int, said: str) -> None:
    assert words.duration(seconds) == said


def test_damaged_times_do_not_break_a_page() -> None:
    from datetime import UTC

    assert words.when("yesterday", UTC) == words.when(None, UTC) == words.clock("", UTC) == "unknown"
    assert words.due("never", "2026-01-01T00:00:00.000000Z") == words.since("", "x") == "unknown"
    assert words.due("2026-01-01T01:00:00.000000Z", "2026-01-01T02:30:00.000000Z") == "overdue by 1 h 30 min"
    assert [words.percent(share) for share in (0, 0.004, 0.5, 1)] == ["0 %", "0.4 %", "50 %", "100 %"]


# --- the rule that keeps it so -----------------------------------------------------------------------------------------

RENDERS = {
    "markdown", "write", "caption", "title", "header", "subheader", "info", "warning", "error", "success", "toast", "metric",
    "badge", "button", "expander", "tabs", "popover", "radio", "selectbox", "multiselect", "checkbox", "toggle", "text_input",
    "text_area", "dialog", "table", "exception", "chat_message", "spinner", "status", "pills", "segmented_control",
    "link_button", "page_link", "download_button", "form_submit_button", "set_page_config", "logo", "image",
}  # fmt: skip
FORBIDDEN = {"html", "iframe", "latex", "mermaid_chart", "exception", "json", "components.v1"}
COLUMNS = {"MarkdownColumn", "ImageColumn", "LinkColumn", "JsonColumn"}
TEXTS = {"label", "body", "value", "delta", "help", "caption", "placeholder", "alt"}
# Names that hold text of ours though no assignment shows it: loop variables over constant tables.
KNOWN = {"label", "icon", "title", "stand.words"}


class Rule:
    """Reads one file for calls that would let untrusted text be rendered."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.values: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.values.setdefault(node.targets[0].id, []).append(node.value)
        self.bound = {node.arg for node in ast.walk(self.tree) if isinstance(node, ast.arg)}

    def trusted(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        """Whether an expression can only be text that we wrote, or a number."""
        match node:
            case ast.Constant():
                return True
            case ast.JoinedStr(values=parts):
                return all(self.trusted(it.value, seen) for it in parts if isinstance(it, ast.FormattedValue))
            case ast.IfExp(body=one, orelse=two) | ast.BinOp(left=one, right=two):
                return self.trusted(one, seen) and self.trusted(two, seen)
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.BoolOp(values=items) | ast.Dict(values=items):
                return all(self.trusted(it, seen) for it in items)
            case ast.Call(func=ast.Attribute(value=inner, attr="capitalize")):
                return self.trusted(inner, seen)
            case ast.Call(func=ast.Attribute(value=inner, attr="get"), args=[_, default]):
                return self.trusted(inner, seen) and self.trusted(default, seen)
            case ast.Call(func=function):
                name = ast.unparse(function)
                return name in {"safe.label", "len", "min", "review.title"} or name.startswith("words.")
            case ast.ListComp(elt=ast.Subscript(value=table)):
                return self.trusted(table, seen)
            case ast.Subscript(value=table) if not isinstance(table, ast.Attribute):
                return self.trusted(table, seen)
            case ast.Name(id=name) if name in self.values and name not in self.bound and name not in seen:
                return all(self.trusted(value, seen | {name}) for value in self.values[name])
        return ast.unparse(node) in KNOWN

    def slips(self) -> list[tuple[int, str]]:
        """Where the file breaks the rule."""
        found: list[tuple[int, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found += [(node.lineno, what) for what in self._call(node, node.func)]
        return found

    def _call(self, node: ast.Call, function: ast.Attribute) -> list[str]:
        name, owner = function.attr, ast.unparse(function.value)
        if owner == "safe":
            return []
        unsafe = any(keyword.arg in ("unsafe_allow_html", "unsafe_allow_javascript") for keyword in node.keywords)
        if unsafe or (name in FORBIDDEN and owner == "st") or name in COLUMNS:
            return [name]
        if name not in RENDERS or not (owner in ("st", "begin", "column") or owner.startswith("cards")):
            return []
        given = list(node.args[: 2 if name == "metric" else 1]) if name not in ("image", "logo") else []
        given += [keyword.value for keyword in node.keywords if keyword.arg in TEXTS]
        return [f"{name}({ast.unparse(it)})" for it in given if not self.trusted(it)]


def slips(source: str) -> list[tuple[int, str]]:
    """Calls that would let untrusted text be rendered."""
    return Rule(source).slips()


@pytest.mark.parametrize("file", sorted(VIEWS.rglob("*.py")), ids=lambda path: str(path.relative_to(VIEWS)))
def test_only_safe_emits_html_and_labels_are_ours(file: Path) -> None:
    if file.name != "safe.py":
        assert slips(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "st.markdown(output)",
        "st.caption(f'by {entry.who}')",
        "st.html(text)",
        "st.button(rule)",
        "st.metric('Rule', name)",
        "st.toast(str(error))",
        "cards[0].metric(name, 1)",
        "st.badge(stand.reviewer)",
        "st.column_config.LinkColumn('x')",
        "st.markdown('x', unsafe_allow_html=True)",
        "st.text_input('a', help=prompt)",
        "st.tabs([a.name for a in x])",
        "note = entry.who\nst.caption(note)",
        "note = 'a'\nnote = entry.who\nst.caption(f'{note}')",
        "def show(title):\n    title = 'x'\n    st.caption(title.lower())",
    ],
)
def test_the_rule_bites(line: str) -> None:
    assert slips(line)


def test_pages_ask_guard_and_never_query() -> None:
    for file in VIEWS.rglob("*.py"):
        tree: Any = ast.parse(file.read_text("utf-8"))
        imported = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom | ast.Import)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [it.name for it in node.names])
        }
        assert "guard.store.tables" not in imported, file.name
        if file.parent.name == "views":
            assert not {name for name in imported if name.startswith(("sqlalchemy", "guard.store"))}, file.name
