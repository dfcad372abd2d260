#!/usr/bin/env python3
"""A disk that is full, that takes half of what it is given, or that fails once."""
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import unittest

import faults  # first: it finds what the end-to-end tests share
from faults import newest, preloaded
from support import (checkpoints, finish, hear, must, reached, run, start, status,
                     wait_for)

NOT_SAVED = "checkpoint not saved, training goes on"
METRICS_LOST = "metrics are lost until there is space"
INSIDE = "RELGRAD_FAULT_NAMESPACE"


def enter_namespace():
    """Starts this script again where it may mount, and where a mount ends with it."""
    if INSIDE in os.environ or shutil.which("unshare") is None:
        return
    for words in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            environment = {**os.environ, INSIDE: "yes", "RELGRAD_FAULT_SEED": str(faults.SEED)}
            shutil.rmtree(faults.SPACE)
            os.execvpe("unshare", [*words, sys.executable, *sys.argv], environment)


class DiskTest(faults.Test):
    def small_disk(self, mebibytes):
        """A file system of its own, empty; skips the test where mounting is not permitted."""
        if INSIDE not in os.environ:
            self.skipTest("no mounting here")
        disk = self.folder / "disk"
        disk.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", disk]
        mounted = subprocess.run(words, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"no mounting here: {mounted.stderr}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", disk], check=True)
        return disk

    @staticmethod
    def fill(disk):
        """A file that takes all there is; freed by unlinking it. Again, it takes what is new."""
        ballast = disk / "ballast"
        with ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error
        return ballast

    def assert_weights(self, directory, expected):
        """The same bits of everything but metrics.jsonl, where lines were lost."""
        ours, theirs = newest(directory), newest(expected)
        self.assertEqual(ours.name, theirs.name)
        hashes = [{t["name"]: t["hash"] for t in faults.support.manifest(c)["tensors"]}
                  for c in (ours, theirs)]
        self.assertEqual(*hashes)
        lines = faults.support.lasting_metrics(directory)  # every line can be read
        for line in lines:
            self.assertIn(line, faults.support.lasting_metrics(expected))
        return len(lines)


