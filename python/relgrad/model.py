"""A trained model: exact log-likelihoods, latent vectors and samples."""
from __future__ import annotations

import math
from typing import Any, Iterator, List, Optional, Tuple

import numpy

from . import streams
from .checkpoint import Checkpoint, PathLike, choose_checkpoint
from .errors import RelgradError
from .flow import Flow
from .layers import Shape
from .ops import NumpyOps
from .transforms import make_transform

NUMBERS_AT_ONCE = 1 << 17   # of a batch on its way through the layers: they stay in cache
SAMPLES_AT_ONCE = 4096      # in decode(): matrices are factored once per batch


def load(path: PathLike, which: str = "best", precision: Optional[str] = None) -> "Model":
    """The model of a run or a checkpoint.

    path: a run directory, or one of its ckpt/step-* directories.
    which: of a run's checkpoints, "best" by validation, as `relgrad score --run` takes it, or "latest".
    precision: "float32" or "float64", in which to compute; None: that of the training.
    Raises RelgradError if there is no whole checkpoint.
    """
    return Model(choose_checkpoint(path, which), precision)


class Model:
    """A density model p(x) of samples x with D numbers.

    Samples are arrays [n, *sample_shape] or [n, D], one sample per row; images are channels x height x width.
    For 8-bit data the model is a density over [0, 256)^D. An array of integers is dequantized as by `relgrad score`:
    noise in [0, 1) is added, a function of `seed` and the sample's number. An array of floats is taken as it is: values
    in [0, 256) that include their noise.
    """

    def __init__(self, checkpoint: Checkpoint, precision: Optional[str] = None):
        self.checkpoint = checkpoint
        state = checkpoint.manifest["state"]["model"]
        self.description = state
        self.precision = precision or state["precision"]
        if self.precision not in ("float32", "float64"):
            raise RelgradError(f"precision: '{self.precision}' is neither float32 nor float64")
        #: Shape of one sample, e.g. (1, 28, 28) or (63,).
        self.sample_shape: Tuple[int, ...] = tuple(state["data"]["sample_shape"])
        #: D, the number of dimensions.
        self.dimension: int = state["dimension"]
        #: Whether the data are 8-bit levels 0 ... 255.
        self.is_8_bit: bool = state["data"]["type"] == "uint8"
        ops = NumpyOps(self.precision)
        self.shape = Shape(*self.sample_shape) if len(self.sample_shape) == 3 else Shape(self.dimension)
        self.tensors = [checkpoint.tensors(f"layer/{i}/") for i in range(len(state["layers"]))]
        self.tables = checkpoint.tensors("transform/")
        tensors = [{name: ops.array(values) for name, values in own.items()} for own in self.tensors]
        self._ops = ops
        #: K, the number of classes of a conditional model; 0 of others.
        self.classes: int = state.get("classes", 0)
        self.class_tensors = checkpoint.tensors("latent/") if self.classes else {}
        of_classes = {name: ops.array(values) for name, values in self.class_tensors.items()}
        self._flow = Flow(ops, self.shape, state["layers"], tensors, state["latent"], of_classes)
        self._transform = make_transform(ops, state["transform"], self.is_8_bit, self.tables, self.dimension)

    # Densities

    def log_prob(self, x, *, label: Any = None, draws: int = 1, seed: int = 1, first_row: int = 0) -> numpy.ndarray:
        """log p(x) of every sample, nats, float64 [n].

        The density is over data units: for 8-bit data per unit of [0, 256), "pixel nats". It is what `relgrad score`
        computes, if x are the rows first_row, first_row + 1, ... of a split.
        draws: of dequantization noise, over which the log-likelihood is averaged; seed: of the noise.
        label: of a conditional model, a class or an array of n classes: log p(x | label); None: log p(x), the sum over
        classes by their share of the training samples.
        """
        if label is not None:
            by_class = self.class_log_prob(x, draws=draws, seed=seed, first_row=first_row)
            return by_class[numpy.arange(len(by_class)), self._labels(label, len(by_class))]
        return self._log_prob(x, draws, seed, first_row, lambda values: self._flow.forward(values)[1])

    def class_log_prob(self, x, *, draws: int = 1, seed: int = 1, first_row: int = 0) -> numpy.ndarray:
        """log p(x | k) of every sample and class of a conditional model, nats, float64 [n, K]."""
        self._need_classes()
        return self._log_prob(x, draws, seed, first_row, lambda values: self._flow.forward_by_class(values).T,
                              (self.classes,))

    def predict(self, x, **options: Any) -> numpy.ndarray:
        """The most probable class of every sample by Bayes' rule, int64 [n]; options as of log_prob()."""
        return (self.class_log_prob(x, **options) + numpy.log(self.prior)).argmax(axis=1)

    def predict_proba(self, x, **options: Any) -> numpy.ndarray:
        """p(k | x) of every sample and class, float64 [n, K]; options as of log_prob()."""
        joint = self.class_log_prob(x, **options) + numpy.log(self.prior)
        shares = numpy.exp(joint - joint.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    @property
    def prior(self) -> numpy.ndarray:
        """Of each class of a conditional model, its share of the training samples, float64 [K]."""
        self._need_classes()
        return self._flow.conditional.prior

    def _need_classes(self) -> None:
        if not self.classes:
            raise RelgradError("the model has no classes, as train --conditional gives them")

    def _labels(self, label: Any, count: int) -> numpy.ndarray:
        self._need_classes()
        labels = numpy.asarray(label)
        if labels.shape not in ((), (count,)) or not numpy.issubdtype(labels.dtype, numpy.integer):
            raise RelgradError(f"label: {label!r} is neither a class nor an array of {count} classes")
        if labels.size and not (labels.min() >= 0 and labels.max() < self.classes):
            raise RelgradError(f"label: reaches from {labels.min()} to {labels.max()}, "
                               f"the classes are 0 ... {self.classes - 1}")
        return numpy.broadcast_to(labels, (count,))

    def _log_prob(self, x, draws: int, seed: int, first_row: int, forward, of_sample: Tuple[int, ...] = ()):
        """Averaged over draws; `forward`: of transformed samples, [n, *of_sample]."""
        if draws < 1:
            raise RelgradError(f"draws: {draws}, must be at least 1")
        x = self._check(x)
        draws = draws if self._needs_noise(x) else 1  # without noise all are the same
        total = numpy.zeros((len(x), *of_sample))
        for rows in self._batches(len(x)):
            for draw in range(draws):
                level, u = self._values(x[rows], first_row + rows.start, draw, seed)
                values, log_slope = self._transform.forward(level, u)
                total[rows] += (forward(values).T + log_slope).T / draws
        return total + self.log_abs_det

    @property
    def log_abs_det(self) -> float:
        """Sum over layers of log|det| of the linear maps, nats; computed at the first use."""
        return float(self._flow.log_abs_det)

    def bits_per_dim(self, x, **options: Any) -> numpy.ndarray:
        """-log2 p(x) / D of every sample, float64 [n]; options as of log_prob()."""
        return -self.log_prob(x, **options) / (self.dimension * math.log(2))

    def score_samples(self, x) -> numpy.ndarray:
        """log_prob(x), under the name that scikit-learn uses."""
        return self.log_prob(x)

    def score(self, x, y: Any = None) -> float:
        """Mean of log_prob(x), nats per sample, as scikit-learn's GaussianMixture.score; y is not used."""
        return float(self.log_prob(x).mean())

    # Maps

    def encode(self, x, *, seed: int = 1, first_row: int = 0) -> numpy.ndarray:
        """The latent vector z = f(x) of every sample, [n, D], in the order in which its parts leave the flow: what
        `relgrad encode` writes. seed and first_row as of log_prob()."""
        x = self._check(x)
        latent = numpy.empty((len(x), self.dimension), self._ops.dtype)
        for rows in self._batches(len(x)):
            level, u = self._values(x[rows], first_row + rows.start, 0, seed)
            latent[rows], _ = self._flow.forward(self._transform.forward(level, u)[0])
        return latent

    def decode(self, z, *, inverse: str = "exact") -> numpy.ndarray:
        """The samples of latent vectors z [n, D], in data units, float64 [n, *sample_shape]; 8-bit data as values in
        [0, 256), not yet rounded down to levels.

        inverse: "exact", or "learned" by the inverses of self-normalizing layers.
        """
        z = self._ops.array(z)
        if z.ndim != 2 or z.shape[1] != self.dimension:
            raise RelgradError(f"decode: z has shape {z.shape}, expected [n, {self.dimension}]")
        if inverse not in ("exact", "learned"):
            raise RelgradError(f"inverse: '{inverse}' is neither exact nor learned")
        if inverse == "learned" and not any("inverse" in layer["settings"] for layer in self.description["layers"]):
            raise RelgradError("inverse: the model has no learned inverses, as --gradient self-normalizing trains "
                               "them; use exact")
        values = numpy.empty((len(z), self.dimension))
        for begin in range(0, len(z), SAMPLES_AT_ONCE):
            rows = slice(begin, begin + SAMPLES_AT_ONCE)
            values[rows] = self._transform.inverse(self._flow.inverse(z[rows], inverse == "learned"))
        return values.reshape(len(z), *self.sample_shape)

    def sample(self, n: int = 1, *, label: Any = None, seed: int = 1, temperature: float = 1.0,
               inverse: str = "exact") -> numpy.ndarray:
        """n samples, [n, *sample_shape], uint8 or float32: those that `relgrad sample --seed` draws.

        label: of a conditional model, a class or an array of n classes; None: sample_labels(n, seed=seed).
        temperature: factor on the latent draws; inverse: as of decode().
        """
        z = self._flow.latent.sample(seed, 0, n, self.dimension, temperature)
        if label is not None or self.classes:
            labels = self.sample_labels(n, seed=seed) if label is None else self._labels(label, n)
            begin = self.dimension - self._flow.last_shape.size
            z[:, begin:] = self._flow.conditional.move(z[:, begin:], labels)
        values = self.decode(z, inverse=inverse)
        return values.astype(numpy.uint8 if self.is_8_bit else numpy.float32)

    def sample_labels(self, n: int = 1, *, seed: int = 1) -> numpy.ndarray:
        """The classes of sample(n, seed=seed) of a conditional model, int64 [n]."""
        self._need_classes()
        return self._flow.conditional.draw_labels(seed, n)

    # What is inside

    @property
    def layers(self) -> List[str]:
        """One line per layer: kind, settings, shape of its outputs."""
        lines = []
        for spec, layer in zip(self.description["layers"], self._flow.layers):
            settings = "".join(f" {name}={value:g}" for name, value in sorted(spec["settings"].items()))
            lines.append(f"{spec['kind']}{settings} -> {' x '.join(map(str, layer.out))}")
        return lines

    def torch(self, device: Any = None) -> Any:
        """The model as a torch.nn.Module with a differentiable log_prob (torch_flow.py); needs the package torch."""
        from .torch_flow import TorchFlow
        return TorchFlow(self, device)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.sample_shape))
        return (f"<relgrad model of {shape} {self.description['data']['type']} samples, {len(self.layers)} layers, "
                f"step {self.checkpoint.step} of {self.checkpoint.directory}>")

    # Samples as they come in

    def _check(self, x) -> numpy.ndarray:
        x = numpy.asarray(x)
        if x.ndim < 2 or x.shape[1:] not in (self.sample_shape, (self.dimension,)):
            raise RelgradError(f"x has shape {x.shape}, expected [n, {', '.join(map(str, self.sample_shape))}]"
                               f"{'; for one sample pass x[None]' if x.shape == self.sample_shape else ''}")
        if not (numpy.issubdtype(x.dtype, numpy.floating) or numpy.issubdtype(x.dtype, numpy.integer)):
            raise RelgradError(f"x holds {x.dtype}, expected numbers")
        x = x.reshape(len(x), -1)
        if self.is_8_bit and len(x):
            low, high = x.min(), x.max()
            if not (low >= 0 and high < 256):
                raise RelgradError(f"x reaches from {low} to {high}, expected levels 0 ... 255, or floats in [0, 256)")
            if not self._needs_noise(x) and (x == numpy.floor(x)).all():
                raise RelgradError("x holds whole levels as floats; pass them as uint8, so that noise is added")
        return x

    def _needs_noise(self, x: numpy.ndarray) -> bool:
        return self.is_8_bit and numpy.issubdtype(x.dtype, numpy.integer)

    def _values(self, x: numpy.ndarray, first_row: int, draw: int, seed: int) -> Tuple[Any, numpy.ndarray]:
        """8-bit data: level and u of every value level + u, [n, D]; others: None and the values."""
        if not self.is_8_bit:
            return None, x
        if self._needs_noise(x):
            items = numpy.arange(first_row, first_row + len(x))
            noise = streams.uniform(seed, streams.DEQUANTIZE_EVAL, draw, items, self.dimension, self._ops.dtype)
            return self._ops.cast(x), noise
        level = numpy.floor(x)
        return self._ops.cast(level), self._ops.cast(x - level)

    def _batches(self, count: int) -> Iterator[slice]:
        size = max(1, NUMBERS_AT_ONCE // self.dimension)
        for begin in range(0, count, size):
            yield slice(begin, min(begin + size, count))
