"""What the tests of a run's guards and of its record share: a small run whose steps are known."""
import json

import support  # first: it finds a python that has h5py
from support import checkpoints, numpy, prepared

ROWS = 400
EPOCH = 14  # steps; the last has 10 samples. The run has a checkpoint after each: validation falls.
OPTIONS = ["--batch-size", 30, "--log-every", 1, "--activation", "smooth-leaky-relu",
           "--products", "openblas"]  # bits are compared between runs


def report(directory):
    return json.loads((directory / "report.json").read_text())


def bad_steps(directory):
    return sorted(path.name for path in directory.glob("bad-step-*"))


class GuardTest(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", ROWS, "--val-last", 50)

    def words(self, directory, *options, epochs=3):
        return ["train", "--data", self.data, "--run", directory, *OPTIONS, "--epochs", epochs,
                *options]

    def assert_all_finite(self, directory):
        """Every checkpoint of the run holds finite numbers only."""
        self.assertTrue(checkpoints(directory))
        for checkpoint in checkpoints(directory):
            for name, values in support.tensors(checkpoint).items():
                self.assertTrue(numpy.isfinite(values).all(), f"{checkpoint} {name}")
