"""What a model must beat: a Gaussian with full covariance, and independent dimensions. No training."""
import glob
import json
import os

import h5py
import numpy

SHRINKAGES = (0.0, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.4)


def info_of(data):
    with open(os.path.join(data, "dataset.json")) as file:
        return json.load(file)


def samples_of(data, split, name="samples"):
    """[rows, D] as stored: the samples, or the sources of planted data."""
    return numpy.concatenate([h5py.File(path)[name][...]
                              for path in sorted(glob.glob(os.path.join(data, f"{split}-*-of-*.h5")))])


class Space:
    """Where the Gaussian lives: 8-bit data, with noise, in logit space; real data as they are."""

    def __init__(self, is_8_bit, logit_a, seed=5):
        self.is_8_bit, self.a, self.random = is_8_bit, logit_a, numpy.random.default_rng(seed)

    def points(self, samples):
        """x, and log|det dx/dv| of every sample: sum of log (1 - 2a)/256 - log s - log(1 - s)."""
        if not self.is_8_bit:
            return samples.astype(float), numpy.zeros(len(samples))
        s = self.a + (1 - 2 * self.a) * (samples + self.random.random(samples.shape)) / 256
        below, above = numpy.log(s), numpy.log1p(-s)
        slope = samples.shape[1] * numpy.log((1 - 2 * self.a) / 256) - below.sum(1) - above.sum(1)
        return below - above, slope


def parts(samples, rows=2000):
    return (samples[begin:begin + rows] for begin in range(0, len(samples), rows))


class Gaussian:
    """Maximum likelihood on the training split, correlations shrunk: S ((1 - t) C + t I) S, S deviations.

    With fewer samples than dimensions C has no inverse; t is chosen on the validation split.
    """

    def __init__(self, samples, space, draws):
        count, d = draws * len(samples), samples.shape[1]
        few = len(samples) < d
        total, squares, rows = numpy.zeros(d), numpy.zeros(d), []
        products = None if few else numpy.zeros((d, d))
        for _ in range(draws):
            for part in parts(samples):
                x, _ = space.points(part)
                total += x.sum(0)
                squares += (x * x).sum(0)
                if few:
                    rows.append(x)
                else:
                    products += x.T @ x
        self.mean = total / count
        self.deviation = numpy.sqrt(numpy.maximum(squares / count - self.mean ** 2, 1e-12))
        if few:  # C = Z^T Z / n by way of the n x n matrix Z Z^T / n
            z = (numpy.concatenate(rows) - self.mean) / self.deviation
            values, vectors = numpy.linalg.eigh(z @ z.T / count)
            kept = values > 1e-6
            self.values = values[kept]
            self.vectors = z.T @ (vectors[:, kept] / numpy.sqrt(count * self.values))
        else:
            scale = numpy.outer(self.deviation, self.deviation)
            self.values, self.vectors = numpy.linalg.eigh((products / count - numpy.outer(self.mean, self.mean)) / scale)

    def squares_of(self, samples, space):
        """Per sample: squares along the eigenvectors, |z|^2, log-slope; what any t needs."""
        along, norm, slope = [], [], []
        for part in parts(samples):
            x, s = space.points(part)
            z = (x - self.mean) / self.deviation
            along.append((z @ self.vectors) ** 2)
            norm.append((z * z).sum(1))
            slope.append(s)
        return numpy.concatenate(along), numpy.concatenate(norm), numpy.concatenate(slope)

    def log_likelihood(self, squares, t):
        """Mean of log N(x) and of the log-slope, nats; -inf where t is too small."""
        along, norm, slope = squares
        d = len(self.mean)
        variances = (1 - t) * self.values + t
        rest = d - len(self.values)
        if variances.min() <= 0 or (rest > 0 and t == 0):
            return -numpy.inf, 0.0
        quadratic = (along / variances).sum(1)
        log_det = numpy.log(variances).sum() + 2 * numpy.log(self.deviation).sum()
        if rest > 0:
            quadratic += (norm - along.sum(1)) / t
            log_det += rest * numpy.log(t)
        return (-quadratic.mean() - log_det - d * numpy.log(2 * numpy.pi)) / 2, slope.mean()


def gaussian(data, logit_a, split="test"):
    """Figures of the Gaussian on `split`, nats in data units (8-bit: pixel nats) and in logit space."""
    is_8_bit = info_of(data)["element_type"] == "uint8"
    train = samples_of(data, "train")
    space = Space(is_8_bit, logit_a)
    room = 100_000_000 // train.size
    draws = max(1, min(10, room)) if is_8_bit and len(train) >= train.shape[1] else 1
    model = Gaussian(train, space, draws)
    validation = model.squares_of(samples_of(data, "val"), space)
    t = max(SHRINKAGES, key=lambda shrinkage: model.log_likelihood(validation, shrinkage)[0])
    nats, slope = model.log_likelihood(model.squares_of(samples_of(data, split), space), t)
    return {"data_nats": nats + slope, "logit_nats": nats if is_8_bit else None, "shrinkage": t, "draws": draws}


def marginals(data, pseudo_count=0.1, split="test"):
    """Independent pixels, each with the smoothed histogram of its 256 levels: pixel nats of `split`."""
    train, held_out = samples_of(data, "train"), samples_of(data, split)
    nats = 0.0
    for d in range(train.shape[1]):
        counts = numpy.bincount(train[:, d], minlength=256) + pseudo_count
        nats += numpy.log(counts / counts.sum())[held_out[:, d]].mean()
    return {"data_nats": nats}
