#!/usr/bin/env python3
"""relgrad train --dry-run: what a run would take, and no trace of it."""
import re
import shutil
import unittest

import support  # first: it finds a python that has h5py
from support import must, prepared

MODEL = ["--model", "linear spline:4 linear", "--batch-size", 50]


def number(text, pattern):
    return float(re.search(pattern, text).group(1))


class DryRun(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 700)

    def dry(self, run, *words, ranks=0):
        return must("train", "--data", self.data, "--run", run, *MODEL, "--dry-run", *words, ranks=ranks).out

    def trained(self, *words):
        run = self.folder / "run"
        must("train", "--data", self.data, "--run", run, *MODEL, "--epochs", 2, *words)
        return run

    def test_it_tells_what_a_run_takes_and_writes_nothing(self):
        for ranks in (0, 2):
            with self.subTest(ranks=ranks):
                text = self.dry(self.folder / "a" / "run", "--epochs", 2, ranks=ranks)
                self.assertEqual(list(self.folder.iterdir()), [])

        run = self.trained()
        first = support.manifest(support.checkpoints(run)[0])
        model = [t for t in first["tensors"] if t["name"].startswith("layer/")]
        self.assertEqual(number(text, r"parameters +(\d+), float32"), sum(t["shape"][0] * t["shape"][1] for t in model))
        written = sum(path.stat().st_size for path in support.checkpoints(run)[0].glob("*.h5"))
        self.assertAlmostEqual(number(text, r"checkpoint +([\d.]+) MiB"), written / 2 ** 20, delta=0.1)
        steps = support.status(run)["step"]
        self.assertEqual(number(text, r"run .* for (\d+) steps"), steps)
        self.assertEqual(number(text, r"epoch .* for (\d+) steps"), steps / 2)
        self.assertGreater(number(text, r"step +([\d.e-]+) s"), 0)
        self.assertGreater(number(text, r"memory +at most (\d+) MiB per rank"), 10)
        self.assertIn(f"{self.folder / 'a' / 'run'}: config.ini", text)

    def test_it_finds_the_mistakes_that_a_run_would_find(self):
        run = self.trained()
        words = ["train", "--data", self.data, *MODEL, "--dry-run", "--run"]
        self.refuses([*words, run], 2, "already holds a run")
        before = sorted(path.name for path in run.rglob("*"))
        self.assertIn("already done", must(*words, run, "--epochs", 2, "--resume", "auto").err)
        self.assertEqual(sorted(path.name for path in run.rglob("*")), before)
        (run / "STOP").touch()
        self.refuses([*words, run, "--resume", "auto"], 2, "STOP")
        (self.folder / "file").write_text("x")
        self.refuses([*words, self.folder / "file" / "run"], 6, "--run")
        self.refuses([*words, self.folder / "new", "--lr", 1e30, "--epochs", 3], 5, "--dry-run", "not finite")
        broken = self.folder / "data"
        shutil.copytree(self.data, broken)
        shard = next(broken.glob("train-*.h5"))
        shard.write_bytes(shard.read_bytes()[:-100])
        self.refuses(["train", "--data", broken, *MODEL, "--dry-run", "--run", self.folder / "new"], 3, shard.name)
        self.assertFalse((self.folder / "new").exists())

    def test_it_counts_what_is_left_of_a_run(self):
        run = self.folder / "run"
        must("train", "--data", self.data, "--run", run, *MODEL, "--epochs", 4, "--max-steps", 5)
        steps = support.status(run)["step"]
        whole = number(self.dry(self.folder / "new", "--epochs", 4), r"run .* for (\d+) steps")
        left = number(self.dry(run, "--epochs", 4, "--resume", "auto"), r"run .* for (\d+) steps")
        self.assertEqual(left, whole - steps)


if __name__ == "__main__":
    unittest.main(verbosity=2)
