"""What may leave of an answer that is still being written: a state machine without I/O.

However the text is cut into pieces, what leaves is what the whole-answer path releases. `feed` takes a piece and says what
the checkers should look at, if a look could let anything go; `seen` takes their results and returns what may leave now. The
whole text is checked and decided once more at its end (`guard.flow.conclusion`), and only the rest of that release follows.

**The bound.** A checker that can be asked in midstream has a method `pending(text)`: of how many of the last characters more
text could make, or change, a finding. It promises that the findings which start before them are final, whatever follows and
also if nothing does; that every finding has a span; and that none depends on more than CONTEXT characters or WORDS words ahead
of the sentence that it is in. The worker leaves out findings that are not final (`CheckResult.settled`). The least of these
places, over all checkers whose rules redact or stop, is here moved back

- to the beginning of a pseudonym that may still be unfinished (it may be turned back, and what looks like personal data in it
  is not);
- out of an escape sequence, and by one letter with its combining marks, since a span that begins behind it is widened so far
  (`guard.operators.whole`);
- to the start of a redaction that reaches over it, or whose end more text could still widen.

What lies before the place that is left is decided: no finding that comes later touches it, and all that touch it are known.

**What holds more** (`Plan`):

| what the policy has for outputs | strict (default) | optimistic |
|---|---|---|
| a redaction by a checker with `pending` | what could be inside a match (toxicity: a sentence) | the same |
| a redaction by any other checker, with `pseudonym`, or `when` over `item` | the whole answer | the whole answer |
| a block or review by a checker with `pending` | the whole answer | what could be inside a match |
| a block or review by another checker | the whole answer | nothing: it looks as the text doubles, and at the end |
| a required mark, a label at the start; nobody reads the text; `otherwise` withholds | the whole answer | the whole answer |
| a JSON document, where keys are needed (`hash`, `encrypt`, restored pseudonyms) | the whole answer | the whole answer |
| annotations, shadow rules | nothing | nothing |

Strict: a prefix leaves only if no continuation could make the whole answer be withheld. Optimistic: a block or review that
later text brings stops the stream; what had left stands in the record, and no character inside a finding has left. What no text
can foretell, a check that fails at the end or a mark that cannot be made, stops a stream in both ways. A failed look in
midstream lets nothing go, and nothing more: the next look sees the same text.

**The cost.** A look sees a window: text since a sentence's end, at least CONTEXT characters and WORDS words ahead of what is
undecided. The window moves on only where the findings in the overlap stay as they were. One that cannot move is looked at less
often, so that time stays linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from guard.isolate import Reader
from guard.operators import Redaction
from guard.policy.decide import Context, decide, redactions
from guard.redactor import Redactor, Restorer
from guard.types import Action, CheckResult, Finding, Item, Mode, Policy, Request, Rule, Span, Stage, Status, Text

CONTEXT, WORDS = 2048, 100
WINDOW = 2 * CONTEXT  # characters; a longer one moves on where it can
ESCAPE = 12  # characters by which an escape sequence may widen a span
STEP = 512  # characters between looks that can only stop a stream
_BREAK = re.compile(r"[^0-9A-Za-z]")  # where a look may let something go
_LONG_WORD = 64
_ITEM = re.compile(r"\bitem\b")
_SENTENCE_END = re.compile(r"[.!?][^\S\n]*\n|\n|[.!?] ")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the policy means for a stream. `holds` says why nothing may leave before the end; None: something may.

    `rules` can be decided in midstream, for the checkers `watched` (each look) and `late` (as the text doubles).
    """

    policy: Policy
    holds: str | None
    watched: frozenset[str]
    late: frozenset[str]

    @classmethod
    def of(cls, policy: Policy, readers: Mapping[str, Reader]) -> Plan:
        """The plan of a policy, given the checkers that look at outputs."""
        reading = {name: reader for name, reader in readers.items() if reader.text}
        streams = frozenset(name for name, reader in reading.items() if reader.streams)
        rules = [rule for rule in policy.rules if _counts(rule) and rule.checker in reading]
        ready = tuple(rule for rule in rules if not (rule.when and _ITEM.search(rule.when)))
        stops = frozenset(rule.checker for rule in rules if rule.action >= Action.REVIEW)
        early = frozenset(rule.checker for rule in ready)
        late = frozenset(rule.checker for rule in ready if rule.action >= Action.REVIEW) - streams
        holds = next(_holds(policy, readers, rules, ready, streams), None)
        if holds is None and stops and not policy.stream.optimistic:
            holds = f"{min(stops)} may withhold the answer"
        return cls(replace(policy, rules=ready), holds, early & streams, late)


