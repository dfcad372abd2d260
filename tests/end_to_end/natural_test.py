#!/usr/bin/env python3
"""Natural steps and the kinked start: on any ranks, over a stop, and to the same bits."""
import unittest

import support  # first: it finds a python that has h5py
from support import checkpoints, metrics, must, numpy, prepared, run

TRAIN = ["--activation", "smooth-leaky-relu", "--no-marginal", "--batch-size", 40, "--epochs", 2,
         "--init", "kinked", "--optimizer", "natural", "--lr", 0.005, "--warmup", 10]


class NaturalTest(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 460, "--val-last", 60)

    def train(self, name, *options, ranks=0):
        directory = self.folder / name
        must("train", "--data", self.data, "--run", directory, *TRAIN, *options, ranks=ranks)
        return directory

    def validations(self, directory):
        return [line["bits_per_dim"] for line in metrics(directory, "val")]

    def test_ranks_and_exchanges_go_the_same_way_to_a_better_model(self):
        one = self.validations(self.train("one", "--precision", "float64"))
        self.assertLess(one[-1], one[0] - 0.1)
        for exchange in ("dense", "sharded", "factor", "gathered", "row"):
            other = self.train(exchange, "--precision", "float64", "--exchange", exchange, ranks=2)
            numpy.testing.assert_allclose(self.validations(other), one, rtol=1e-9)

    def test_deterministic_runs_end_with_the_same_bits_over_a_stop_and_other_ranks(self):
        same = ["--deterministic", "--schedule", "constant"]
        whole = self.train("whole", *same)
        self.train("parts", *same, "--max-steps", 13, ranks=2)
        parts = self.train("parts", *same, "--resume", "auto")
        tensors = [{tensor["name"]: tensor["hash"] for tensor in
                    support.manifest(checkpoints(directory)[-1])["tensors"]}
                   for directory in (whole, parts)]
        self.assertEqual(*tensors)
        # of weights there are no moments, of biases the mean squares of Y and Delta
        self.assertNotIn("optimizer/moment1/layer/0/W", tensors[0])
        self.assertIn("optimizer/moment2/layer/0/b", tensors[0])

    def test_what_natural_steps_cannot_do_is_told(self):
        for option, value in (("--gradient", "plain"), ("--clip-norm", 1)):
            result = run("train", "--data", self.data, "--run", self.folder / "no", *TRAIN, option,
                         value)
            self.assertEqual(result.code, 2, str(result))
            self.assertIn("natural", result.errors()[0])


if __name__ == "__main__":
    unittest.main()
