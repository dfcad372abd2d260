#!/usr/bin/env python3
"""Models against densities that are known: a random flow's entropy, the closed-form Gaussian.

With RELGRAD_MNIST, a folder that holds MNIST's four IDX files (.gz or not), the Gaussian is checked
on MNIST as well: minutes instead of seconds.
"""
import json
import os
import pathlib
import unittest

import support  # first: it finds a python that has h5py
from support import must, numpy, prepared


def evaluate(run, data, *options):
    """Figures of the last checkpoint, whatever validation thinks is the best."""
    return json.loads(must("evaluate", "--checkpoint", support.checkpoints(run)[-1], "--data", data,
                           *options, "--json", "-").out)


class KnownFlow(support.Test):
    """x = A2 s^-1(A1 z + b1) + b2 in 16 dimensions; prepare records the entropy of x."""

    def test_held_out_log_likelihood_meets_the_true_entropy(self):
        data = prepared("--synthetic", "flow", "--rows", 20000)
        entropy = json.loads((data / "dataset.json").read_text())["true_entropy_nats"]
        for name, net in (("splines", ["--layers", 3, "--lr", 0.005]),
                          ("smooth leaky ReLU", ["--activation", "smooth-leaky-relu", "--lr", 0.02])):
            with self.subTest(name):
                run = self.folder / name.split()[0]
                must("train", "--data", data, "--run", run, *net, "--no-marginal", "--batch-size",
                     200, "--epochs", 12)
                found = evaluate(run, data)
                missing = -entropy - found["log_likelihood_pixel_nats"]
                print(f"{name}: {missing / 16:.4f} nats per dimension short of the true entropy "
                      f"({entropy / 16:.4f}); standard error "
                      f"{found['standard_error_nats'] / 16:.4f}")
                self.assertLess(missing, 0.05 * 16)
                # More than the entropy can only be luck of the draw.
                self.assertGreater(missing, -5 * found["standard_error_nats"])


class Gaussian:
    """The maximum-likelihood Gaussian of dequantized images in logit space, by numpy."""

    def __init__(self, images, draws, logit_a, seed=5):
        self.logit_a = logit_a
        self.random = numpy.random.default_rng(seed)
        dimension = images.shape[1]
        total, squares = numpy.zeros(dimension), numpy.zeros((dimension, dimension))
        for part in self.parts(images, draws):
            total += part.sum(0)
            squares += part.T @ part
        count = draws * len(images)
        self.mean = total / count
        covariance = squares / count - numpy.outer(self.mean, self.mean)
        self.factor = numpy.linalg.cholesky(covariance)

    def parts(self, images, draws):
        """Noisy images in logit space, a few thousand at a time."""
        for _ in range(draws):
            for begin in range(0, len(images), 5000):
                levels = images[begin:begin + 5000].astype(float)
                noise = self.random.random(levels.shape)
                s = self.logit_a + (1 - 2 * self.logit_a) * (levels + noise) / 256
                yield numpy.log(s) - numpy.log1p(-s)

    def log_likelihood(self, images, draws):
        """Mean over images and draws of log N(x; mean, covariance), nats."""
        total = 0.0
        for part in self.parts(images, draws):
            y = numpy.linalg.solve(self.factor, (part - self.mean).T)
            total += -0.5 * (y * y).sum()
        constant = (0.5 * len(self.mean) * numpy.log(2 * numpy.pi)
                    + numpy.log(numpy.diag(self.factor)).sum())
        return total / (draws * len(images)) - constant


class OneLayer(support.Test):
    """One linear layer with a bias and a normal latent is a Gaussian with full covariance."""

    def compare(self, data, fit_draws, draws, logit_a, tolerances, *options):
        run = self.folder / "gaussian"
        must("train", "--data", data, "--run", run, "--layers", 1, "--activation", "none",
             "--last-activation", "none", "--no-marginal", "--transform", "logit", "--logit-a",
             logit_a, "--gradient", "relative", *options, seconds=3600)
        gaussian = Gaussian(support.split(data, "train"), fit_draws, logit_a)
        for split, tolerance in tolerances.items():
            expected = gaussian.log_likelihood(support.split(data, split), draws)
            found = evaluate(run, data, "--split", split, "--draws", draws)
            print(f"{split}: {found['log_likelihood_logit_nats']:.3f} logit-space nats, closed form "
                  f"{expected:.3f}")
            self.assertAlmostEqual(found["log_likelihood_logit_nats"], expected, delta=tolerance)

    def test_trained_by_the_relative_gradient_meets_the_closed_form(self):
        data = prepared(*support.SMALL, "--rows", 3000)
        # a = 0.05 leaves no heavy tails of noise: 10 draws blur 0.01 nats, the fit is what is seen
        self.compare(data, 10, 10, 0.05, {"train": 0.02, "test": 0.05}, "--epochs", 60, "--lr", 0.02)

    @unittest.skipUnless("RELGRAD_MNIST" in os.environ, "RELGRAD_MNIST names no folder")
    def test_on_mnist(self):
        folder = pathlib.Path(os.environ["RELGRAD_MNIST"])
        train, test = (next(folder.glob(f"{name}-images*")) for name in ("train", "t10k"))
        data = self.folder / "mnist"
        must("prepare", "--output", data, "--train", train, "--test", test)
        # Two draws of the noise are too few to fit to: the closed form would learn them by heart.
        # Plain ascent keeps what the relative gradient is known for, that ill-conditioned data do
        # not slow it down; Adam needs far more steps here.
        self.compare(data, 10, 2, 1e-6, {"train": 1.0, "test": 1.0}, "--optimizer", "sgd", "--lr",
                     0.03, "--clip-norm", 100, "--batch-size", 500, "--epochs", 20, "--eval-every", 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
