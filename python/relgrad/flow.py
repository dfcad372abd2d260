"""A flow: the layers between transformed data and the latent density."""
from __future__ import annotations

import functools
from typing import Any, List, Mapping, Optional, Sequence

from .conditional import Conditional
from .latent import Latent
from .layers import Layer, Shape, make_layer


class Flow:
    """`layers`: the manifest's list of kinds and settings; `tensors`: the parameters of each, by name; `classes`: those
    of the classes of a conditional flow."""

    def __init__(self, ops, shape: Shape, layers: Sequence[Mapping[str, Any]], tensors: Sequence[Mapping[str, Any]],
                 latent: str, classes: Optional[Mapping[str, Any]] = None):
        self.ops, self.shape, self.latent = ops, shape, Latent(ops, latent)
        self.layers: List[Layer] = []
        for spec, own in zip(layers, tensors):
            self.layers.append(make_layer(ops, spec, shape, own, self.latent))
            shape = self.layers[-1].out
        self.last_shape = shape
        self.conditional = Conditional(ops, self.latent, classes) if classes else None

    def forward(self, x):
        """Of x [n, D]: the latent vector [n, D], in the order in which its parts leave the flow, and the
        log-likelihood [n] without log_abs_det, nats; of a conditional flow, the one summed over classes."""
        z, total, last = self._through_layers(x)
        if self.conditional is None:
            return z, total + self.latent.log_density(last)
        return z, total + self.conditional.mixture(self.conditional.log_density(last))

    def forward_by_class(self, x):
        """Of a conditional flow: log-likelihoods given the class [K, n], without log_abs_det, nats."""
        _, total, last = self._through_layers(x)
        return total + self.conditional.log_density(last)

    def _through_layers(self, x):
        x = x.reshape(len(x), *self.shape)
        total, left = 0.0, []
        for layer in self.layers:
            x, log_likelihood, latent = layer.forward(x)
            total = total + log_likelihood
            if latent is not None:
                left.append(latent)
        last = x.reshape(len(x), -1)
        return self.ops.concatenate([*left, last], 1), total, last

    @functools.cached_property
    def log_abs_det(self):
        """Sum over layers of the log|det| that every sample has, nats."""
        return sum(layer.log_abs_det() for layer in self.layers)

    def inverse(self, z, learned: bool):
        """x [n, D] of latent vectors z [n, D]."""
        end = z.shape[1] - self.last_shape.size
        x = z[:, end:].reshape(len(z), *self.last_shape)
        for layer in reversed(self.layers):
            begin = end - layer.leaves
            x = layer.inverse(x, z[:, begin:end], learned)
            end = begin
        return x.reshape(len(z), -1)
