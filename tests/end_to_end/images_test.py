#!/usr/bin/env python3
"""Layers for images: ranks, stops, optimizers, samples, exact figures; lines and shapes that are refused."""
import functools
import json
import pathlib
import unittest

import support  # first: it finds a python that has h5py
from support import Test, checkpoints, h5py, must, numpy, prepared, tensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
A = ("spectral spline:4:channel 2*(conv:3 spline:4) squeeze conv:3:circular spline:4 conv:1", "--init", "whitening")
B = ("squeeze 2*(actnorm conv:1 coupling:8) split:8 squeeze actnorm conv:1 coupling:8",)
C = ("3*(conv:3 spline:5)", "--gradient", "self-normalizing")
D = ("conv:3 spline:4 linear spline:4",)
NETS = {"convolutions": A, "glow": B, "self-normalizing": C, "with a full layer": D}
# 75 samples a batch, the last of an epoch 25: on 4 ranks parts are unequal.
BUDGET = {"--batch-size": 75, "--max-steps": 10, "--log-every": 3, "--schedule": "constant", "--lr": 3e-3}


@functools.cache
def coloured(shape, train, others):
    """Images of C x H x W with channels that are alike but not the same, in three classes that mean nothing: `train` to
    train, `others` to look at."""
    channels, height, width = shape
    made = prepared("--synthetic", "images", "--size", f"{height}x{width}", "--rows", train, "--val-last", others)
    random = numpy.random.default_rng(1)
    tint = numpy.linspace(1.0, 0.6, channels).reshape(1, -1, 1, 1)

    splits = {}
    for name, rows in (("train", train), ("val", others), ("test", others)):
        grey = support.split(made, name).reshape(-1, 1, height, width)[:rows]
        values = grey * tint + random.uniform(0, 40, (len(grey), *shape))
        splits[name] = values.clip(0, 255).astype(numpy.uint8)
    labels = {name: numpy.arange(len(images)) % 3 for name, images in splits.items()}
    return support.prepared_from("x".join(map(str, shape)), labels, **splits)


def colour():
    return coloured((3, 8, 8), 600, 90)


def train(run, net, *words, ranks=0):
    """`words` are options of train; they take the place of those of BUDGET."""
    budget = [word for option in BUDGET.items() if option[0] not in words for word in option]
    must("train", "--data", colour(), "--run", run, "--model", *net, *budget, *words, ranks=ranks)


@functools.cache
def trained(name):
    """The float64 run of a net on one rank. Read only."""
    run = support.SPACE / f"run-{name}"
    train(run, NETS[name], "--precision", "float64")
    return run


class Images(Test):
    def train(self, name, net, *words, ranks=0):
        train(self.folder / name, net, *words, ranks=ranks)
        return self.folder / name

    def evaluate(self, run, ranks):
        path = self.folder / f"figures-{ranks}.json"
        must("evaluate", "--run", run, "--data", colour(), "--json", path, ranks=ranks)
        return json.loads(path.read_text())


