#!/usr/bin/env python3
"""Scores of outliers: relgrad score --ood and tools/outliers."""
import importlib.machinery
import importlib.util
import math
import os
import pathlib
import subprocess
import sys
import unittest

import support  # first: it finds a python that has h5py
from support import ENVIRONMENT, PROGRAM, h5py, must, numpy, prepared, prepared_from

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Outliers(support.Test):
    @classmethod
    def setUpClass(cls):
        random = numpy.random.default_rng(4)
        mixing = random.normal(size=(5, 5))
        draws = random.normal(size=(4000, 5)) @ mixing + 3
        cls.far = prepared_from("far", train=(draws[:20] + 40).astype("float32"), val=draws[:2].astype("float32"),
                                test=(draws[:200] + 40 * random.normal(size=(200, 5))).astype("float32"))
        cls.data = prepared_from("near", train=draws[:3000].astype("float32"), val=draws[3000:3500].astype("float32"),
                                 test=draws[3500:].astype("float32"))
        cls.run_directory = support.SPACE / "outliers"
        must("train", "--data", cls.data, "--run", cls.run_directory, "--layers", 2, "--activation", "smooth-leaky-relu",
             "--no-marginal", "--batch-size", 100, "--epochs", 3, "--lr", 0.01, "--precision", "float64")
        cls.words = ["score", "--run", cls.run_directory, "--data", cls.data]

    def scored(self, *words, ranks=0):
        path = self.folder / f"{len(list(self.folder.iterdir()))}.h5"
        must(*self.words, "--ood", *words, "--output", path, ranks=ranks)
        with h5py.File(path) as file:
            return {name: values[...] for name, values in file.items()}

    def test_every_score_is_what_its_equation_says(self):
        found, reference = self.scored(), self.scored("--split", "val")
        must("encode", "--run", self.run_directory, "--data", self.data, "--output", self.folder / "z.h5")
        with h5py.File(self.folder / "z.h5") as file:
            z = file["latent"][...].astype(float)
        must(*self.words, "--output", self.folder / "plain.h5")
        with h5py.File(self.folder / "plain.h5") as file:
            self.assertEqual(list(file), ["log_likelihood"])
            numpy.testing.assert_allclose(found["log_likelihood"], file["log_likelihood"][...], rtol=1e-12)

        numpy.testing.assert_allclose(found["latent_log_density"], (5 - (z ** 2).sum(1)) / math.sqrt(10), atol=1e-4)
        u = numpy.sort([[0.5 * math.erfc(-x / math.sqrt(2)) for x in row] for row in z], axis=1)
        terms = (2 * numpy.arange(1, 6) - 1) * (numpy.log(u) + numpy.log1p(-u[:, ::-1]))
        numpy.testing.assert_allclose(found["latent_anderson_darling"], -5 - terms.sum(1) / 5, atol=1e-3)
        for score, typicality in (("log_likelihood", "typicality"), ("log_ratio", "log_ratio_typicality")):
            of = reference[score]
            expected = abs(found[score] - of.mean()) / of.std(ddof=1)
            numpy.testing.assert_allclose(found[typicality], expected, rtol=1e-9, err_msg=typicality)

        train = support.split(self.data, "train").astype(float)
        test = support.split(self.data, "test").astype(float) - train.mean(0)
        covariance = numpy.cov(train.T)
        gaussian = -0.5 * ((test @ numpy.linalg.inv(covariance)) * test).sum(1) \
            - 0.5 * numpy.linalg.slogdet(2 * math.pi * covariance)[1]
        difference = found["log_likelihood"] - found["log_ratio"] - gaussian
        self.assertLess(abs(difference).max(), 0.15, "correlations are shrunk a little")
        self.assertLess(abs(difference).mean(), 0.02)

    def test_they_do_not_depend_on_ranks_and_tell_far_samples(self):
        alone = self.scored()
        for ranks, words in ((3, ()), (2, ("--row-groups", 2))):
            for name, values in self.scored(*words, ranks=ranks).items():
                numpy.testing.assert_allclose(values, alone[name], rtol=1e-6, atol=1e-6, err_msg=name)
        path = self.folder / "far.h5"
        must("score", "--run", self.run_directory, "--data", self.far, "--reference", self.data, "--ood", "--output", path)
        with h5py.File(path) as file:
            far = {name: values[...] for name, values in file.items()}
        for name, sign in (("log_likelihood", -1), ("typicality", 1), ("latent_log_density", -1),
                           ("latent_anderson_darling", 1)):
            self.assertGreater(numpy.mean(sign * far[name] > numpy.quantile(sign * alone[name], 0.95)), 0.9, name)

    def test_latents_of_classes_are_tested_under_the_most_probable_one(self):
        random = numpy.random.default_rng(8)
        means = 6 * random.normal(size=(3, 5))
        splits, labels = {}, {}
        for name, rows in (("train", 900), ("val", 60), ("test", 90)):
            labels[name] = random.integers(3, size=rows)
            splits[name] = (means[labels[name]] + random.normal(size=(rows, 5))).astype("float32")
        data, run = prepared_from("classes", labels, **splits), self.folder / "run"
        must("train", "--data", data, "--run", run, "--layers", 2, "--activation", "smooth-leaky-relu", "--no-marginal",
             "--conditional", "--batch-size", 90, "--epochs", 8, "--lr", 0.01, "--spline-lr", 0.05, "--precision", "float64")
        of_run = ["--run", run, "--data", data]
        must("score", *of_run, "--output", self.folder / "labels.h5")
        must("encode", *of_run, "--output", self.folder / "z.h5")
        must("export", run, "--output", self.folder / "weights.npz")
        weights = numpy.load(self.folder / "weights.npz")
        mean, log_scale = (weights[f"latent/{name}"].astype(float) for name in ("mean", "log_scale"))
        self.assertGreater(abs(mean).max(), 0.2, "the classes have not moved")
        with h5py.File(self.folder / "labels.h5") as scores, h5py.File(self.folder / "z.h5") as latents:
            label, z = scores["predicted_label"][...], latents["latent"][...].astype(float)
        z = (z - mean[label]) / numpy.exp(log_scale[label])
        for ranks, words in ((0, ()), (2, ()), (2, ("--row-groups", 2))):
            path = self.folder / f"{ranks}{len(words)}.h5"
            must("score", *of_run, "--ood", *words, "--output", path, ranks=ranks)
            with h5py.File(path) as file:
                numpy.testing.assert_allclose(file["latent_log_density"][...], (5 - (z ** 2).sum(1)) / math.sqrt(10), atol=1e-4)

    def test_images_have_a_baseline_as_well(self):
        data = prepared(*support.SMALL, "--rows", 700)
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, "--layers", 1, "--batch-size", 50, "--epochs", 1)
        must("score", "--run", run, "--data", data, "--ood", "--output", self.folder / "a.h5")
        with h5py.File(self.folder / "a.h5") as file:
            self.assertTrue(numpy.isfinite(file["log_ratio"][...]).all())
            self.assertLess(file["log_ratio_typicality"][...].mean(), 2)

    def test_mistakes_are_refused(self):
        output = ["--output", self.folder / "a.h5"]
        self.refuses([*self.words, "--reference", self.data, *output], 2, "--reference", "--ood")
        images = prepared(*support.SMALL, "--rows", 700)
        self.refuses([*self.words, "--ood", "--reference", images, *output], 3, "--reference", "64 dimensions")
        bare = prepared_from("bare", train=numpy.random.default_rng(1).normal(size=(9, 5)).astype("float32"))
        self.refuses([*self.words, "--ood", "--reference", bare, *output], 3, "val")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_reference_whose_samples_are_all_the_same_has_no_unit_to_measure_in(self):
        rows = numpy.random.default_rng(5).normal(size=(50, 5)).astype("float32")
        same = prepared_from("same", train=rows, val=numpy.repeat(rows[:1], 8, 0), test=rows)
        for ranks in (0, 2):
            output = self.folder / f"same-{ranks}.h5"
            self.refuses([*self.words, "--ood", "--reference", same, "--output", output], 3, "--reference", ranks=ranks)
            self.assertFalse(output.exists())

    def test_the_tool_writes_a_page_of_both_directions(self):
        runs = {}
        for name, words in (("plain", ()), ("seeded", ("--seed", 9))):
            data = prepared(*support.SMALL, "--rows", 300, *words)
            runs[name] = (self.folder / name, data)
            must("train", "--data", data, "--run", self.folder / name, "--model", "conv:3 spline:4", "--batch-size", 50,
                 "--epochs", 1)
        page = self.folder / "page.md"
        line = [sys.executable, ROOT / "tools/outliers", "--program", PROGRAM, "--work", self.folder / "work", "--output",
                page, *(f"{name}={run},{data}" for name, (run, data) in runs.items())]
        subprocess.run([str(word) for word in line], check=True, capture_output=True,
                       env={**os.environ, **ENVIRONMENT, "PATH": "/usr/bin"})
        text = page.read_text()
        self.assertIn("| A: plain, outliers seeded | B: seeded, outliers plain |", text)
        self.assertEqual(text.count("\n| `/log_ratio_typicality` |"), 1)
        self.assertNotIn("nan", text)


class Auroc(unittest.TestCase):
    def test_counts_pairs_and_half_of_ties(self):
        loader = importlib.machinery.SourceFileLoader("outliers", str(ROOT / "tools/outliers"))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("outliers", loader))
        loader.exec_module(module)
        inside, outside = numpy.array([1, 2, 2, 5]), numpy.array([2, 3, 0])
        pairs = [(o > i) + 0.5 * (o == i) for i in inside for o in outside]
        self.assertAlmostEqual(module.auroc(inside, outside), numpy.mean(pairs))


if __name__ == "__main__":
    unittest.main(verbosity=2)
