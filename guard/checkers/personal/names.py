"""Names of people, places and organisations, and postal addresses, by a small network that ships with the package.

What a word is depends on a few words around it and on nothing else, so a name stays what it is whatever is added far behind it.
How the model was made, on what, and what it gets wrong stands in `data/MODEL_CARD_names.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guard.checkers.personal.tagger import OUTSIDE, Tagger
from guard.checkers.personal.tagger import REACH as LAYER
from guard.checkers.personal.wordforms import MARK, NEARBY, UNSURE, Words, lettered, nameless, words
from guard.checkers.shadow import shadow
from guard.types import Span

MODEL = Path(__file__).parents[1] / "data" / "names.bin"
CATEGORIES = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "ADDRESS"})
MOST = 40  # words of a name; a longer one is cut
TAIL = 8192  # characters at the end of a text that `pending` looks at
REACH = (
    2 * LAYER + NEARBY
)  # words before and behind one that it depends on: what the layers see, and what that depends on


class Names:
    """Finds the wanted kinds. `least` is how sure it must be of a word that it belongs to a name; threads may share one."""

    def __init__(self, wanted: frozenset[str], least: float, model: Tagger | None = None) -> None:
        import numpy as np

        self._model = model or Tagger.load(MODEL)
        self._wanted, self._least = wanted, least
        tags = self._model.tags
        self._kinds = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
        self._outside = tags.index(OUTSIDE)
        self._begins = np.array([tags.index(f"B-{kind}") for kind in self._kinds])
        self._goes_on = np.array([tags.index(f"I-{kind}") for kind in self._kinds])

    @property
    def version(self) -> str:
        """Which model it is."""
        return self._model.digest[:12]

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every name."""
        import numpy as np

        view = shadow(text)
        found = words(view.data)
        if found is None:
            return
        firsts, ends, kinds, sure = self._runs(found)
        pairs = [
            (left, min(end, left + MOST))
            for first, end in zip(firsts, ends, strict=True)
            for left in range(first, end, MOST)
        ]
        if not pairs:
            return
        bounds = np.array(pairs).ravel()
        likeliest = _sums(kinds, bounds).argmax(1).tolist()
        scores = (_sums(sure, bounds) / np.diff(bounds)[::2]).tolist()
        words_in = _sums(lettered(found.forms), bounds).tolist()
        for (left, right), number, score, count in zip(pairs, likeliest, scores, words_in, strict=True):
            category = self._kinds[number]
            if count and category in self._wanted:  # no name is made of numbers alone
                solid = left + np.flatnonzero(found.forms[left:right] != MARK)  # and none begins or ends with a comma
                yield category, round(score, 2), view.span(int(found.starts[solid[0]]), int(found.ends[solid[-1]]))

    def pending(self, text: str) -> int:
        """How many of the last characters more text could make, or change, a name of.

        Whatever follows, the names that start before them stay as they are and no new one begins there.
        """
        cut = max(0, len(text) - TAIL)
        view = shadow(text[cut:])
        found = words(view.data)
        if found is None:
            return 0 if cut == 0 else len(text)
        size = len(view.data)
        space = max(view.data.rfind(mark) for mark in (b" ", b"\n", b"\t", b"\r"))
        settled = int((found.ends <= max(space + 1, size - UNSURE)).sum()) - REACH  # words that nothing can change now
        if settled <= (REACH if cut else 0):
            return len(text)
        held = int(found.starts[settled])
        firsts, ends, *_ = self._runs(found)
        for first, end in zip(firsts, ends, strict=True):
            if first < settled <= end:
                held = int(found.starts[first])
        return len(text) - cut - view.span(held, size).start

    def _runs(self, found: Words) -> tuple[list[int], list[int], Any, Any]:
        """Words that belong together: the first of each run and the one behind its last; and of every word, how likely it is of
        each kind, and how sure it is that it belongs to a name at all."""
        import numpy as np

        shares = self._model.probabilities(found)
        sure = 1 - shares[:, self._outside]
        inside = (sure >= self._least) & ~nameless(found.forms)
        if not inside.any():
            return [], [], shares, sure
        begins, goes_on = shares[:, self._begins], shares[:, self._goes_on]
        new = inside & (begins.sum(1) > goes_on.sum(1))
        new[1:] |= inside[1:] & ~inside[:-1]
        new[0] = inside[0]
        last = inside.copy()
        last[:-1] &= ~inside[1:] | new[1:]
        return np.flatnonzero(new).tolist(), (np.flatnonzero(last) + 1).tolist(), begins + goes_on, sure


def _sums(values: Any, bounds: Any) -> Any:
    """The sums of the rows between each pair of bounds, whatever stands elsewhere."""
    import numpy as np

    padded = np.concatenate([values, np.zeros_like(values[:1])])  # a bound may lie behind the last row
    return np.add.reduceat(padded, bounds, axis=0, dtype=np.float64)[::2]