class Ranks(Images):
    def test_the_validation_does_not_depend_on_the_number_of_ranks(self):
        for name, net in NETS.items():
            expected = support.validation(trained(name))[-1]
            for ranks in (2, 4):
                with self.subTest(net=name, ranks=ranks):
                    run = self.train(f"{name}-{ranks}", net, "--precision", "float64", ranks=ranks)
                    found = support.validation(run)[-1]
                    self.assertLess(abs(found - expected), 1e-9 * abs(expected))

    def test_deterministic_runs_have_the_same_bits_on_any_number_of_ranks_and_after_a_stop(self):
        # in float64 the whitening of net A shows a change of its sums' last bits
        nets = {**NETS, "convolutions": (*A, "--precision", "float64")}
        for name, net in nets.items():
            one = self.train(f"{name}-1", net, "--deterministic", ranks=1)
            for ranks in (3, 4):
                with self.subTest(net=name, ranks=ranks):
                    run = self.train(f"{name}-{ranks}", net, "--deterministic", ranks=ranks)
                    self.assert_same_bits(run, one)
            with self.subTest(net=name, stopped_on=3, resumed_on=2):
                run = self.train(f"{name}-parts", net, "--deterministic", "--max-steps", 5, ranks=3)
                self.train(run.name, net, "--deterministic", "--resume", "auto", ranks=2)
                found, wanted = (tensors(checkpoints(r)[-1]) for r in (run, one))
                self.assertEqual(found.keys(), wanted.keys())
                for tensor, values in wanted.items():
                    self.assertEqual(found[tensor].tobytes(), values.tobytes(), tensor)

    def test_stopped_and_resumed_on_another_number_of_ranks_it_ends_alike(self):
        for name, net in NETS.items():
            with self.subTest(net=name):
                run = self.train(name, net, "--precision", "float64", "--max-steps", 4, ranks=2)
                self.train(name, net, "--precision", "float64", "--resume", "auto", ranks=1)
                expected = tensors(checkpoints(trained(name))[-1])
                for tensor, values in tensors(checkpoints(run)[-1]).items():
                    scale = max(1e-3, numpy.abs(expected[tensor]).max())
                    self.assertLess(numpy.abs(values - expected[tensor]).max(), 1e-7 * scale, tensor)

    def test_evaluate_and_score_say_on_two_ranks_what_they_say_on_one(self):
        for name in NETS:
            with self.subTest(net=name):
                run = trained(name)
                one, two = (self.evaluate(run, ranks) for ranks in (0, 2))
                self.assertEqual(one.keys(), two.keys())
                for key, value in one.items():
                    if isinstance(value, float) and key != "seconds":
                        self.assertLess(abs(two[key] - value), 1e-9 * max(1, abs(value)), key)
                scores = []
                for ranks in (0, 2):
                    path = self.folder / f"{name}-{ranks}.h5"
                    must("score", "--run", run, "--data", colour(), "--output", path, ranks=ranks)
                    with h5py.File(path) as file:
                        scores.append(file["log_likelihood"][...])
                self.assertLess(numpy.abs(scores[0] - scores[1]).max(), 1e-6)
                self.assertAlmostEqual(scores[0].mean(), one["log_likelihood_pixel_nats"], delta=1e-6)


class Samples(Images):
    def sample(self, name, *words):
        path = self.folder / "samples.h5"
        path.unlink(missing_ok=True)
        result = must("sample", "--run", trained(name), "--output", path, "--count", 30, *words)
        with h5py.File(path) as file:
            return (file["samples"][...].astype(float),
                    float(result.out.split("max reconstruction error ")[1].split()[0]))

    def test_the_exact_inverse_undoes_every_net(self):
        for name in NETS:
            with self.subTest(net=name):
                values, error = self.sample(name)
                self.assertEqual(values.shape, (30, 192))
                self.assertLess(error, 1e-6)
                self.assertGreater(values.std(), 10)
                self.assertGreaterEqual(values.min(), 0)
                self.assertLessEqual(values.max(), 255)

    def test_learned_inverse_kernels_draw_nearly_the_same_images(self):
        exact, _ = self.sample("self-normalizing")
        learned, error = self.sample("self-normalizing", "--inverse", "learned")
        self.assertLess(error, 1)
        self.assertLess(numpy.abs(exact - learned).mean(), 5)
        path = self.folder / "none.h5"
        self.refuses(["sample", "--run", trained("glow"), "--output", path, "--inverse", "learned"], 2,
                     "--inverse", "no learned inverses")


class Choices(Images):
    def test_every_optimizer_and_clipping_trains(self):
        for name, words in (("natural", ["--optimizer", "natural", "--lr", 1e-3]),
                            ("sgd", ["--optimizer", "sgd", "--lr", 1e-4, "--spline-lr", 1e-4]),
                            ("momentum", ["--optimizer", "momentum", "--lr", 1e-5, "--spline-lr", 1e-5]),
                            ("clipped", ["--clip-norm", 1.0])):
            for net in ("convolutions", "with a full layer"):
                with self.subTest(net=net, name=name):
                    run = self.train(f"{name}-{net}", NETS[net], *words, ranks=2)
                    bits = support.validation(run)
                    self.assertLess(bits[-1], bits[0])

    def test_clipping_shortens_the_steps(self):
        weights = []
        for name, words in (("free", []), ("clipped", ["--clip-norm", 1e-6])):
            run = self.train(name, B, "--optimizer", "sgd", "--lr", 1e-4, *words)
            weights.append(tensors(checkpoints(run)[-1]))
        start = tensors(checkpoints(self.train("start", B, "--optimizer", "sgd", "--lr", 1e-30))[-1])
        for tensor in ("layer/2/w", "layer/3/last_weight"):
            moved = [numpy.abs(w[tensor] - start[tensor]).max() for w in weights]
            self.assertGreater(moved[0], 100 * moved[1], tensor)

    def test_inspect_shows_the_line_and_a_table_of_layers(self):
        report = json.loads(must("inspect", checkpoints(trained("glow"))[-1], "--json").out)
        self.assertEqual(report["model"]["line"], B[0])
        layers = report["layers"]
        step = ["actnorm", "conv:1", "coupling:8"]
        self.assertEqual([layer["kind"] for layer in layers], ["squeeze", *step, *step, "split:8", "squeeze", *step])
        self.assertEqual([layer["out"] for layer in layers],
                         [*7 * ["12 x 4 x 4"], "6 x 4 x 4", *4 * ["24 x 2 x 2"]])
        self.assertEqual([layer["parameters"] for layer in layers[1:3]], [24, 12 * 12 + 12])


