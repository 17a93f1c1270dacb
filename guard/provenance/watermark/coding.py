"""What a mark says and how it survives errors: 48 bits of identity, a keyed tag of 32, a convolutional code over both.

The code has rate 1/3 and constraint length 11 (generators 2353, 2671, 3175 octal; Proakis, Digital Communications, table
8.2-2), is tail-biting, and is decoded by soft decisions (Viterbi over a circle; Shao, Lin and Fossorier, 2003).

A tag, not a checksum: it is a pseudorandom function of the identity under the key of the mark. Whatever was made without the
key, a flat picture or another key's mark included, passes a decoding attempt with probability 2**-32.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from guard.digest import keyed, same

Signs = NDArray[np.int8]  # -1 and 1
Reals = NDArray[np.float32]

ID_SIZE, TAG_SIZE = 6, 4  # bytes
BITS = 8 * (ID_SIZE + TAG_SIZE)
RATE = 3
CODED = RATE * BITS
_MEMORY = 10
_GENERATORS = (0o2353, 0o2671, 0o3175)
_ROUNDS = 3  # times around the circle: the last one counts


def tag(mark_id: bytes, key: bytes) -> bytes:
    """What only the holder of the key can add to an identity."""
    return keyed(key, "watermark-tag", mark_id)[:TAG_SIZE]


def encode(mark_id: bytes, key: bytes) -> Signs:
    """240 signs that carry an identity of 6 bytes."""
    if len(mark_id) != ID_SIZE:
        raise ValueError(f"a mark carries {ID_SIZE} bytes, not {len(mark_id)}")
    bits = np.unpackbits(np.frombuffer(mark_id + tag(mark_id, key), np.uint8))
    delayed = np.stack([np.roll(bits, delay) for delay in range(_MEMORY + 1)])
    taps = np.array([[generator >> (_MEMORY - delay) & 1 for delay in range(_MEMORY + 1)] for generator in _GENERATORS])
    coded = (taps @ delayed % 2).T.ravel()
    return np.asarray(1 - 2 * coded.astype(np.int8))


def decode(soft: Reals, key: bytes) -> bytes | None:
    """The identity in 240 soft values (positive for a sign of 1), or None where the tag is wrong."""
    message = np.packbits(_viterbi(soft)).tobytes()
    mark_id = message[:ID_SIZE]
    return mark_id if same(tag(mark_id, key), message[ID_SIZE:]) else None


@functools.cache
def _trellis() -> NDArray[np.intp]:
    """For both older bits and each new state, which of the 8 sign patterns the step writes. 2 × 1024."""
    states = np.arange(1 << _MEMORY)
    found = []
    for oldest in (0, 1):
        register = states | oldest << _MEMORY  # bit d is the input of d steps ago
        pattern = np.zeros_like(states)
        for generator in _GENERATORS:
            # The highest bit of a generator meets the newest input, which is bit 0 of the register.
            mask = int(f"{generator:0{_MEMORY + 1}b}"[::-1], 2)
            parity = np.array([int(value & mask).bit_count() & 1 for value in register])
            pattern = pattern << 1 | parity
        found.append(pattern)
    return np.stack(found)


def _viterbi(soft: Reals) -> NDArray[np.uint8]:
    """The most likely 80 bits."""
    patterns = 1 - 2 * (np.arange(8)[:, None] >> np.array([2, 1, 0]) & 1)
    gains = soft.reshape(BITS, RATE) @ patterns.T.astype(np.float32)  # steps × patterns
    zero, one = _trellis()
    half = 1 << (_MEMORY - 1)
    score = np.zeros(1 << _MEMORY, np.float32)
    choices = np.empty((_ROUNDS * BITS, 1 << _MEMORY), bool)
    for step in range(_ROUNDS * BITS):
        gain = gains[step % BITS]
        # A state's two predecessors differ in their oldest bit only, and so do the states of a pair share them.
        low = np.repeat(score[:half], 2) + gain[zero]
        high = np.repeat(score[half:], 2) + gain[one]
        np.greater(high, low, out=choices[step])
        score = np.maximum(low, high)
    state = int(score.argmax())
    bits = np.empty(_ROUNDS * BITS, np.uint8)
    for step in range(_ROUNDS * BITS - 1, -1, -1):
        bits[step] = state & 1
        state = state >> 1 | int(choices[step, state]) << (_MEMORY - 1)
    return bits[BITS : 2 * BITS]