class Full(DiskTest):
    def full_while_training(self, directory, disk, **options):
        """A run whose disk filled up after some saves; its process, what it said, the ballast."""
        process = start(*self.words(directory, **options))
        wait_for(lambda: len(checkpoints(directory)) >= 2 and reached(directory, 100), "saves")
        heard = ""
        # the second time it takes what was freed by the save under way at the first
        for words in (NOT_SAVED, METRICS_LOST):
            os.kill(process.pid, signal.SIGSTOP)
            ballast = self.fill(disk)
            os.kill(process.pid, signal.SIGCONT)
            heard += hear(process, words) if words not in heard else ""
        return process, heard, ballast

    def test_it_trains_on_and_saves_again_when_there_is_space(self):
        disk = self.small_disk(24)
        directory = disk / "run"
        process, heard, ballast = self.full_while_training(directory, disk)
        at_worst = checkpoints(directory)
        self.assertGreaterEqual(len(at_worst), 1)
        ballast.unlink()
        result = finish(process)
        self.assertEqual(result.code, 0, heard + str(result))
        self.assertEqual((heard + result.err).count(METRICS_LOST), 1)
        lines = self.assert_weights(directory, self.undisturbed(0))
        self.assertLess(lines, len(faults.support.metrics(self.undisturbed(0))))
        self.assertGreater(newest(directory), at_worst[-1])
        self.assert_sound(directory)

    def test_if_it_stays_full_the_run_ends_with_6_and_can_be_resumed(self):
        disk = self.small_disk(24)
        directory = disk / "run"
        process, heard, ballast = self.full_while_training(directory, disk)
        result = finish(process)
        self.assertEqual(result.code, 6, str(result))
        self.assertEqual(len(result.errors()), 1, str(result))
        self.assertIn("the last checkpoint could not be saved", result.errors()[0])
        self.assertEqual((heard + result.err).count(METRICS_LOST), 1)
        self.assert_sound(directory)
        self.assertFalse(list(directory.glob("ckpt/.tmp-*")))
        self.assertFalse((directory / "LOCK").exists())

        again = run(*self.words(directory, resume="auto"))  # still no space
        self.assertEqual(again.code, 6, str(again))
        self.assert_sound(directory)

        ballast.unlink()
        must(*self.words(directory, resume="auto"))
        self.assert_same_bits(directory, self.undisturbed(0))
        self.assert_sound(directory)

    def test_on_a_full_disk_nothing_starts_and_nothing_is_left(self):
        disk = self.small_disk(4)
        directory = disk / "run"
        ballast = self.fill(disk)
        before = sorted(disk.rglob("*"))
        self.refuses(self.words(directory), 6, directory)
        finished = self.undisturbed(0)
        for words in (["sample", "--run", finished, "--count", 20, "--output", disk / "a.png"],
                      ["sample", "--run", finished, "--count", 20, "--output", disk / "a.h5"],
                      ["score", "--run", finished, "--data", self.data, "--output", disk / "b.h5"],
                      ["evaluate", "--run", finished, "--data", self.data, "--json",
                       disk / "c.json"]):
            with self.subTest(words[-1].name):
                result = run(*words)
                self.assertEqual(result.code, 6, str(result))
                self.assertEqual(len(result.errors()), 1, str(result))
                self.assertIn(str(words[-1]), result.errors()[0])
        self.assertEqual(sorted(disk.rglob("*")), before)
        ballast.unlink()
        must(*self.words(directory))

    def test_prepare_leaves_nothing(self):
        disk = self.small_disk(2)
        for rows in (100000, 32700):  # the first shard does not fit; what comes last does not
            self.refuses(["prepare", "--output", disk / "data", *faults.support.SMALL, "--rows",
                          rows, "--val-last", 10], 6, disk)
            self.assertEqual(list(disk.iterdir()), [])
        must("prepare", "--output", disk / "data", *faults.support.SMALL, "--rows", 1000)


class SizeLimit(DiskTest):
    """`ulimit -f`: the signal SIGXFSZ, which ends a program that does not expect it."""

    def test_prepare_is_told_and_leaves_nothing(self):
        for limit in (1, 8192, 100000):
            script = self.folder / "limited"
            script.write_text(f'#!{sys.executable}\nimport os, resource, sys\n'
                              f'resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n'
                              f'os.execv("{faults.support.PROGRAM}", sys.argv)\n')
            script.chmod(0o755)
            result = run("prepare", "--output", self.folder / "data", *faults.support.SMALL,
                         "--rows", 4000, program=script)
            self.assertEqual(result.code, 6, str(result))
            self.assertIn("File too large", result.err)
            self.assertEqual([path.name for path in self.folder.iterdir()], ["limited"])

    @staticmethod
    def stop_between_saves(process, directory):
        def stopped():
            os.kill(process.pid, signal.SIGSTOP)
            wait_for(lambda: faults.state_of(process.pid) in "TZ", "stop")
            if not list(directory.glob("ckpt/.tmp-*")):
                return True
            os.kill(process.pid, signal.SIGCONT)
            return False

        wait_for(stopped, "moment between two saves")

    def test_a_run_goes_on_without_what_is_too_large_and_ends_with_6(self):
        expected = self.undisturbed(0)
        shard = newest(expected) / "shard-0000.h5"
        # too small for a checkpoint; for metrics.jsonl too
        for limit in (shard.stat().st_size - 1, 4096):
            with self.subTest(limit):
                directory = self.folder / str(limit)
                process = start(*self.words(directory))
                wait_for(lambda: reached(directory, 100) and newest(directory), "checkpoint")
                # MPI has made its files by now, and a save looks at the limit when it begins
                self.stop_between_saves(process, directory)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
                os.kill(process.pid, signal.SIGCONT)
                result = finish(process)
                self.assertEqual(result.code, 6, str(result))
                self.assertIn(NOT_SAVED, result.err)
                self.assertIn("File too large", result.errors()[0])
                self.assertEqual(METRICS_LOST in result.err, limit == 4096)
                self.assert_sound(directory)
                must(*self.words(directory, resume="auto"))
                self.assert_same_bits(directory, expected)


