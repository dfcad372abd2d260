#!/usr/bin/env python3
"""A run that was stopped, killed or damaged goes on as if nothing had been."""
import os
import shutil
import signal
import unittest

import support  # first: it finds a python that has h5py
from support import checkpoints, finish, must, numpy, prepared, rank_process, reached, start, \
    status, wait_for

# 60 epochs of 14 steps (the last batch of each has 10 samples), with everything that has state:
# moments, schedule, warm-up, noise of every epoch, splines, the best validation, lines of metrics
# over several steps.
ROWS = 400
STEPS = 14 * 60
OPTIONS = {"batch-size": 30, "epochs": 60, "eval-every": 4, "warmup": 40, "log-every": 5,
           "weight-decay": 0.01, "spline-bins": 4, "keep-every": 0,
           "products": "openblas"}  # bits are compared between runs


def contents(directory):
    """Every file below `directory`: its name and a number that stands for what is in it."""
    return {str(path): hash(path.read_bytes()) for path in directory.rglob("*") if path.is_file()}


class ResumeTest(support.Test):
    UNDISTURBED = {}

    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", ROWS, "--val-last", 50)

    def words(self, run, **options):
        """A command line: OPTIONS and `options`, max_seconds=1 for --max-seconds 1."""
        given = {"data": self.data, "run": run, **OPTIONS,
                 **{name.replace("_", "-"): value for name, value in options.items()}}
        return ["train", *[word for name, value in given.items() for word in (f"--{name}", value)]]

    def undisturbed(self, ranks, **options):
        """The run that was never stopped, once for every number of ranks and options."""
        key = (ranks, *sorted(options.items()))
        if key not in self.UNDISTURBED:
            run = support.SPACE / f"undisturbed-{len(self.UNDISTURBED)}"
            must(*self.words(run, **options), ranks=ranks)
            self.UNDISTURBED[key] = run
        return self.UNDISTURBED[key]

    def stopped_run(self, name="stopped"):
        """A run on one rank that was stopped about half-way."""
        run = self.folder / name
        self.stop(run, 1, 300, lambda _: (run / "STOP").touch())
        (run / "STOP").unlink(missing_ok=True)
        return run

    def stop(self, run, ranks, step, how, rank=None, **options):
        """Starts a run, stops it by how(process id) when it reached `step`; checks how it ends.

        The process is that of `rank`, or else the one that was started."""
        launcher = start(*self.words(run, **options), ranks=ranks)
        if rank is not None:
            wait_for(lambda: rank_process(launcher, rank), f"rank {rank}")
        process = launcher.pid if rank is None else rank_process(launcher, rank)
        wait_for(lambda: reached(run, step) or launcher.poll() is not None, f"step {step}")
        how(process)
        result = finish(launcher)
        self.assertEqual(result.code, 75, str(result))
        self.assertIn("continue with --resume auto", result.err)
        self.assertEqual((status(run)["state"], status(run)["exit_code"]), ("stopped", 75))
        self.assertFalse((run / "LOCK").exists())
        stopped_at = status(run)["step"]
        self.assertGreaterEqual(stopped_at, step)
        self.assertLess(stopped_at, STEPS, "the run ended before it could be stopped")
        self.assertEqual(checkpoints(run)[-1].name, f"step-{stopped_at:09d}")
        return result

    def go_on(self, run, ranks, **options):
        result = must(*self.words(run, resume="auto", **options), ranks=ranks)
        self.assertIn("resumed from", result.err)
        self.assertEqual((status(run)["state"], status(run)["step"]), ("done", STEPS))
        return result


class Stopping(ResumeTest):
    def test_by_a_file_and_by_max_seconds_then_resumed_ends_with_the_same_bits(self):
        run = self.stopped_run()
        result = support.run(*self.words(run, resume="auto", max_seconds=0.05))
        self.assertEqual(result.code, 0, str(result))
        self.assertIn("by --max-seconds", result.err)
        self.assertEqual((status(run)["state"], status(run)["exit_code"]), ("stopped", 0))
        self.go_on(run, 1)
        self.assert_same_bits(run, self.undisturbed(1))

    def test_by_signals_to_a_rank_then_resumed_ends_with_the_same_bits(self):
        # every way in which ranks share the update and its moments
        for sent, rank, options in ((signal.SIGUSR1, 1, {"exchange": "factor"}),
                                    (signal.SIGINT, 0, {"exchange": "sharded"}),
                                    (signal.SIGTERM, 1, {"exchange": "dense", "clip_norm": 3})):
            with self.subTest(sent.name, rank=rank, **options):
                run = self.folder / sent.name
                self.stop(run, 2, 200, lambda pid, sent=sent: os.kill(pid, sent), rank, **options)
                self.go_on(run, 2, **options)
                self.assert_same_bits(run, self.undisturbed(2, **options))

    def test_by_sigusr1_to_the_launcher_as_batch_systems_send_it(self):
        run = self.folder / "launcher"
        result = self.stop(run, 2, 200, lambda pid: os.kill(pid, signal.SIGUSR1), clip_norm=3)
        self.assertIn("by SIGUSR1", result.err)
        self.go_on(run, 2, clip_norm=3)  # --exchange auto
        self.assert_same_bits(run, self.undisturbed(2, exchange="dense", clip_norm=3))

    def test_a_run_asked_to_stay_stopped_does_not_start(self):
        run = self.folder / "early"
        run.mkdir()
        (run / "STOP").touch()
        self.refuses(self.words(run), 2, "STOP", "remove it")
        self.assertEqual([path.name for path in run.iterdir()], ["STOP"])
        (run / "STOP").unlink(missing_ok=True)
        must(*self.words(run, resume="auto"))
        self.assert_same_bits(run, self.undisturbed(1))

    def test_on_another_number_of_ranks_it_goes_on_to_rounding(self):
        run = self.stopped_run()
        self.go_on(run, 3)
        ours, expected = (support.validation(r) for r in (run, self.undisturbed(1)))
        self.assertEqual(len(ours), len(expected))
        self.assertLess(numpy.abs(numpy.subtract(ours, expected)).max(), 1e-3)
        samples = [[line["samples"] for line in support.metrics(r, "train")]
                   for r in (run, self.undisturbed(1))]
        self.assertEqual(*samples)


