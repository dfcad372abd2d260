"""Affine couplings and splits: of the halves x = (x1, x2) of the channels, x2 is scaled and shifted given x1,
y2 = exp(log s) x2 + t, log s = 2 tanh(h / 2); a split lets y2 leave with the latent density."""
from __future__ import annotations

from .base import Layer, Pass, Shape
from .convolution import correlate


class Coupling(Layer):
    """`hidden`: channels inside the net
    h1 = relu(w1 * x1 + b1),  h2 = relu(W2 h1 + b2),  (h, t) = exp(3 g) (w3 * h2 + b3)."""

    def net(self, x1):
        """(log s, t), [n, C/2, H, W] each."""
        ops, tensors, channels = self.ops, self.tensors, self.shape.channels
        hidden = tensors["middle_weight"].shape[0]
        first = tensors["first_weight"].reshape(hidden, channels // 2, 3, 3)
        middle = tensors["middle_weight"].reshape(hidden, hidden, 1, 1)
        last = ops.permute(tensors["last_weight"].reshape(channels, 3, 3, hidden), (0, 3, 1, 2))
        by_channel = lambda name: tensors[name].reshape(1, -1, 1, 1)
        h1 = ops.relu(correlate(ops, x1, first, False) + by_channel("first_bias"))
        h2 = ops.relu(correlate(ops, h1, middle, False) + by_channel("middle_bias"))
        y = ops.exp(3 * by_channel("last_log_scale")) * (correlate(ops, h2, last, False) + by_channel("last_bias"))
        return 2 * ops.tanh(y[:, 0::2] / 2), y[:, 1::2]

    def mapped(self, x):
        """(x1, y2, log|det| per sample)"""
        half = self.shape.channels // 2
        log_scale, shift = self.net(x[:, :half])
        return x[:, :half], self.ops.exp(log_scale) * x[:, half:] + shift, self.ops.sum_of_samples(log_scale)

    def forward(self, x):
        x1, y2, log_abs_det = self.mapped(x)
        return Pass(self.ops.concatenate([x1, y2], 1), log_abs_det)

    def inverse(self, output, latent, learned):
        half = self.shape.channels // 2
        return self.undone(output[:, :half], output[:, half:])

    def undone(self, x1, y2):
        log_scale, shift = self.net(x1)
        return self.ops.concatenate([x1, self.ops.exp(-log_scale) * (y2 - shift)], 1)


class Split(Coupling):
    """The second half leaves the flow."""

    def __init__(self, ops, settings, shape, tensors, latent):
        super().__init__(ops, settings, shape, tensors)
        self.density = latent

    @property
    def out(self):
        return Shape(self.shape.channels // 2, self.shape.height, self.shape.width)

    @property
    def leaves(self):
        return self.out.size

    def forward(self, x):
        x1, y2, log_abs_det = self.mapped(x)
        left = y2.reshape(len(x), -1)
        return Pass(x1, log_abs_det + self.density.log_density(left), left)

    def inverse(self, output, latent, learned):
        return self.undone(output, latent.reshape(len(latent), *self.out))
