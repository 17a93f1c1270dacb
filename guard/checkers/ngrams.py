"""Words and their pieces as hashed features, the same for training and for scoring; numpy does the work, not a loop over words.

A text is a bag of features: words, pairs of neighbouring words, stretches of three to five characters inside a word's
boundaries, and words under a cue: after a negation, in the neighbourhood of "you" or "I", inside
quotation marks, or in a sentence that reports or condemns. The cues let a linear model learn that "is wrong to call them
vermin" is not "they are vermin".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

SHORTEST, LONGEST = 3, 5
MAX_WORD = 40  # longer "words" are cut: nobody reads them, and they must not cost more than others
SMOOTHING = 8  # features added to the count of a text, so that a lone letter does not weigh like a sentence
REACH = 4  # words after which a negation, "you" or "I" has no say any more

_SPELLED = re.compile(r"(?<!\w)\w(?:[ .\-_*]\w){2,60}(?!\w)")
_JOINS = re.compile(r"[ .\-_*]")
_INNER = re.compile(r"(?<=[a-z])'(?=[a-z])")
_SIGNED = re.compile(r"(?<![a-z])[a-z]*+[0-9@$!*|+][a-z0-9@$!*|+]*+")
_ODD = re.compile(rf"{_SIGNED.pattern}|(?<![a-z])[a-z]*?([a-z])\1{{2}}[a-z]*+")  # a slower search
_REPEATED = re.compile(r"([a-z])\1{2,}")
_STARS = re.compile(r"\*+")
_LEET = str.maketrans("013457@$!|+", "oieastasilt")
_PLAIN = str.maketrans(
    "аеёорсухіјѕԁӏкмтнвαορεικντυ\u2019\u2018\u201c\u201d\u00ab\u00bb", 'aeeopcyxijsdlkmthbaopeikvtu\'\'""""'
)

NEGATIONS = (
    "not no never none nobody nothing neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt "
    "shouldnt couldnt aint hardly stop against refuse refuses refused deny denies denied condemn condemns oppose opposes"
)
REPORTS = (
    "said says say saying told tells call calls called calling claim claims claimed wrote writes word words term terms slur "
    "slurs quote quotes quoted wrong racist sexist homophobic transphobic offensive hateful hurtful harmful unacceptable myth "
    "stereotype stereotypes prejudice hatred discrimination bullying bullied harassment report reported reporting article post "
    "comment tweet prevent prevention protect support survivors victims awareness film movie novel book story "
    "character song game"
)
YOU = "you your youre yours yourself u ur yall"
ME = "i im my me we our us were myself ive"
CUES = (NEGATIONS, REPORTS, YOU, ME)
ANYWHERE = frozenset({1})  # cues that hold for the whole sentence
QUOTED = len(CUES)

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Bag:
    """The features of several sentences. All arrays are numpy's.

    `pieces` (4 × characters) and `phrases` (7 × words) are uint64 hashes, 0 where there is no feature; `owner` has the word
    that each character belongs to, `starts` the first character of each word, `sentence` the sentence of each word.
    """

    pieces: Any
    phrases: Any
    owner: Any
    starts: Any
    sentence: Any

    @property
    def size(self) -> int:
        """How many words."""
        return len(self.starts)


def normalised(text: str, choose: Callable[[list[tuple[str, ...]]], list[str]] | None = None) -> str:
    """Lower case, accents off, look-alikes made Latin, spelled-out words joined, digits and signs in words made letters.

    Line breaks stay as they are. `choose` picks a reading for each odd word; without it the first, likeliest one is taken.
    """
    plain = text.lower()
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", plain).translate(_PLAIN)
        if not plain.isascii():  # in most texts only the quotation marks were not
            plain = "".join(character for character in plain if not unicodedata.combining(character))
        plain = plain.lower()
    if _SPELLED.search(plain):
        plain = _SPELLED.sub(lambda match: _JOINS.sub("", match.group()), plain)
    if "'" in plain:
        plain = _INNER.sub("", plain)
    suspect = _ODD if _REPEATED.search(plain) else _SIGNED
    odd = {match.group(): readings(match.group()) for match in suspect.finditer(plain)}
    odd = {word: options for word, options in odd.items() if options != (word,)}
    if odd:
        chosen = choose(list(odd.values())) if choose else [options[0] for options in odd.values()]
        best = dict(zip(odd, chosen, strict=True))
        plain = suspect.sub(lambda match: best.get(match.group(), match.group()), plain)
    return plain


def readings(word: str) -> tuple[str, ...]:
    """What an odd word may be meant as, likeliest first: repeated letters, digits for letters and stars are undone."""
    tail = word[len(word.rstrip("!|+*")) :]
    core = word[: len(word) - len(tail)]
    if not any(map(str.isalpha, core)):
        masked = core[:1] in "@$" and len(core) > 1
        return (word, core.translate(_LEET) + tail) if masked else (word,)
    if core.isalpha():
        if _REPEATED.search(core) is None:
            return (word,)
        return (_REPEATED.sub(r"\1", core) + tail, _REPEATED.sub(r"\1\1", core) + tail)
    plain = _REPEATED.sub(r"\1", core).translate(_LEET)
    if "*" not in plain:
        return (plain + tail, core + tail) if plain != core else (word,)
    return (core + tail, *(_STARS.sub(vowel, plain) + tail for vowel in "uioae"))


