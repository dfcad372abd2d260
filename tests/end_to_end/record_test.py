#!/usr/bin/env python3
"""What a run tells of itself: saves that failed, its history, which samples each step took."""
import json
import unittest

import support  # first: it finds a python that has h5py
from guarded_run import EPOCH, OPTIONS, ROWS, GuardTest, bad_steps, report
from support import checkpoints, must, prepared, run


class SavesThatFail(GuardTest):
    RARELY = ("--eval-every", 1000000)  # so that no checkpoint is saved for being the best

    def put_a_file_in_the_way(self, directory):
        """RUN/ckpt is a file from now on; a save that is under way may make the folder again."""
        for attempt in range(1000):
            try:
                if (directory / "ckpt").is_dir():
                    (directory / "ckpt").rename(directory / f"away-{attempt}")
                (directory / "ckpt").touch(exist_ok=False)
                return
            except OSError:
                continue
        self.fail("ckpt cannot be replaced")

    def test_are_told_in_full_once_then_counted_and_the_end_is_told(self):
        directory = self.folder / "full"
        launcher = support.start(*self.words(directory, *self.RARELY, "--save-every-seconds",
                                             0.1, epochs=1000000), ranks=2)
        support.wait_for(lambda: support.reached(directory, 5), "step 5")
        self.put_a_file_in_the_way(directory)
        heard = support.hear(launcher, "still not saved, 3rd time")
        (directory / "ckpt").unlink()
        support.wait_for(lambda: checkpoints(directory), "checkpoint")
        (directory / "STOP").touch()
        result = support.finish(launcher)
        result.err = heard + result.err
        self.assertEqual(result.code, 75, str(result))
        lines = [line for line in result.err.splitlines() if "checkpoint" in line]
        in_full = [line for line in lines if "training goes on:" in line]
        self.assertEqual(len(in_full), 1, str(result))
        self.assertIn(f"{directory}/ckpt", in_full[0])
        # The first save may have been under way when the file came, and its trouble is another one.
        self.assertRegex(result.err, r"still not saved, 2nd time, since step \d+(: .*)?\n")
        self.assertRegex(result.err, r"still not saved, 3rd time, since step \d+\n")
        self.assertRegex(result.err, r"saved again at step \d+, after \d+ that could not be saved")
        self.assert_all_finite(directory)

    def test_that_the_last_one_failed_is_an_error(self):
        result = run(*self.words(self.folder / "last"), RELGRAD_FAULT="checkpoint:staged:fail")
        self.assertEqual(result.code, 6, str(result))
        self.assertIn("the last checkpoint could not be saved", result.errors()[0])

    def test_trouble_after_the_checkpoint_exists_is_told(self):
        directory = self.folder / "tidy"
        result = must(*self.words(directory, *self.RARELY), ranks=2,
                      RELGRAD_FAULT="checkpoint:renamed:fail")
        self.assertIn("checkpoint saved, but ", result.err)
        self.assertEqual(len(checkpoints(directory)), 2)  # the start and the end


class History(GuardTest):
    def test_changed_options_and_rollbacks_stay_in_every_later_checkpoint(self):
        directory = self.folder / "changed"
        must(*self.words(directory, "--max-steps", 5))
        must(*self.words(directory, "--max-steps", EPOCH, "--lr", 0.0005, "--resume", "auto"))
        result = must(*self.words(directory, "--lr", 0.0005, "--resume", "auto", "--on-nonfinite",
                                  "rollback"), RELGRAD_FAULT="nan:20", ranks=2)
        self.assertIn("changed option on-nonfinite: stop -> rollback", result.err)
        self.assertNotIn("changed option lr", result.err)
        must(*self.words(directory, "--lr", 0.0005, "--resume", "auto", "--on-nonfinite",
                         "rollback"))
        last = checkpoints(directory)[-1]
        self.assertEqual(support.manifest(last)["state"]["history"], [
            {"step": 5, "samples_consumed": 150,
             "changes": ["lr: 0.001 -> 0.0005", "max-steps: 5 -> 14"]},
            {"step": 14, "samples_consumed": 400,
             "changes": ["max-steps: 14 -> 0", "on-nonfinite: stop -> rollback"]},
            {"step": 20, "samples_consumed": 580, "changes": ["rolled back to step 14"]}])
        self.assertIn("lr: 0.001 -> 0.0005", must("inspect", last).out)

    def test_a_run_that_was_left_alone_has_none(self):
        directory = self.folder / "alone"
        must(*self.words(directory))
        self.assertEqual(support.manifest(checkpoints(directory)[-1])["state"]["history"], [])


