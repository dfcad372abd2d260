"""The matrix T of a zero-padded convolution: block tridiagonal when image rows make the blocks,
max(1, (k - 1) / 2) of them each."""
from __future__ import annotations

from typing import List, Tuple

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
    below, diagonal, above = (block.reshape(size, size) for block in blocks)
    return below, diagonal, above


class BlockTridiagonal:
    """T = Q R block row by block row: orthogonal transformations, so it is as exact as T allows.

    Cost: about 20 N^3 flops per block, N = C W max(1, (k - 1) / 2)."""

    def __init__(self, shape: Shape, kernel: numpy.ndarray):
        self.shape = shape
        self.rows = max(1, (kernel.shape[-1] - 1) // 2)
        self.count = -(-shape.height // self.rows)
        below, diagonal, above = blocks_of(shape, kernel)
        self.size = len(diagonal)
        # Image rows that fill up the last block are those of the identity: their unknowns are 0, whatever stands above.
        filled = shape.height - (self.count - 1) * self.rows
        real = numpy.broadcast_to((numpy.arange(self.rows) < filled)[:, None],
                                  (shape.channels, self.rows, shape.width)).reshape(-1, 1)
        last_below, last_diagonal = below * real, diagonal * real + numpy.diag(~real[:, 0])
        nothing = 0 * above

        self.rotations: List[numpy.ndarray] = []  # Q^T of block rows i and i + 1
        self.factors: List[numpy.ndarray] = []    # [R_i, its two neighbours to the right]
        pivot, right = (diagonal, above) if self.count > 1 else (last_diagonal, nothing)
        for block in range(1, self.count):
            row = [below, diagonal, above] if block + 1 < self.count else [last_below, last_diagonal, nothing]
            both = numpy.block([[pivot, right, nothing], row])
            q, _ = numpy.linalg.qr(both[:, :self.size], mode="complete")
            rotated = q.T @ both
            self.rotations.append(q.T)
            self.factors.append(rotated[:self.size])
            pivot, right = rotated[self.size:, self.size:2 * self.size], rotated[self.size:, 2 * self.size:]
        self.last = pivot

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
        by_block = filled.reshape(len(y), channels, self.count, self.rows, width).transpose(2, 1, 3, 4, 0)
        blocks = [block.reshape(self.size, -1) for block in by_block]
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