def bag(text: str) -> Bag | None:
    """The features of a normalised text, whose lines are sentences; None where it has no words."""
    import numpy as np

    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    inside = np.zeros(len(data) + 2, np.uint8)
    inside[1:-1] = _tables().letters[data]
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return None
    ends = np.minimum(ends, begins + MAX_WORD)
    sentence = np.cumsum(data == 10)[begins]
    quoted = _quoted(data, begins, sentence)
    lengths = ends - begins + 1  # with the space in front
    starts = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(len(begins)), lengths)
    within = np.arange(len(owner)) - starts[owner]
    line = np.where(within == 0, np.uint8(32), data[np.maximum(begins[owner] + within - 1, 0)]).astype(np.uint64)
    words = np.add.reduceat((line + np.uint64(1)) * _tables().powers[within], starts)
    return Bag(_pieces(np, line, owner), _phrases(np, words, sentence, quoted), owner, starts, sentence)


def runs(values: Any) -> Any:
    """Where each run of equal values begins, in a sequence that is not empty."""
    import numpy as np

    new = np.empty(len(values), bool)
    new[0] = True
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return np.flatnonzero(new)


def _quoted(data: Any, begins: Any, sentence: Any) -> Any:
    """Whether an odd number of quotation marks stands between the sentence's beginning and a word, and one follows."""
    import numpy as np

    marks = data == 34
    if not marks.any():
        return np.zeros(len(begins), bool)
    before = np.cumsum(marks)
    line = np.cumsum(data == 10)
    first = np.searchsorted(line, sentence)
    last = np.searchsorted(line, sentence, side="right") - 1
    so_far = before[begins] - before[first] + marks[first]
    return (so_far % 2 == 1) & (before[last] > before[begins])


def _pieces(np: Any, line: Any, owner: Any) -> Any:
    """Hashes of the stretches that begin at each character; the space after a word counts as its last character."""
    size = len(line)
    padded = np.concatenate([line, np.full(LONGEST, 32, np.uint64)])
    same = np.concatenate([owner, np.full(LONGEST, -1)])
    found = np.zeros((LONGEST - SHORTEST + 1, size), np.uint64)
    rolling = padded[:size].copy()
    for step in range(1, LONGEST):
        rolling |= padded[step : step + size] << np.uint64(8 * step)
        if step + 1 >= SHORTEST:
            # all but the last character in the word; the last may be the space in front of the next one
            whole = same[step - 1 : step - 1 + size] == owner
            found[step + 1 - SHORTEST] = np.where(whole, _mixed(np, rolling, step), np.uint64(0))
    return found


def _phrases(np: Any, words: Any, sentence: Any, quoted: Any) -> Any:
    """Hashes of words by themselves, with their neighbours, and under each cue."""
    size = len(words)
    found = np.zeros((2 + QUOTED + 1, size), np.uint64)
    left = np.zeros(size, np.uint64)
    left[1:] = np.where(sentence[1:] == sentence[:-1], words[:-1], np.uint64(0))
    found[0] = _mixed(np, words, 11)
    found[1] = _mixed(np, words + left * np.uint64(3), 12)
    place = np.arange(size)
    tables = _tables()
    at = np.minimum(np.searchsorted(tables.cue_words, words), len(tables.cue_words) - 1)
    kinds = np.where(tables.cue_words[at] == words, tables.cue_kinds[at], np.uint8(0))
    for cue in range(len(CUES)):
        hit = kinds & np.uint8(1 << cue) > 0
        if not hit.any():
            continue
        if cue in ANYWHERE:
            under = np.bincount(sentence[hit], minlength=int(sentence[-1]) + 1)[sentence] > 0
        else:
            last = np.maximum.accumulate(np.where(hit, place, -REACH - 1))
            under = (place - last <= REACH) & (sentence[np.maximum(last, 0)] == sentence)
        under &= ~hit
        found[2 + cue, under] = _mixed(np, words[under], 20 + cue)
    if quoted.any():
        found[2 + QUOTED, quoted] = _mixed(np, words[quoted], 20 + QUOTED)
    return found


def _mixed(np: Any, values: Any, salt: int) -> Any:
    """Spread 64-bit values; never 0. (The finaliser of SplitMix64, by Steele, Lea and Flood 2014, shortened.)"""
    mixed = (values + np.uint64(salt * _GOLDEN & _MASK)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(20)) | np.uint64(1 << 44)


@dataclass(frozen=True, slots=True)
class _Tables:
    letters: Any
    powers: Any
    cue_words: Any  # hashes, sorted
    cue_kinds: Any  # a bit for each cue that the word gives


@cache
def _tables() -> _Tables:
    import numpy as np

    letters = np.zeros(256, np.uint8)
    letters[[*range(48, 58), *range(97, 123), *range(128, 256)]] = 1
    powers = np.array([pow(0x100000001B3, power, 1 << 64) for power in range(MAX_WORD + 2)], np.uint64)
    powers[0] = 0  # the space in front
    kinds: dict[int, int] = {}
    for cue, names in enumerate(CUES):
        for name in names.split():
            code = _word(name, powers)
            kinds[code] = kinds.get(code, 0) | 1 << cue
    known = sorted(kinds)
    cue_kinds = np.array([kinds[code] for code in known], np.uint8)
    return _Tables(letters, powers, np.array(known, np.uint64), cue_kinds)


def _word(word: str, powers: Any) -> int:
    return sum((byte + 1) * int(powers[place]) for place, byte in enumerate(word.encode(), 1)) & _MASK
