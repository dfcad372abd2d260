"""The kinds of layers, by the names that model lines and manifests use (docs/models.md)."""
from __future__ import annotations

from typing import Any, Mapping

from ..errors import RelgradError
from .actnorm import Actnorm
from .base import Layer, Pass, Shape
from .convolution import Convolution
from .coupling import Coupling, Split
from .elementwise import LeakyTanh, SmoothLeakyRelu
from .linear import Linear
from .spectral import Spectral
from .spline import Spline
from .squeeze import Squeeze

KINDS = {"linear": Linear, "conv": Convolution, "spectral": Spectral, "spline": Spline,
         "smooth-leaky-relu": SmoothLeakyRelu, "leaky-tanh": LeakyTanh, "actnorm": Actnorm, "squeeze": Squeeze,
         "coupling": Coupling, "split": Split}

__all__ = ["KINDS", "Layer", "Pass", "Shape", "make_layer"]


def make_layer(ops, spec: Mapping[str, Any], shape: Shape, tensors: Mapping[str, Any], latent) -> Layer:
    """The layer that a manifest describes as {"kind": ..., "settings": {...}}. `latent`: the density of what leaves."""
    kind = spec["kind"]
    if kind not in KINDS:
        raise RelgradError(f"layer '{kind}' is unknown to this version; the kinds are {', '.join(KINDS)}. "
                           "Install the Python package of the relgrad that made the checkpoint.")
    if kind == "split":
        return Split(ops, spec["settings"], shape, tensors, latent)
    return KINDS[kind](ops, spec["settings"], shape, tensors)
