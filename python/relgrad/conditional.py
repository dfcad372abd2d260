"""Each class's own mean and scale of the latent density (docs/MATH.md, section 3)."""
from __future__ import annotations

from typing import Any, Mapping

import numpy

from . import streams
from .latent import Latent


class Conditional:
    """`tensors`: "mean" and "log_scale" [K, D'] of the coordinates that leave the flow last, "prior" [K]."""

    def __init__(self, ops, latent: Latent, tensors: Mapping[str, Any]):
        self.ops, self.latent = ops, latent
        self.mean, self.log_scale = tensors["mean"], tensors["log_scale"]
        #: Of each class, its share of the training samples.
        self.prior = numpy.asarray(tensors["prior"], dtype=numpy.float64).reshape(-1)

    def log_density(self, z):
        """log p(z | k), nats, [K, n] for z [n, D']:  sum_i [ log p_0((z_i - m_ki) e^{-s_ki}) - s_ki ]"""
        ops = self.ops
        return ops.stack([self.latent.log_density((z - self.mean[k]) * ops.exp(-self.log_scale[k]))
                          - ops.sum_of_samples(self.log_scale[k:k + 1]) for k in range(len(self.prior))])

    def mixture(self, densities):
        """log sum_k prior_k p(z | k) of log_density() [K, n], nats, [n]."""
        ops = self.ops
        joint = densities + ops.constant(numpy.log(self.prior)[:, None])
        most = ops.largest(joint)
        return most + ops.log(ops.running_sum(ops.exp(joint - most))[-1])

    def draw_labels(self, seed: int, count: int) -> numpy.ndarray:
        """Classes of draws 0 ... count - 1 of `relgrad sample --seed`, int64 [count]."""
        draws = streams.uniform(seed, streams.SAMPLE_LATENT, 1, numpy.arange(count), 1, numpy.float64)
        return (draws >= numpy.cumsum(self.prior)[:-1]).sum(axis=1)

    def move(self, z: numpy.ndarray, labels: numpy.ndarray) -> numpy.ndarray:
        """Draws of the latent density [n, D'], taken to their classes."""
        return self.mean[labels] + numpy.exp(self.log_scale[labels]) * z
