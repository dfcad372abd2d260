#!/usr/bin/env python3
"""What guards a run: steps that are not finite, ranks that hang, the end of the allocation."""
import contextlib
import os
import signal
import time
import unittest

import support  # first: it finds a python that has h5py
from guarded_run import EPOCH, ROWS, GuardTest, bad_steps, report
from support import checkpoints, must, numpy, run, status


class NonfiniteSteps(GuardTest):
    def test_one_on_one_rank_stops_all_and_tells_what_to_look_at(self):
        for ranks in (1, 2, 4):
            with self.subTest(ranks=ranks):
                directory = self.folder / str(ranks)
                bad_rank = ranks - 1
                result = run(*self.words(directory), ranks=ranks,
                             RELGRAD_FAULT=f"nan:17:{bad_rank}")
                self.assertEqual(result.code, 5, str(result))
                self.assertEqual(len(result.errors()), 1, str(result))
                bad = directory / "bad-step-000000017"
                for part in ("step 17:", "1 of 30 samples is not finite", str(bad), "--lr"):
                    self.assertIn(part, result.errors()[0])
                self.assertEqual(status(directory)["state"], "diverged")
                told = report(bad)
                self.assertEqual((told["step"], told["nonfinite"], told["samples"]), (17, 1, 30))
                self.assertEqual(told["samples_consumed"], ROWS + 3 * 30)
                self.assertEqual([part["rank"] for part in told["ranks"]], [bad_rank])
                sample, = told["ranks"][0]["samples"]
                self.assertEqual(sample["first_not_finite"], "input")
                self.assertIn(f"row {sample['row']} ", result.errors()[0])
                self.assertEqual(told["ranks"][0]["nonfinite_tensors"], [])
                self.assertEqual(told["options"]["batch-size"], "30")
                names = [tensor["name"] for tensor in told["tensors"]]
                self.assertIn("layer/0/W", names)
                self.assertIn("optimizer/moment2/layer/0/W", names)
                self.assertTrue(all(tensor["nonfinite"] == 0 and tensor["max_abs"] is not None
                                    for tensor in told["tensors"]))
                self.assert_all_finite(directory)

    def test_the_parameters_of_a_bad_step_can_be_read_and_are_no_checkpoint_of_the_run(self):
        directory = self.folder / "read"
        run(*self.words(directory), RELGRAD_FAULT="nan:17")
        bad = directory / "bad-step-000000017"
        must("evaluate", "--run", bad, "--data", self.data, "--split", "val")
        self.assertNotIn("17", (directory / "LATEST").read_text())
        result = must(*self.words(directory, "--resume", "auto"))
        self.assertIn("step-000000014 (step 14", result.err)
        self.assertEqual(status(directory)["state"], "done")

    def test_left_out_the_run_goes_on_alike_on_any_number_of_ranks(self):
        curves = []
        # The last sample of the batch is that of the last rank: the same one is bad.
        for ranks, fault in ((1, "nan:5"), (2, "nan:5:1"), (4, "nan:5:3")):
            directory = self.folder / str(ranks)
            result = must(*self.words(directory, "--on-nonfinite", "skip", "--precision",
                                      "float64"), ranks=ranks, RELGRAD_FAULT=fault)
            self.assertIn("step 5 is left out", result.err)
            self.assertIn("1 left out so far", result.err)
            self.assertEqual(bad_steps(directory), ["bad-step-000000005"])
            lines = support.metrics(directory, "train")
            self.assertEqual([line["step"] for line in lines], list(range(1, 3 * EPOCH + 1)))
            self.assertEqual([line["skipped_steps"] for line in lines], [0] * 5 + [1] * (3 * EPOCH - 5))
            state = support.manifest(checkpoints(directory)[-1])["state"]
            self.assertEqual((state["step"], state["updates"], state["skipped_steps"]), (3 * EPOCH, 3 * EPOCH - 1, 1))
            self.assertEqual(state["samples_consumed"], 3 * ROWS)
            self.assert_all_finite(directory)
            curves.append(support.validation(directory))
        for curve in curves[1:]:
            self.assertLess(numpy.abs(numpy.subtract(curve, curves[0])).max(), 1e-9)
        undisturbed = self.folder / "undisturbed"
        must(*self.words(undisturbed, "--precision", "float64"))
        self.assertNotEqual(support.validation(undisturbed), curves[0])

    def test_ten_in_a_row_end_the_run_and_three_directories_are_kept(self):
        directory = self.folder / "row"
        faults = ",".join(f"nan:{step}" for step in range(13, 23))
        result = run(*self.words(directory, "--on-nonfinite", "skip"), RELGRAD_FAULT=faults)
        self.assertEqual(result.code, 5, str(result))
        self.assertIn("the 10th step in a row", result.errors()[0])
        self.assertEqual(bad_steps(directory),
                         [f"bad-step-{step:09d}" for step in (20, 21, 22)])
        self.assertEqual(result.err.count("is left out"), 3)  # of nine: a log must not drown
        self.assert_all_finite(directory)

    def test_rolled_back_it_goes_on_after_the_batch_with_the_weights_of_the_checkpoint(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                directory = self.folder / str(ranks)
                result = must(*self.words(directory, "--on-nonfinite", "rollback", "--keep-last",
                                          10), ranks=ranks, RELGRAD_FAULT=f"nan:17:{ranks - 1}")
                self.assertIn("rolling back", result.err)
                self.assertIn("step-000000014", result.err)
                self.assertEqual(bad_steps(directory), ["bad-step-000000017"])
                lines = support.metrics(directory, "train")
                self.assertEqual([line["step"] for line in lines], list(range(1, 3 * EPOCH + 1)))
                self.assertEqual(lines[-1]["rollbacks"], 1)
                state = support.manifest(checkpoints(directory)[-1])["state"]
                # Lost are the batch of step 17 and the three before, since the checkpoint.
                self.assertEqual((state["step"], state["updates"], state["rollbacks"]),
                                 (3 * EPOCH, 3 * EPOCH - 4, 1))
                self.assert_all_finite(directory)

    def test_without_a_checkpoint_there_is_nothing_to_roll_back_to(self):
        directory = self.folder / "early"
        result = run(*self.words(directory, "--on-nonfinite", "rollback"), RELGRAD_FAULT="nan:0")
        self.assertEqual(result.code, 5, str(result))
        self.assertIn("no checkpoint to roll back to", result.errors()[0])
        result = run(*self.words(self.folder / "stop"), RELGRAD_FAULT="nan:0")
        self.assertEqual(result.code, 5, str(result))
        self.assertIn("there is no checkpoint yet", result.errors()[0])

    def test_from_the_first_step_on_there_is_the_start_to_roll_back_to(self):
        directory = self.folder / "start"
        result = must(*self.words(directory, "--on-nonfinite", "rollback"), RELGRAD_FAULT="nan:3")
        self.assertIn("step-000000000 (step 0", result.err)
        state = support.manifest(checkpoints(directory)[-1])["state"]
        self.assertEqual((state["step"], state["updates"]), (3 * EPOCH, 3 * EPOCH - 4))

    def test_the_fourth_rollback_without_a_checkpoint_ends_the_run(self):
        directory = self.folder / "four"
        result = run(*self.words(directory, "--on-nonfinite", "rollback"), ranks=2,
                     RELGRAD_FAULT="nan:15,nan:16:1,nan:20,nan:25:1")
        self.assertEqual(result.code, 5, str(result))
        self.assertIn("after 3 rollbacks without a new checkpoint", result.errors()[0])
        self.assertEqual(result.err.count("rolling back"), 3)

    def test_an_update_that_overflows_is_never_saved(self):
        # The one update of a run that would save at its end: to infinity, or to where no
        # log-likelihood is finite.
        for options, cause in (("--optimizer sgd --lr 1e300 --precision float64 --clip-norm 1e-9",
                                "samples is not finite"),
                               ("--optimizer sgd --lr 1e300", "is not finite on rank 0")):
            for policy, ranks in (("stop", 1), ("skip", 2), ("rollback", 2)):
                with self.subTest(options=options, policy=policy):
                    directory = self.folder / f"{policy}-{len(options)}"
                    result = run(*self.words(directory, "--schedule", "constant", "--max-steps", 1,
                                            *options.split(), "--on-nonfinite", policy),
                                 ranks=ranks)
                    self.assertTrue(bad_steps(directory))
                    self.assert_all_finite(directory)
                    if policy == "rollback":
                        self.assertEqual(result.code, 0, str(result))
                        start, end = checkpoints(directory)
                        self.assertEqual(support.tensors(end)["layer/0/W"].tobytes(),
                                         support.tensors(start)["layer/0/W"].tobytes())
                        continue
                    self.assertEqual(result.code, 5, str(result))
                    self.assertIn(cause, result.errors()[0])
                    self.assertEqual([c.name for c in checkpoints(directory)], ["step-000000000"])

    def test_an_overflow_at_the_end_of_a_run_is_rolled_back(self):
        directory = self.folder / "end"
        must(*self.words(directory, "--max-steps", EPOCH))
        must(*self.words(directory, "--max-steps", EPOCH + 1, "--lr", 1e38, "--schedule",
                         "constant", "--on-nonfinite", "rollback", "--resume", "auto"), ranks=2)
        _, before, after = checkpoints(directory)
        self.assertEqual(after.name, f"step-{EPOCH + 1:09d}")
        self.assertEqual(support.tensors(after)["layer/0/W"].tobytes(),
                         support.tensors(before)["layer/0/W"].tobytes())

    def test_a_bad_step_that_cannot_be_written_does_not_change_what_happens(self):
        directory = self.folder / "full"
        directory.mkdir()
        (directory / "bad-step-000000005").write_text("in the way")
        result = must(*self.words(directory, "--on-nonfinite", "skip"), ranks=2,
                      RELGRAD_FAULT="nan:5")
        self.assertRegex(result.err, "relgrad: warning: .*bad-step-000000005")
        self.assertIn("step 5 is left out", result.err)


class EndOfTheAllocation(GuardTest):
    def works_and_is_stopped(self, name, *options, ranks):
        """In an allocation of some seconds; of more where a busy machine takes those to start."""
        for seconds in (5, 20, 80):
            directory = self.folder / f"{name}-{seconds}"
            result = run(*self.words(directory, *options, epochs=1000000), ranks=ranks,
                         SLURM_JOB_END_TIME=str(int(time.time()) + seconds))
            self.assertEqual(result.code, 75, str(result))
            self.assertIn("by the end of the SLURM allocation", result.err)
            self.assertEqual(status(directory)["state"], "stopped")
            step = status(directory)["step"]
            self.assertEqual(checkpoints(directory)[-1].name, f"step-{step:09d}")
            if step > 0:
                return
        self.fail("no step was made in any allocation")

    def test_the_run_stops_before_it_with_a_checkpoint_and_code_75(self):
        self.works_and_is_stopped("job", "--stop-margin-seconds", 2, ranks=2)

    def test_an_allocation_shorter_than_the_margin_does_some_work(self):
        self.works_and_is_stopped("short", ranks=0)

    def test_a_margin_of_zero_does_not_look_and_nonsense_is_warned_of(self):
        for name, options, end in (("zero", ["--stop-margin-seconds", 0], "1000"),
                                   ("nonsense", [], "soon")):
            result = must(*self.words(self.folder / name, *options), SLURM_JOB_END_TIME=end)
            self.assertEqual("SLURM_JOB_END_TIME: 'soon'" in result.err, name == "nonsense")


class Hangs(GuardTest):
    LIMIT = 3

    def ended(self, result):
        """The lines of a job that its watchdog ended."""
        self.assertEqual(result.code, 7, str(result))
        return [line for line in result.errors() if "hangs" in line]

    def test_a_rank_that_hangs_is_named_and_the_job_ends(self):
        for ranks, bad_rank in ((1, 0), (2, 0), (2, 1), (4, 2)):
            with self.subTest(ranks=ranks, rank=bad_rank):
                result = run(*self.words(self.folder / f"{ranks}-{bad_rank}", "--watchdog-seconds",
                                         self.LIMIT), ranks=ranks,
                             RELGRAD_FAULT=f"hang:7:{bad_rank}")
                line, = self.ended(result)
                self.assertRegex(line, f"rank {bad_rank} on .* hangs: .* s in 'data' of step 7:")

    def test_a_rank_that_is_frozen_ends_the_job_as_well(self):
        directory = self.folder / "frozen"
        launcher = support.start(*self.words(directory, "--watchdog-seconds", self.LIMIT,
                                             epochs=1000000), ranks=2)
        support.wait_for(lambda: support.reached(directory, 5), "step 5")
        os.kill(support.rank_process(launcher, 1), signal.SIGSTOP)
        line, = self.ended(support.finish(launcher))
        self.assertIn("rank 0 on ", line)

    def test_a_run_that_hung_goes_on_with_resume(self):
        directory = self.folder / "again"
        # Not beside training: three steps later such a save might not have ended.
        result = run(*self.words(directory, "--watchdog-seconds", self.LIMIT,
                                 "--background-save", "false"), ranks=2,
                     RELGRAD_FAULT=f"hang:{EPOCH + 3}:1")
        self.assertEqual(result.code, 7, str(result))
        result = must(*self.words(directory, "--watchdog-seconds", self.LIMIT, "--resume", "auto"),
                      ranks=2)
        self.assertIn(f"resumed from {directory}", result.err)
        self.assertEqual(status(directory)["step"], 3 * EPOCH)


class Signals(GuardTest):
    def test_a_second_sigusr1_changes_nothing(self):
        # A batch system may send it to every process while mpirun passes it on: it comes twice.
        directory = self.folder / "twice"
        launcher = support.start(*self.words(directory, epochs=1000000), ranks=2)
        support.wait_for(lambda: support.reached(directory, 5), "step 5")
        ranks = [support.rank_process(launcher, rank) for rank in (0, 1)]
        for process in (*ranks, *ranks):
            with contextlib.suppress(ProcessLookupError):  # it has left already
                os.kill(process, signal.SIGUSR1)
        result = support.finish(launcher)
        self.assertEqual(result.code, 75, str(result))
        self.assertEqual(status(directory)["state"], "stopped")
        self.assertEqual(checkpoints(directory)[-1].name, f"step-{status(directory)['step']:09d}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
