"""Convolutions over the channels of an image, y = w * x + b, with as many channels out as in:
y(o, h, v) = b(o) + sum over c, i, j of w(o, c, i, j) x(c, h + i - r, v + j - r), r = (k - 1) / 2.

Beyond the border lie zeros, or the opposite border (docs/MATH.md, section 5).
"""
from __future__ import annotations

import functools

import numpy

from .base import Layer, Pass
from .block_tridiagonal import BlockTridiagonal


def correlate(ops, x, weights, circular: bool):
    """w * x for x [n, C, H, W] and w [O, C, k, k], as [n, O, H, W].

    One product either way: of the input through every tap, or of the outputs before their taps are shifted,
    whichever are fewer numbers."""
    count, channels, height, width = x.shape
    out, _, taps, _ = weights.shape
    shifts = [(i, j) for i in range(taps) for j in range(taps)]
    if taps == 1:
        return (weights.reshape(out, channels) @ x.reshape(count, channels, -1)).reshape(count, out, height, width)
    margin = (taps - 1) // 2
    if channels <= out:
        padded = ops.pad(x, margin, circular)
        columns = ops.stack([padded[:, :, i:i + height, j:j + width] for i, j in shifts], 2)
        product = weights.reshape(out, -1) @ columns.reshape(count, channels * taps * taps, -1)
        return product.reshape(count, out, height, width)
    by_tap = ops.permute(weights, (2, 3, 0, 1)).reshape(taps * taps * out, channels)
    spread = (by_tap @ x.reshape(count, channels, -1)).reshape(count, -1, height, width)
    spread = ops.pad(spread, margin, circular)
    return sum(spread[:, number * out:(number + 1) * out, i:i + height, j:j + width]
               for number, (i, j) in enumerate(shifts))


class Convolution(Layer):
    """`taps` x `taps` taps; `circular`: what lies beyond the border."""

    def __init__(self, ops, settings, shape, tensors):
        super().__init__(ops, settings, shape, tensors)
        self.taps = int(settings["taps"])
        # one tap meets no border
        self.circular = bool(settings.get("circular", 0)) or self.taps == 1

    def kernel(self, name: str):
        """[channels out, channels in, k, k]"""
        channels = self.shape.channels
        return self.tensors[name].reshape(channels, channels, self.taps, self.taps)

    def bias(self):
        return self.tensors["b"].reshape(1, -1, 1, 1)

    def forward(self, x):
        return Pass(correlate(self.ops, x, self.kernel("w"), self.circular) + self.bias())

    def inverse(self, output, latent, learned):
        ops = self.ops
        if learned and "R" in self.tensors:
            return correlate(ops, output - self.bias(), self.kernel("R"), self.circular)
        y = ops.double(output) - ops.double(self.bias())
        if not self.circular:
            return ops.array(self.matrix.solve(y))
        # X(f) = K_f^{-1} Y(f)
        spectra = numpy.moveaxis(ops.spectra(y), (0, 1), (3, 2))  # [H, W, C, n]
        solved = numpy.moveaxis(ops.solve(self.blocks_by_frequency(), spectra), (3, 2), (0, 1))
        return ops.array(numpy.fft.ifft2(solved).real)

    def log_abs_det(self):
        if self.taps == 1:
            return self.shape.area * self.ops.log_abs_det(self.ops.double(self.kernel("w")[:, :, 0, 0]))
        if self.circular:
            return self.ops.log_abs_det(self.blocks_by_frequency())
        return self.matrix.log_abs_det()

    def blocks_by_frequency(self):
        """K_f, [H, W, C, C]: the discrete Fourier transform of the taps at the mirrored positions (r - i, r - j)."""
        ops, margin = self.ops, (self.taps - 1) // 2
        kernel = ops.double(self.kernel("w"))
        channels, height, width = self.shape
        rows = numpy.zeros((self.taps, height))
        columns = numpy.zeros((self.taps, width))
        for i in range(self.taps):
            rows[i, (margin - i) % height] = 1
            columns[i, (margin - i) % width] = 1
        # planes(h, v) = sum over i, j of rows(i, h) kernel(i, j) columns(j, v)
        planes = ops.constant(rows.T) @ kernel @ ops.constant(columns)
        return ops.permute(ops.spectra(planes), (2, 3, 0, 1))

    @functools.cached_property
    def matrix(self) -> BlockTridiagonal:
        """The matrix of the convolution with zeros beyond the border, by blocks of image rows."""
        return self.ops.block_tridiagonal(self.shape, self.ops.double(self.kernel("w")))
