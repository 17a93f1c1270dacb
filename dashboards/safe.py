"""The only place that turns text from people, models and policies into something a browser shows.

Streamlit's Markdown calls fetch remote images out of any text they are given and let it imitate our own labels. So nothing
that we did not write goes through them: it is escaped and framed here, or shown by calls that interpret nothing.
Characters that would deceive the eye (control, zero-width, direction) are shown by their code.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import streamlit as st

PAGE = 20_000  # characters of text in the browser at once
AROUND = 300  # characters shown on each side of a finding
_MANY = 40  # findings in one excerpt view

CSS = """<style>
.g-text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;font-family:inherit;font-size:1rem;line-height:1.6;
 margin:0;padding:.75rem .9rem;border:1px solid rgba(128,140,155,.35);border-radius:8px;background:rgba(128,140,155,.07);
 max-height:21rem;overflow:auto}
.g-text:focus-visible{outline:2px solid currentColor;outline-offset:1px}
.g-text mark{background:#ffe08a;color:#1a1a1a;border-bottom:2px solid #8a5a00;border-radius:3px;padding:.05em .15em}
.g-text mark b{font-size:.72em;font-weight:700;vertical-align:super;margin-left:.2em;line-height:0}
.g-text mark.g-gone{background:#d5e6f7;color:#0b2545;border-bottom:2px solid #2171b5}
.g-ctl{font-size:.78em;font-weight:600;letter-spacing:.02em;padding:0 .2em;border:1px dashed currentColor;border-radius:3px;
 unicode-bidi:isolate;direction:ltr}
.g-cut{display:block;margin:.5rem 0;font-size:.85em;opacity:.85}
dl.g-facts{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.25rem;margin:0!important;padding:0!important;
 font-size:1rem;line-height:1.5}
dl.g-facts dt{opacity:.78;margin:0;padding:0;font-weight:400}
dl.g-facts dd{margin:0!important;padding:0;overflow-wrap:anywhere;unicode-bidi:plaintext}
ul.g-why{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:.6rem;margin:0!important;padding:0!important;list-style:none}
ul.g-why li{margin:0!important;padding:.6rem .85rem;border:1px solid rgba(128,140,155,.35);border-left:4px solid #2171b5;
 border-radius:8px;line-height:1.45;overflow-wrap:anywhere;font-size:1rem}
ul.g-why li.g-warn{border-left-color:#d98200}
ul.g-why b{font-weight:600}
ul.g-why span.g-note{opacity:.82;display:block}
ol.g-steps{margin:0 0 0 .35rem;padding:0 0 0 1.1rem;list-style:none;border-left:2px solid rgba(128,140,155,.4);font-size:1rem}
ol.g-steps li{margin:0 0 .7rem!important;padding:0;position:relative;line-height:1.45}
ol.g-steps li:last-child{margin-bottom:0}
ol.g-steps li::before{content:"";position:absolute;left:-1.48rem;top:.4rem;width:.6rem;height:.6rem;border-radius:50%;
 background:#2171b5}
ol.g-steps small{display:block;opacity:.8;font-size:.9em}
table.g-table{width:100%;border-collapse:collapse;font-size:.95rem;line-height:1.4;margin:0}
table.g-table th{text-align:left;font-weight:600;padding:.4rem .6rem;border:0;border-bottom:1px solid rgba(128,140,155,.5);
 white-space:nowrap}
table.g-table td{padding:.42rem .6rem;border:0;border-bottom:1px solid rgba(128,140,155,.25);vertical-align:top;
 overflow-wrap:anywhere}
table.g-table .g-num{text-align:right;font-variant-numeric:tabular-nums}
[data-testid=stBaseButton-primary]:not(:disabled) :is(p,span){color:light-dark(#fff,#0b1118)}
.g-hash{font-family:ui-monospace,"Source Code Pro",monospace;font-size:.9em}
</style>"""


class Mark(NamedTuple):
    """A stretch of text to highlight. `title` is shown on hover and read out; `number` ties it to a table."""

    start: int
    end: int
    title: str
    number: int | None = None


def styles() -> None:
    """Our few rules for text panels, lists and tables; everything else is theme."""
    st.html(CSS)


# --- making text harmless --------------------------------------------------------------------------------------------

_HIDDEN = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
_CODE = re.compile(r"⟨U\+[0-9A-F]{4,6}(?: ×\d+)?⟩")
_STACK = 4  # combining marks on one letter before they are shown by code instead of piling up over other lines


def _deceives(char: str) -> bool:
    return char not in "\n\t" and unicodedata.category(char) in _HIDDEN


def reveal(text: str) -> str:
    """Show what the eye cannot see: control, zero-width and direction characters by their code, runs of them counted."""
    out: list[str] = []
    stacked = 0
    for char, run in groupby(text.replace("\r\n", "\n")):
        times = sum(1 for _ in run)
        if unicodedata.category(char) in ("Mn", "Me"):
            stacked += times
            if stacked > _STACK:
                out.append(_code(char, times))
                continue
        else:
            stacked = 0
        out.append(_code(char, times) if _deceives(char) else char * times)
    return "".join(out)


def _code(char: str, times: int) -> str:
    code = f"⟨U+{ord(char):04X}{f' ×{times}' if times > 3 else ''}⟩"
    return code if times > 3 else code * times


def escape(text: str) -> str:
    """Revealed and escaped, for our own HTML."""
    shown = html.escape(reveal(text), quote=True)
    return _CODE.sub(lambda found: f'<span class="g-ctl">{found[0]}</span>', shown)


def cell(text: object, limit: int = 160) -> str:
    """For a plain text cell of a table: revealed, on one line, shortened."""
    shown = reveal(str(text)[: limit * 4]).replace("\n", " ").replace("\t", " ")
    return shown[: limit - 1] + "…" if len(shown) > limit else shown


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~$^=&\"'])")
_JOINS = re.compile(r"([:/.@\-<>])")


def label(text: object, limit: int = 80) -> str:
    """For a label that renders Markdown. A word joiner breaks up what backslashes do not stop: bare links, icons, arrows."""
    shown = _MARKDOWN.sub(r"\\\1", cell(text, limit))
    return _JOINS.sub(lambda found: "\u2060.\u2060" if found[1] == "." else found[1] + "\u2060", shown)


def spreadsheet(value: object) -> str:
    """A CSV cell that no spreadsheet runs as a formula."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) else text


# --- panels ----------------------------------------------------------------------------------------------------------


def markup(text: str, marks: Iterable[Mark] = (), *, css: str = "") -> str:
    """Escaped text in which only our own <mark> elements are markup. Overlapping marks are split, never dropped."""
    sound = [mark for mark in marks if 0 <= mark.start < mark.end <= len(text)]
    cuts = sorted({0, len(text), *(mark.start for mark in sound), *(mark.end for mark in sound)})
    out = []
    for start, end in pairwise(cuts):
        over = [mark for mark in sound if mark.start <= start and end <= mark.end]
        piece = escape(text[start:end])
        if not over:
            out.append(piece)
            continue
        name = html.escape(reveal("; ".join(dict.fromkeys(mark.title for mark in over))), quote=True)
        ends = "".join(f"<b>{mark.number}</b>" for mark in over if mark.number and mark.end == end)
        out.append(f'<mark{css} title="{name}">{piece}{ends}</mark>')
    return "".join(out)


def panel(body: str, name: str) -> None:
    """A scrollable frame around text that `markup` made."""
    st.html(f'<pre class="g-text" tabindex="0" role="region" aria-label="{html.escape(name, quote=True)}">{body}</pre>')


def untrusted(text: str, marks: Sequence[Mark] = (), *, name: str, key: str, gone: bool = False) -> None:
    """Show a text of any length: whole when short; else excerpts around the marks, or part by part."""
    css = ' class="g-gone"' if gone else ""
    if len(text) <= PAGE:
        panel(markup(text, marks, css=css) if text else '<span class="g-cut">(empty)</span>', name)
        return
    what = "changes" if gone else "findings"
    views = [f"Around the {what}", "Part by part"]
    view = st.segmented_control("View", views, default=views[0], required=True, key=f"{key}-view") if marks else None
    if view == views[0]:
        panel("".join(_excerpts(text, marks[:_MANY], css)), name)
        st.caption(f"{len(text):,} characters, shown around {min(len(marks), _MANY)} of {len(marks)} {what}.")
        return
    parts = -(-len(text) // PAGE)
    part = st.pagination(parts, key=f"{key}-part")
    start, end = (part - 1) * PAGE, min(part * PAGE, len(text))
    panel(markup(text[start:end], _shifted(marks, start, end), css=css), name)
    st.caption(f"Characters {start + 1:,} to {end:,} of {len(text):,} (part {part} of {parts}).")


def _shifted(marks: Iterable[Mark], start: int, end: int) -> Iterator[Mark]:
    for mark in marks:
        if mark.start < end and mark.end > start:
            yield mark._replace(start=max(mark.start, start) - start, end=min(mark.end, end) - start)


def _excerpts(text: str, marks: Sequence[Mark], css: str) -> Iterator[str]:
    windows: list[list[int]] = []
    for mark in sorted(marks):
        start, end = max(0, mark.start - AROUND), min(len(text), mark.end + AROUND, mark.start + 2_000)
        if windows and start <= windows[-1][1]:
            windows[-1][1] = max(windows[-1][1], end)
        else:
            windows.append([start, end])
    for start, end in windows:
        yield f'<span class="g-cut">… from character {start + 1:,}</span>'
        yield markup(text[start:end], _shifted(marks, start, end), css=css)


# --- small structures --------------------------------------------------------------------------------------------------


def facts(pairs: Iterable[tuple[str, object]], *, mono: Sequence[str] = ()) -> None:
    """Names and values, one a line; empty values are left out."""
    rows = []
    for name, value in pairs:
        if value not in (None, ""):
            css = ' class="g-hash"' if name in mono else ""
            rows.append(f"<dt>{escape(name)}</dt><dd{css}>{escape(str(value))}</dd>")
    st.html(f'<dl class="g-facts">{"".join(rows)}</dl>')


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list: a title, and something smaller under it."""

    title: str
    note: str = ""
    warn: bool = False


def why(lines: Iterable[Line]) -> None:
    """The reasons behind a decision, as cards."""
    items = (
        f"<li{' class=g-warn' if line.warn else ''}><b>{escape(cell(line.title, 300))}</b>"
        f"{f'<span class=g-note>{escape(cell(line.note, 800))}</span>' if line.note else ''}</li>"
        for line in lines
    )
    st.html(f'<ul class="g-why">{"".join(items)}</ul>')


def steps(lines: Iterable[Line]) -> None:
    """What happened, oldest first."""
    items = (f"<li>{escape(line.title)}<small>{escape(line.note)}</small></li>" for line in lines)
    st.html(f'<ol class="g-steps">{"".join(items)}</ol>')


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, name: str, numbers: Sequence[int] = ()) -> None:
    """A short table of untrusted cells, readable by screen readers."""
    heads = "".join(
        f"<th scope=col{' class=g-num' if index in numbers else ''}>{escape(title)}</th>"
        for index, title in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=g-num' if index in numbers else ''}>{escape(cell(value, 400))}</td>"
            for index, value in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    caption = html.escape(name, quote=True)
    st.html(
        f'<table class="g-table" aria-label="{caption}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    )
