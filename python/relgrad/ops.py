"""Array operations that layers and transforms are written in, so that each equation stands once, for numpy and torch.

`NumpyOps` is this file; `TorchOps` with the same names is in torch_flow.py.
"""
from __future__ import annotations

import numpy

from .layers.block_tridiagonal import BlockTridiagonal


class NumpyOps:
    """Operations on numpy arrays in one precision."""

    def __init__(self, dtype):
        self.dtype = numpy.dtype(dtype)

    exp = staticmethod(numpy.exp)
    log = staticmethod(numpy.log)
    log1p = staticmethod(numpy.log1p)
    sqrt = staticmethod(numpy.sqrt)
    tanh = staticmethod(numpy.tanh)
    abs = staticmethod(numpy.abs)
    where = staticmethod(numpy.where)
    minimum = staticmethod(numpy.minimum)
    maximum = staticmethod(numpy.maximum)
    concatenate = staticmethod(numpy.concatenate)
    stack = staticmethod(numpy.stack)
    permute = staticmethod(numpy.transpose)

    def array(self, values):
        """`values` in this precision."""
        return numpy.ascontiguousarray(values, dtype=self.dtype)

    def cast(self, values):
        """Results of a computation in double precision, in this precision."""
        return values.astype(self.dtype, copy=False)

    @staticmethod
    def double(values):
        return numpy.asarray(values, dtype=numpy.float64)

    constant = double  # numbers that come from numpy, in double precision

    @staticmethod
    def mask(values):
        """A numpy array of truth values for where()."""
        return values

    @staticmethod
    def indices(values):
        """Whole numbers as indices for take()."""
        return numpy.asarray(values, dtype=numpy.intp)

    @staticmethod
    def small(truth):
        """Truth values as whole numbers of 8 bits."""
        return truth.view(numpy.int8)

    @staticmethod
    def numpy(values):
        """`values` as a numpy array, cut off from gradients."""
        return numpy.asarray(values)

    @staticmethod
    def take(table, index):
        """table[index] for a flat table."""
        return numpy.take(table, index)

    @staticmethod
    def floor_levels(values):
        """The 8-bit levels of values in [0, 256), as indices."""
        return numpy.clip(values, 0, 255).astype(numpy.intp)

    @staticmethod
    def sum_of_samples(values):
        """Sum over all axes but the first, float64 [n]."""
        return values.reshape(len(values), -1).sum(axis=1).astype(numpy.float64)

    @staticmethod
    def pad(images, margin, circular):
        """Images [n, C, H, W] with `margin` more positions on every side: zeros, or the opposite border."""
        return numpy.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin)),
                         mode="wrap" if circular else "constant")

    @staticmethod
    def log_abs_det(matrices):
        """Sum of log|det| over matrices [..., N, N], real or complex."""
        return float(numpy.linalg.slogdet(matrices)[1].sum())

    @staticmethod
    def spectra(planes):
        """Discrete Fourier transform over the last two axes."""
        return numpy.fft.fft2(planes)

    @staticmethod
    def relu(values):
        return numpy.maximum(values, 0)

    @staticmethod
    def clip(values, low, high):
        """`low` and `high` are numbers."""
        return numpy.clip(values, low, high)

    @staticmethod
    def largest(values):
        """Over the first axis."""
        return values.max(axis=0)

    @staticmethod
    def running_sum(values):
        """Over the first axis, one term after the other."""
        return numpy.cumsum(values, axis=0)

    @staticmethod
    def block_tridiagonal(shape, kernel):
        return BlockTridiagonal(shape, kernel)

    @staticmethod
    def solve(matrices, right):
        return numpy.linalg.solve(matrices, right)
