#!/usr/bin/env python3
"""Outputs: whole or absent, never over what is not the command's own, never in the place of a device."""
import os
import shutil
import stat
import subprocess
import sys
import unittest

import faults  # first: it finds what the end-to-end tests share
import support
from faults import newest
from support import h5py, must, numpy, run

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


class Outputs(faults.Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.finished = support.SPACE / "finished"
        must("train", "--data", cls.data, "--run", cls.finished, *support.QUICK)

    def commands(self, report):
        """Command lines that write a report there."""
        evaluate = ["--run", self.finished, "--data", self.data]
        return [["evaluate", *evaluate, "--json", report],
                ["score", *evaluate, "--output", self.folder / "scores.h5", "--json", report],
                ["plan", "--dim", 64, "--json", report]]

    def private_device(self, kind, minor):
        """A node in a file system of this test alone: whatever happens to it, the machine's stays."""
        if INSIDE not in os.environ:
            self.skipTest("no mounting here")
        private = self.folder / "dev"
        private.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", private], check=False)
        node = private / kind
        try:
            if mounted.returncode != 0:
                raise OSError("no mounting here")
            self.addCleanup(subprocess.run, ["umount", "--lazy", private], check=True)
            os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            node.write_bytes(b"") if kind == "null" else None
        except OSError as error:
            self.skipTest(str(error))
        return node

    def test_a_device_is_written_into_and_stays_a_device(self):
        null = self.private_device("null", 3)
        link = self.folder / "link"
        link.symlink_to(null)
        for place in (null, link):
            for words in self.commands(place):
                with self.subTest(words[0], place=place.name):
                    must(*words)
                    self.assertTrue(stat.S_ISCHR(null.stat().st_mode))
                    (self.folder / "scores.h5").unlink(missing_ok=True)
        self.assertEqual(list(null.parent.iterdir()), [null])

    def test_a_full_device_is_exit_6_and_stays_a_device(self):
        full = self.private_device("full", 7)
        for words in self.commands(full):
            with self.subTest(words[0]):
                result = run(*words)
                self.assertEqual(result.code, 6, str(result))
                self.assertTrue(stat.S_ISCHR(full.stat().st_mode))
                (self.folder / "scores.h5").unlink(missing_ok=True)

    def test_a_report_replaces_a_report_and_nothing_else(self):
        report = self.folder / "report.json"
        for words in self.commands(report):
            with self.subTest(words[0]):
                must(*words)
                (self.folder / "scores.h5").unlink(missing_ok=True)
                must(*words)
                (self.folder / "scores.h5").unlink(missing_ok=True)
                for content in ("my notes", '{"mine": 1}', "[" * 200000):
                    report.write_text(content)
                    self.refuses(words, 2, report)
                    self.assertEqual(report.read_text(), content)
                report.unlink()
        shard = next(self.data.glob("train-*.h5"))
        content = shard.read_bytes()
        for place in (shard, self.data / "dataset.json", newest(self.finished) / "manifest.json",
                      self.folder):
            self.refuses(self.commands(place)[0], 2, place)
        self.assertEqual(shard.read_bytes(), content)

    def test_what_exists_is_refused_before_anything_is_computed(self):
        data = self.folder / "data"
        shutil.copytree(self.data, data)
        shard = next(data.glob("train-*.h5"))
        content = shard.read_bytes()
        nowhere = self.folder / "a.h5"
        nowhere.symlink_to(self.folder / "victim")
        picture = self.folder / "a.png"
        picture.write_text("mine")
        cut = next(data.glob("test-*.h5"))  # would be an error of the data, exit 3
        cut.write_bytes(cut.read_bytes()[:-10])
        for place in (shard, nowhere, picture):
            self.refuses(["score", "--run", self.finished, "--data", data, "--output", place], 2,
                         place)
            self.refuses(["sample", "--run", self.finished, "--output", place], 2, place)
        self.refuses(["bench", "step", "--dim", 32, "--dump", shard], 2, shard)
        self.assertEqual(shard.read_bytes(), content)
        self.assertEqual(picture.read_text(), "mine")
        self.assertFalse((self.folder / "victim").exists())

    def test_links_at_the_names_of_old_temporary_files_lead_nowhere(self):
        victim = self.folder / "victim"
        victim.write_text("kept")
        for name in ("out.png.tmp", "e.json.tmp"):
            (self.folder / name).symlink_to(victim)
        directory = self.folder / "run"
        directory.mkdir()
        for name in ("config.ini.tmp", "STATUS.tmp", ".tmp-LATEST", "metrics.jsonl.tmp"):
            (directory / name).symlink_to(victim)
        must("sample", "--run", self.finished, "--output", self.folder / "out.png")
        must("evaluate", "--run", self.finished, "--data", self.data, "--json",
             self.folder / "e.json")
        must("train", "--data", self.data, "--run", directory, *support.QUICK)
        self.assertEqual(victim.read_text(), "kept")

    def test_links_at_the_names_of_a_run_lead_nowhere(self):
        for name in ("LOCK", "STATUS", "LATEST", "metrics.jsonl", "config.ini"):
            with self.subTest(name):
                victim = self.folder / "victim"
                victim.write_text("kept")
                directory = self.folder / name.lower()
                directory.mkdir()
                (directory / name).symlink_to(victim)
                for resume in ("never", "auto"):
                    self.refuses(["train", "--data", self.data, "--run", directory, "--resume",
                                  resume, *support.QUICK], 2, directory)
                self.assertEqual(victim.read_text(), "kept")

    def test_too_many_pictures_for_a_png_are_refused(self):
        data = support.prepared_from("dots", train=numpy.zeros((30, 1, 1), numpy.uint8),
                                     val=numpy.zeros((9, 1, 1), numpy.uint8))
        directory = self.folder / "dots"
        must("train", "--data", data, "--run", directory, "--no-marginal", "--activation", "none",
             "--max-steps", 1)
        for count in (1278000, 10 ** 9):
            self.refuses(["sample", "--run", directory, "--count", count, "--output",
                          self.folder / "a.png"], 2, "--count")
        self.assertFalse((self.folder / "a.png").exists())

    def test_samples_that_overflow_are_refused(self):
        values = numpy.random.default_rng(1).normal(size=(60, 3)).astype(numpy.float32)
        data = support.prepared_from("reals", train=values, val=values[:1])
        directory = self.folder / "reals"
        must("train", "--data", data, "--run", directory, "--epochs", 1, "--no-marginal")
        self.refuses(["sample", "--run", directory, "--temperature", 1e39, "--output",
                      self.folder / "a.h5"], 2, "not finite", "--temperature")
        self.assertFalse((self.folder / "a.h5").exists())

        result = must("evaluate", "--run", directory, "--data", data, "--split", "val")
        self.assertIn("no standard error", result.out)
        self.assertNotIn("+-", result.out)
        scaled = support.prepared_from("scaled", train=values * 255, test=values * 255)
        result = must("evaluate", "--run", directory, "--data", scaled)
        self.assertIn("the same unit?", result.err)
        shaped = support.prepared_from("shaped", train=values.reshape(60, 1, 3, 1),
                                       test=values.reshape(60, 1, 3, 1))
        result = must("evaluate", "--run", directory, "--data", shaped)
        self.assertIn("warning", result.err)
        self.assertIn("[1, 3, 1]", result.err)


class Killed(faults.Test):
    def test_samples_are_whole_or_absent(self):
        directory = self.undisturbed(0)
        output = self.folder / "a.h5"
        library = faults.shim()
        if library is None:
            self.skipTest("no shim")
        words = ["sample", "--run", directory, "--count", 2000, "--output", output]
        count = self.folder / "count"
        must(*words, **faults.preloaded(library, SHIM_BELOW=self.folder, SHIM_COUNT=count))
        output.unlink()
        for call in range(1, int(count.read_text()) + 1):
            result = run(*words, **faults.preloaded(library, SHIM_BELOW=self.folder,
                                                    SHIM_FAIL=f"{call}:28"))
            self.assertIn(result.code, (0, 6), f"call {call}: {result}")
            if output.exists():
                with h5py.File(output) as file:
                    self.assertTrue(file["samples"][...].any(axis=1).all())
                output.unlink()
            self.assertEqual([path.name for path in self.folder.iterdir()], ["count"], str(call))


if __name__ == "__main__":
    enter_namespace()
    unittest.main(verbosity=2)