class Seconds(GuardTest):
    PARTS = {"data", "forward", "backward", "exposed_exchange", "optimizer", "checkpoint", "other"}

    def test_of_parts_add_up_to_those_of_the_steps(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                directory = self.folder / f"seconds-{ranks}"
                must(*self.words(directory), ranks=ranks)
                lines = support.metrics(directory, "train")
                self.assertTrue(lines)
                for line in lines:
                    parts = dict(line["seconds_by_part"])
                    exchange = parts.pop("exchange")  # without waiting for the other ranks
                    self.assertEqual(set(parts), self.PARTS)
                    self.assertAlmostEqual(sum(parts.values()), line["seconds"], delta=1e-9)
                    self.assertGreaterEqual(parts["exposed_exchange"], exchange)
                    for name, seconds in parts.items():
                        self.assertGreaterEqual(seconds, -1e-9, name)


class Products(GuardTest):
    def test_are_told_and_kept_in_the_status(self):
        directory = self.folder / "auto"
        result = must("train", "--data", self.data, "--run", directory, "--batch-size", 30,
                      "--max-steps", 2, ranks=2)
        self.assertRegex(result.err,
                         r"products: W X \(\d+ x 15 x \d+\) \w+, W\^T \[Delta \| Y\] ")
        products = json.loads((directory / "STATUS").read_text())["products"]
        self.assertEqual([p["product"] for p in products],
                         ["W X", "W^T [Delta | Y]", "W^T [Delta | Y]", "Delta P^T"])
        self.assertLessEqual({p["backend"] for p in products}, {"openblas", "onednn", "ordered"})

    def test_of_deterministic_runs_and_named_ones_are_not_chosen(self):
        for options, products in ((("--deterministic",), "ordered"),
                                  (("--products", "openblas"), "openblas")):
            directory = self.folder / products
            result = must("train", "--data", self.data, "--run", directory, "--batch-size", 30,
                          "--max-steps", 2, *options)
            self.assertIn(f"products: {products}\n", result.err)
            self.assertEqual(json.loads((directory / "STATUS").read_text())["products"], products)

    def test_on_bf16_operands_end_near_those_on_float32(self):
        bits = {}
        for compute in ("float32", "bf16"):
            directory = self.folder / compute
            result = must(*self.words(directory, "--compute", compute, epochs=6))
            self.assertEqual("bf16" in result.err, compute == "bf16", result.err)
            bits[compute] = support.metrics(directory, "val")
        first, last = bits["float32"][0], bits["float32"][-1]
        gain = first["val_bits_per_dim"] - last["val_bits_per_dim"]
        self.assertGreater(gain, 0.1)
        self.assertAlmostEqual(bits["bf16"][-1]["val_bits_per_dim"], last["val_bits_per_dim"],
                               delta=0.1 * gain)
        # The step's operands alone are rounded: the start is the same but for them.
        self.assertNotEqual(bits["bf16"][-1]["val_bits_per_dim"], last["val_bits_per_dim"])

    def test_bf16_is_not_for_double_precision(self):
        self.refuses(self.words(self.folder / "double", "--compute", "bf16", "--precision",
                                "float64"), 2, "--compute", "--precision")


class AuditOrder(GuardTest):
    def audit(self, where, first, end, *options):
        """Objects that audit-order prints for steps [first, end)."""
        result = must("audit-order", *where, "--data", self.data, "--from-step", first, "--to-step",
                      end, "--json", *options)
        return [json.loads(line) for line in result.out.splitlines()]

    def test_an_epoch_is_a_permutation_and_ranks_share_each_step(self):
        directory = self.folder / "run"
        must(*self.words(directory))
        steps = self.audit(("--run", directory), 0, 2 * EPOCH)
        self.assertEqual([line["step"] for line in steps], list(range(2 * EPOCH)))
        self.assertEqual([line["epoch"] for line in steps], [0] * EPOCH + [1] * EPOCH)
        epochs = [[row for line in steps[e * EPOCH:(e + 1) * EPOCH] for row in line["rows"]]
                  for e in (0, 1)]
        self.assertNotEqual(*epochs)
        for epoch in epochs:
            self.assertEqual(sorted(epoch), list(range(ROWS)))
        of_ranks = self.audit(("--checkpoint", checkpoints(directory)[0]), 5, EPOCH, "--ranks", 4)
        self.assertEqual(len(of_ranks), 4 * (EPOCH - 5))
        for step in range(5, EPOCH):
            parts = [line["rows"] for line in of_ranks if line["step"] == step]
            self.assertEqual(sum(parts, []), steps[step]["rows"])
        words = must("audit-order", "--run", directory, "--data", self.data, "--from-step", 3,
                     "--to-step", 4).out
        self.assertEqual(words, f"step 3 epoch 0: {' '.join(map(str, steps[3]['rows']))}\n")

    def test_it_names_what_training_took_also_after_the_batch_size_changed(self):
        # The report of a bad step names the row that the last sample of a rank's part came from.
        for ranks, bad_rank in ((1, 0), (2, 0), (4, 3)):
            with self.subTest(ranks=ranks):
                directory = self.folder / str(ranks)
                must(*self.words(directory, "--max-steps", 6))
                must("train", "--data", self.data, "--run", directory, *OPTIONS[2:], "--epochs", 3,
                     "--batch-size", 16, "--resume", "auto", "--on-nonfinite", "skip", ranks=ranks,
                     RELGRAD_FAULT=f"nan:4:{bad_rank},nan:11:{bad_rank}")
                self.assertEqual(bad_steps(directory), ["bad-step-000000011"])
                part, = report(directory / "bad-step-000000011")["ranks"]
                lines = self.audit(("--run", directory), 0, 12, "--ranks", ranks)
                of_step = {(line["step"], line.get("rank", 0)): line["rows"] for line in lines}
                self.assertEqual(of_step[11, bad_rank][-1], part["samples"][0]["row"])
                sizes = [sum(len(of_step[step, rank]) for rank in range(ranks))
                         for step in range(12)]
                self.assertEqual(sizes, [30] * 6 + [16] * 6)

    def test_mistakes_are_told(self):
        directory = self.folder / "run"
        must(*self.words(directory, "--max-steps", 2))
        words = ["audit-order", "--run", directory, "--data", self.data]
        self.refuses([*words, "--from-step", 5, "--to-step", 5], 2, "--to-step", "try 6")
        self.refuses(words[:3], 2, "--data is missing")
        self.refuses(["audit-order", "--run", self.folder / "none", "--data", self.data], 4, "none")
        other = prepared(*support.SMALL, "--rows", ROWS, "--val-last", 50, "--seed", 2)
        self.refuses(["audit-order", "--run", directory, "--data", other], 4, other.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
