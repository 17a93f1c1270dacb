"""How results look on a terminal. Untrusted text is made harmless first: control characters become visible."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from guard.charmap import harmless as harmless  # noqa: PLC0414  (what terminals show passes through it)
from guard.types import Content, Outcome, Span, State, Text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as RichText

    from guard.policy.counterfactual import Explanation

MOST = 20  # findings that an explanation lists for people
EXIT = {State.RELEASED: 0, State.HELD: 3, State.BLOCKED: 4}
_STYLES = {"allow": "green", "annotate": "green", "redact": "yellow", "review": "dark_orange", "block": "red"}


def console(*, stderr: bool = False) -> Console:
    """A console that writes plain text where nobody looks."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout. ASCII, so that no terminal is attacked and no encoding is in the way."""
    sys.stdout.write(json.dumps(data, indent=indent, allow_nan=False) + "\n")
    sys.stdout.flush()


def marked(text: str, spans: Sequence[Span], limit: int | None = None) -> RichText:
    """Text with spans highlighted, cut at `limit` characters, on one line."""
    from rich.text import Text as RichText

    out, cut = RichText(), 0
    end = len(text) if limit is None else min(limit, len(text))
    for start, stop in sorted(spans):
        if start >= end:
            break
        out.append(_line(text[cut : max(start, cut)]))
        out.append(_line(text[max(start, cut) : min(stop, end)]), style="bold black on yellow")
        cut = max(cut, min(stop, end))
    out.append(_line(text[cut:end]))
    if end < len(text):
        out.append("…")
    return out


def _line(text: str) -> str:
    return harmless(text).replace("\n", " ⏎ ").replace("\t", " ")


def action_style(action: str) -> str:
    """The colour of an action."""
    return _STYLES.get(action, "")


def write_content(content: Content) -> None:
    """Released content on stdout: as it is into a file or pipe, harmless on a terminal."""
    if not isinstance(content, Text):
        if sys.stdout.isatty():
            sys.stderr.write(f"guard: {len(content.data)} bytes of {content.media_type}; use --out FILE\n")
        else:
            sys.stdout.buffer.write(content.data)
        return
    if sys.stdout.isatty():
        sys.stdout.write(harmless(content.text) + "\n")
    else:
        sys.stdout.buffer.write(content.data + b"\n")
    sys.stdout.flush()


def print_summary(outcome: Outcome) -> None:
    """A few lines about an outcome on stderr; never content."""
    out = console(stderr=True)
    decision = outcome.decision
    out.print(f"{outcome.state.value} · {decision.action.label}", style=f"bold {action_style(decision.action.label)}")
    for result in outcome.results:
        if result.error:
            out.print(f"  {result.checker} ({result.stage.value}): {result.error}", style="red")
        for finding in result.findings:
            where = f" at {finding.span.start}–{finding.span.end}" if finding.span else ""
            if finding.region:
                x, y, width, height = finding.region
                where = f" at {x},{y} ({width} × {height} pixels)"
            out.print(f"  {result.checker} ({result.stage.value}): {finding.category} {finding.score:.2f}{where}")
    if decision.rules:
        out.print(f"  rules: {', '.join(decision.rules)}")
    if decision.shadow:
        out.print(f"  would have fired (shadow): {', '.join(decision.shadow)}")
    if outcome.case:
        out.print(f"  case {outcome.case}: decide it with  guard dashboard  or  guard review rule")
    out.print(f"  policy {decision.policy.name} {decision.policy.version} · entry {outcome.receipt.entry}")


def print_explanation(explanation: Explanation) -> None:
    """Why, and what would have changed it, on stderr; never content."""
    from guard.review import change_words, evidence_words

    out = console(stderr=True)
    for evidence in explanation.evidence[:MOST]:
        out.print(f"  because {harmless(evidence_words(evidence))}")
    if len(explanation.evidence) > MOST:
        out.print(f"  … and {len(explanation.evidence) - MOST} more; --json has all")
    for change in explanation.changes:
        out.print(f"  {harmless(change_words(change))}")
    if not explanation.changes:
        out.print("  nothing that was found made a difference: this is what the policy does in any case")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, as a function of what is done and what there is in all; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
