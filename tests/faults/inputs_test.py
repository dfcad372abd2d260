#!/usr/bin/env python3
"""Tables that mislead, outputs that have no place, pipes where files should be."""
import os
import shutil
import unittest

import faults  # first: it finds what the end-to-end tests share
import numpy
import support
from faults import newest
from support import metrics, must, run


class Tables(faults.Test):
    def prepare(self, train, *options, **splits):
        words = []
        for name, values in {"train": train, **splits}.items():
            numpy.save(self.folder / f"{name}.npy", values)
            words += [f"--{name}", self.folder / f"{name}.npy"]
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        return run("prepare", "--output", self.folder / "data", *words, *options)

    def normal(self, rows=2000):
        return numpy.random.default_rng(1).normal(size=(rows, 3))

    def test_small_numbers_are_no_levels(self):
        for scale in (1e-9, 1e-40):  # lengths in metres, say
            result = self.prepare(abs(self.normal()) * scale, "--val-last", 100)
            self.assertEqual(result.code, 0, str(result))
            self.assertNotIn("warning", result.err)
        for values in (numpy.arange(6000).reshape(-1, 3) % 256 / 255, numpy.zeros((2000, 3))):
            self.assertEqual(self.prepare(values.astype(numpy.float32)).code, 3)

    def test_a_fill_value_is_told_in_any_split(self):
        spoilt = self.normal()
        spoilt[17, 2] = 9.96921e36
        good = self.normal()
        for split in ("train", "val", "test"):
            splits = {"val": good, "test": good, "train": good, split: spoilt}
            result = self.prepare(splits.pop("train"), **splits)
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(result.err.count("warning"), 1, str(result))
            self.assertIn(f"split '{split}': 1 of 3 columns", result.err)
            self.assertIn("column 2, row 17", result.err)

    def test_a_fill_value_that_repeats_is_told_though_it_is_not_far(self):
        values = self.normal()
        values[10::50, 1] = -999
        result = self.prepare(values, "--val-last", 100)
        self.assertIn("column 1, row 10 and others: -999", result.err)
        # many zeros, and values that a detector cut off, lie beside the others
        beside = numpy.clip(self.normal(), -2, 2)
        self.assertNotIn("fill value", self.prepare(beside, "--val-last", 100).err)

    def test_truth_values_are_0_and_1(self):
        values = numpy.zeros((20, 3), dtype=bool)
        values.view(numpy.uint8)[3, 1] = 2
        result = self.prepare(values, "--val-last", 5)
        self.assertEqual(result.code, 3, str(result))
        self.assertIn("a truth value is 2", result.err)

    def test_some_samples_of_a_validation_split_are_of_all_its_parts(self):
        dice = numpy.random.default_rng(2)
        dark, bright = (dice.integers(low, low + 60, (200, 16)).astype(numpy.uint8)
                        for low in (0, 190))
        mixed = numpy.stack([dark, bright], 1).reshape(-1, 16)
        self.prepare(mixed, val=numpy.concatenate([dark, bright]))
        figures = {}
        for samples in (0, 100):
            directory = self.folder / f"run-{samples}"
            must("train", "--data", self.folder / "data", "--run", directory, "--no-marginal",
                 "--layers", 1, "--activation", "none", "--max-steps", 10, "--eval-samples", samples)
            figures[samples] = metrics(directory, "val")[-1]
        self.assertAlmostEqual(figures[100]["val_bits_per_dim"], figures[0]["val_bits_per_dim"],
                               delta=0.2)


    def test_a_split_of_one_row_loses_nothing_in_single_precision(self):
        values = numpy.random.default_rng(4).normal(size=(200, 3))
        result = self.prepare(values, "--val-last", 50, test=values[:1])
        self.assertEqual(result.code, 0, str(result))

    def test_labels_beyond_the_largest_integer_are_refused(self):
        numpy.save(self.folder / "labels.npy", numpy.full(200, 2**63 + 1, dtype=numpy.uint64))
        result = self.prepare(self.normal(200), "--labels", self.folder / "labels.npy")
        self.assertEqual((result.code, len(result.errors())), (3, 1), str(result))
        self.assertIn("label 0 is 9223372036854775809", result.errors()[0])


