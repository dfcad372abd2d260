#!/usr/bin/env python3
"""What comes out does not depend on how many ranks worked on it."""
import json
import unittest

import support  # first: it finds a python that has h5py
from support import h5py, must, prepared, validation


class Training(support.Test):
    """310 samples in batches of 80: the last batch has 70, which 4 ranks split unevenly."""

    def curves(self, rows, ranks, *options):
        data = prepared(*support.SMALL, "--rows", rows, "--val-last", 61)
        curves = []
        for count in ranks:
            run = self.folder / f"{count}-{'-'.join(map(str, options))}"
            must("train", "--data", data, "--run", run, "--epochs", 1, *options, ranks=count)
            curves.append(validation(run))
            steps = [line["step"] for line in support.metrics(run, "train")]
            self.assertEqual(steps, sorted(set(steps)))
        self.assertEqual(len(curves[0]), 2)  # the start, the epoch
        self.assertLess(curves[0][1], curves[0][0] - 0.01)  # something was learned
        return curves

    def assert_same(self, curves, delta):
        for curve in curves[1:]:
            self.assertEqual(len(curve), len(curves[0]))
            for value, expected in zip(curve, curves[0]):
                self.assertAlmostEqual(value, expected, delta=delta)

    def test_single_precision_agrees_to_a_thousandth_of_a_bit(self):
        curves = self.curves(310, (1, 2, 3, 4), "--batch-size", 80)
        self.assert_same(curves, 1e-3)

    def test_double_precision_agrees_to_rounding(self):
        curves = self.curves(310, (1, 2, 3, 4), "--batch-size", 80, "--precision", "float64")
        self.assert_same(curves, 1e-9)

    def test_every_exchange_agrees_to_rounding(self):
        curves = [self.curves(310, (3,), "--batch-size", 80, "--precision", "float64", "--exchange",
                              exchange)[0] for exchange in ("dense", "sharded", "factor", "gathered")]
        self.assert_same(curves, 1e-9)

    def test_ranks_that_share_every_matrix_by_columns(self):
        common = ("--batch-size", 80, "--precision", "float64")
        curves = self.curves(310, (1,), *common) + self.curves(310, (2, 3, 4), *common, "--exchange", "row")
        curves += self.curves(310, (4,), *common, "--exchange", "row", "--row-groups", 2)
        self.assert_same(curves, 1e-9)

    def test_ranks_that_share_every_matrix_and_bring_nothing_to_the_last_step(self):
        # 242 = 3 * 80 + 2: two of four ranks
        common = ("--batch-size", 80, "--precision", "float64")
        curves = self.curves(242, (1,), *common) + self.curves(242, (4,), *common, "--exchange", "row")
        self.assert_same(curves, 1e-9)

    def test_last_batch_smaller_than_the_number_of_ranks(self):
        # 242 = 3 * 80 + 2: two of four ranks have nothing to do in the last step
        curves = self.curves(242, (1, 4), "--batch-size", 80, "--precision", "float64")
        self.assert_same(curves, 1e-9)

    def test_batches_smaller_than_the_number_of_ranks(self):
        curves = self.curves(242, (1, 4), "--batch-size", 3, "--precision", "float64",
                             "--activation", "smooth-leaky-relu", "--no-marginal")
        self.assert_same(curves, 1e-9)

    def test_clipping_uses_the_norm_over_all_ranks(self):
        curves = self.curves(310, (1, 3), "--batch-size", 80, "--precision", "float64",
                             "--clip-norm", 0.5, "--optimizer", "sgd", "--lr", 0.1)
        self.assert_same(curves, 1e-9)

    def test_real_data_agree_to_rounding(self):
        data = prepared("--synthetic", "toy:moons", "--rows", 310, "--val-last", 61)
        for transform in (["--marginal"], ["--no-marginal"]):
            curves = []
            for count in (1, 3):
                run = self.folder / f"{count}{transform[0]}"
                must("train", "--data", data, "--run", run, "--epochs", 1, "--precision", "float64",
                     "--batch-size", 80, *transform, ranks=count)
                curves.append(validation(run))
            self.assert_same(curves, 1e-9)


