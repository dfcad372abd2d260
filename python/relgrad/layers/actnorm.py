"""Actnorm: a scale and a shift per channel, y = exp(s) (x - m)."""
from __future__ import annotations

from .base import Layer, Pass


class Actnorm(Layer):
    """log|det| = H W sum of s."""

    def scale_and_shift(self):
        return (self.ops.exp(self.tensors["log_scale"].reshape(1, -1, 1, 1)),
                self.tensors["shift"].reshape(1, -1, 1, 1))

    def forward(self, x):
        scale, shift = self.scale_and_shift()
        return Pass(scale * x - scale * shift)

    def inverse(self, output, latent, learned):
        scale, shift = self.scale_and_shift()
        return output / scale + shift

    def log_abs_det(self):
        return self.shape.area * self.ops.double(self.tensors["log_scale"]).sum()
