#!/usr/bin/env python3
"""Every bad input gets one line of error and its exit code; nothing is overwritten or left behind."""
import gzip
import json
import shutil
import struct
import unittest
import zlib

import support  # first: it finds a python that has h5py
from support import must, numpy, prepared, prepared_from

RANDOM = numpy.random.default_rng(1)


def idx(images, magic=0x00000803):
    """The bytes of an IDX file of 8-bit images, N x H x W."""
    return struct.pack(">IIII", magic, *images.shape) + images.tobytes()


def images(rows, height=6, width=5):
    return RANDOM.integers(0, 256, (rows, height, width), dtype=numpy.uint8)


def png(image):
    """The bytes of a grey PNG."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))

    height, width = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Prepare(support.Test):
    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def array(self, name, values):
        path = self.folder / name
        numpy.save(path, values)
        return path

    def refused(self, words, exit_code, *parts):
        """prepare fails with these words, and the folder is as it was."""
        before = sorted(self.folder.rglob("*"))
        self.refuses(["prepare", "--output", self.folder / "out", *words], exit_code, *parts)
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_missing_and_empty_inputs(self):
        self.refused(["--train", self.folder / "none.npy"], 3, "none.npy")
        (self.folder / "empty").mkdir()
        self.refused(["--train", self.folder / "empty"], 3, "empty")
        self.refused(["--train", self.write("nothing.idx", b"")], 3, "nothing.idx")
        self.refused(["--train", self.write("text.npy", b"not an array")], 3, "text.npy")
        self.refused(["--train", self.write("what.xyz", b"1 2 3\n")], 3, "what.xyz")

    def test_a_good_split_beside_a_bad_one_leaves_nothing(self):
        good = self.write("good.idx", idx(images(20)))
        self.refused(["--train", good, "--test", self.folder / "none.idx"], 3, "none.idx")
        self.refused(["--train", good, "--test", self.write("other.idx", idx(images(9, 7)))], 3,
                     "test", "[1, 7, 5]")

    def test_truncated_gz(self):
        content = gzip.compress(idx(images(50)))
        for cut in (5, len(content) // 2, len(content) - 4):
            path = self.write("cut.idx.gz", content[:cut])
            self.refused(["--train", path], 3, "cut.idx.gz")

    def test_idx_with_wrong_magic_or_length(self):
        self.refused(["--train", self.write("magic.idx", idx(images(9), 0x12345678))], 3,
                     "magic.idx")
        content = idx(images(9))
        self.refused(["--train", self.write("short.idx", content[:-1])], 3, "short.idx")
        self.refused(["--train", self.write("long.idx", content + b"\0")], 3, "long.idx")

    def test_npy_with_nan_or_too_few_bytes(self):
        values = RANDOM.normal(size=(40, 3)).astype(numpy.float32)
        whole = self.array("whole.npy", values).read_bytes()
        self.refused(["--train", self.write("cut.npy", whole[:-5])], 3, "cut.npy")
        for bad in (numpy.nan, numpy.inf):
            values[17, 2] = bad
            self.refused(["--train", self.array("bad.npy", values)], 3, "bad.npy", "17")

    def test_images_of_mixed_sizes(self):
        self.write("photos/a.png", png(images(1)[0]))
        self.write("photos/b.png", png(images(1, 7)[0]))
        self.refused(["--train", self.folder / "photos"], 3, "b.png", "--size")

    def test_a_cut_image(self):
        for name in ("a.png", "c.png"):
            self.write(f"photos/{name}", png(images(1)[0]))
        self.write("photos/b.png", png(images(1)[0])[:60])
        self.refused(["--train", self.folder / "photos", "--val-last", 1], 3, "b.png")

    def test_splits_without_samples(self):
        good = self.write("good.idx", idx(images(20)))
        empty = self.write("empty.idx", idx(images(0)))
        self.refused(["--train", empty], 3, "0 samples")
        self.refused(["--train", good, "--val", empty], 3, "0 samples")
        self.refused(["--train", good, "--test", empty], 3, "0 samples")
        self.refused(["--train", good, "--val-last", 20], 3, "train")

    def test_outputs_that_exist_or_cannot_be_written(self):
        (self.folder / "out").mkdir()
        (self.folder / "out" / "precious").write_text("kept")
        self.refused([*support.SMALL, "--rows", 20], 2, "out")
        self.assertEqual((self.folder / "out" / "precious").read_text(), "kept")
        below_a_file = self.folder / "out" / "precious" / "data"
        for path in (below_a_file, "/proc/relgrad"):
            self.refuses(["prepare", "--output", path, *support.SMALL, "--rows", 20], 6, path)

    def test_options(self):
        self.refused([*support.SMALL, "--rowz", 20], 2, "--rowz")
        self.refused([*support.SMALL, "--rows", 0], 2, "--rows", "0")
        self.refused(["--synthetic", "toy:donut"], 2, "donut")


class Train(support.Test):
    """What the training command says to bad data, options and places."""

    def data(self):
        """A data set that may be damaged."""
        path = self.folder / "data"
        shutil.copytree(prepared(*support.SMALL, "--rows", 60, "--rows-per-shard", 25), path)
        return path

    def refused(self, data, exit_code, *parts, ranks=0, options=()):
        run = self.folder / "run"
        self.refuses(["train", "--data", data, "--run", run, *options], exit_code, *parts,
                     ranks=ranks)
        self.assertFalse(run.exists(), "a run that cannot start leaves a directory")

    def test_data_sets_that_are_missing_or_damaged(self):
        self.refused(self.folder / "none", 3, "none")
        data = self.data()
        description = data / "dataset.json"
        text = description.read_text()
        description.write_text(text[:len(text) // 2])
        self.refused(data, 3, "dataset.json")
        newer = {**json.loads(text), "format_version": 999}
        description.write_text(json.dumps(newer))
        self.refused(data, 3, "dataset.json", "999", "newer")
        description.unlink()
        self.refused(data, 3, "dataset.json")

    def test_shards_that_are_missing_or_cut(self):
        for split in ("train", "val"):
            with self.subTest(split):
                data = self.data()
                shard = sorted(data.glob(f"{split}-*.h5"))[-1]
                content = shard.read_bytes()
                shard.write_bytes(content[:-100])
                self.refused(data, 3, shard.name)
                shard.unlink()
                self.refused(data, 3, shard.name)
                self.refused(data, 3, shard.name, ranks=2)
                shutil.rmtree(data)

    def test_more_ranks_than_samples(self):
        data = prepared(*support.SMALL, "--rows", 3, "--val-last", 2)
        self.refused(data, 3, "3 training samples for 4 ranks", ranks=4)

    def test_options_and_places(self):
        data = prepared(*support.SMALL, "--rows", 60, "--rows-per-shard", 25)
        self.refused(data, 2, "--lrr", options=["--lrr", 1])
        self.refused(data, 2, "--layers", "0", "1 ... 1000", options=["--layers", 0])
        self.refused(data, 2, "logit", options=["--transform", "standardised", "--no-marginal"])
        file = self.folder / "file"
        file.write_text("kept")
        for place in (file / "run", "/proc/relgrad"):
            self.refuses(["train", "--data", data, "--run", place], 6, place)
        self.assertEqual(file.read_text(), "kept")
        self.refused(data, 4, "none", options=["--resume", self.folder / "none"])

    def test_a_run_that_diverges_says_so_and_keeps_its_checkpoints(self):
        data = prepared(*support.SMALL, "--rows", 60, "--rows-per-shard", 25)
        run = self.folder / "run"
        result = self.refuses(["train", "--data", data, "--run", run, "--optimizer", "sgd", "--lr",
                               1e30, "--batch-size", 10], 5, "not finite", "--lr", ranks=2)
        self.assertNotIn("MPI_ABORT", result.err)
        self.assertEqual((support.status(run)["state"], support.status(run)["exit_code"]),
                         ("diverged", 5))
        self.assertFalse((run / "LOCK").exists())

    def test_a_constant_pixel_in_every_image_works(self):
        pictures = images(200, 4, 4)
        pictures[:, 0, 0] = 0
        pictures[:, 2, 1] = 255
        pictures[:, 3, 3] = 77
        data = prepared_from("constant-pixels", train=pictures, test=pictures[:50])
        for transform in (["--marginal"], ["--no-marginal", "--transform", "logit"],
                          ["--no-marginal", "--transform", "standardize"]):
            with self.subTest(transform=transform):
                run = self.folder / "-".join(transform)
                must("train", "--data", data, "--run", run, "--max-steps", 20, "--batch-size", 50,
                     "--epochs", 10, *transform)
                self.assertEqual(support.status(run)["step"], 20)
                figures = json.loads(must("evaluate", "--run", run, "--data", data, "--json",
                                          "-").out)
                self.assertEqual((figures["nonfinite"], figures["samples"]), (0, 50))
                self.assertLess(figures["bits_per_dim"], 12)


class Model(support.Test):
    """What evaluate, score and sample say."""

    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 60, "--rows-per-shard", 25)
        cls.run_directory = support.SPACE / "small-run"
        must("train", "--data", cls.data, "--run", cls.run_directory, *support.QUICK)

    def test_data_of_another_dimension_or_type(self):
        other = prepared("--synthetic", "images", "--size", "5x5", "--rows", 30)
        self.refuses(["evaluate", "--run", self.run_directory, "--data", other], 4, "64", "25")
        self.refuses(["train", "--run", self.run_directory, "--data", other, "--resume", "auto",
                      *support.QUICK], 4, "64", "25")
        real = prepared_from("real-64", train=RANDOM.normal(size=(30, 64)).astype(numpy.float32))
        self.refuses(["evaluate", "--run", self.run_directory, "--data", real, "--split", "train"],
                     4, "uint8", "float32")

    def test_models_that_are_not_there(self):
        none = self.folder / "none"
        self.refuses(["evaluate", "--run", none, "--data", self.data], 4, none)
        self.refuses(["sample", "--checkpoint", none, "--output", self.folder / "a.png"], 4, none)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_splits_that_are_not_there(self):
        self.refuses(["evaluate", "--run", self.run_directory, "--data", self.data, "--split",
                      "tset"], 3, "tset", "train", "val", "test")

    def test_damaged_checkpoints(self):
        copy = self.folder / "copy"
        shutil.copytree(self.run_directory, copy)
        shard = support.checkpoints(copy)[-1] / "shard-0000.h5"
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        self.refuses(["evaluate", "--run", copy, "--data", self.data], 4, shard.name)
        self.refuses(["sample", "--run", copy, "--output", self.folder / "a.png"], 4, shard.name)
        self.assertFalse((self.folder / "a.png").exists())

    def test_outputs_that_exist_or_cannot_be_written(self):
        scores = self.folder / "scores.h5"
        scores.write_text("kept")
        self.refuses(["score", "--run", self.run_directory, "--data", self.data, "--output",
                      scores], 2, scores)
        self.assertEqual(scores.read_text(), "kept")
        for place in (scores, "/proc"):
            with self.subTest(place=place):
                self.refuses(["score", "--run", self.run_directory, "--data", self.data, "--output",
                              f"{place}/a.h5"], 6, f"{place}/a.h5")
                self.refuses(["sample", "--run", self.run_directory, "--output", f"{place}/a.h5"],
                             6, f"{place}/a.h5")
                self.refuses(["sample", "--run", self.run_directory, "--output", f"{place}/a.png"],
                             6, f"{place}/a.png")
        self.assertEqual(list(self.folder.iterdir()), [scores])

    def test_a_json_file_that_cannot_be_written(self):
        result = support.run("evaluate", "--run", self.run_directory, "--data", self.data, "--json",
                             "/proc/relgrad.json")
        self.assertEqual(result.code, 6, str(result))
        self.assertEqual(len(result.errors()), 1, str(result))

    def test_two_dimensional_data_make_no_picture(self):
        data = prepared("--synthetic", "toy:moons", "--rows", 60)
        run = self.folder / "moons"
        must("train", "--data", data, "--run", run, *support.QUICK)
        self.refuses(["sample", "--run", run, "--output", self.folder / "a.png"], 2, ".h5")


if __name__ == "__main__":
    unittest.main(verbosity=2)
