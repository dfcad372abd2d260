"""Maps of every number by itself: smooth leaky ReLU and leaky tanh."""
from __future__ import annotations

from .base import Layer, Pass


def increasing_root(function, target, start, ops):
    """y with function(y)[0] = target, by Newton's method in double precision from a side of the root from which the
    steps never pass it; function(y) gives value and slope."""
    y = start
    for _ in range(200):
        value, slope = function(y)
        step = (value - target) / slope
        y = y - step
        if not bool((ops.abs(step) > 4e-16 * ops.abs(y) + 1e-300).any()):
            break
    return y


class SmoothLeakyRelu(Layer):
    """s(y) = a y + (1 - a) log(1 + e^y), a = `slope`."""

    def value_and_slope(self, y, a):
        # With e = e^{-|y|}:  sigmoid(y) = (1 or e) / (1 + e),  log(1 + e^y) = max(y, 0) + log(1 + e).
        ops = self.ops
        e = ops.exp(-ops.abs(y))
        sigmoid = ops.where(y < 0, e, e * 0 + 1) / (1 + e)
        return a * y + (1 - a) * (ops.relu(y) + ops.log1p(e)), a + (1 - a) * sigmoid

    def forward(self, x):
        value, slope = self.value_and_slope(x, self.settings["slope"])
        return Pass(value, self.ops.sum_of_samples(self.ops.log(slope)))

    def inverse(self, output, latent, learned):
        ops = self.ops
        a = float(ops.dtype.type(self.settings["slope"]))  # as the forward pass rounds it
        target = ops.double(output)
        # s(y) >= max(y, a y) and s is convex: from the upper end Newton comes down to the root.
        start = ops.where(target < 0, target / a, target)
        return ops.array(increasing_root(lambda y: self.value_and_slope(y, a), target, start, ops))


class LeakyTanh(Layer):
    """s(y) = tanh(a y) + c y, a = `scale`, c = `slope`."""

    def value_and_slope(self, y, a, c):
        # With e = e^{-2 |a y|}:  sech^2 (a y) = 4 e / (1 + e)^2
        ops = self.ops
        e = ops.exp(-2 * ops.abs(a * y))
        return ops.tanh(a * y) + c * y, a * 4 * e / (1 + e) ** 2 + c

    def forward(self, x):
        value, slope = self.value_and_slope(x, self.settings["scale"], self.settings["slope"])
        return Pass(value, self.ops.sum_of_samples(self.ops.log(slope)))

    def inverse(self, output, latent, learned):
        ops = self.ops
        a, c = (float(ops.dtype.type(self.settings[name])) for name in ("scale", "slope"))
        target = ops.double(output)
        size = ops.abs(target)
        # s is odd, and concave for y > 0: from the lower end Newton comes up to the root.
        start = ops.maximum(size / (a + c), (size - 1) / c)
        y = increasing_root(lambda y: self.value_and_slope(y, a, c), size, start, ops)
        return ops.array(ops.where(target < 0, -y, y))
