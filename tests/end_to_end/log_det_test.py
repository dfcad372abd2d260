#!/usr/bin/env python3
"""The training curve of a run with sgd: log|det| followed from step to step, without LU."""
import unittest

import support  # first: it finds a python that has h5py
from support import metrics, must, numpy, prepared, run

NET = ["--activation", "smooth-leaky-relu", "--batch-size", 20]
TRAIN = [*NET, "--optimizer", "sgd", "--lr", 0.002, "--warmup", 20, "--no-marginal",
         "--track-log-det", "on", "--log-every", 5]


class LogDetTest(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 560, "--val-last", 60)

    def train(self, name, *options, ranks=0):
        directory = self.folder / name
        must("train", "--data", self.data, "--run", directory, *TRAIN, *options, ranks=ranks)
        return directory

    def drifts(self, directory):
        """Of every evaluation but the first: |tracked - LU| / |LU|."""
        lines = metrics(directory, "val")[1:]
        self.assertTrue(lines)
        for line in lines:
            self.assertGreater(abs(line["log_abs_det_nats"]), 1)
        return [abs(line["log_abs_det_drift_nats"] / line["log_abs_det_nats"]) for line in lines]

    def test_tracked_values_meet_those_of_lu_in_both_precisions(self):
        epochs = ["--epochs", 6, "--weight-decay", 0.1]
        for ranks in (0, 2):
            precise = self.train(f"float64-{ranks}", "--precision", "float64", *epochs,
                                 "--exchange", "factor", ranks=ranks)
            self.assertLess(max(self.drifts(precise)), 1e-10)
            single = self.train(f"float32-{ranks}", "--precision", "float32", *epochs,
                                "--exchange", "row", ranks=ranks)
            self.assertLess(max(self.drifts(single)), 1e-4)

    def test_lines_have_the_log_likelihood_in_both_conventions(self):
        directory = self.train("curve", "--precision", "float64", "--epochs", 1)
        for line in metrics(directory, "train"):
            self.assertEqual(line["log_abs_det"], "exact, tracked since step 0")
            pixel = line["train_log_likelihood_pixel_nats"]
            self.assertAlmostEqual(pixel, line["train_log_likelihood_without_log_abs_det_nats"] +
                                   line["log_abs_det_nats"])
            self.assertAlmostEqual(line["train_bits_per_dim"], -pixel / 64 / 0.6931471805599453)
            validation = metrics(directory, "val")[0]
            self.assertAlmostEqual(  # the constant between the two conventions, of other images
                line["train_log_likelihood_logit_nats"] - pixel,
                validation["log_likelihood_logit_nats"] - validation["log_likelihood_pixel_nats"],
                delta=10)

    def test_a_stopped_run_goes_on_with_the_same_curve(self):
        same = ["--precision", "float64", "--schedule", "constant", "--epochs", 3]
        whole = self.train("whole", *same)
        parts = self.train("parts", *same, "--max-steps", 33)  # ends with an evaluation's LU
        self.train("parts", *same, "--resume", "auto")
        keys = ("step", "log_abs_det_nats", "train_log_likelihood_pixel_nats")
        lines = [[[line[key] for key in keys] for line in metrics(directory, "train")]
                 for directory in (whole, parts)]
        numpy.testing.assert_allclose(*lines, rtol=1e-10)

    def test_other_optimizers_say_what_their_lines_have(self):
        directory = self.folder / "adam"
        must("train", "--data", self.data, "--run", directory, *NET, "--epochs", 2, "--log-every", 5)
        labels = {line["log_abs_det"] for line in metrics(directory, "train")}
        self.assertEqual(labels, {"of step 0", "of step 28"})
        result = run("train", "--data", self.data, "--run", self.folder / "no", *NET,
                     "--track-log-det", "on")
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("--track-log-det: on is not possible: the step of adam is not of low rank",
                      result.err)


if __name__ == "__main__":
    unittest.main()
