"""Monotone rational-quadratic splines (Durkan et al. 2019, arXiv 1906.04032): K bins on [-bound, bound], straight
beyond, one per number of a sample, per channel, or per channel and ring of frequencies."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from .base import Layer, Pass, Shape

MIN_SHARE = 1e-3   # of the range: smallest width and height of a bin
MIN_SLOPE = 1e-3
SLOPE_SHIFT = 0.53974241723695220  # log(e^{0.999} - 1): a raw slope of 0 is a slope of 1
RINGS = 24


class Bin(NamedTuple):
    """From (x0, y0) with slope d0 to (x0 + width, y0 + height) with slope d1; arrays of one shape."""

    x0: Any
    width: Any
    y0: Any
    height: Any
    d0: Any
    d1: Any

    def evaluate(self, x):
        """Value and slope at x.

        With theta = (x - x0) / w, S = h / w, t = theta (1 - theta), D = S + (d1 + d0 - 2 S) t:
          value = y0 + h (S theta^2 + d0 t) / D,   slope = S^2 (d1 theta^2 + 2 S t + d0 (1 - theta)^2) / D^2
        """
        inverse_width = 1 / self.width
        theta = (x - self.x0) * inverse_width
        secant = self.height * inverse_width
        rest = 1 - theta
        t = theta * rest
        inverse_denominator = 1 / (secant + (self.d1 + self.d0 - 2 * secant) * t)
        square = theta * theta
        value = self.y0 + self.height * (secant * square + self.d0 * t) * inverse_denominator
        blend = self.d1 * square + 2 * secant * t + self.d0 * rest * rest
        ratio = secant * inverse_denominator
        return value, ratio * ratio * blend

    def invert(self, y, ops):
        """x with value y. With r = y - y0, m = d1 + d0 - 2 S:
        a theta^2 + b theta + c = 0,  a = h (S - d0) + r m,  b = h d0 - r m,  c = -S r,
        theta = 2 c / (-b - sqrt(b^2 - 4 a c)), the form without cancellation."""
        secant = self.height / self.width
        rise = y - self.y0
        bend = rise * (self.d1 + self.d0 - 2 * secant)
        a = self.height * (secant - self.d0) + bend
        b = self.height * self.d0 - bend
        c = -secant * rise
        discriminant = b * b - 4 * a * c
        theta = 2 * c / (-b - ops.sqrt(ops.relu(discriminant)))
        return self.x0 + ops.clip(theta, 0, 1) * self.width


def groups_of(shape: Shape, sharing: int) -> numpy.ndarray:
    """The spline of every number of a sample, [D]; `sharing`: 0 each its own, 1 by channel, 2 by channel and ring."""
    if sharing == 0:
        return numpy.arange(shape.size)
    channel, u, v = numpy.indices(shape).reshape(3, -1)
    if sharing == 1:
        return channel
    length = numpy.hypot(u / shape.height, v / shape.width)
    return channel * RINGS + (length / numpy.sqrt(2.0) * RINGS).astype(int)


class Spline(Layer):
    """`bins` bins on [-`bound`, `bound`]; `shared`: which numbers of a sample share one spline."""

    def __init__(self, ops, settings, shape, tensors):
        super().__init__(ops, settings, shape, tensors)
        self.bins = int(settings["bins"])
        group = groups_of(shape, int(settings.get("shared", 0)))
        # knots [K + 1, D], smallest first
        self.x = self.knots(tensors["widths"])[:, group]
        self.y = self.knots(tensors["heights"])[:, group]
        raw = tensors["slopes"] + SLOPE_SHIFT
        self.slope = (MIN_SLOPE + (ops.relu(raw) + ops.log1p(ops.exp(-ops.abs(raw)))))[:, group]
        # every bin's numbers, flat [K D]
        flat = lambda table: table.reshape(-1)
        self.tables = (flat(self.x[:-1]), flat(self.x[1:] - self.x[:-1]), flat(self.y[:-1]),
                       flat(self.y[1:] - self.y[:-1]), flat(self.slope[:-1]), flat(self.slope[1:]))
        self.places = ops.indices(numpy.arange(shape.size))

    def knots(self, raw):
        """K + 1 knots from -bound to bound out of K raw numbers, [K, G] -> [K + 1, G]: softmax, with a least share."""
        ops, bound = self.ops, self.settings["bound"]
        share = ops.exp(raw - ops.largest(raw))
        share = share / share.sum(0)
        width = 2 * bound * (MIN_SHARE + (1 - MIN_SHARE * self.bins) * share)
        first = 0 * width[:1] - bound
        inner = ops.running_sum(ops.concatenate([first, width[:-1]]))
        return ops.concatenate([inner, 0 * first + bound])

    def bin_of(self, at, knots) -> Bin:
        """The bin of each number of `at` [n, D] among `knots`."""
        ops = self.ops
        number = sum((ops.small(at >= knots[k]) for k in range(1, self.bins)), ops.small(at != at))
        place = (self.places + ops.indices(number) * self.shape.size).reshape(-1)
        return Bin(*(ops.take(table, place).reshape(at.shape) for table in self.tables))

    def forward(self, x):
        ops = self.ops
        flat = x.reshape(len(x), -1)
        held = ops.minimum(ops.maximum(flat, self.x[0]), self.x[-1])
        value, slope = self.bin_of(held, self.x).evaluate(held)
        # tails: the outer knot, and its slope times the distance to it
        value = value + slope * (flat - held)
        return Pass(value.reshape(x.shape), ops.sum_of_samples(ops.log(slope)))

    def inverse(self, output, latent, learned):
        ops = self.ops
        y = output.reshape(len(output), -1)
        held = ops.minimum(ops.maximum(y, self.y[0]), self.y[-1])
        x = self.bin_of(held, self.y).invert(held, ops)
        x = ops.where(y < self.y[0], self.x[0] + (y - self.y[0]) / self.slope[0], x)
        x = ops.where(y >= self.y[-1], self.x[-1] + (y - self.y[-1]) / self.slope[-1], x)
        return x.reshape(output.shape)