class Evaluation(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 310, "--val-last", 61)
        cls.run_directory = support.SPACE / "evaluated"
        # In double precision: products of different widths round alike to 1e-9.
        must("train", "--data", cls.data, "--run", cls.run_directory, "--epochs", 1,
             "--precision", "float64")

    def evaluate(self, ranks, *options):
        result = must("evaluate", "--run", self.run_directory, "--data", self.data, *options,
                      "--json", "-", ranks=ranks)
        return json.loads(result.out)

    def test_numbers_do_not_depend_on_ranks_or_batch_size(self):
        alone = self.evaluate(1, "--draws", 2)
        for other in (self.evaluate(3, "--draws", 2),
                      self.evaluate(1, "--draws", 2, "--batch-size", 500)):
            for key, value in alone.items():
                if key == "seconds":
                    continue
                if isinstance(value, float):
                    self.assertAlmostEqual(other[key], value, delta=1e-9 * abs(value), msg=key)
                else:
                    self.assertEqual(other[key], value, key)

    def test_more_ranks_than_samples_of_a_split_still_count_every_sample_once(self):
        data = prepared(*support.SMALL, "--rows", 310, "--val-last", 2)
        words = ["evaluate", "--run", self.run_directory, "--data", data, "--json", "-"]
        alone, four = (json.loads(must(*words, ranks=ranks).out) for ranks in (1, 4))
        self.assertEqual((alone["samples"], four["samples"]), (2, 2))
        self.assertAlmostEqual(four["bits_per_dim"], alone["bits_per_dim"], delta=1e-9)

    def test_ranks_that_share_every_matrix_find_the_same_numbers(self):
        alone = self.evaluate(1)
        for ranks, row_groups in ((2, 2), (3, 0), (4, 2)):
            shared = self.evaluate(ranks, "--row-groups", row_groups)
            for key in ("bits_per_dim", "standard_error_nats", "log_abs_det_nats"):
                self.assertAlmostEqual(shared[key], alone[key], delta=1e-9 * abs(alone[key]), msg=key)
        refused = support.run("evaluate", "--run", self.run_directory, "--data", self.data,
                                  "--row-groups", 2, ranks=3)
        self.assertEqual(refused.code, 2)
        self.assertIn("--row-groups: 2 does not divide 3 ranks; use one of 1, 3", refused.err)

    def test_ranks_that_share_every_matrix_draw_the_same_samples(self):
        drawn = []
        for ranks, row_groups in ((1, 1), (2, 2), (4, 2)):
            output = self.folder / f"{ranks}-{row_groups}.h5"
            must("sample", "--run", self.run_directory, "--count", 7, "--output", output,
                 "--row-groups", row_groups, ranks=ranks)
            with h5py.File(output, "r") as file:
                drawn.append(file["samples"][...])
        for other in drawn[1:]:  # bytes: a value at the edge of a level may fall on either side
            self.assertLess((other != drawn[0]).mean(), 1e-3)

    def test_scores_are_those_that_evaluate_sums_up(self):
        evaluated = self.evaluate(1, "--split", "val")
        scores = {}
        for ranks in (1, 3):
            output = self.folder / f"{ranks}.h5"
            must("score", "--run", self.run_directory, "--data", self.data, "--split", "val",
                 "--output", output, ranks=ranks)
            with h5py.File(output, "r") as file:
                scores[ranks] = file["log_likelihood"][...]
        mean = scores[1].mean()
        error = scores[1].std(ddof=1) / len(scores[1]) ** 0.5
        self.assertEqual(len(scores[1]), 61)
        self.assertLess(abs(scores[1] - scores[3]).max(), 1e-9 * abs(mean))
        self.assertAlmostEqual(mean, evaluated["log_likelihood_pixel_nats"], delta=1e-9 * abs(mean))
        self.assertAlmostEqual(error, evaluated["standard_error_nats"], delta=1e-7 * error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