class Unreliable(DiskTest):
    """A library between program and system: half writes, interruptions, a call that fails."""

    def setUp(self):
        super().setUp()
        self.preload = faults.shim()
        if self.preload is None:
            self.skipTest("no shim")

    def shimmed(self, directory, **settings):
        return preloaded(self.preload, SHIM_BELOW=directory, **settings)

    def test_half_writes_and_interruptions_change_nothing(self):
        for ranks in (0, 2):
            directory = self.folder / str(ranks)
            result = must(*self.words(directory), ranks=ranks,
                          **self.shimmed(directory, SHIM_SHORT=1))
            self.assertNotIn("warning", result.err)
            self.assert_same_bits(directory, self.undisturbed(ranks))
            self.assert_sound(directory)
        data = self.folder / "data"
        must("prepare", "--output", data, *faults.support.SMALL, "--rows", faults.ROWS,
             "--val-last", 50, **self.shimmed(self.folder, SHIM_SHORT=1))
        for shard in self.data.glob("*.h5"):
            self.assertEqual((data / shard.name).read_bytes(), shard.read_bytes(), shard.name)

    def calls(self, words, below):
        count = self.folder / "count"
        must(*words, **self.shimmed(below, SHIM_COUNT=count))
        return int(count.read_text())

    def test_one_call_that_fails_costs_at_most_that_file(self):
        options = {"epochs": 20, "save_every_seconds": 0.05}
        expected = self.undisturbed(0, epochs=20)
        calls = self.calls(self.words(self.folder / "counted", **options), self.folder)
        for number in range(faults.runs(6)):
            with self.repeat("call", number):
                dice = faults.chance("call", number)
                # the first calls are of config.ini, STATUS and LOCK
                call = dice.choice((dice.randint(1, 20), dice.randint(1, calls)))
                error = dice.choice((errno.ENOSPC, errno.EIO, errno.EDQUOT))
                directory = self.folder / str(number)
                result = run(*self.words(directory, **options),
                             **self.shimmed(directory, SHIM_FAIL=f"{call}:{error}"))
                self.assertIn(result.code, (0, 6), f"call {call}, errno {error}: {result}")
                self.assertEqual(len(result.errors()), result.code // 6, str(result))
                self.assertFalse((directory / "LOCK").exists(), str(result))
                if checkpoints(directory):
                    self.assert_sound(directory)
                must(*self.words(directory, resume="auto", **options))
                self.assert_weights(directory, expected)
                if METRICS_LOST not in result.err:
                    self.assert_same_bits(directory, expected)

    def test_one_call_that_fails_leaves_no_half_data_set(self):
        words = ["prepare", *faults.support.SMALL, "--rows", 300, "--rows-per-shard", 100]
        place = self.folder / "place"
        place.mkdir()
        calls = self.calls([*words, "--output", place / "counted"], place)
        shutil.rmtree(place / "counted")
        self.assertGreater(calls, 20)
        for call in range(1, calls + 1):
            with self.subTest(call=call):
                result = run(*words, "--output", place / "data",
                             **self.shimmed(place, SHIM_FAIL=f"{call}:{errno.ENOSPC}"))
                self.assertEqual(result.code, 6, str(result))
                self.assertEqual(len(result.errors()), 1, str(result))
                if (place / "data").exists():  # the last call, when it has its name already
                    self.assertEqual(call, calls)
                    must("inspect", place / "data", "--verify")
                else:
                    self.assertEqual(list(place.iterdir()), [], str(result))
                shutil.rmtree(place / "data", ignore_errors=True)


if __name__ == "__main__":
    enter_namespace()
    unittest.main(verbosity=2)
