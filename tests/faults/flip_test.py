#!/usr/bin/env python3
"""A damaged file is found, told, and passed over; none is ever taken for whole."""
import json
import os
import pathlib
import shutil
import unittest

import faults  # first: it finds what the end-to-end tests share
from faults import newest
from support import checkpoints, must, run, status


def flip(path, dice):
    """Changes one byte of a file; returns what it was changed from."""
    content = path.read_bytes()
    place = dice.randrange(len(content))
    changed = bytearray(content)
    changed[place] ^= dice.randrange(1, 256)
    path.write_bytes(changed)
    return content


class FlipTest(faults.Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ranks = 2  # several shards: moments are where their owner is
        cls.directory = cls.undisturbed(cls.ranks, exchange="sharded")
        assert len(checkpoints(cls.directory)) >= 3, "too few checkpoints to fall back to"
        assert len(list(newest(cls.directory).glob("*.h5"))) == 2, "not several shards"

    def copy(self, name):
        copy = self.folder / name
        shutil.copytree(self.directory, copy)
        return copy

    def falls_back(self, directory, damaged):
        """Resumes past the newest checkpoint, or from it where the damage is none of its own."""
        older = checkpoints(self.directory)[-2].name
        result = must(*self.words(directory, resume="auto", exchange="sharded"), ranks=self.ranks)
        if damaged:
            self.assertRegex(result.err, f"relgrad: warning: .*{newest(self.directory).name}")
            self.assertIn(f"resumed from {directory}/ckpt/{older} ", result.err)
        else:
            self.assertIn("already done", result.err)
        self.assertEqual(status(directory)["state"], "done")
        self.assert_same_bits(directory, self.directory)
        self.assert_sound(directory)


class Flips(FlipTest):
    """RELGRAD_FAULT_RUNS flipped bytes: in shards, in manifests, in LATEST."""

    RESUMES = 4

    def test_a_flipped_byte_is_found_or_harmless(self):
        directory = self.copy("run")
        found = harmless = 0
        for number in range(faults.runs(60)):
            with self.repeat("flip", number):
                dice = faults.chance("flip", number)
                checkpoint = dice.choice(checkpoints(directory))
                path = checkpoint / dice.choice(("shard-0000.h5", "shard-0001.h5", "manifest.json"))
                original = flip(path, dice)
                try:
                    detected = self.is_detected(checkpoint, path, original)
                finally:
                    path.write_bytes(original)
                found, harmless = found + detected, harmless + (not detected)
        print(f"{found} flips found, {harmless} harmless")
        self.assert_sound(directory)
        self.assertGreater(found, 0.9 * (found + harmless))

    def is_detected(self, checkpoint, path, original):
        """Whether the program finds the damage; if not, it must be none."""
        for place in (checkpoint, checkpoint.parent.parent):  # the checkpoint; all of the run
            result = run("inspect", place, "--verify")
            self.assertIn(result.code, (0, 4), str(result))
            if result.code == 4:
                self.assertGreaterEqual(len(result.errors()), 1, str(result))
                self.assertIn(str(path), " ".join(result.errors()))
        if result.code == 4:
            return True
        self.assertEqual(path.name, "manifest.json", "a damaged shard was taken for whole")
        self.assertEqual(json.loads(path.read_bytes()), json.loads(original))
        return False

    def test_resumed_with_a_flipped_byte_it_ends_with_the_same_bits(self):
        for number in range(max(self.RESUMES, faults.runs(0) // 20)):
            with self.repeat("resume", number):
                dice = faults.chance("resume", number)
                directory = self.copy(str(number))
                name = ("shard-0000.h5", "manifest.json", "shard-0001.h5", "LATEST")[number % 4]
                path = directory / name if name == "LATEST" else newest(directory) / name
                original = flip(path, dice)
                damaged = name != "LATEST" and self.is_detected(newest(directory), path, original)
                self.falls_back(directory, damaged)

    def test_with_a_byte_flipped_in_every_checkpoint_nothing_is_trained(self):
        directory = self.copy("run")
        dice = faults.chance("all")
        for checkpoint in checkpoints(directory):
            flip(checkpoint / "shard-0001.h5", dice)
        before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
        self.refuses(self.words(directory, resume="auto", exchange="sharded"), 4, "none of the",
                     ranks=self.ranks)
        for path, content in before.items():
            if path.name != "STATUS":
                self.assertEqual(path.read_bytes(), content, path)


class Files(FlipTest):
    """Whole files that are cut, gone, empty, or something else."""

    DAMAGE = {
        "a cut shard": lambda c: os.truncate(c / "shard-0001.h5", 1000),
        "a shard with more at its end": lambda c: os.truncate(
            c / "shard-0001.h5", (c / "shard-0001.h5").stat().st_size + 1),
        "an empty shard": lambda c: os.truncate(c / "shard-0000.h5", 0),
        "a missing shard": lambda c: (c / "shard-0001.h5").unlink(),
        "shards exchanged": lambda c: [(c / old).rename(c / new) for old, new in (
            ("shard-0000.h5", "x"), ("shard-0001.h5", "shard-0000.h5"), ("x", "shard-0001.h5"))],
        "a directory in place of a shard": lambda c: [(c / "shard-0000.h5").unlink(),
                                                      (c / "shard-0000.h5").mkdir()],
        "no manifest": lambda c: (c / "manifest.json").unlink(),
        "an empty manifest": lambda c: os.truncate(c / "manifest.json", 0),
        "half a manifest": lambda c: os.truncate(c / "manifest.json",
                                                 (c / "manifest.json").stat().st_size // 2),
        "a manifest of zeros": lambda c: (c / "manifest.json").write_bytes(bytes(4096)),
        "a manifest that is an array": lambda c: (c / "manifest.json").write_text("[1, 2]"),
        "a manifest that is another's": lambda c: shutil.copy(
            checkpoints(c.parent.parent)[0] / "manifest.json", c / "manifest.json"),
        "a directory in place of the manifest": lambda c: [(c / "manifest.json").unlink(),
                                                           (c / "manifest.json").mkdir()],
        "an empty directory": lambda c: [shutil.rmtree(c), c.mkdir()],
        "a file in place of the directory": lambda c: [shutil.rmtree(c), c.write_text("")],
        "a link that leads nowhere": lambda c: [shutil.rmtree(c), c.symlink_to("nowhere")],
    }
    RESUMED = ("a cut shard", "shards exchanged", "a manifest that is another's",
               "a directory in place of a shard", "a link that leads nowhere")

    def test_each_is_told_and_resuming_falls_back(self):
        for name, damage in self.DAMAGE.items():
            with self.subTest(name):
                directory = self.copy(name.replace(" ", "-"))
                damage(newest(directory))
                result = run("inspect", directory, "--verify")
                self.assertEqual(result.code, 4, str(result))
                self.assertIn(newest(self.directory).name, " ".join(result.errors()), str(result))
                if name in self.RESUMED or "RELGRAD_FAULT_RUNS" in os.environ:
                    self.falls_back(directory, damaged=True)
                shutil.rmtree(directory)

    def test_strange_things_beside_the_checkpoints_change_nothing(self):
        directory = self.copy("run")
        for name in ("step-", "step-abc", "step--1", "step-000000001x", "notes", ".hidden",
                     "step-99999999999999999999"):
            (directory / "ckpt" / name).mkdir()
        (directory / "ckpt" / "file").write_text("x")
        (directory / "LATEST").write_text("step-000000999\n")
        self.falls_back(directory, damaged=False)
        (directory / "LATEST").unlink()
        self.falls_back(directory, damaged=False)

    def test_a_file_more_in_a_checkpoint_is_told_and_does_no_harm(self):
        directory = self.copy("run")
        (newest(directory) / "shard-0002.h5").write_bytes(b"more")
        result = run("inspect", newest(directory), "--verify")
        self.assertEqual(result.code, 4, str(result))
        self.assertIn("shard-0002.h5: is not part of the checkpoint", result.err)
        result = must(*self.words(directory, resume="auto", exchange="sharded"), ranks=self.ranks)
        self.assertIn("already done", result.err)


class Data(faults.Test):
    """Damaged data sets."""

    def copy(self, name):
        copy = self.folder / name
        shutil.copytree(self.data, copy)
        return copy

    def test_verify_finds_a_flipped_byte_in_a_shard(self):
        for number in range(max(5, faults.runs(0) // 10)):
            with self.repeat("data", number):
                dice = faults.chance("data", number)
                data = self.copy(str(number))
                shard = dice.choice(sorted(data.glob("*.h5")))
                flip(shard, dice)
                result = run("inspect", data, "--verify")
                self.assertEqual(result.code, 3, str(result))
                self.assertIn(str(shard), " ".join(result.errors()))
                shutil.rmtree(data)

    def test_a_flipped_byte_in_its_description_is_an_error_or_harmless_and_never_a_crash(self):
        for number in range(max(10, faults.runs(0) // 5)):
            with self.repeat("description", number):
                dice = faults.chance("description", number)
                data = self.copy(str(number))
                flip(data / "dataset.json", dice)
                result = run("inspect", data, "--verify")
                self.assertIn(result.code, (0, 3), str(result))
                words = ["train", "--data", data, "--run", self.folder / "run"]
                trained = run(*words, "--max-seconds", 1e-6)
                self.assertIn(trained.code, (0, 3), str(trained))
                shutil.rmtree(data)
                shutil.rmtree(self.folder / "run", ignore_errors=True)

    def test_training_refuses_a_shard_that_is_cut_gone_or_of_another_shape(self):
        shard = "train-00000-of-00001.h5"
        for name, damage in (
                ("cut", lambda data: os.truncate(data / shard, 20000)),
                ("empty", lambda data: os.truncate(data / shard, 0)),
                ("gone", lambda data: (data / shard).unlink()),
                ("directory", lambda data: [(data / shard).unlink(), (data / shard).mkdir()]),
                ("other", lambda data: shutil.copy(data / "val-00000-of-00001.h5", data / shard)),
                ("no HDF5", lambda data: (data / shard).write_bytes(
                    bytes((data / shard).stat().st_size)))):
            with self.subTest(name):
                data = self.copy(name)
                damage(data)
                self.refuses(["train", "--data", data, "--run", self.folder / "run"], 3, shard)
                self.assertFalse((self.folder / "run").exists())
        pathlib.Path(self.copy("nothing") / "dataset.json").write_text("")
        self.refuses(["train", "--data", self.folder / "nothing", "--run", self.folder / "run"], 3,
                     "dataset.json")


if __name__ == "__main__":
    unittest.main(verbosity=2)
