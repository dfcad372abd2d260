#!/usr/bin/env python3
"""Killed at any moment, again and again, a run ends with the bits of one that nobody disturbed."""
import signal
import subprocess
import time
import unittest

import faults  # first: it finds what the end-to-end tests share
from faults import OPTIONS, STEPS, STEPS_PER_EPOCH, children, has_option, is_running, kill, \
    latest_step, newest, step_of
from support import checkpoints, finish, must, start, status, wait_for

PHASES = ("staged", "created", "written", "synced", "agreed", "manifest", "renamed", "latest",
          "trashed")
COMMITTED = ("renamed", "latest", "trashed")  # phases after which the checkpoint exists
# What asks a rank to save and stop.
REQUESTS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP, signal.SIGINT,
            signal.SIGQUIT, signal.SIGXCPU)
# Seconds that mpirun gives the other ranks once one is dead; its default is 1.
AT_ONCE = {f"{prefix}_MCA_odls_base_sigkill_timeout": "0" for prefix in ("OMPI", "PRTE")}


class KillTest(faults.Test):
    def goes_on_from(self, directory, result, step):
        """The start told by `result` found what was there: the checkpoint of `step`, or none."""
        if step < 0:
            self.assertNotIn("resumed from", result.err, str(result))
        else:
            self.assertIn(f"resumed from {directory}/ckpt/step-{step:09d} ", result.err,
                          str(result))

    def ends(self, directory, ranks, expected, **options):
        """Resumes for the last time: all of it is there, and nothing else."""
        before = step_of(newest(directory))
        steps = STEPS_PER_EPOCH * options.get("epochs", OPTIONS["epochs"])
        result = must(*self.words(directory, resume="auto", **options), ranks=ranks)
        self.goes_on_from(directory, result, before)
        self.assertNotIn("warning", result.err, str(result))
        self.assertEqual((status(directory)["state"], status(directory)["step"]), ("done", steps))
        self.assert_same_bits(directory, expected)
        self.assert_sound(directory)
        left = {path.name for path in (directory / "ckpt").iterdir()}
        if before < steps:  # it saved, and a save clears away what dead ones left
            self.assertEqual(left, {path.name for path in checkpoints(directory)})
        self.assertFalse((directory / "LOCK").exists())
        return result


class AtRandom(KillTest):
    """RELGRAD_FAULT_RUNS runs, each killed or asked to stop some times until it ends."""

    def test_the_bits_are_those_of_the_undisturbed_run(self):
        deterministic = {"deterministic": True} if has_option("deterministic") else {}
        for number in range(faults.runs(4)):
            with self.repeat("kill", number):
                dice = faults.chance("kill", number)
                # 0: without a launcher
                ranks = [0, 1, 2][number % 3] if not deterministic else None
                expected = self.undisturbed(1 if deterministic else ranks, **deterministic)
                self.one_run(self.folder / str(number), ranks, dice, expected, deterministic)

    def one_run(self, directory, ranks, dice, expected, options):
        def here():
            return dice.choice((0, 1, 2, 3, 4)) if ranks is None else ranks

        for _ in range(dice.randint(1, 4)):
            if not self.start_and_kill(directory, here(), dice, options):
                break  # it had ended
        self.ends(directory, here(), expected, **options)

    def start_and_kill(self, directory, ranks, dice, options):
        """False if the run was done before its time had come."""
        there = step_of(newest(directory))
        process = start(*self.words(directory, resume="auto", **options), ranks=ranks,
                        **dice.choice(({}, AT_ONCE)))
        self.random_moment(directory, process, dice, started_at=latest_step(directory))
        promised = latest_step(directory)
        was_running = process.poll() is None
        result = self.lose(process, ranks, dice)

        found = step_of(newest(directory))
        self.assertGreaterEqual(found, promised, "LATEST named a checkpoint that is gone")
        self.assertGreaterEqual(found, there, "the checkpoint it started from is gone")
        self.assertGreaterEqual(found, latest_step(directory))
        if "resumed from" in result.err:
            self.goes_on_from(directory, result, there)
        self.assertNotIn("relgrad: error", result.err, str(result))
        return was_running

    @staticmethod
    def random_moment(directory, process, dice, started_at):
        """Anywhere in the run, its start included, or within a save."""
        def ended():
            return process.poll() is not None

        kind = dice.choice(("any time", "running", "saving", "saved"))
        if kind == "running":
            wait_for(lambda: (directory / "metrics.jsonl").exists() or ended(), "metrics")
        elif kind == "saving":
            wait_for(lambda: any(directory.glob("ckpt/.tmp-*")) or ended(), "save")
            time.sleep(dice.uniform(0, 0.003))
            return
        elif kind == "saved":
            wait_for(lambda: latest_step(directory) > started_at or ended(), "new checkpoint")
        time.sleep(dice.uniform(0, 0.6))

    @staticmethod
    def lose(process, ranks, dice):
        """Kills the launcher, a rank or all, or sends one of REQUESTS to a rank; comes back when every
        process has ended."""
        family = children(process.pid) if ranks else []
        victims = dice.choice([[process.pid], *[[rank] for rank in family],
                               [process.pid, *family]])
        number = signal.SIGKILL
        if dice.random() < 0.5 and (family or not ranks):
            number = dice.choice(REQUESTS)
            victims = [dice.choice(family or [process.pid])]
        for victim in victims:
            kill(victim, number)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            # Open MPI's launcher may wait for ever where a rank is killed while it connects to it ("PMIX
            # ERROR: UNREACHABLE"): it goes as well, once no rank is left.
            wait_for(lambda: not any(map(is_running, family)), "end of the ranks")
            kill(process.pid)
        result = finish(process)
        # Ranks whose launcher is gone end by themselves, or go with their node.
        patience = time.monotonic() + dice.choice((0, 5))
        while any(map(is_running, family)) and time.monotonic() < patience:
            time.sleep(0.01)
        for rank in filter(is_running, family):
            kill(rank)
        wait_for(lambda: not any(map(is_running, family)), "end of the ranks")
        return result


