#!/usr/bin/env python3
"""The scripts of jobs/ under a SLURM of their own: runs end as if they had never been stopped.

Run by ctest with RELGRAD, the path of the program, and MPIRUN in the environment. Exit code 77
where SLURM is not installed.
"""
import json
import os
import pathlib
import re
import signal
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/end_to_end"))

import support  # pylint: disable=wrong-import-position  # it finds a python that has h5py
from support import checkpoints, must, prepared, reached, status, wait_for
import cluster  # pylint: disable=wrong-import-position

SECONDS = 600
RANKS = 2
ROWS, BATCH, EPOCHS = 400, 30, 1000
STEPS = EPOCHS * 14  # the last batch of an epoch has 10 samples
OPTIONS = {"activation": "smooth-leaky-relu", "batch-size": BATCH, "epochs": EPOCHS,
           "eval-every": 100, "warmup": 400, "log-every": 50, "keep-every": 0,
           "products": "openblas"}  # bits are compared between runs
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def train_options(**options):
    """OPTIONS and `options` as words of a command line, max_seconds=1 for --max-seconds 1."""
    given = {**OPTIONS, **{name.replace("_", "-"): value for name, value in options.items()}}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


class Job:
    """A job that was submitted; with `task`, one task of an array."""

    def __init__(self, slurm, number, log, task=None):
        self.slurm, self.log_path, self.task = slurm, log, task
        self.number = number if task is None else f"{number}_{task}"

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def describe(self):
        return self.slurm.job(self.number)

    def processes(self):
        """Process ids of its ranks, where they run now."""
        return list(self.environments())

    def environments(self):
        """Environment variables of its ranks by process id, where they run now."""
        job, found = self.describe()["JobId"], {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_text(errors="replace").split("\0")
                is_rank = os.readlink(entry / "exe") == os.path.realpath(support.PROGRAM)
            except OSError:
                continue
            if is_rank and f"SLURM_JOB_ID={job}" in environment:
                found[int(entry.name)] = environment
        return found

    def signal_ranks(self, number):
        for process in self.processes():
            os.kill(process, number)

    def ended(self):
        time.sleep(0.2)  # between questions to the controller
        return self.describe()["JobState"] in ENDED

    def wait_until(self, condition, what):
        """Waits for `condition()`; if it does not come, tells what became of the job."""
        try:
            wait_for(condition, what, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}\n{self.log()}") from None

    def wait_for_log(self, words, times):
        self.wait_until(lambda: self.log().count(words) == times, f"'{words}' in the log")

    def wait(self, state="COMPLETED"):
        """Waits for the end, which must be `state`; returns what SLURM knows of it."""
        self.wait_until(self.ended, f"end of job {self.number}")
        described = self.describe()
        assert described["JobState"] == state, f"{described}\n{self.log()}"
        return described


class SlurmTest(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.slurm = cluster.Cluster()
        cls.addClassCleanup(cls.slurm.stop)
        cls.slurm.environment.update(support.ENVIRONMENT)
        # Two jobs at once must not have their ranks on the same core.
        cls.slurm.environment.update(RELGRAD=os.path.realpath(support.PROGRAM),
                                     MPIRUN=support.MPIRUN,
                                     OMPI_MCA_hwloc_base_binding_policy="none",
                                     PRTE_MCA_hwloc_default_binding_policy="none")
        cls.data = prepared(*support.SMALL, "--rows", ROWS, "--val-last", 50)

    def submit(self, script, *options, sbatch=(), log="job.log", tasks=(), folder=ROOT, **settings):
        """A job of jobs/SCRIPT, or the jobs of an array; settings as RUN=path."""
        words = ["--parsable", "--output", self.folder / log, *sbatch,
                 ROOT / "jobs" / script, *options]
        settings = {"DATA": self.data, **settings}
        number = self.slurm.call("sbatch", *words, folder=folder,
                                 **{name: str(value) for name, value in settings.items()})
        self.addCleanup(self.slurm.call, "scancel", number)  # what a failed test left
        if not tasks:
            return Job(self.slurm, number, self.folder / log)
        return [Job(self.slurm, number, self.folder / log.replace("%a", str(task)), task)
                for task in tasks]

    def hold_at(self, job, run, step):
        """Lets the ranks get to `step` and no further, whatever the speed of this machine."""
        job.wait_until(lambda: len(job.processes()) == RANKS, "ranks")
        ranks = job.processes()
        job.wait_until(lambda: reached(run, step), f"step {step}")
        for process in ranks:
            os.kill(process, signal.SIGSTOP)
        self.assertLess(support.metrics(run)[-1]["step"], STEPS, "it was too fast to be held")

    def undisturbed(self):
        run = support.SPACE / "undisturbed"
        if not run.exists():
            must("train", "--data", self.data, "--run", run, *train_options(), ranks=RANKS)
        return run

    def assert_same_bits(self, run):
        expected = self.undisturbed()
        ours, theirs = checkpoints(run)[-1], checkpoints(expected)[-1]
        self.assertEqual((ours.name, theirs.name), (f"step-{STEPS:09d}",) * 2)
        values, expected_values = support.tensors(ours), support.tensors(theirs)
        self.assertEqual(values.keys(), expected_values.keys())
        self.assertTrue(any(name.startswith("optimizer/moment2/") for name in values))
        for name, value in expected_values.items():
            self.assertEqual(values[name].tobytes(), value.tobytes(), name)
        self.assertEqual(support.lasting_metrics(run), support.lasting_metrics(expected))

    def assert_restarts(self, job, count, state="COMPLETED", or_more=False):
        restarts = int(job.wait(state)["Restarts"])
        if or_more:
            self.assertGreaterEqual(restarts, count, job.log())
        else:
            self.assertEqual(restarts, count, job.log())
        starts = re.findall(r": start (\d+) of ", job.log())
        self.assertEqual(starts, [str(n) for n in range(restarts + 1)], job.log())


class Restarts(SlurmTest):
    def test_a_job_that_nears_its_limit_three_times_ends_with_the_bits_of_one_without(self):
        # SLURM looks at limits every 30 s and sends the signal at the last look before it is due:
        # here 10 to 40 s after the start.
        run = self.folder / "run"
        job = self.submit("train.slurm", *train_options(), RUN=run,
                          sbatch=("--time", 10, "--signal", "B:USR1@560"))
        steps = []
        for allocation in (1, 2):
            # Soon: on a busy machine the signal comes after few steps.
            self.hold_at(job, run, (steps[-1] if steps else 0) + STEPS // 50)
            self.undisturbed()  # meanwhile
            job.wait_for_log("USR1, the time limit is near", allocation)
            job.signal_ranks(signal.SIGCONT)
            job.wait_for_log("stopped: exit code 75", allocation)
            steps.append(status(run)["step"])
            self.assertEqual((status(run)["state"], status(run)["exit_code"]), ("stopped", 75))
        self.assert_restarts(job, 2, or_more=True)  # a busy machine needs more than three allocations
        self.assertEqual((status(run)["state"], status(run)["step"]), ("done", STEPS))
        self.assertEqual(sorted(set(steps)), steps)
        self.assertLess(steps[-1], STEPS)
        self.assert_same_bits(run)

    def test_a_crash_after_a_checkpoint_is_requeued_and_goes_on(self):
        run = self.folder / "run"
        job = self.submit("train.slurm", *train_options(save_every_seconds=0.2), RUN=run)
        job.wait_until(lambda: checkpoints(run), "checkpoint")
        self.hold_at(job, run, STEPS // 4)
        os.kill(job.processes()[0], signal.SIGKILL)
        job.signal_ranks(signal.SIGCONT)
        self.assert_restarts(job, 1)
        self.assertIn("crashed: exit code 137", job.log())
        self.assert_same_bits(run)

    def test_a_crash_without_a_new_checkpoint_is_not_requeued(self):
        run = self.folder / "run"
        job = self.submit("train.slurm", *train_options(eval_every=EPOCHS), RUN=run)
        self.hold_at(job, run, STEPS // 4)
        job.signal_ranks(signal.SIGKILL)
        self.assert_restarts(job, 0, "FAILED")
        self.assertIn("not requeued: there is no newer checkpoint", job.log())

    def test_one_that_needs_somebody_to_look_is_not_requeued(self):
        for name, lr, code in (("usage", -1, 2), ("diverged", 1e9, 5)):
            with self.subTest(name):
                run = self.folder / name
                job = self.submit("train.slurm", *train_options(lr=lr), RUN=run, log=f"{name}.log")
                self.assert_restarts(job, 0, "FAILED")
                self.assertEqual(job.describe()["ExitCode"], f"{code}:0")
                self.assertIn(f"not requeued: exit code {code}", job.log())

    def test_a_run_asked_to_stop_for_good_is_not_requeued(self):
        run = self.folder / "run"
        job = self.submit("train.slurm", *train_options(), RUN=run)
        self.hold_at(job, run, STEPS // 4)
        (run / "STOP").touch()
        job.signal_ranks(signal.SIGCONT)
        self.assert_restarts(job, 0, "FAILED")
        self.assertEqual(job.describe()["ExitCode"], "75:0")
        self.assertIn("STOP asks it to stay stopped", job.log())
        self.assertEqual(status(run)["state"], "stopped")

    def test_over_two_nodes_it_stops_alike_and_a_limit_on_restarts_is_kept(self):
        run = self.folder / "run"
        job = self.submit("train.slurm", *train_options(), RUN=run, MAX_RESTARTS=0,
                          sbatch=("--partition", "both", "--nodes", 2, "--ntasks-per-node", 1))
        self.hold_at(job, run, STEPS // 4)
        for environment in job.environments().values():  # for relgrad's own stop before the limit
            self.assertRegex("\n".join(environment), r"\nSLURM_JOB_END_TIME=\d+\n")
        self.slurm.call("scancel", "--batch", "--signal=USR1", job.number)
        job.signal_ranks(signal.SIGCONT)
        self.assert_restarts(job, 0, "FAILED")
        self.assertEqual((job.describe()["NumNodes"], status(run)["state"]), ("2", "stopped"))
        self.assertIn("not requeued: it was restarted MAX_RESTARTS=0 times", job.log())

    def assert_cancelled_job_saves(self, log, **settings):
        run = self.folder / "run"
        job = self.submit("train.slurm", *train_options(), RUN=run, **settings)
        job.wait_until(lambda: reached(run, STEPS // 4), "step")
        self.slurm.call("scancel", job.number)
        self.assert_restarts(job, 0, "CANCELLED")
        job.wait_for_log(log, 1)
        self.assertEqual(status(run)["state"], "stopped")
        self.assertEqual(checkpoints(run)[-1].name, f"step-{status(run)['step']:09d}")

    def test_a_cancelled_job_saves_and_stays_cancelled(self):
        self.assert_cancelled_job_saves("not requeued: it was cancelled")

    def test_ranks_whose_launcher_has_left_are_asked_to_save(self):
        launcher = self.folder / "launcher"
        # As mpirun of Open MPI 5 at a second TERM: it ends and does not tell its ranks.
        launcher.write_text("#!/bin/bash\ntrap 'exit 1' USR1 TERM\nsetsid \"$@\" &\nwait\n")
        launcher.chmod(0o755)
        self.assert_cancelled_job_saves("stopped: exit code", MPIRUN=launcher)


class Scripts(SlurmTest):
    def test_with_srun_it_is_requeued_alike_and_evaluate_writes_its_figures(self):
        run = self.folder / "run"
        job = self.submit("train-srun.slurm", *train_options(), RUN=run)
        self.hold_at(job, run, STEPS // 4)
        self.slurm.call("scancel", "--batch", "--signal=USR1", job.number)
        job.signal_ranks(signal.SIGCONT)
        self.assert_restarts(job, 1)
        self.assertEqual(support.metrics(run, "train")[-1]["world_size"], RANKS)
        self.assert_same_bits(run)

        self.submit("evaluate.slurm", "--draws", 2, RUN=run, log="evaluate.log").wait()
        figures = json.loads((run / "test.json").read_text())
        self.assertEqual((figures["split"], figures["draws"], figures["nonfinite"]), ("test", 2, 0))

    def test_an_array_trains_a_seed_a_task_and_requeues_them_one_by_one(self):
        runs = [self.folder / f"runs/seed-{seed}" for seed in (7, 8)]
        jobs = self.submit("array.slurm", *train_options(), RUN=self.folder / "runs", SEED=7,
                           log="%a.log", sbatch=("--array", "0-1"), tasks=(0, 1))
        self.hold_at(jobs[1], runs[1], STEPS // 4)
        self.slurm.call("scancel", "--batch", "--signal=USR1", jobs[1].number)
        jobs[1].signal_ranks(signal.SIGCONT)
        for restarts, (job, run, seed) in enumerate(zip(jobs, runs, (7, 8))):
            self.assert_restarts(job, restarts)
            self.assertEqual(status(run)["state"], "done")
            self.assertIn(f"\nseed = {seed}\n", (run / "config.ini").read_text())
        self.assertNotEqual(*(support.validation(run)[-1] for run in runs))

    def test_submitted_from_elsewhere_it_asks_for_the_way_to_this_folder(self):
        elsewhere = {"folder": self.folder, "RUN": self.folder / "run"}
        job = self.submit("train.slurm", *train_options(), **elsewhere)
        job.wait("FAILED")
        self.assertIn("set RELGRAD_JOBS", job.log())
        job = self.submit("train.slurm", *train_options(epochs=1), RELGRAD_JOBS=ROOT / "jobs",
                          **elsewhere, log="found.log")
        job.wait()

    def test_a_missing_setting_is_named(self):
        job = self.submit("train.slurm", RUN="")
        self.assertEqual(job.wait("FAILED")["ExitCode"], "2:0")
        self.assertIn("error: RUN is not set", job.log())


if __name__ == "__main__":
    missing = cluster.missing_programs()
    if missing:
        print(f"SLURM is not installed ({', '.join(missing)} missing): nothing was tested; "
              "Debian and Ubuntu: apt-get install slurm-wlm munge")
        sys.exit(77)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # cleans up
    unittest.main(verbosity=2)
