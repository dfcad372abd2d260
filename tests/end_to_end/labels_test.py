#!/usr/bin/env python3
"""--conditional: every class has its own mean and scale of the latent density; evaluate, score and sample know classes."""
import json
import pathlib
import subprocess
import sys
import unittest

import support  # first: it finds a python that has h5py
from support import SMALL, Test, h5py, labelled, metrics, must, numpy, prepared

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAIN = ["--model", "linear spline:5", "--batch-size", 40, "--lr", 0.003]


class Labels(Test):
    def train(self, name, data, *words, ranks=0, conditional=True, epochs=4):
        run = self.folder / name
        must("train", "--data", data, "--run", run, *TRAIN, "--epochs", epochs, *["--conditional"][:conditional], *words,
             ranks=ranks)
        return run

    def test_bayes_rule_finds_classes_and_the_figures_fit_together(self):
        data = prepared(*labelled())
        run = self.train("run", data)
        out = self.folder / "scores.h5"
        must("score", "--run", run, "--data", data, "--output", out, ranks=2)
        found = json.loads(must("evaluate", "--run", run, "--data", data, "--json", "-").out)
        text = must("evaluate", "--run", run, "--data", data).out
        labels = numpy.concatenate([h5py.File(path)["labels"][...] for path in sorted(data.glob("test-*.h5"))])
        train = numpy.concatenate([h5py.File(path)["labels"][...] for path in sorted(data.glob("train-*.h5"))])
        with h5py.File(out) as file:
            nats, by_class, predicted = (file[name][...] for name in
                                         ("log_likelihood", "class_log_likelihood", "predicted_label"))
        joint = by_class + numpy.log(numpy.bincount(train) / len(train))

        numpy.testing.assert_allclose(nats, numpy.logaddexp.reduce(joint, axis=1), rtol=1e-6)
        numpy.testing.assert_array_equal(predicted, joint.argmax(axis=1))
        correct = (predicted == labels).mean()
        self.assertGreater(correct, 0.9)
        self.assertAlmostEqual(found["accuracy"], correct)
        self.assertAlmostEqual(found["standard_error_accuracy"], (correct * (1 - correct) / len(labels)) ** 0.5)
        self.assertAlmostEqual(found["bits_per_dim"], -nats.mean() / (64 * numpy.log(2)), places=6)
        numpy.testing.assert_array_equal(found["confusion"], [[((labels == k) & (predicted == l)).sum() for l in range(3)]
                                                              for k in range(3)])
        self.assertIn(f"{100 * correct:.2f} % +- ", text)
        last = metrics(run, "val")[-1]
        self.assertIn("accuracy", last)
        self.assertNotIn("confusion", last)
        shown = json.loads(must("inspect", support.checkpoints(run)[-1], "--json").out)
        self.assertEqual(shown["model"]["classes"], 3)
        self.assertIn(("latent/mean", [64, 3]), [(tensor["tensor"], tensor["shape"]) for tensor in shown["tensors"]])

    def test_classes_help_the_likelihood(self):
        data = prepared(*labelled())
        bits = {}
        for name in ("with", "without"):
            run = self.train(name, data, conditional=name == "with")
            bits[name] = json.loads(must("evaluate", "--run", run, "--data", data, "--json", "-").out)["bits_per_dim"]
        self.assertLess(bits["with"], bits["without"])

    def test_deterministic_runs_have_the_same_bits_on_any_number_of_ranks_resumed_or_not(self):
        data = prepared(*labelled(unlabelled=0.3))
        words = ["--deterministic", "--products", "ordered", "--schedule", "constant", "--class-weight", 2]
        alone = self.train("alone", data, *words, epochs=2)
        four = self.train("four", data, *words, ranks=4, epochs=2)
        resumed = self.train("resumed", data, *words, ranks=2, epochs=1)
        self.train("resumed", data, *words, "--resume", "auto", epochs=2)
        self.assert_same_bits(four, alone)
        self.assert_same_bits(resumed, alone)
        means = support.tensors(support.checkpoints(alone)[-1])["latent/mean"]
        self.assertGreater(abs(means).max(), 0.01)

    def test_every_exchange_and_gradient_trains_the_same_means(self):
        data = prepared(*labelled(unlabelled=0.3))
        words = ["--max-steps", 12, "--precision", "float64", "--class-weight", 0.5]
        ends = {}
        for exchange in ("dense", "sharded", "factor", "gathered", "row"):
            run = self.train(exchange, data, *words, "--exchange", exchange, ranks=2)
            ends[exchange] = support.tensors(support.checkpoints(run)[-1])
        for gradient in ("plain", "self-normalizing"):
            run = self.train(gradient, data, *words, "--gradient", gradient)
            ends[gradient] = support.tensors(support.checkpoints(run)[-1])
        for name in ("latent/mean", "latent/log_scale", "latent/prior"):
            self.assertGreater(abs(ends["self-normalizing"][name]).max(), 0.01)
            for end in ("sharded", "factor", "gathered", "row"):
                numpy.testing.assert_allclose(ends[end][name], ends["dense"][name], rtol=1e-6, atol=1e-9)
        numpy.testing.assert_allclose(ends["dense"]["latent/prior"].sum(), 1)
        self.assertEqual(ends["dense"]["latent/mean"].shape, (64, 3))

    def test_samples_are_of_the_class_that_is_asked_for(self):
        data = prepared(*labelled())
        run = self.train("run", data)
        drawn = {}
        for label in (0, 2):
            out = self.folder / f"{label}.h5"
            must("sample", "--run", run, "--count", 200, "--label", label, "--output", out)
            with h5py.File(out) as file:
                drawn[label] = file["samples"][...].reshape(-1, 8, 8).astype(float)
                self.assertEqual(set(file["labels"][...]), {label})
        for label, images in drawn.items():
            rows = images.mean(axis=(0, 2)).reshape(4, 2).mean(axis=1)  # of each class's two rows
            self.assertEqual(rows.argmax(), label, rows)
        must("sample", "--run", run, "--count", 300, "--output", self.folder / "all.h5")
        with h5py.File(self.folder / "all.h5") as file:
            self.assertEqual(set(file["labels"][...]), {0, 1, 2})

    def test_segments_of_a_time_series_are_labels_and_two_models_are_compared_without_the_sources(self):
        data = prepared("--synthetic", "ica-segments:3:4", "--rows", 2000)
        with h5py.File(next(data.glob("train-*.h5"))) as file:
            labels, sources = file["labels"][...], file["sources"][...]
        numpy.testing.assert_array_equal(labels, numpy.arange(2000) // 64 % 4)
        scales = numpy.array([sources[labels == k].std(axis=0) for k in range(4)])
        self.assertTrue(((scales > 0.25) & (scales < 4)).all(), scales)
        self.assertGreater(scales.max() / scales.min(), 2)

        z = {"a": sources, "b": sources[:, [2, 0, 1]] * [-3, 1, 0.1], "c": sources @ numpy.ones((3, 3)) + sources[:, [1, 2, 0]]}
        for name, values in z.items():
            with h5py.File(self.folder / f"{name}.h5", "w") as file:
                file["latent"] = values
                file["latent"].attrs["split"] = "train"
        found = {name: json.loads(subprocess.run([sys.executable, ROOT / "tools/ica_score", self.folder / "a.h5", "--with",
                                                  self.folder / f"{name}.h5"], capture_output=True, check=True).stdout)
                 for name in ("b", "c")}
        self.assertAlmostEqual(found["b"]["mean_correlation"], 1)
        self.assertEqual(found["b"]["latent_of_source"], [2, 0, 1])
        self.assertLess(found["c"]["mean_correlation"], 0.9)
        self.assertAlmostEqual(found["c"]["mean_canonical_correlation"], 1)

    def test_pictures_have_a_class_per_row(self):
        run = self.train("run", prepared(*labelled(4)), "--max-steps", 2)
        picture = support.read_png(sorted((run / "samples").glob("*.png"))[-1].read_bytes())
        self.assertEqual(picture.shape[:2], (4 * (56 + 2) + 2, 4 * (56 + 2) + 2))

    def test_what_does_not_fit_is_refused(self):
        run = self.folder / "run"
        without = prepared(*SMALL, "--rows", 100)
        self.refuses(["train", "--data", without, "--run", run, "--conditional"], 3, without, "has no labels",
                     "leave --conditional out")
        x = numpy.random.default_rng(1).normal(size=(7, 4)).astype(numpy.float32)
        for labels, words in (([0, 0, 2, 2, 0, 2], "no sample has label 1"), ([0] * 6, "2 ... 65536 classes"),
                              ([-1] * 6, "has no labels"), ([0, 1, 2 ** 40, 0, 1, 0], "beyond 2^31")):
            numpy.save(self.folder / "x.npy", x)
            numpy.save(self.folder / "y.npy", [*labels, 0])  # the last row becomes val
            data = self.folder / f"data-{labels[2]}-{labels[0]}"
            must("prepare", "--output", data, "--train", self.folder / "x.npy", "--labels", self.folder / "y.npy")
            self.refuses(["train", "--data", data, "--run", run, "--conditional"], 3, words)
        self.refuses(["train", "--data", without, "--run", run, "--class-weight", 3], 2, "--class-weight", "--conditional")
        self.assertFalse(run.exists())

        data = prepared(*labelled())
        run = self.train("conditional", data, "--max-steps", 1)
        out = self.folder / "a.h5"
        self.refuses(["sample", "--run", run, "--output", out, "--label", 3], 2, "--label", "0 ... 2")
        self.refuses(["train", "--data", data, "--run", run, *TRAIN, "--epochs", 4, "--resume", "auto"], 2, "--conditional")
        plain = self.train("plain", data, "--max-steps", 1, conditional=False)
        self.refuses(["sample", "--run", plain, "--output", out, "--label", 0], 2, "has no classes")

        more = prepared(*labelled(4))
        result = must("evaluate", "--run", run, "--data", more)
        self.assertIn("none of the model's classes 0 ... 2", result.err)


if __name__ == "__main__":
    unittest.main()
