"""Marks in the tokens of a text, read from token numbers alone: no model, no torch, the same on every machine.

Three schemes are read. `gumbel` (Aaronson 2022; what vLLM and SGLang serve): a keyed hash of the last four tokens and of each
candidate gives each candidate a uniform number u, and the one with the largest u^(1/p) is taken, so that the drawn tokens have
large u and the drawing follows the model's own probabilities. `greenlist` (Kirchenbauer et al. 2023) and `synthid` (Dathathri
et al. 2024) are what transformers makes. Unmarked text scores like chance in each: -ln(1-u) is exponential, and a token is
green, or a bit is set, as often as the configuration says. So the p-values are exact tails, not fits.

Each context counts once. A text that repeats itself would otherwise count one draw many times, and plain lists look marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.digest import keyed
from guard.provenance.watermark import Scheme

ALGORITHMS: Mapping[Scheme, str] = {"gumbel": "gumbel-1", "greenlist": "kgw-lefthash-1", "synthid": "synthid-9-1"}
CONTEXT = 4  # tokens that a Gumbel draw depends on; SynthID's n-grams have one more
GREENLIST_RATIO = 0.25
SYNTHID_DEPTH = 9
SYNTHID_TABLE = 1 << 16

# SplitMix64 (Steele, Lea and Flood 2014).
_INCREMENT, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_BITS = 52  # one less than a double holds, so that a half can be added without rounding

Tokens = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Found:
    """The strongest sign of a mark.

    `p_value` is how likely a text without any mark shows one this strong under any of the keys and schemes looked for;
    `tokens` counts what was scored. A large p says nothing: the text may be short, edited or predictable.
    """

    key_id: str
    p_value: float
    tokens: int
    algorithm: str


def detect(ids: Sequence[int], vocabulary: int, keys: Mapping[str, bytes]) -> Found:
    """Look for the mark of any of `keys` (by id) in the token numbers of a text, of a model with `vocabulary` tokens.

    A green list is read as the CPU draws it. About a millisecond for 200 tokens and a key, and some ten for a green list.
    """
    numbers = np.asarray(ids, np.int64)
    looks = []
    for scheme, read in _READERS.items():
        for name, key in keys.items():
            p_value, tokens = read(numbers, vocabulary, key)
            looks.append(Found(name, p_value, tokens, ALGORITHMS[scheme]))
    return strongest(looks)


def strongest(looks: Sequence[Found]) -> Found:
    """The least likely of several looks, corrected for their number (Bonferroni)."""
    best = min(looks, key=lambda look: look.p_value)
    return Found(best.key_id, min(1.0, best.p_value * len(looks)), best.tokens, best.algorithm)


# --- the keyed numbers: whole numbers that wrap around at 2^64, so that every machine computes the same ------------------


def scheme_key(key: bytes, scheme: Scheme) -> int:
    """The 64 bits that a scheme makes of a key."""
    return int.from_bytes(keyed(key, ALGORITHMS[scheme], b"")[:8], "big")


def context_hashes(key: int, contexts: Tokens) -> Hashes:
    """One number for each context; `contexts` is (n, CONTEXT)."""
    hashes = np.full(len(contexts), key, np.uint64)
    for column in contexts.astype(np.uint64).T:
        hashes = _mix(hashes + column + np.uint64(_INCREMENT))
    return hashes


def uniform(hashes: Hashes, tokens: Tokens) -> NDArray[np.float64]:
    """Keyed numbers between 0 and 1, both excluded, for tokens after contexts (broadcast): a SplitMix64 stream a context."""
    drawn = _mix(hashes + (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(_INCREMENT)) >> np.uint64(64 - _BITS)
    return (drawn.astype(np.float64) + 0.5) * 2.0**-_BITS


def _mix(x: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that leaves no bit where it was."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND)
    return x ^ (x >> np.uint64(31))


# --- reading -----------------------------------------------------------------------------------------------------------


def _gumbel(ids: Tokens, _vocabulary: int, key: bytes) -> tuple[float, int]:
    contexts, tokens = _once(ids, CONTEXT)
    if not len(tokens):
        return 1.0, 0
    score = -np.log1p(-uniform(context_hashes(scheme_key(key, "gumbel"), contexts), tokens)).sum()
    return erlang_tail(float(score), len(tokens)), len(tokens)


def _greenlist(ids: Tokens, vocabulary: int, key: bytes) -> tuple[float, int]:
    pairs = set(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    secret = greenlist_key(key)
    green = sum(_is_green(secret * last % (2**64 - 1), token, vocabulary) for last, token in sorted(pairs))
    return binomial_tail(green, len(pairs), GREENLIST_RATIO), len(pairs)


def _synthid(ids: Tokens, _vocabulary: int, key: bytes) -> tuple[float, int]:
    contexts, tokens = _once(ids, CONTEXT)
    if not len(tokens):
        return 1.0, 0
    bits = synthid_bits(np.column_stack([contexts, tokens]), synthid_keys(key))
    return binomial_tail(int(bits.sum()), bits.size, float(synthid_table().mean())), len(tokens)


_READERS: Mapping[Scheme, Callable[[Tokens, int, bytes], tuple[float, int]]] = {
    "gumbel": _gumbel,
    "greenlist": _greenlist,
    "synthid": _synthid,
}


def _once(ids: Tokens, width: int) -> tuple[Tokens, Tokens]:
    """Each context of `width` tokens at its first place (n, width), and the token that follows it there (n)."""
    if len(ids) <= width:
        return np.empty((0, width), np.int64), np.empty(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(ids, width + 1)
    _, first = np.unique(windows[:, :-1], axis=0, return_index=True)
    return windows[first, :-1], windows[first, -1]


def greenlist_key(key: bytes) -> int:
    """What transformers' WatermarkingConfig takes. Odd, because an even factor of the seed loses bits."""
    return int.from_bytes(keyed(key, ALGORITHMS["greenlist"], b"")[:8], "big") >> 1 | 1