class Options(ResumeTest):
    def test_a_frozen_option_may_not_change_and_nothing_is_written(self):
        run = self.stopped_run()
        before = contents(run)
        self.refuses(self.words(run, resume="auto", init="orthogonal"), 2,
                     "--init: orthogonal differs from identity")
        self.refuses(self.words(run, resume="auto", seed=17), 2, "--seed: 17 differs from 1")
        self.assertEqual(contents(run), before)

    def test_a_changed_resumable_option_is_told(self):
        run = self.stopped_run()
        result = must(*self.words(run, resume="auto", lr=0.0005))
        self.assertIn("changed option lr: 0.001 -> 0.0005", result.err)

    def test_an_existing_run_is_not_trained_over(self):
        run = self.stopped_run()
        before = contents(run)
        self.refuses(self.words(run), 2, run, "--resume auto")
        self.assertEqual(contents(run), before)

    def test_auto_starts_where_there_is_nothing_and_a_done_run_stays_done(self):
        run = self.folder / "fresh"
        words = self.words(run, resume="auto", epochs=2)
        must(*words)
        lines = support.lasting_metrics(run)
        again = must(*words)
        self.assertIn("already done", again.err)
        self.assertEqual(support.lasting_metrics(run), lines)

    def test_other_data_are_refused(self):
        run = self.stopped_run()
        other = prepared(*support.SMALL, "--rows", ROWS, "--val-last", 50, "--seed", 2)
        before = contents(run)
        self.refuses(self.words(run, resume="auto", data=other), 4, "data set", other.name)
        self.assertEqual(contents(run), before)


class Accidents(ResumeTest):
    def test_killed_in_the_middle_it_goes_on_from_the_last_checkpoint(self):
        run = self.folder / "killed"
        launcher = start(*self.words(run, save_every_seconds=0.1), ranks=2)
        wait_for(lambda: rank_process(launcher, 0), "rank 0")
        process = rank_process(launcher, 0)
        wait_for(lambda: checkpoints(run) and reached(run, 200), "checkpoint")
        os.kill(process, signal.SIGKILL)
        result = finish(launcher)
        self.assertNotIn(result.code, (0, 75), str(result))
        self.assertEqual(status(run)["state"], "running")
        self.go_on(run, 2)  # LOCK of the dead process is taken over
        self.assert_same_bits(run, self.undisturbed(2))

    def test_a_directory_in_use_is_refused(self):
        run = self.folder / "used"
        first = start(*self.words(run, epochs=100000))
        wait_for(lambda: reached(run, 5), "step 5")
        self.refuses(self.words(run, resume="auto", epochs=100000), 2, "in use",
                     f"process {first.pid} on")
        self.assertTrue((run / "LOCK").exists())
        (run / "STOP").touch()
        self.assertEqual(finish(first).code, 75)

    def test_killed_before_the_second_checkpoint_it_goes_on_from_the_start(self):
        run = self.folder / "killed-early"
        launcher = start(*self.words(run, eval_every=1000))
        wait_for(lambda: reached(run, 20), "step 20")
        launcher.kill()
        finish(launcher)
        self.assertEqual([c.name for c in checkpoints(run)], ["step-000000000"])
        must(*self.words(run, resume="auto"))
        self.assert_same_bits(run, self.undisturbed(1))

    def damage(self, checkpoint, how):
        shard = checkpoint / "shard-0000.h5"
        if how == "a flipped bit":
            content = bytearray(shard.read_bytes())
            content[len(content) // 2] ^= 1
            shard.write_bytes(content)
        elif how == "a cut shard":
            os.truncate(shard, shard.stat().st_size - 100)
        elif how == "no manifest":
            (checkpoint / "manifest.json").unlink()
        else:
            manifest = checkpoint / "manifest.json"
            manifest.write_text(manifest.read_text()[:-200])

    def test_a_damaged_checkpoint_is_passed_over_for_the_older_one(self):
        original = self.stopped_run()
        self.assertGreaterEqual(len(checkpoints(original)), 2)
        for how in ("a flipped bit", "a cut shard", "no manifest", "half a manifest"):
            with self.subTest(how):
                run = self.folder / how.replace(" ", "-")
                shutil.copytree(original, run)
                newest, older = checkpoints(run)[-1], checkpoints(run)[-2]
                self.damage(newest, how)
                result = self.go_on(run, 1)
                self.assertRegex(result.err, f"relgrad: warning: .*{newest.name}")
                self.assertIn(f"resumed from {older}", result.err)
                self.assert_same_bits(run, self.undisturbed(1))

    def test_with_all_checkpoints_damaged_it_does_not_start_from_scratch(self):
        original = self.stopped_run()
        for how in ("a flipped bit", "half a manifest"):
            with self.subTest(how):
                run = self.folder / how.replace(" ", "-")
                shutil.copytree(original, run)
                for checkpoint in checkpoints(run):
                    self.damage(checkpoint, how)
                metrics = (run / "metrics.jsonl").read_bytes()
                self.refuses(self.words(run, resume="auto"), 4, "--resume", "none of the")
                self.assertEqual((run / "metrics.jsonl").read_bytes(), metrics)


if __name__ == "__main__":
    unittest.main(verbosity=2)
