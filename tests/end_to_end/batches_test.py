#!/usr/bin/env python3
"""Samples and latent vectors come batch by batch from all ranks: the same ones, in bounded memory, or no file."""
import os
import pty
import signal
import subprocess
import unittest

import support  # first: it finds a python that has h5py
from support import ENVIRONMENT, PROGRAM, h5py, must, numpy, prepared


def peak_memory(*words):
    """Largest resident memory of the program, bytes."""
    process = subprocess.Popen([PROGRAM, *map(str, words)], stdout=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return usage.ru_maxrss * 1024


class Batches(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 700)
        cls.run_directory = support.SPACE / "drawn"
        must("train", "--data", cls.data, "--run", cls.run_directory, "--model", "conv:3 linear spline:4 linear",
             "--batch-size", 50, "--epochs", 2)
        cls.sample = ["sample", "--run", cls.run_directory]
        cls.encode = ["encode", "--run", cls.run_directory, "--data", cls.data]

    def drawn(self, name, *words, ranks=0):
        path = self.folder / name
        must(*self.sample, "--output", path, *words, ranks=ranks)
        return path.read_bytes()

    def test_the_file_has_the_same_bits_on_any_number_of_ranks(self):
        for name, words in (("a.h5", ("--count", 100, "--batch-size", 7)), ("a.png", ("--count", 30, "--batch-size", 4))):
            with self.subTest(name):
                alone = self.drawn(name, *words)
                for ranks in (2, 3):
                    self.assertEqual(self.drawn(f"{ranks}-{name}", *words, ranks=ranks), alone)

    def test_batches_of_any_size_hold_the_same_samples(self):
        values = []
        for size in (1, 64, 1000):
            self.drawn(f"{size}.h5", "--count", 90, "--batch-size", size)
            with h5py.File(self.folder / f"{size}.h5") as file:
                values.append(file["samples"][...])
        for other in values[1:]:  # rounding may move a value over the edge of a level
            self.assertLess((other != values[0]).mean(), 1e-3)

    def test_memory_does_not_grow_with_the_number_of_samples(self):
        few, many = (peak_memory(*self.sample, "--count", count, "--output", self.folder / f"{count}.h5")
                     for count in (200, 40000))
        self.assertLess(many - few, 40000 * 64 * 2, "two bytes a value; all of them in double take 8")

    def test_a_signal_leaves_no_file_and_until_then_the_rate_is_told(self):
        for ranks in (0, 2):
            with self.subTest(ranks=ranks):
                terminal, stream = pty.openpty()
                launcher = [support.MPIRUN, "-n", str(ranks)] if ranks else []
                folder = self.folder / str(ranks)
                folder.mkdir()
                words = [*self.sample, "--count", 2 * 10 ** 6, "--output", folder / "a.h5"]
                process = subprocess.Popen([*launcher, PROGRAM, *map(str, words)], stdout=subprocess.DEVNULL,
                                           stderr=stream if ranks == 0 else subprocess.PIPE, start_new_session=True,
                                           env={**os.environ, **ENVIRONMENT})
                os.close(stream)
                support.wait_for(lambda: list(folder.iterdir()), "file in the making")
                if ranks == 0:
                    self.assertRegex(self.heard(terminal, " s left"), r"samples: \d+ of 2000000 rows .* rows/s")
                process.send_signal(signal.SIGTERM)
                process.wait(support.SECONDS)
                os.close(terminal)
                if ranks:
                    process.stderr.close()
                else:
                    self.assertEqual(process.returncode, 75)
                support.wait_for(lambda: not list(folder.iterdir()), "empty folder", 60)

    @staticmethod
    def heard(terminal, words):
        text = ""
        while words not in text:
            text += os.read(terminal, 1 << 12).decode()
        return text

    def test_latent_vectors_are_in_the_order_of_the_rows_whoever_encodes_them(self):
        alone = self.folder / "alone.h5"
        must(*self.encode, "--split", "train", "--batch-size", 33, "--output", alone)
        with h5py.File(alone) as file:
            expected = file["latent"][...]
            self.assertEqual(file["latent"].attrs["split"], b"train")
        rows = len(support.split(self.data, "train"))
        self.assertEqual((expected.shape, expected.dtype), ((rows, 64), numpy.float32))
        for ranks, size in ((2, 33), (3, 40), (1, 10 ** 6)):
            path = self.folder / f"{ranks}.h5"
            must(*self.encode, "--split", "train", "--batch-size", size, "--output", path, ranks=ranks)
            with h5py.File(path) as file:
                numpy.testing.assert_allclose(file["latent"][...], expected, atol=1e-4)

    def test_samples_are_what_encodes_to_normal_latents(self):
        # Latents of the model's own samples, which become a data set, are N(0, 1).
        path = self.folder / "own.h5"
        self.drawn("own.h5", "--count", 2000)
        with h5py.File(path) as file:
            own = file["samples"][...].reshape(-1, 1, 8, 8)
        data = support.prepared_from("own", train=own[:1000], val=own[:10], test=own[1000:])
        must("encode", "--run", self.run_directory, "--data", data, "--output", self.folder / "z.h5")
        with h5py.File(self.folder / "z.h5") as file:
            z = file["latent"][...].astype(float)
        self.assertAlmostEqual(z.std(), 1, delta=0.02)
        self.assertAlmostEqual(z.mean(), 0, delta=0.02)

    def test_mistakes_are_refused_and_leave_nothing(self):
        taken = self.folder / "taken.h5"
        taken.write_text("x")
        self.refuses([*self.encode, "--output", taken], 2, "--output", taken)
        self.refuses([*self.encode, "--output", self.folder / "a.h5", "--split", "none"], 3, "none")
        self.refuses([*self.encode, "--output", self.folder / "no" / "a.h5"], 6, self.folder / "no")
        self.refuses(["encode", "--run", self.folder / "no", "--data", self.data, "--output", self.folder / "a.h5"], 4)
        self.refuses([*self.sample, "--output", self.folder / "a.h5", "--batch-size", 0], 2, "--batch-size")
        self.assertEqual(sorted(self.folder.iterdir()), [taken])


if __name__ == "__main__":
    unittest.main(verbosity=2)
