#!/usr/bin/env python3
"""relgrad plan and relgrad bench exchange: their figures, their choice, their mistakes."""
import json
import unittest

import support  # first: it finds a python that has h5py
from support import must, run

FORMULA = ["--dim", 3072, "--layers", 2, "--batch-size", 128, "--ranks", 4, "--latency-us", 0,
           "--activation", "none", "--optimizer", "sgd"]


def planned(*words, ranks=0):
    return json.loads(must("plan", *words, "--json", "-", ranks=ranks).out)


class Plan(support.Test):
    def test_a_told_machine_gives_the_formulas(self):
        plan = planned(*FORMULA, "--link-gbps", 1, "--gflops", 40)
        rows = {row["exchange"]: row for row in reversed(plan["exchanges"])}  # row: all share
        weights, samples = 3072 * 3072 * 4, 3072 * 128 * 4
        small = 2 * 0.75 * (2 * 3072 * 4 + 64)  # biases and the step's decisions
        per_layer = {"dense": 2 * 0.75 * weights, "sharded": 2 * 0.75 * weights,
                     "factor": 0.75 * (samples + samples / 4 + weights)}
        for exchange, sent in per_layer.items():
            self.assertAlmostEqual(rows[exchange]["exchange_ms"], 1e3 * (2 * sent + small) / 125e6, places=2)
        gathered = 0.75 * (2 * 2 * samples + 4 * 2 * 3072 * 4) + 2 * 0.75 * 64  # factors and biases, once
        self.assertAlmostEqual(rows["gathered"]["exchange_ms"], 1e3 * gathered / 125e6, places=2)
        flops = (8 * 2 - 2) * 32 * 3072 ** 2
        self.assertGreater(rows["row"]["products_ms"], 1e3 * flops / 40e9)
        self.assertEqual(plan["choice"]["exchange"], "row")
        self.assertGreater(rows["dense"]["step_ms"], 5 * rows["row"]["step_ms"])
        self.assertLess(rows["row"]["memory_mib"], 0.5 * rows["dense"]["memory_mib"])

    def test_shared_cores_and_memory_count(self):
        alone = planned(*FORMULA)["exchanges"][0]["products_ms"]
        shared = planned(*FORMULA, "--cores", 2)["exchanges"][0]["products_ms"]
        self.assertAlmostEqual(shared, 2 * alone, places=6)
        plan = planned(*FORMULA, "--memory-gib", 0.1)
        self.assertFalse(plan["exchanges"][0]["fits"])
        self.assertEqual(plan["choice"]["exchange"], "row")
        self.assertIn("of those that fit", plan["choice"]["reason"])

    def test_words_tell_the_choice_and_what_pays_next(self):
        text = must("plan", *FORMULA).out
        for part in ("choice  row (4 share every W): fastest", "next    twice the batch", "samples/s"):
            self.assertIn(part, text)

    def test_a_model_of_any_layers_is_planned(self):
        plan = planned("--model", "glow:3x32:512", "--sample", "3x32x32", "--ranks", 16, "--link-gbps", 10)
        self.assertEqual([row["exchange"] for row in plan["exchanges"]], ["dense"])
        numbers = plan["setting"]["whole_parameters"]
        self.assertGreater(numbers, 40e6)  # Glow of the paper has 44 million
        sent = plan["exchanges"][0]["exchange_ms"]
        self.assertGreater(sent, 1e3 * 2 * 15 / 16 * numbers * 4 / 1.25e9)
        self.assertGreater(plan["exchanges"][0]["products_ms"], 0)
        # Layers that cannot be shared by coordinates: no row.
        mixed = planned("--model", "conv:3 linear spline", "--sample", "1x28x28", "--ranks", 4)
        self.assertEqual([row["exchange"] for row in mixed["exchanges"]], ["dense", "sharded", "factor", "gathered"])
        # The line of the short forms has the same plan as they.
        short = planned("--dim", 784, "--ranks", 4)["exchanges"]
        self.assertEqual(planned("--model", "2*(linear spline)", "--sample", "784x1x1", "--ranks", 4)["exchanges"],
                         short)

    def test_a_model_is_compared_with_its_steps(self):
        plan = planned("--model", "conv:3 linear spline:4 squeeze coupling:4", "--sample", "1x8x6", "--batch-size",
                       8, "--steps", 3, "--measure", "--compare", "--optimizer", "natural", ranks=2)
        for row in plan["exchanges"]:
            self.assertGreater(row["measured_step_ms"], 0)

    def test_measured_and_compared_on_real_ranks(self):
        for ranks in (1, 2, 4):
            plan = planned("--dim", 48, "--batch-size", 16, "--steps", 3, "--measure", "--compare",
                           ranks=ranks)
            self.assertEqual(plan["setting"]["ranks"], ranks)
            self.assertEqual(plan["link"]["measured"], ranks > 1)
            for row in plan["exchanges"]:
                self.assertGreater(row["measured_step_ms"], 0)
                self.assertEqual(row["bytes_sent"], row["measured_bytes_sent"], row)

    def test_comparing_needs_the_ranks_it_plans_for(self):
        refused = run("plan", "--ranks", 4, "--compare")
        self.assertEqual(refused.code, 2)
        self.assertIn("--compare: times steps on the 1 rank started, not on 4", refused.err)