def _counts(rule: Rule) -> bool:
    return rule.mode is Mode.ENFORCE and Stage.OUTPUT in rule.stages and rule.action >= Action.REDACT


def _holds(
    policy: Policy, readers: Mapping[str, Reader], rules: Sequence[Rule], ready: Sequence[Rule], streams: frozenset[str]
) -> Iterator[str]:
    """Reasons to hold the answer to its end, whatever the policy says about streams."""
    if policy.otherwise >= Action.REVIEW:
        yield "the policy withholds whatever it is asked"
    if readers and not any(reader.text for reader in readers.values()):
        yield "no checker reads text"
    if policy.stamp.text - {"manifest"}:
        yield "a required mark shows at the end only"
    if policy.stamp.label.text == "start":
        yield "its label stands ahead of the answer"
    for rule in rules:
        if rule.action is Action.REDACT:
            if rule.checker not in streams:
                yield f"{rule.checker} must see the whole answer"
            if rule not in ready:
                yield f"the condition of {rule.id} depends on the whole answer"
            if rule.operator.name == "pseudonym":
                yield f"the pseudonyms of {rule.id} depend on the whole answer"


@dataclass(frozen=True, slots=True)
class Look:
    """What to ask now: the checkers named, about an item."""

    checkers: frozenset[str]
    item: Item


