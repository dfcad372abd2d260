"""Fixed maps between data and the first layer, whose log-slope counts in the likelihood (docs/MATH.md, section 4).

8-bit data come as v + u with a level v = 0 ... 255 and u in [0, 1); real-valued data come as they are.
"""
from __future__ import annotations

import math
from typing import Any, Mapping

import numpy

from .errors import RelgradError
from .layers.spline import Bin
from .normal_quantile import normal_quantile_size, normal_tail

LEVELS = 256
LAST_LEVEL_VALUE = numpy.nextafter(256.0, 0.0)


def hold_in_levels(values):
    """8-bit values lie in [0, 256)."""
    return numpy.clip(values, 0.0, LAST_LEVEL_VALUE)


class Logit:
    """s = a + (1 - 2 a) (v + u) / 256,  x = log(s / (1 - s)),  dx/dv = (1 - 2 a) / (256 s (1 - s))."""

    def __init__(self, ops, a: float):
        self.ops = ops
        self.a = float(ops.dtype.type(a))

    def forward(self, level, u):
        """x [n, D], and its log-slope summed over the sample, nats [n]."""
        ops, a = self.ops, self.a
        scale = float(ops.dtype.type((1 - 2 * a) / LEVELS))
        below = a + scale * (level + u)
        above = a + scale * ((LEVELS - level) - u)  # 1 - s, exact where that would cancel
        return ops.log(below / above), ops.sum_of_samples(ops.log((1 - 2 * a) / (LEVELS * below * above)))

    def inverse(self, x):
        """Values in data units, float64 [n, D]."""
        with numpy.errstate(over="ignore"):
            s = 1.0 / (1.0 + numpy.exp(-x.astype(numpy.float64)))
        return hold_in_levels(256.0 * (s - self.a) / (1.0 - 2.0 * self.a))


class Standardize:
    """x = (v - mean) / deviation, per dimension."""

    def __init__(self, ops, mean, deviation, is_8_bit: bool):
        self.ops, self.is_8_bit = ops, is_8_bit
        self.mean, self.deviation = mean.reshape(-1), deviation.reshape(-1)
        self.log_slope = -numpy.log(self.deviation).sum()
        self.mean_here = ops.array(self.mean)
        self.inverse_deviation = ops.array(1.0 / self.deviation)

    def forward(self, level, u):
        if self.is_8_bit:
            return ((level - self.mean_here) + u) * self.inverse_deviation, self.log_slope
        ops = self.ops
        return ops.cast((ops.double(u) - ops.constant(self.mean)) / ops.constant(self.deviation)), self.log_slope

    def inverse(self, x):
        values = self.mean + self.deviation * x.astype(numpy.float64)
        return hold_in_levels(values) if self.is_8_bit else values


class LevelMarginal:
    """x = Phi^{-1}(F(v + u)) per dimension, F piecewise linear over the 256 levels:
    F = below_v + mass_v u,  log dx/dv = log mass_v + x^2 / 2 + log(2 pi) / 2."""

    def __init__(self, ops, counts, pseudo_count: float):
        # counts [D, 256]
        self.ops = ops
        mass = counts + pseudo_count
        self.mass = mass / mass.cumsum(axis=1)[:, -1:]
        # summed from each end, so that both are accurate where they are small
        self.below = numpy.concatenate([numpy.zeros((len(mass), 1)), self.mass.cumsum(axis=1)[:, :-1]], axis=1)
        above = self.mass[:, ::-1].cumsum(axis=1)[:, ::-1]
        self.above = numpy.concatenate([above[:, 1:], numpy.zeros((len(mass), 1))], axis=1)
        self.tables = [ops.array(table.reshape(-1))
                       for table in (self.below, self.above, self.mass, numpy.log(self.mass))]
        self.places = ops.indices(LEVELS * numpy.arange(len(mass)))

    def forward(self, level, u):
        ops = self.ops
        place = (self.places + ops.indices(level)).reshape(-1)
        below, above, mass, log_mass = (ops.take(table, place).reshape(u.shape) for table in self.tables)
        below = below + mass * u
        above = above + mass * (1 - u)
        size = normal_quantile_size(ops.minimum(below, above), ops)
        slopes = log_mass + (0.5 * size * size + 0.5 * math.log(2 * math.pi))
        return ops.where(below < above, -size, size), ops.sum_of_samples(slopes)

    def inverse(self, x):
        tail = normal_tail(numpy.abs(x.astype(numpy.float64)))
        values = numpy.empty_like(tail)
        for d in range(x.shape[1]):
            is_low = x[:, d] < 0
            level = numpy.searchsorted(self.below[d], tail[is_low, d], side="right") - 1
            values[is_low, d] = level + (tail[is_low, d] - self.below[d][level]) / self.mass[d][level]
            # `above` falls with the level: the first level whose mass above is at most the tail
            level = LEVELS - numpy.searchsorted(self.above[d][::-1], tail[~is_low, d], side="right")
            values[~is_low, d] = (level + 1) - (tail[~is_low, d] - self.above[d][level]) / self.mass[d][level]
        return hold_in_levels(values)


