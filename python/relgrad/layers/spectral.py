"""A C x C matrix at every frequency: Z = orthonormal DCT-II of every channel, Y_f = K_f Z_f + b_f, and back to
positions unless the output stays at frequencies (docs/MATH.md, section 5)."""
from __future__ import annotations

import numpy

from .base import Layer, Pass


def cosine_matrix(length: int) -> numpy.ndarray:
    """The orthonormal DCT-II: y_k = c_k sum over j of x_j cos(pi k (j + 1/2) / length)."""
    k, j = numpy.arange(length)[:, None], numpy.arange(length)[None, :]
    matrix = numpy.sqrt(2.0 / length) * numpy.cos(numpy.pi * k * (j + 0.5) / length)
    matrix[0] = numpy.sqrt(1.0 / length)
    return matrix


class Spectral(Layer):
    """`frequencies`: 1 if the output stays at frequencies. log|det| = sum over f of log|det K_f|."""

    def __init__(self, ops, settings, shape, tensors):
        super().__init__(ops, settings, shape, tensors)
        self.stays = bool(settings.get("frequencies", 0))
        channels, height, width = shape
        self.rows, self.columns = ops.array(cosine_matrix(height)), ops.array(cosine_matrix(width))
        self.matrices = tensors["K"].reshape(channels, channels, height, width)
        self.offsets = tensors["b"].reshape(1, channels, height, width)

    def to_frequencies(self, x):
        return self.rows @ x @ self.columns.T

    def to_positions(self, z):
        return self.rows.T @ z @ self.columns

    def forward(self, x):
        z = self.to_frequencies(x)
        channels = range(self.shape.channels)
        y = self.ops.stack([sum(self.matrices[c, d] * z[:, d] for d in channels) for c in channels], 1) + self.offsets
        return Pass(y if self.stays else self.to_positions(y))

    def inverse(self, output, latent, learned):
        ops = self.ops
        y = output if self.stays else self.to_frequencies(output)
        right = ops.permute(ops.double(y - self.offsets), (2, 3, 1, 0))  # [H, W, C, n]
        return self.to_positions(ops.array(ops.permute(ops.solve(self.blocks(), right), (3, 2, 0, 1))))

    def blocks(self):
        """K_f, [H, W, C, C]."""
        return self.ops.permute(self.ops.double(self.matrices), (2, 3, 0, 1))

    def log_abs_det(self):
        return self.ops.log_abs_det(self.blocks())