class BenchExchange(support.Test):
    def test_every_exchange_is_checked_and_timed(self):
        words = ["bench", "exchange", "--dim", 40, "--batch-size", 16, "--steps", 3, "--warmup", 1]
        result = json.loads(must(*words, "--json", "-", ranks=4).out)
        self.assertLess(result["check"]["relative_error"], result["check"]["limit"])
        self.assertEqual([(row["exchange"], row["row_groups"]) for row in result["exchanges"]],
                         [("dense", 1), ("sharded", 1), ("factor", 1), ("gathered", 1), ("row", 4), ("row", 2)])
        for row in result["exchanges"]:
            self.assertLessEqual(row["min_ms"], row["median_ms"])
            self.assertGreater(row["bytes_sent"], 0)
        text = must(*words, "--exchange", "row", "--row-groups", 2, ranks=4).out
        self.assertIn("row (2 share every W)", text)
        self.assertNotIn("factor", text)


class BenchStep(support.Test):
    def test_a_model_is_checked_and_timed(self):
        words = ["bench", "step", "--model", "actnorm conv:3 spline:4 squeeze coupling:4", "--sample", "1x6x4",
                 "--batch-size", 6, "--steps", 2, "--warmup", 1]
        for gradient in ("relative", "self-normalizing"):
            result = json.loads(must(*words, "--gradient", gradient, "--json", "-", ranks=2).out)
            self.assertLess(result["check"]["relative_error"], result["check"]["limit"])
            self.assertGreater(result["time"]["floor"]["flops"], 0)

    def test_natural_steps_are_timed(self):
        words = ["bench", "step", "--optimizer", "natural", "--dim", 40, "--batch-size", 16, "--steps", 2]
        result = json.loads(must(*words, "--json", "-", ranks=2).out)
        # Matrices have no moments: as many bytes as sgd, but for those of the biases.
        floor = result["time"]["floor"]["bytes"]
        self.assertAlmostEqual(floor, 2 * 1600 * (12 + (8 + 4) / 2) + 80 * 24)

    def test_a_shape_that_is_none_is_refused(self):
        for shape in ("28x28", "1x28x28x", "0x4x4", "1x28xa"):
            refused = run("bench", "step", "--model", "conv", "--sample", shape)
            self.assertEqual(refused.code, 2)
            self.assertIn(f"--sample: '{shape}' is no shape; write CHANNELSxHEIGHTxWIDTH", refused.err)


class Auto(support.Test):
    def test_a_run_says_what_it_takes_and_why(self):
        data = support.prepared("--synthetic", "images", "--size", "24x24", "--rows", 60)
        log = must("train", "--data", data, "--run", self.folder / "run", *support.QUICK, ranks=2).err
        self.assertRegex(log, r"exchange auto takes \w+.*: [0-9.]+ ms per step predicted.*; measured: ")


if __name__ == "__main__":
    unittest.main()