class Stream:
    """One answer as it is written. Feed it; where it says so, have the checkers look, and hand it what they saw."""

    def __init__(self, plan: Plan, request: Request, redactor: Redactor) -> None:
        self._plan, self._request, self._redactor = plan, request, redactor
        self._restorer = Restorer(redactor)
        self._pieces: list[str] = []
        self._size = 0
        self._fresh: list[str] = []  # pieces that no look has seen
        self._waiting = 0  # their characters
        self._due = False
        self._next_late = STEP
        # The window, and places in it.
        self._window = ""
        self._done = 0  # what has been released
        self._settled: dict[str, int] = {}
        self._known: dict[str, list[Finding]] = {}  # final findings that reach beyond `_done`
        self._moved: _Moved | None = None
        self._stay = WINDOW  # a window moves on when it is longer
        self._may_be_json = True
        self.action = Action.ALLOW  # the greatest that a final finding has asked for so far

    @property
    def text(self) -> str:
        """The whole answer so far."""
        return "".join(self._pieces)

    @property
    def held(self) -> int:
        """How many characters of the answer wait."""
        return len(self._window) - self._done + self._waiting

    @property
    def _open(self) -> bool:
        """Whether anything may leave before the end."""
        return self._plan.holds is None and self.action < Action.REVIEW

    def feed(self, piece: str) -> Look | None:
        """Take in more of the answer; what to look at, if that could let something go or stop the stream."""
        self._pieces.append(piece)
        self._fresh.append(piece)
        self._size += len(piece)
        self._waiting += len(piece)
        self._due = self._due or _BREAK.search(piece) is not None
        if self._open and self._plan.late and self._size >= self._next_late:
            self._next_late = 2 * self._size
            return Look(self._plan.late, self._item(self.text, unfinished=False))
        enough = _LONG_WORD if self._open else STEP
        due = self._waiting >= enough or (self._open and self._due)
        if not due or not (self._open or self._plan.watched) or self._waiting < (len(self._window) - 2 * WINDOW) // 16:
            return None
        self._window = "".join([self._window, *self._fresh])
        self._fresh, self._waiting, self._due = [], 0, False
        return Look(self._plan.watched, self._item(self._window, unfinished=True))

    def _item(self, text: str, *, unfinished: bool) -> Item:
        request = self._request
        return Item(Text(text), Stage.OUTPUT, prompt=request.prompt, sources=request.sources, unfinished=unfinished)

    def seen(self, look: Look, results: Sequence[CheckResult]) -> str:
        """What may leave now, given what the checkers saw; the empty string where one of them failed."""
        results = self._redactor.foreign(results, look.item.content)
        if not look.item.unfinished:
            self._judge([result for result in results if result.status is Status.OK])
            return ""
        if any(result.settled is None for result in results) or len(results) < len(look.checkers):
            return ""
        if self._moved is not None:
            moved, self._moved = self._moved, None
            if not moved.confirmed_by(results):
                self._stay = len(moved.ahead) + len(self._window) + CONTEXT
                self._shift(len(moved.ahead))
                self._window = moved.ahead + self._window
                return ""
        self._judge([self._learned(result) for result in results])
        if not self._open:
            self._known.clear()
            self._slide(results, min(self._settled.values(), default=0))
            return ""
        cuts, end = self._limit()
        piece = self._redactor.piece(self._window, self._done, end, cuts) if end > self._done else ""
        self._done = max(self._done, end)
        self._slide(results, self._done)
        return self._restorer.feed(piece)

    def _learned(self, result: CheckResult) -> CheckResult:
        """Keep the findings that are final now; the result with only those that are new."""
        before, settled = self._settled.get(result.checker, 0), result.settled or 0
        new = [it for it in result.findings if it.span is None or before <= it.span.start]
        self._settled[result.checker] = max(before, settled)
        self._known.setdefault(result.checker, []).extend(new)
        return replace(result, findings=tuple(new))

    def _judge(self, results: Sequence[CheckResult]) -> None:
        context = Context.of(self._request, self._item(self._window, unfinished=True))
        self.action = max(self.action, decide(self._plan.policy, context, results).action)

    def _limit(self) -> tuple[list[Redaction], int]:
        """What goes, and the place before which all is decided."""
        text = self._window
        end = min(self._settled.values(), default=len(text))
        if self._plan.watched:
            end = undivided(text, end)
        end = min(end, self._redactor.unfinished(text))
        self._may_be_json = self._may_be_json and self._redactor.may_be_json(text)
        if self._may_be_json:
            end = 0
        context = Context.of(self._request, self._item(text, unfinished=True))
        results = [
            CheckResult(name, "", Stage.OUTPUT, Status.OK, tuple(known)) for name, known in self._known.items() if known
        ]
        cuts = redactions(self._plan.policy, context, results, Stage.OUTPUT, text)
        for cut in cuts:
            # What begins in what has left cannot be: then nothing more leaves, and the end tells.
            if cut.start < end and (cut.start < self._done or cut.end > end or not ended(text, cut.end)):
                end = cut.start
        return [cut for cut in cuts if cut.end <= end], end

    def _slide(self, results: Sequence[CheckResult], place: int) -> None:
        """Forget findings that have been dealt with, and move the window on."""
        for name, known in self._known.items():
            self._known[name] = [it for it in known if it.span is not None and it.span.end > self._done]
        start = self._restart(place) if len(self._window) > self._stay else 0
        if start:
            self._stay = WINDOW
            sure = min(self._settled.values(), default=0)
            seen = {it.checker: _between(it.findings, place - CONTEXT // 2, sure) for it in results}
            since, sure = place - CONTEXT // 2 - start, sure - start
            expected = {name: [_shifted(it, -start) for it in found] for name, found in seen.items()}
            self._moved = _Moved(self._window[:start], since, sure, expected)
            self._window = self._window[start:]
            self._shift(-start)

    def _shift(self, by: int) -> None:
        self._done = max(0, self._done + by)
        self._settled = {name: max(0, at + by) for name, at in self._settled.items()}
        self._known = {name: [_shifted(it, by) for it in known] for name, known in self._known.items()}

    def _restart(self, place: int) -> int:
        """Where a new window may begin: behind a sentence, and far enough ahead of `place`; 0 where there is none."""
        ends = [match.end() for match in _SENTENCE_END.finditer(self._window, 0, max(0, place - CONTEXT))]
        return next((end for end in ends[:-17:-1] if len(self._window[end:place].split()) >= WORDS), 0)


@dataclass(frozen=True, slots=True)
class _Moved:
    """A window that was moved on: what was cut off ahead of it, and the findings that start from `since` to `until`."""

    ahead: str
    since: int
    until: int
    expected: Mapping[str, Sequence[Finding]]

    def confirmed_by(self, results: Sequence[CheckResult]) -> bool:
        """Whether the checkers still see there what they saw before."""
        until = min([self.until, *(result.settled or 0 for result in results)])
        return all(
            _between(self.expected.get(result.checker, ()), self.since, until)
            == _between(result.findings, self.since, until)
            for result in results
        )


def _between(findings: Sequence[Finding], since: int, until: int) -> list[Finding]:
    return [it for it in findings if it.span is not None and since <= it.span.start < until]


def _shifted(finding: Finding, by: int) -> Finding:
    span = finding.span
    return finding if span is None else replace(finding, span=Span(max(0, span.start + by), span.end + by))


def undivided(text: str, index: int) -> int:
    """The last place up to `index` such that no span which starts at `index` or later is widened over it."""
    if index >= len(text):  # what comes next may be a combining mark
        index = len(text) - 1
    while index > 0 and unicodedata.category(text[index])[0] == "M":
        index -= 1
    index = max(0, index)
    escape = text.find("\\", max(0, index - ESCAPE + 1), index)
    return index if escape < 0 else escape


def ended(text: str, end: int) -> bool:
    """Whether more text cannot widen a span that ends here."""
    if len(text) < end + ESCAPE and "\\" in text[max(0, end - ESCAPE) :]:
        return False
    return end < len(text) and unicodedata.category(text[end])[0] != "M"