class WhileSaving(KillTest):
    """RELGRAD_FAULT ends a process right after a phase of a save."""

    @staticmethod
    def fault(phase, kind="kill"):
        """Environment in which every rank has the fault."""
        return {"RELGRAD_FAULT": f"checkpoint:{phase}:{kind}", **AT_ONCE}

    def test_killed_after_every_phase_of_a_save(self):
        for ranks in (0, 2):  # 0: without a launcher
            options = {"exchange": "sharded", "keep_last": 2}
            expected = self.undisturbed(ranks, **options)
            directory = self.folder / f"{ranks}-ranks"
            for phase in ("latest", "latest", *PHASES):
                with self.subTest(phase, ranks=ranks):
                    before = checkpoints(directory)

                    result = finish(start(*self.words(directory, resume="auto", **options),
                                          ranks=ranks, **self.fault(phase)))

                    self.assertNotIn(result.code, (0, 75), str(result))
                    self.goes_on_from(directory, result, step_of(max(before, default=None)))
                    after = checkpoints(directory)
                    if phase not in COMMITTED:
                        self.assertEqual(after, before)
                    elif phase != "trashed":  # that one needs a save with something to remove
                        self.assertEqual(len(after), len(before) + 1)
                    self.assertLess(step_of(newest(directory)), STEPS, "ended before it was killed")
            self.ends(directory, ranks, expected, **options)

    def test_one_rank_of_two_is_killed_and_the_other_ends_too(self):
        expected = self.undisturbed(2, exchange="sharded")
        directory = self.folder / "run"
        script = self.folder / "one-rank"
        script.write_text('#!/bin/sh\n'
                          'test "$OMPI_COMM_WORLD_RANK" = "$VICTIM" || unset RELGRAD_FAULT\n'
                          f'exec "{faults.support.PROGRAM}" "$@"\n')
        script.chmod(0o755)
        for phase, victim in (("latest", 0), ("created", 1), ("synced", 0), ("synced", 1)):
            with self.subTest(phase, rank=victim):
                before = newest(directory)
                result = finish(start(*self.words(directory, resume="auto", exchange="sharded"),
                                      ranks=2, program=script, VICTIM=str(victim),
                                      **self.fault(phase)))
                self.assertNotIn(result.code, (0, 75), str(result))
                if phase != "latest":
                    self.assertEqual(newest(directory), before)
        self.ends(directory, 2, expected, exchange="sharded")

    def test_a_save_that_fails_costs_a_checkpoint_and_not_the_run(self):
        expected = self.undisturbed(0, epochs=20)
        first = self.folder / "first"
        finish(start(*self.words(first, epochs=20), **self.fault("latest")))
        whole = checkpoints(first)
        self.assertEqual(len(whole), 1)
        for phase in PHASES:
            with self.subTest(phase):
                directory = self.folder / phase
                faults.shutil.copytree(first, directory)
                words = self.words(directory, resume="auto", epochs=20)

                result = finish(start(*words, **self.fault(phase, "fail")))

                if phase in COMMITTED:
                    self.assertEqual(result.code, 0, str(result))
                else:
                    self.assertEqual(result.code, 6, str(result))
                    self.assertIn("checkpoint not saved, training goes on", result.err)
                    self.assertEqual(len(result.errors()), 1, str(result))
                    self.assertIn("the last checkpoint could not be saved", result.errors()[0])
                    self.assertEqual([path.name for path in (directory / "ckpt").iterdir()],
                                     [whole[0].name])
                    self.assertEqual(status(directory)["exit_code"], 6)
                self.ends(directory, 0, expected, epochs=20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
