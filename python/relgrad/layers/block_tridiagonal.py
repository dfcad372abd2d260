"""The matrix T of a zero-padded convolution: block tridiagonal when image rows make the blocks,
max(1, (k - 1) / 2) of them each."""
from __future__ import annotations

from typing import Tuple

import numpy

from .base import Shape


def blocks_of(shape: Shape, kernel) -> Tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Blocks below, on and above the diagonal, [N, N] each; numbers of a block in the order (channel, row, column)."""
    channels, _, width = shape
    taps = kernel.shape[-1]
    margin = (taps - 1) // 2
    rows = max(1, margin)
    blocks = [numpy.zeros((channels, rows, width, channels, rows, width)) for _ in range(3)]
    for i in range(taps):
        for row in range(rows):
            place, source = divmod(row + i - margin, rows)
            for j in range(taps):
                first, last = max(0, margin - j), min(width, width + margin - j)
                for column in range(first, last):
                    blocks[place + 1][:, row, column, :, source, column + j - margin] = kernel[:, :, i, j]
    size = channels * rows * width
    return tuple(block.reshape(size, size) for block in blocks)


class BlockTridiagonal:
    """T = Q R block row by block row: orthogonal transformations, so it is as exact as T allows.

    Cost: about 20 N^3 flops per block, N = C W max(1, (k - 1) / 2)."""

    def __init__(self, shape: Shape, kernel: numpy.ndarray):
        self.shape = shape
        self.rows = max(1, (kernel.shape[-1] - 1) // 2)
        self.count = -(-shape.height // self.rows)
        below, diagonal, above = blocks_of(shape, kernel)
        size = len(diagonal)
        # Rows that fill up the last block are those of the identity.
        real = numpy.broadcast_to((numpy.arange(self.rows) < shape.height - (self.count - 1) * self.rows)[:, None],
                                  (shape.channels, self.rows, shape.width)).reshape(-1)
        last_below = below * real[:, None]
        last_diagonal = diagonal * numpy.outer(real, real) + numpy.diag(~real)
        last_above = above * real[None, :]
        self.rotations = []  # Q^T of block rows i and i + 1
        self.factors = []    # [R_i, its two neighbours to the right]
        pivot = diagonal if self.count > 1 else last_diagonal
        right = above if self.count > 2 else last_above
        for block in range(self.count - 1):
            is_last = block + 2 == self.count
            next_diagonal = last_diagonal if is_last else diagonal
            next_above = numpy.zeros_like(above) if is_last else (last_above if block + 3 == self.count else above)
            q, _ = numpy.linalg.qr(numpy.concatenate([pivot, last_below if is_last else below]), mode="complete")
            rotated = q.T @ numpy.block([[pivot, right, numpy.zeros_like(above)],
                                         [last_below if is_last else below, next_diagonal, next_above]])
            self.rotations.append(q.T)
            self.factors.append(rotated[:size])
            pivot, right = rotated[size:, size:2 * size], rotated[size:, 2 * size:]
        self.last = pivot
        self.size = size

    def log_abs_det(self) -> float:
        """log|det T|, nats."""
        total = numpy.linalg.slogdet(self.last)[1]
        for factor in self.factors:
            total += numpy.log(numpy.abs(numpy.diagonal(factor[:, :self.size]))).sum()
        return float(total)

    def solve(self, y: numpy.ndarray) -> numpy.ndarray:
        """T^{-1} y for samples [n, C, H, W]."""
        channels, height, width = self.shape
        filled = numpy.zeros((len(y), channels, self.count * self.rows, width))
        filled[:, :, :height] = y
        blocks = filled.reshape(len(y), channels, self.count, self.rows, width).transpose(2, 1, 3, 4, 0)
        blocks = [block.reshape(self.size, -1) for block in blocks]
        for number, rotation in enumerate(self.rotations):
            both = rotation @ numpy.concatenate(blocks[number:number + 2])
            blocks[number], blocks[number + 1] = both[:self.size], both[self.size:]
        blocks[-1] = numpy.linalg.solve(self.last, blocks[-1])
        for number in range(self.count - 2, -1, -1):
            factor = self.factors[number]
            beyond = numpy.concatenate(blocks[number + 1:number + 3])
            rest = blocks[number] - factor[:, self.size:self.size + len(beyond)] @ beyond
            blocks[number] = numpy.linalg.solve(numpy.triu(factor[:, :self.size]), rest)
        solved = numpy.stack(blocks).reshape(self.count, channels, self.rows, width, len(y))
        return solved.transpose(4, 1, 0, 2, 3).reshape(len(y), channels, -1, width)[:, :, :height]