class QuantileMarginal:
    """A monotone rational-quadratic spline per dimension through (empirical quantile, normal quantile), straight
    beyond the outer ones; in double precision."""

    def __init__(self, ops, counts, value, normal, slope):
        # [D] and [D, 256]
        self.ops = ops
        self.counts = counts.reshape(-1).astype(int)
        self.value, self.normal, self.slope = value, normal, slope

    def places(self, at, knots):
        """Of each number the knot at or before it: 0 ... knots - 2; and whether it lies in a tail: -1, 0, 1."""
        bins, sides = numpy.zeros(at.shape, int), numpy.zeros(at.shape, int)
        for d, count in enumerate(self.counts):
            own = knots[d, :count]
            bins[:, d] = numpy.clip(numpy.searchsorted(own, at[:, d], side="right") - 1, 0, max(count - 2, 0))
            sides[:, d] = numpy.where(at[:, d] >= own[-1], 1, 0)
            sides[:, d] = numpy.where(at[:, d] > own[0], sides[:, d], -1)
        return bins, sides

    def bin_at(self, bins):
        """The numbers of each bin, and those of the outer knots: functions of ops arrays."""
        ops = self.ops
        row = numpy.arange(len(self.counts)) * self.value.shape[1]
        place = (row + bins).reshape(-1)
        after = (row + numpy.minimum(bins + 1, self.counts - 1)).reshape(-1)
        take = lambda table, index: ops.take(ops.constant(table.reshape(-1)), ops.indices(index)).reshape(bins.shape)
        x0, y0 = take(self.value, place), take(self.normal, place)
        return Bin(x0, take(self.value, after) - x0, y0, take(self.normal, after) - y0,
                   take(self.slope, place), take(self.slope, after))

    def outer(self, sides, table):
        """Of each number the outer knot on its side, [n, D]."""
        last = table[numpy.arange(len(self.counts)), self.counts - 1]
        return self.ops.constant(numpy.where(sides < 0, table[:, 0], last))

    def forward(self, level, u):
        ops = self.ops
        v = ops.double(u)
        bins, sides = self.places(ops.numpy(v), self.value)
        is_tail = ops.mask(sides != 0)
        outer, outer_slope = self.outer(sides, self.value), self.outer(sides, self.slope)
        found = self.bin_at(bins)
        # numbers in a tail stay out of the bins: no division by a width of 0 there
        inside = ops.where(is_tail, found.x0, v)
        found = found._replace(width=ops.where(is_tail, 0 * v + 1, found.width),
                               height=ops.where(is_tail, 0 * v + 1, found.height))
        value, slope = found.evaluate(inside)
        value = ops.where(is_tail, self.outer(sides, self.normal) + outer_slope * (v - outer), value)
        slope = ops.where(is_tail, outer_slope, slope)
        return ops.cast(value), ops.sum_of_samples(ops.log(slope))

    def inverse(self, x):
        z = x.astype(numpy.float64)
        bins, sides = self.places(z, self.normal)
        outer = self.outer(sides, self.normal)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            inside = self.bin_at(bins).invert(z, self.ops)
        tail = self.outer(sides, self.value) + (z - outer) / self.outer(sides, self.slope)
        return numpy.where(sides == 0, inside, tail)


def make_transform(ops, settings: Mapping[str, Any], is_8_bit: bool, tables: Mapping[str, numpy.ndarray],
                   dimension: int):
    """The transform that a manifest describes; `tables` as checkpoints store them, float64."""
    kind = settings["kind"]
    if kind == "logit":
        return Logit(ops, settings["logit_a"])
    if kind == "none":
        return Standardize(ops, numpy.zeros(dimension), numpy.ones(dimension), is_8_bit)
    if kind == "standardize":
        return Standardize(ops, tables["mean"], tables["standard_deviation"], is_8_bit)
    if kind == "marginal" and is_8_bit:
        return LevelMarginal(ops, tables["cdf_counts"], settings["marginal_pseudo_count"])
    if kind == "marginal":
        return QuantileMarginal(ops, tables["knot_counts"], tables["knot_values"], tables["knot_normals"],
                                tables["knot_slopes"])
    raise RelgradError(f"transform '{kind}' is unknown to this version; there are none, logit, standardize, marginal")
