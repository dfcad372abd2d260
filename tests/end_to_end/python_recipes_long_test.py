#!/usr/bin/env python3
"""The Python package computes what `relgrad score` computes for the model of every recipe in jobs/."""
import sys
import unittest

import support  # first: it finds a python that has h5py
from support import h5py, must, numpy, prepared, prepared_from

ROOT = support.pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
import relgrad  # pylint: disable=wrong-import-position


def colour_images(name, size):
    """Smooth colour images of 8 bits."""
    random = numpy.random.default_rng(6)
    images = random.normal(size=(200, 3, size, size)).cumsum(axis=2).cumsum(axis=3)
    images = 128 + 100 * numpy.tanh(images / images.std() + random.normal(size=(200, 3, size, size)) / 4)
    images = images.astype("uint8")
    return prepared_from(name, train=images[:140], val=images[140:170], test=images[170:])


def data_of(recipe):
    """Small data of the recipe's kind, of full size except for Tiny ImageNet."""
    if recipe == "mnist-conditional":
        images = numpy.random.default_rng(2).integers(0, 256, (200, 1, 28, 28), dtype=numpy.uint8)
        splits = {"train": images[:140], "val": images[140:170], "test": images[170:]}
        return prepared_from(recipe, {name: numpy.arange(len(rows)) % 3 for name, rows in splits.items()}, **splits)
    if recipe.startswith(("mnist", "fashion-mnist")):
        return prepared("--synthetic", "images", "--size", "28x28", "--rows", 200)
    if recipe.startswith("tiny-imagenet"):
        return colour_images(f"data-{recipe}", 16)
    if recipe.startswith(("cifar10", "spectral")):
        return colour_images(f"data-{recipe}", 32)
    if recipe == "ica-segments":
        return prepared("--synthetic", "ica-segments:5:4", "--rows", 300)
    return prepared("--synthetic", {"toy": "toy:moons"}.get(recipe, "ica:8"), "--rows", 300)


class Recipes(support.Test):
    def test_log_prob_is_that_of_score_for_every_recipe(self):
        recipes = sorted((ROOT / "jobs").glob("*.ini"))
        self.assertGreater(len(recipes), 15)
        for recipe in recipes:
            with self.subTest(recipe.stem):
                data, run, scores = data_of(recipe.stem), self.folder / recipe.stem, self.folder / f"{recipe.stem}.h5"
                must("train", "--data", data, "--run", run, "--config", recipe, "--max-steps", 2, "--batch-size", 50)
                must("score", "--run", run, "--data", data, "--output", scores)
                with h5py.File(scores) as file:
                    expected = file["log_likelihood"][...]

                log_prob = relgrad.load(run).log_prob(relgrad.data(data)["test"])

                error = (abs(log_prob - expected) / abs(expected)).max()
                print(f"{recipe.stem}: {error:.1e} relative")
                self.assertLess(error, 1e-5)
                support.shutil.rmtree(run)


if __name__ == "__main__":
    unittest.main()
