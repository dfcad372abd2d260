"""Latent densities: D independent coordinates, normalised to integrate to one (docs/MATH.md, section 3)."""
from __future__ import annotations

import math

import numpy

from . import streams
from .errors import RelgradError

NAMES = ("normal", "logistic", "hyperbolic-secant", "laplace")


class Latent:
    """One of NAMES."""

    def __init__(self, ops, name: str):
        if name not in NAMES:
            raise RelgradError(f"latent density '{name}' is unknown; there are {', '.join(NAMES)}")
        self.ops, self.name = ops, name

    def log_density(self, z):
        """Sum over coordinates of log p(z), nats, [n] for z [n, coordinates]:

        normal             -z^2 / 2 - log(2 pi) / 2
        logistic           -|z| - 2 log(1 + e^{-|z|})
        hyperbolic secant  log sech(pi z / 2) - log 2 = -u - log(1 + e^{-2 u}),  u = pi |z| / 2
        laplace            -|z| - log 2
        """
        ops, count = self.ops, z.shape[1]
        if self.name == "normal":
            return -0.5 * ops.sum_of_samples(z * z) - 0.5 * math.log(2 * math.pi) * count
        size = ops.abs(z)
        if self.name == "logistic":
            return ops.sum_of_samples(-size - 2 * ops.log1p(ops.exp(-size)))
        if self.name == "laplace":
            return -ops.sum_of_samples(size) - math.log(2) * count
        u = math.pi / 2 * size
        return ops.sum_of_samples(-u - ops.log1p(ops.exp(-2 * u)))

    def sample(self, seed: int, first: int, count: int, dimension: int, temperature: float) -> numpy.ndarray:
        """Draws number `first`, first + 1, ... of `relgrad sample --seed`, float64 [count, dimension]."""
        items = numpy.arange(first, first + count)
        if self.name == "normal":
            return temperature * streams.normal(seed, streams.SAMPLE_LATENT, 0, items, dimension)
        draws = streams.uniform(seed, streams.SAMPLE_LATENT, 0, items, dimension, numpy.float64)
        lower = self.lower_quantile(numpy.minimum(draws, 1.0 - draws))
        return temperature * numpy.where(draws <= 0.5, lower, -lower)

    def lower_quantile(self, u):
        """Quantile at u in (0, 1/2]."""
        if self.name == "logistic":  # F(z) = 1 / (1 + e^{-z})
            return numpy.log(u) - numpy.log1p(-u)
        if self.name == "laplace":  # F(z) = e^z / 2 for z <= 0
            return numpy.log(2.0 * u)
        return 2.0 / numpy.pi * numpy.log(numpy.tan(numpy.pi / 2.0 * u))  # F(z) = (2 / pi) atan(e^{pi z / 2})
