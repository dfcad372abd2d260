"""What every layer of a flow can do."""
from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional

Array = Any  # a numpy array, or a torch tensor


class Shape(NamedTuple):
    """One sample: channels x height x width; a vector of D numbers is D x 1 x 1."""

    channels: int
    height: int = 1
    width: int = 1

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def size(self) -> int:
        return self.channels * self.area


class Pass(NamedTuple):
    """What comes out of a layer for a batch of n samples."""

    output: Array               # [n, *out]
    log_likelihood: Any = 0.0   # nats, [n]: log|det| that depends on the sample, and the density of what left
    latent: Optional[Array] = None  # [n, leaves]: coordinates that leave the flow here


class Layer:
    """An invertible map of samples [n, C, H, W].

    `ops` are the array operations (ops.py), `settings` the layer's numbers in the manifest, `shape` the shape of its
    inputs, `tensors` its parameters by name, as checkpoints store them (a matrix by columns: W[i, j] at [j, i]).
    """

    leaves = 0  # coordinates per sample that leave here

    def __init__(self, ops, settings: Mapping[str, float], shape: Shape, tensors: Mapping[str, Array]):
        self.ops, self.settings, self.shape, self.tensors = ops, settings, shape, tensors

    @property
    def out(self) -> Shape:
        return self.shape

    def forward(self, x: Array) -> Pass:
        raise NotImplementedError

    def inverse(self, output: Array, latent: Optional[Array], learned: bool) -> Array:
        """The input [n, C, H, W]. `learned`: by the inverse that the layer has learned, where it has one."""
        raise NotImplementedError

    def log_abs_det(self) -> Any:
        """The part of log|det| that is the same for every sample, nats."""
        return 0.0
