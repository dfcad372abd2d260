#!/usr/bin/env python3
"""Two jobs and one run directory; locks that dead jobs left; clocks that jump."""
import json
import os
import signal
import socket
import unittest

import faults  # first: it finds what the end-to-end tests share
from faults import kill, newest, preloaded
from support import PROGRAM, checkpoints, finish, must, reached, start, status, wait_for

HOURS = 3600


def contents(directory):
    """Every file below `directory`, byte for byte."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class Locks(faults.Test):
    def in_use(self, directory, ranks=0):
        """A second job is refused and changes nothing; returns its line of error."""
        before = contents(directory)
        result = self.refuses(self.words(directory, resume="auto"), 2, directory, ranks=ranks)
        self.assertEqual(contents(directory), before)
        return result.errors()[0]

    def killed_run(self, directory):
        """A run that was killed half-way and its process, still a zombie: nobody asks for it."""
        process = start(*self.words(directory))
        self.addCleanup(finish, process)
        wait_for(lambda: reached(directory, 200), "step 200")
        kill(process.pid)
        wait_for(lambda: not faults.is_running(process.pid), "end")
        return process

    def goes_on(self, directory, ranks=0, **keywords):
        result = must(*self.words(directory, resume="auto"), ranks=ranks, **keywords)
        self.assertFalse((directory / "LOCK").exists())
        self.assert_same_bits(directory, self.undisturbed(ranks))
        self.assert_sound(directory)
        return result

    def test_a_second_job_is_refused_and_the_first_unharmed(self):
        directory = self.folder / "run"
        first = start(*self.words(directory))
        wait_for(lambda: newest(directory) and reached(directory, 50), "checkpoint")
        os.kill(first.pid, signal.SIGSTOP)  # so that it does not end meanwhile
        try:
            for ranks in (0, 2):
                told = self.in_use(directory, ranks)
                self.assertIn(f"in use by process {first.pid} on {socket.gethostname()}", told)
            self.refuses(self.words(directory), 2, "already holds a run")
        finally:
            os.kill(first.pid, signal.SIGCONT)
        self.assertEqual(finish(first).code, 0)
        self.assert_same_bits(directory, self.undisturbed(0))

    def test_the_lock_of_a_dead_job_is_taken_over_though_its_process_is_a_zombie(self):
        directory = self.folder / "run"
        process = self.killed_run(directory)
        self.assertEqual(json.loads((directory / "LOCK").read_text())["pid"], process.pid)
        self.goes_on(directory)

    def test_the_lock_of_another_host_stands_until_it_is_removed(self):
        directory = self.folder / "run"
        self.killed_run(directory)
        lock = directory / "LOCK"
        lock.write_text(json.dumps({**json.loads(lock.read_text()), "host": "another-host"}))
        told = self.in_use(directory)
        self.assertRegex(told, "in use by process [0-9]+ on another-host; .*remove .*/LOCK ")
        lock.unlink()
        self.goes_on(directory)

    def test_a_lock_with_the_number_of_a_living_process_or_ones_own_is_taken_over(self):
        directory = self.folder / "run"
        self.killed_run(directory)
        lock = {"host": socket.gethostname(), "pid": os.getpid(), "job": ""}
        (directory / "LOCK").write_text(json.dumps(lock))
        result = faults.run(*self.words(directory, resume="auto", max_seconds=1e-6))
        self.assertEqual(result.code, 0, str(result))
        self.assertIn("by --max-seconds", result.err)
        # in containers the same job has the same number again
        script = self.folder / "own-number"
        text = json.dumps({**lock, "pid": 0}).replace(" 0,", " $$,").replace('"', '\\"')
        script.write_text(f'#!/bin/sh\necho "{text}" > {directory}/LOCK\nexec "{PROGRAM}" "$@"\n')
        script.chmod(0o755)
        self.goes_on(directory, program=script)

    def test_a_lock_that_cannot_be_read(self):
        original = self.folder / "killed"
        self.killed_run(original)
        texts = (b"", b'{"host": ', b"[]", b"\xff\0", b'{"host": 1, "pid": ""}')
        for number, text in enumerate(texts):
            with self.subTest(text):
                directory = self.folder / str(number)
                faults.shutil.copytree(original, directory)
                (directory / "LOCK").write_bytes(text)
                self.goes_on(directory)
        directory = self.folder / "directory"
        directory.mkdir()
        (directory / "LOCK").mkdir()
        self.refuses(self.words(directory), 6, directory / "LOCK")

    def test_of_jobs_that_start_together_one_runs(self):
        for name in ("fresh", "stale"):
            with self.subTest(name):
                directory = self.folder / name
                if name == "stale":
                    self.killed_run(directory)
                words = self.words(directory, resume="auto", epochs=1000000)
                jobs = [start(*words) for _ in range(4)]
                wait_for(lambda: sum(job.poll() is not None for job in jobs) >= 3, "refusals")
                alive = [job for job in jobs if job.poll() is None]
                self.assertEqual(len(alive), 1)
                self.assertEqual(json.loads((directory / "LOCK").read_text())["pid"], alive[0].pid)
                wait_for(lambda: reached(directory, 300), "step 300")
                (directory / "STOP").touch()
                self.assertEqual(finish(alive[0]).code, 75)
                for job in jobs:
                    if job not in alive:
                        result = finish(job)
                        self.assertEqual(result.code, 2, str(result))
                        self.assertRegex(result.err, "in use by process|being opened by another")
                self.assert_sound(directory)

    def test_a_lock_half_written_is_respected(self):
        library = faults.shim()
        if library is None:
            self.skipTest("no shim")
        directory, gate = self.folder / "run", self.folder / "gate"
        gate.touch()
        first = start(*self.words(directory), **preloaded(library, SHIM_BELOW=directory,
                                                          SHIM_HOLD=f"/LOCK:{gate}"))
        try:
            wait_for((self.folder / "gate.held").exists, "LOCK")
            self.assertEqual((directory / "LOCK").read_bytes(), b"")
            second = faults.run(*self.words(directory, resume="auto"))
            self.assertEqual(second.code, 2, str(second))
        finally:
            gate.unlink()
        self.assertEqual(finish(first).code, 0)
        self.assert_same_bits(directory, self.undisturbed(0))


class Clocks(faults.Test):
    """The clock of the day is hours wrong, from the start or from the middle of the run on."""

    def setUp(self):
        super().setUp()
        self.preload = faults.shim()
        if self.preload is None:
            self.skipTest("no shim")

    def shifted(self, hours, milliseconds):
        return preloaded(self.preload, SHIM_SHIFT=f"{hours * HOURS}:{milliseconds}")

    def test_a_jump_changes_no_bit_and_no_save(self):
        for ranks, hours, milliseconds in ((0, -5, 0), (0, 5, 400), (2, -5, 700), (2, 5, 700)):
            with self.subTest(hours=hours, from_ms=milliseconds, ranks=ranks):
                directory = self.folder / f"{ranks}-{hours}"
                must(*self.words(directory), ranks=ranks, **self.shifted(hours, milliseconds))
                self.assertEqual(status(directory)["state"], "done")
                self.assert_same_bits(directory, self.undisturbed(ranks))
                saves = faults.support.manifest(newest(directory))["ordinal"]
                self.assertGreater(saves, 3, "the clock of the day decided when to save")

    def test_killed_and_resumed_in_the_past_it_ends_with_the_same_bits(self):
        directory = self.folder / "run"
        for hours in (48, 0, -48):
            process = start(*self.words(directory, resume="auto"), **self.shifted(hours, 0))
            before = newest(directory)
            wait_for(lambda: newest(directory) != before or process.poll() is not None, "save")
            kill(process.pid)
            finish(process)
        found = newest(directory)
        result = must(*self.words(directory, resume="auto"), **self.shifted(-1000, 0))
        self.assertIn(f"resumed from {found} ", result.err)
        self.assert_same_bits(directory, self.undisturbed(0))
        self.assertFalse(list(directory.glob("ckpt/.stale-*")))

    def test_the_shim_does_shift_the_clock(self):
        data = self.folder / "data"
        must("prepare", "--output", data, *faults.support.SMALL, "--rows", 20,
             **self.shifted(-24 * 366, 0))
        ours = json.loads((data / "dataset.json").read_text())["created"]["time"]
        theirs = json.loads((self.data / "dataset.json").read_text())["created"]["time"]
        self.assertLess(int(ours[:4]), int(theirs[:4]))


class Unreadable(faults.Test):
    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_a_checkpoint_without_permission_is_passed_over(self):
        original = self.folder / "original"
        must(*self.words(original))
        for name in ("manifest.json", "shard-0000.h5", "."):
            with self.subTest(name):
                directory = self.folder / f"no-{name}"
                faults.shutil.copytree(original, directory)
                damaged, older = checkpoints(directory)[-1], checkpoints(directory)[-2]
                (damaged / name).chmod(0)
                result = must(*self.words(directory, resume="auto"))
                self.assertIn(f"resumed from {older} ", result.err)
                self.assert_same_bits(directory, self.undisturbed(0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
