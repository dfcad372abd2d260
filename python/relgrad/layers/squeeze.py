"""Squeeze: every 2 x 2 block of positions becomes four channels,
y(4 c + 2 dy + dx, i, j) = x(c, 2 i + dy, 2 j + dx) (Dinh et al. 2017, arXiv 1605.08803)."""
from __future__ import annotations

from .base import Layer, Pass, Shape


class Squeeze(Layer):
    """A permutation: log|det| is 0."""

    @property
    def out(self):
        return Shape(4 * self.shape.channels, self.shape.height // 2, self.shape.width // 2)

    def forward(self, x):
        out = self.out
        blocks = x.reshape(len(x), self.shape.channels, out.height, 2, out.width, 2)
        return Pass(self.moved(blocks, (0, 1, 3, 5, 2, 4)).reshape(len(x), *out))

    def inverse(self, output, latent, learned):
        out = self.out
        blocks = output.reshape(len(output), self.shape.channels, 2, 2, out.height, out.width)
        return self.moved(blocks, (0, 1, 4, 2, 5, 3)).reshape(len(output), *self.shape)

    def moved(self, array, axes):
        return self.ops.permute(array, axes)
