"""Tables and verdicts in HTML. Cells arrive as HTML: whoever makes one escapes what strangers wrote."""

from __future__ import annotations

from collections.abc import Sequence

from guard.fairness.analysis import FAIL, INCONCLUSIVE, PASS
from guard.fairness.words import VERDICTS

_SIGNS = {FAIL: "▲", INCONCLUSIVE: "◇", PASS: "●"}


def chip(verdict: str) -> str:
    """A verdict as sign, word and colour; other words stay plain."""
    if verdict not in _SIGNS:
        return f'<span class="note">{verdict}</span>'
    return f'<span class="chip {verdict}">{_SIGNS[verdict]} {VERDICTS[verdict]}</span>'


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], css: str = "") -> str:
    """A table whose first column heads its rows."""
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row"><bdi>{first}</bdi></th>{"".join(f"<td>{_whole(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="{css}"><caption>{caption}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _whole(cell: str) -> str:
    """Units stay on the line of their number."""
    return cell.replace(" %", "\u00a0%").replace(" pp", "\u00a0pp").replace("< 0", "<\u00a00")
