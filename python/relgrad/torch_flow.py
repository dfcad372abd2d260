"""A trained model as a torch.nn.Module: the same layers (layers/) on torch tensors. Needs the package torch."""
from __future__ import annotations

from typing import Any, Dict

import numpy

try:
    import torch
except ImportError as error:
    raise ImportError("model.torch() needs the package torch: pip install 'relgrad[torch]'") from error

from .errors import RelgradError
from .flow import Flow
from .layers.block_tridiagonal import blocks_of
from .transforms import make_transform

_WITHOUT_GRADIENT = ("R-transposed", "R", "reconstruction")  # learned inverses: no part of the density


class TorchOps:
    """The operations of ops.NumpyOps on torch tensors of one device, with gradients."""

    def __init__(self, dtype, device):
        self.dtype = numpy.dtype(dtype)
        self.torch_dtype = {"float32": torch.float32, "float64": torch.float64}[self.dtype.name]
        self.device = device

    exp, log, log1p, sqrt, tanh, abs = torch.exp, torch.log, torch.log1p, torch.sqrt, torch.tanh, torch.abs
    where, minimum, maximum, clip, relu = torch.where, torch.minimum, torch.maximum, torch.clamp, torch.relu
    concatenate, stack, permute, take = torch.cat, torch.stack, torch.permute, torch.take
    spectra, solve = torch.fft.fft2, torch.linalg.solve

    def array(self, values):
        return torch.as_tensor(numpy.array(values), dtype=self.torch_dtype, device=self.device)

    def constant(self, values):
        return torch.as_tensor(numpy.array(values), dtype=torch.float64, device=self.device)

    def indices(self, values):
        return torch.as_tensor(values, device=self.device).long()

    def mask(self, values):
        return torch.as_tensor(values, device=self.device)

    def cast(self, values):
        return values.to(self.torch_dtype)

    @staticmethod
    def double(values):
        return values.double()

    @staticmethod
    def small(truth):
        return truth.to(torch.int8)

    @staticmethod
    def numpy(values):
        return values.detach().cpu().numpy()

    @staticmethod
    def largest(values):
        return values.amax(0)

    @staticmethod
    def running_sum(values):
        return values.cumsum(0)

    @staticmethod
    def sum_of_samples(values):
        return values.reshape(len(values), -1).sum(1).double()

    @staticmethod
    def pad(images, margin, circular):
        if not circular:
            return torch.nn.functional.pad(images, 4 * (margin,))
        rows = torch.arange(-margin, images.shape[2] + margin, device=images.device) % images.shape[2]
        columns = torch.arange(-margin, images.shape[3] + margin, device=images.device) % images.shape[3]
        return images[:, :, rows][:, :, :, columns]

    @staticmethod
    def log_abs_det(matrices):
        return torch.linalg.slogdet(matrices)[1].sum()

    def block_tridiagonal(self, shape, kernel):
        return _BlockTridiagonal(self, shape, kernel)


class _BlockTridiagonal:
    """log|det T| of a zero-padded convolution, differentiable: S_1 = A, S_i = A - Lo S_{i-1}^{-1} Up, and
    log|det T| = sum of log|det S_i| (docs/MATH.md, section 5)."""

    def __init__(self, ops, shape, kernel):
        self.ops, self.shape, self.kernel = ops, shape, kernel

    def log_abs_det(self):
        ops, (channels, height, width), taps = self.ops, self.shape, self.kernel.shape[-1]
        rows = max(1, (taps - 1) // 2)
        # where each tap stands: the blocks of a kernel that holds the numbers of its taps, from 1 on
        numbers = numpy.arange(1, self.kernel.numel() + 1).reshape(self.kernel.shape)
        flat = torch.cat([self.kernel.new_zeros(1), self.kernel.reshape(-1)])
        below, diagonal, above = (flat[ops.indices(block)] for block in blocks_of(self.shape, numbers))
        total, pivot = 0.0, None
        for first in range(0, height, rows):
            size = min(rows, height - first)  # image rows of this block
            own = numpy.broadcast_to((numpy.arange(rows) < size)[:, None], (channels, rows, width)).reshape(-1)
            own = ops.indices(numpy.flatnonzero(own))
            schur = diagonal[own][:, own]
            if pivot is not None:
                schur = schur - below[own] @ torch.linalg.solve(pivot, above[:, own])
            total = total + torch.linalg.slogdet(schur)[1]
            pivot = schur
        return total


class TorchFlow(torch.nn.Module):
    """The density of a relgrad.Model, differentiable by samples and parameters.

    Its parameters have the names and the layout of the checkpoint's tensors ("layer/0/W": a matrix by columns).
    Samples are [n, *sample_shape] or [n, D]. 8-bit data: floats in [0, 256) are taken as they are; integers get fresh
    noise in [0, 1) by torch's generator, as in training.
    """

    def __init__(self, model, device: Any = None):
        super().__init__()
        self.model = model
        self._tables: Dict[Any, Any] = {}
        ops = TorchOps(model.precision, torch.device(device or "cpu"))
        for number, tensors in enumerate(model.tensors):
            for name, values in tensors.items():
                if name not in _WITHOUT_GRADIENT:
                    self.register_parameter(f"layer/{number}/{name}", torch.nn.Parameter(ops.array(values)))
        for name in ("mean", "log_scale") if model.classes else ():
            self.register_parameter(f"latent/{name}", torch.nn.Parameter(ops.array(model.class_tensors[name])))

    def forward(self, x):
        """log_prob(x)"""
        return self.log_prob(x)

    def log_prob(self, x):
        """log p(x) of every sample in data units, nats, float64 [n]."""
        flow, transformed, log_slope = self._begin(x)
        return flow.forward(transformed)[1] + log_slope + flow.log_abs_det

    def encode(self, x):
        """Latent vectors z = f(x), [n, D], in the order in which their parts leave the flow."""
        flow, transformed, _ = self._begin(x)
        return flow.forward(transformed)[0]

    def _begin(self, x):
        """The flow with the parameters as they are now, x behind the transform [n, D], and its log-slope [n]."""
        model = self.model
        if x.ndim < 2 or tuple(x.shape[1:]) not in (model.sample_shape, (model.dimension,)):
            raise RelgradError(f"x has shape {tuple(x.shape)}, expected [n, {', '.join(map(str, model.sample_shape))}]")
        ops = TorchOps(model.precision, x.device)
        x = x.reshape(len(x), -1)
        level, u = None, x
        if model.is_8_bit and x.is_floating_point():
            level = x.detach().floor().clamp(0, 255)
            level, u = ops.cast(level), ops.cast(x - level)
        elif model.is_8_bit:
            level, u = ops.cast(x), torch.rand(x.shape, dtype=ops.torch_dtype, device=x.device)
        if x.device not in self._tables:
            self._tables[x.device] = make_transform(ops, model.description["transform"], model.is_8_bit, model.tables,
                                                    model.dimension)
        transformed, log_slope = self._tables[x.device].forward(level, u)
        return self._flow(ops), transformed, log_slope

    def _flow(self, ops):
        own = dict(self.named_parameters())
        layers = self.model.description["layers"]
        tensors = [{name[len(f"layer/{i}/"):]: value for name, value in own.items() if name.startswith(f"layer/{i}/")}
                   for i in range(len(layers))]
        classes = {"prior": self.model.class_tensors["prior"], "mean": own["latent/mean"],
                   "log_scale": own["latent/log_scale"]} if self.model.classes else {}
        return Flow(ops, self.model.shape, layers, tensors, self.model.description["latent"], classes)