class Refusals(Images):
    def refused(self, line, *parts, words=(), ranks=0):
        run = self.folder / "refused"
        self.refuses(["train", "--data", colour(), "--run", run, "--model", line, *words], 2, *parts, ranks=ranks)
        self.assertFalse(run.exists())

    def test_lines_that_say_no_model(self):
        for line, parts in (("", ["--model", "no layer"]),
                            ("conv:3 splin:5", ["--model", "character 8", "splin", "spline"]),
                            ("3*(conv:3", ["--model", "character 3", "'(' without ')'"]),
                            ("conv:3)", ["--model", "character 7", "')' without '('"]),
                            ("conv:3:sideways", ["--model", "sideways", "zero|circular"]),
                            ("0*conv", ["--model", "a count must be 1 to"]),
                            ("glow:2", ["--model", "glow:LEVELSxSTEPS"])):
            with self.subTest(line):
                if line:  # an empty line is no line
                    self.refused(line, *parts)

    def test_numbers_and_shapes_that_do_not_fit(self):
        for line, parts in (("conv:4", ["layer/0", "4", "1, 3, 5 or 7"]),
                            ("spline:5 4*squeeze", ["layer/4", "squeeze", "192 is odd"]),
                            ("conv:3 coupling:8", ["layer/1", "3"]),
                            ("split:8", ["layer/0", "3"]),
                            ("spline:1000", ["layer/0", "1000", "bins"])):
            with self.subTest(line):
                self.refused(line, *parts)

    def test_ranks_cannot_share_convolutions_by_columns(self):
        self.refused("linear conv:3", "--exchange", "row", "layer 1 (conv)", words=["--exchange", "row"], ranks=2)

    def test_whitening_names_a_first_layer_that_it_cannot_start(self):
        run = self.folder / "run"
        words = ["train", "--data", colour(), "--run", run, "--model", "conv:3", "--init", "whitening"]
        self.refuses(words, 2, "--init", "whitening", "conv")


class Recipes(Test):
    """Option files of jobs/ that have a model line, and the images they are for."""
    SHAPES = {"mnist-conv": (1, 28, 28), "mnist-snf-conv": (1, 28, 28), "mnist-glow": (1, 28, 28),
              "fashion-mnist-conv": (1, 28, 28), "cifar10-conv": (3, 32, 32), "cifar10-glow": (3, 32, 32),
              "tiny-imagenet-conv": (3, 64, 64), "mnist-conv-coupling": (1, 28, 28),
              "fashion-mnist-conv-coupling": (1, 28, 28), "mnist-conditional": (1, 28, 28),
              "cifar10-conv-coupling": (3, 32, 32), "spectral": (3, 20, 12)}

    def test_every_recipe_for_images_starts(self):
        with_models = [path.stem for path in (ROOT / "jobs").glob("*.ini") if "\nmodel = " in path.read_text()]
        self.assertEqual(sorted(with_models), sorted(self.SHAPES))
        data = {shape: coloured(shape, 60, 10) for shape in self.SHAPES.values()}
        for name, shape in self.SHAPES.items():
            with self.subTest(name):
                run = self.folder / name
                must("train", "--data", data[shape], "--run", run, "--config", ROOT / "jobs" / f"{name}.ini",
                     "--max-steps", 3, "--batch-size", 20)
                bits = support.validation(run)
                self.assertTrue(0 < bits[-1] < 9, bits)


if __name__ == "__main__":
    unittest.main(verbosity=2)