class Memory(faults.Test):
    def test_a_batch_larger_than_the_data_takes_no_memory(self):
        directory = self.folder / "run"
        script = f'ulimit -v {3 << 20}; exec "$0" "$@"'  # 16 million samples take 8 GiB
        large = ["--batch-size", 1 << 24]
        for words in (["train", "--run", directory, "--activation", "none", "--epochs", 1],
                      ["evaluate", "--run", directory]):
            words = ["-c", script, support.PROGRAM, *words, "--data", self.data, *large]
            result = run(*words, program="sh")
            self.assertEqual(result.code, 0, str(result))


    def test_the_size_that_an_image_claims_is_not_believed(self):
        (self.folder / "images").mkdir()
        for name in ("a", "b"):
            (self.folder / "images" / f"{name}.pgm").write_bytes(b"P5 65500 65500 255\n")
        words = ["prepare", "--output", self.folder / "data", "--train", self.folder / "images"]
        script = f'ulimit -v {2 << 20}; exec "$0" "$@"'  # the pixels would take 4 GiB
        result = run("-c", script, support.PROGRAM, *words, "--val-last", 1, program="sh")
        self.assertEqual(result.code, 3, str(result))
        self.assertIn("a.pgm: damaged image", result.err)


class Folders(faults.Test):
    def test_what_is_left_out_is_told_in_whole_words(self):
        photos = self.folder / "photos"
        for name in ("one", ".git", "@eaDir"):
            (photos / name).mkdir(parents=True)
        for number in range(6):
            (photos / "one" / f"{number}.pgm").write_bytes(b"P5 1 1 255\n" + bytes([40 * number]))
        for name in ("a", "b"):
            (photos / name).symlink_to("one")
        os.mkfifo(photos / "pipe.pgm")
        result = must("prepare", "--output", self.folder / "data", "--train", photos)
        for part in ("2 hidden folders", "2 links to a folder that is read already",
                     "1 pipe, socket or device file"):
            self.assertIn(part, result.err)
        self.assertIn("train 5, val 1 rows", result.err)


class Places(faults.Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.finished = support.SPACE / "of-places"
        must("train", "--data", cls.data, "--run", cls.finished, *support.QUICK)

    def test_an_output_without_a_folder_is_refused_before_anything_is_computed(self):
        (self.folder / "file").write_text("mine\n")
        model = ["--run", self.finished]
        for folder in ("nothing", "file"):
            for words in (["score", *model, "--data", self.data, "--output", f"{folder}/a.h5"],
                          ["evaluate", *model, "--data", self.data, "--json", f"{folder}/a.json"],
                          ["sample", *model, "--output", f"{folder}/a.png"],
                          ["sample", *model, "--output", f"{folder}/a.h5"]):
                with self.subTest(words[0], folder=folder):
                    place = str(self.folder / words[-1])
                    result = self.refuses([*words[:-1], place], 6, place)
                    self.assertNotIn(".tmp-", result.err)
                    self.assertNotIn("checkpoint", result.err)  # none was opened

    def test_a_pipe_in_place_of_a_file_of_a_run_hangs_nothing(self):
        train = ["train", "--data", self.data, *support.QUICK, "--resume", "auto"]
        checkpoint = newest(self.finished).relative_to(self.finished)
        for name, words in (("LOCK", train), (checkpoint / "shard-0000.h5", train),
                            ("metrics.jsonl", ["inspect"]),
                            (checkpoint / "manifest.json", ["evaluate", "--data", self.data])):
            with self.subTest(name):
                directory = self.folder / str(name).replace("/", "-")
                shutil.copytree(self.finished, directory)
                (directory / name).unlink(missing_ok=True)
                os.mkfifo(directory / name)
                place = [directory] if words == ["inspect"] else ["--run", directory]
                result = run(*words, *place, seconds=120)
                self.assertIn(result.code, (0, 2, 3, 4), str(result))


if __name__ == "__main__":
    unittest.main(verbosity=2)