@lru_cache(maxsize=512)
def _swaps(seed: int, vocabulary: int) -> Tokens:
    """With which place torch.randperm (CPU) swaps each of the first places, those of the green list, for a seed."""
    places = np.arange(min(int(vocabulary * GREENLIST_RATIO), vocabulary - 1), dtype=np.int64)
    swaps: Tokens = places + _mersenne(seed, len(places)) % (vocabulary - places)
    return swaps


def _mersenne(seed: int, count: int) -> Tokens:
    """What torch's generator on the CPU gives under a seed: the 32-bit Mersenne Twister, which numpy keeps for old seeds."""
    twister = np.random.RandomState(seed & 0xFFFFFFFF)
    return twister.randint(0, 1 << 32, count, dtype=np.uint32).astype(np.int64)


def _is_green(seed: int, token: int, vocabulary: int) -> bool:
    """Whether a token stands in the first quarter of torch.randperm(vocabulary): follow it through the swaps."""
    swaps = _swaps(seed, vocabulary)
    place, start = token, 0
    while True:
        into = np.flatnonzero(swaps[start : place + 1] == place)
        if into.size:
            return True
        if place >= len(swaps):
            return False
        place, start = int(swaps[place]), place + 1


def synthid_keys(key: bytes) -> list[int]:
    """One key for each layer of the tournament, for transformers' SynthIDTextWatermarkingConfig."""
    long = keyed(key, ALGORITHMS["synthid"], b"")
    return [int.from_bytes(long[3 * layer : 3 * layer + 3], "big") for layer in range(SYNTHID_DEPTH)]


@lru_cache(maxsize=1)
def synthid_table() -> NDArray[np.uint8]:
    """The bits that transformers looks up for SynthID, as it draws them on the CPU: torch.randint(0, 2) under seed 0."""
    table: NDArray[np.uint8] = (_mersenne(0, SYNTHID_TABLE) & 1).astype(np.uint8)
    return table


def synthid_bits(ngrams: Tokens, keys: Sequence[int]) -> NDArray[np.uint8]:
    """The bit of each layer (n, layers) for n-grams (n, width), as transformers computes them."""
    factor = 6364136223846793005
    hashes = np.ones(len(ngrams), np.int64)
    for column in range(ngrams.shape[1]):
        hashes = (hashes + ngrams[:, column]) * factor + 1
    layered = (hashes[:, None] + np.asarray(keys, np.int64)) * factor + 1
    bits: NDArray[np.uint8] = synthid_table()[layered % SYNTHID_TABLE]
    return bits


# --- tails -------------------------------------------------------------------------------------------------------------


def erlang_tail(score: float, count: int) -> float:
    """P(X >= score) for the sum of `count` exponential numbers of mean 1; exact."""
    if score <= 0:
        return 1.0
    return _sum(k * math.log(score) - math.lgamma(k + 1) - score for k in range(count))


def binomial_tail(hits: int, trials: int, chance: float) -> float:
    """P(X >= hits) for X ~ Binomial(trials, chance); exact, where the normal approximation flatters short texts."""
    if hits <= 0:
        return 1.0
    return _sum(
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(chance) + (trials - k) * math.log1p(-chance)
        for k in range(hits, trials + 1)
    )  # fmt: skip


def _sum(logs: Any) -> float:
    return min(1.0, math.fsum(math.exp(value) for value in logs))
