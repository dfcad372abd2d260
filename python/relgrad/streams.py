"""The program's random numbers: Philox4x32-10 (Salmon et al., SC 2011), keyed by what a draw is for.

Every draw is a pure function of (seed, purpose, epoch, item, position), so noise and samples here are those of
`relgrad score` and `relgrad sample`, number by number.
"""
from __future__ import annotations

import numpy

DEQUANTIZE_EVAL = 2  # purposes, as the program numbers them
SAMPLE_LATENT = 5

_MULTIPLIERS = numpy.uint64(0xD2511F53), numpy.uint64(0xCD9E8D57)
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
_LOW = numpy.uint64(0xFFFFFFFF)
_HALF = numpy.uint64(32)


def words(seed: int, purpose: int, epoch: int, items: numpy.ndarray, count: int) -> numpy.ndarray:
    """The first `count` 32-bit words of each item's stream, uint64 [items, count]."""
    blocks = numpy.arange((count + 3) // 4, dtype=numpy.uint64)[None, :]
    items = numpy.asarray(items, dtype=numpy.uint64)[:, None]
    counter = [blocks, numpy.uint64(epoch), items & _LOW,
               numpy.uint64(purpose << 24) | (items >> _HALF & numpy.uint64(0xFFFFFF))]
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        products = _MULTIPLIERS[0] * counter[0], _MULTIPLIERS[1] * counter[2]
        counter = [products[1] >> _HALF ^ counter[1] ^ numpy.uint64(key[0]), products[1] & _LOW,
                   products[0] >> _HALF ^ counter[3] ^ numpy.uint64(key[1]), products[0] & _LOW]
        key = [(number + step) & 0xFFFFFFFF for number, step in zip(key, _KEY_STEPS)]
    return numpy.stack(numpy.broadcast_arrays(*counter), axis=-1).reshape(len(items), -1)[:, :count]


def uniform(seed: int, purpose: int, epoch: int, items: numpy.ndarray, count: int, dtype) -> numpy.ndarray:
    """Uniform numbers in (0, 1), [items, count]: 23 bits for float32, 32 bits for float64, never 0 or 1."""
    drawn = words(seed, purpose, epoch, items, count)
    if numpy.dtype(dtype) == numpy.float32:
        return ((drawn >> numpy.uint64(9)).astype(numpy.float32) + numpy.float32(0.5)) * numpy.float32(2.0 ** -23)
    return (drawn.astype(numpy.float64) + 0.5) * 2.0 ** -32


def normal(seed: int, purpose: int, epoch: int, items: numpy.ndarray, count: int) -> numpy.ndarray:
    """Standard normal numbers by Box-Muller, float64 [items, count]."""
    pairs = uniform(seed, purpose, epoch, items, count + count % 2, numpy.float64).reshape(len(items), -1, 2)
    radius, angle = numpy.sqrt(-2.0 * numpy.log(pairs[..., 0])), 2.0 * numpy.pi * pairs[..., 1]
    both = numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], axis=-1)
    return both.reshape(len(items), -1)[:, :count]
