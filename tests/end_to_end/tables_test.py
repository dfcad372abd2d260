#!/usr/bin/env python3
"""Tables as they come: HDF5, .npz and CSV files become data sets; a line of error names the place."""
import gzip
import unittest
import zipfile

import support  # first: it finds a python that has h5py
import h5py
import numpy
from support import run, split


class Tables(support.Test):
    def setUp(self):
        super().setUp()
        self.values = numpy.random.default_rng(3).normal(size=(60, 4)).astype(numpy.float32)
        self.number = 0

    def prepare(self, train, *options):
        self.number += 1
        data = self.folder / f"data-{self.number}"
        result = run("prepare", "--output", data, "--train", train, "--val-last", 10, *options)
        result.data = data
        return result

    def reads(self, train, expected, *options):
        result = self.prepare(train, *options)
        self.assertEqual(result.code, 0, str(result))
        found = numpy.concatenate([split(result.data, "train"), split(result.data, "val")])
        numpy.testing.assert_array_equal(found, expected.reshape(len(expected), -1))
        return result

    def refused(self, train, *parts):
        result = self.prepare(train)
        self.assertEqual((result.code, len(result.errors())), (3, 1), str(result))
        for part in parts:
            self.assertIn(part, result.errors()[0])
        self.assertFalse(result.data.exists())

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    # HDF5

    def test_hdf5_of_every_kind_of_numbers_and_layout(self):
        path = self.folder / "a.h5"
        images = numpy.random.default_rng(1).integers(0, 256, (60, 5, 3), dtype=numpy.uint8)
        kinds = {"f4": self.values, "f8": self.values.astype(">f8"), "f2": self.values.astype("f2"),
                 "u1": images, "i2": images.astype(">i2"), "u8": images.astype("u8"),
                 "truth": self.values > 0}
        with h5py.File(path, "w") as file:
            for name, values in kinds.items():
                file[f"plain/{name}"] = values
            file.create_dataset("packed", data=self.values, chunks=(7, 3), compression="gzip",
                                shuffle=True, fletcher32=True, maxshape=(None, 4))
            file.create_dataset("columns", data=self.values, chunks=(60, 1), compression="lzf")
            file["link"] = h5py.SoftLink("/packed")
        for name, values in kinds.items():
            with self.subTest(name):
                self.reads(f"{path}:/plain/{name}", values.astype(numpy.float32))
        for name in ("packed", "columns", "link"):
            with self.subTest(name):
                self.reads(f"{path}:{name}", self.values)

    def test_hdf5_with_splits_as_in_the_sets_of_the_papers(self):
        path = self.folder / "BSDS300.hdf5"
        with h5py.File(path, "w") as file:
            for number, name in enumerate(("train", "validation", "test")):
                file[name] = self.values + number
        data = self.folder / "data"
        result = run("prepare", "--output", data, "--train", f"{path}:/train", "--val",
                     f"{path}:/validation", "--test", f"{path}:/test")
        self.assertEqual(result.code, 0, str(result))
        for number, name in enumerate(("train", "val", "test")):
            numpy.testing.assert_array_equal(split(data, name), self.values + number)
        self.refused(path, "3 datasets", "/train [60, 4]", "BSDS300.hdf5:/test")
        self.refused(f"{path}:/x", "'/x'", "/train [60, 4]")

    def test_hdf5_that_is_no_array_of_numbers_here(self):
        path = self.folder / "a.h5"
        with h5py.File(path, "w") as file:
            file["text"] = numpy.array([b"a", b"b"])
            file["pairs"] = numpy.zeros(9, [("x", "f4"), ("y", "f4")])
            file["complex"] = numpy.zeros((9, 2), "c8")
            file["value"] = 3.5
            file["none"] = h5py.Empty("f4")
            file.create_dataset("empty", (0, 4))
            file.create_dataset("unwritten", (9, 4), "f4")
            part = file.create_dataset("part", (9, 4), "f4", chunks=(3, 4), compression="gzip")
            part[:6] = 1
            file.create_dataset("huge", (1 << 40, 4), "f4", chunks=(1 << 27, 4))
            layout = h5py.VirtualLayout((9, 4), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "x", (9, 4))
            file.create_virtual_dataset("virtual", layout)
            file.create_dataset("external", (3, 2), "f4", external=[("/etc/passwd", 0, 24)])
            file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
            file["dangling"] = h5py.SoftLink("/nothing")
            names = list(file)
        with h5py.File(self.folder / "other.h5", "w") as file:
            file["x"] = self.values
        for name in names:
            with self.subTest(name):
                self.refused(f"{path}:/{name}", f"a.h5: dataset '/{name}'")
        self.refused(self.file("b.h5", path.read_bytes()[:3000]), "b.h5")
        self.refused(self.file("c.h5", "no HDF5"), "c.h5")

    # npz

    def test_npz_by_name_and_without(self):
        path = self.folder / "a.npz"
        for save in (numpy.savez, numpy.savez_compressed):
            save(path, self.values)
            self.reads(path, self.values)
        labels = numpy.arange(60) % 7
        numpy.savez_compressed(path, x=numpy.asfortranarray(self.values), y=labels)
        result = self.reads(f"{path}:x", self.values, "--labels", f"{path}:y")
        with h5py.File(result.data / "train-00000-of-00001.h5") as file:
            numpy.testing.assert_array_equal(file["labels"], labels[:50])
        self.refused(path, "2 arrays", "x, y", "a.npz:x")
        self.refused(f"{path}:z", "no array 'z'", "x, y")
        numpy.save(self.folder / "a.npy", self.values)
        self.refused(f"{self.folder / 'a.npy'}:x", "a.npy", "'x'")

    def test_npz_that_is_damaged_or_holds_something_else(self):
        path = self.folder / "a.npz"
        numpy.savez(path, self.values)
        content = bytearray(path.read_bytes())
        content[300] ^= 1
        self.refused(self.file("flipped.npz", bytes(content)), "flipped.npz")
        self.refused(self.file("cut.npz", path.read_bytes()[:400]), "cut.npz")
        numpy.savez(path, numpy.array([{}, []], dtype=object))
        self.refused(path, "a.npz:arr_0")
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("readme", "x")
        self.refused(path, "no .npy")

    # CSV

    def test_csv_with_and_without_names_of_columns(self):
        rows = [[repr(float(value)) for value in row] for row in self.values]
        quoted = ['"x, y"', '"b"', '"c"', '"d"']
        for separator in ",;\t":
            for names in ([], ["a", "b", "c", "d"], quoted, ["0", "1", "2", "3"]):
                for end in ("\n", "\r\n"):
                    lines = [separator.join(row) for row in [names, *rows] if row]
                    with self.subTest(separator=separator, names=names, end=end):
                        path = self.file("a.csv", "\ufeff" + end.join(lines) + end)
                        result = self.reads(path, self.values)
                        self.assertEqual("names of columns" in result.err, bool(names))
        text = "\n".join(" , ".join(f'"{value}"' for value in row) for row in rows)
        self.reads(self.file("a.csv.gz", gzip.compress(text.encode())), self.values)

    def test_csv_of_integers_is_what_an_array_of_integers_is(self):
        pixels = numpy.random.default_rng(1).integers(0, 256, (60, 6))
        numpy.savetxt(self.folder / "a.csv", pixels, "%d", ",", header="a,b,c,d,e,f", comments="")
        numpy.savetxt(self.folder / "y.csv", pixels[:, 0], "%d", header="y")
        result = self.reads(self.folder / "a.csv", pixels, "--labels", self.folder / "y.csv")
        self.assertIn("uint8 [6]", result.err)

    def test_csv_names_file_line_and_column(self):
        for text, *parts in (("1,2\n3,x\n", "line 2, column 2: 'x'"),
                             ("a,b\n1,2\n3\n", "line 3 has 1 column, the first line 2"),
                             ("a,b\n1,2\n\n3,4\n", "line 3 is empty"),
                             ("1,2\n3,\n", "line 2, column 2: ''"),
                             ("1,2\n3,nan\n", "line 2, column 2: 'nan'"),
                             ("1,2\n-inf,3\n", "line 2, column 1: '-inf'"),
                             ("1,2\n3,1e400\n", "line 2, column 2: '1e400'"),
                             ("1.5,2\n3,0x10\n", "line 2, column 2: '0x10'"),
                             ("1;2\n3,5;4\n", "line 2, column 1: '3,5'"),
                             ("1,2\n3,1_000\n", "line 2, column 2: '1_000'"),
                             ("id,1\nid,2\n", "line 1, column 1: 'id'"),
                             ("a,b\n", "no rows"), ("", "first line is empty"),
                             ("\x1b[31m,b\n1,\x1b[2J\n", "line 2, column 2")):
            with self.subTest(text):
                self.refused(self.file("a.csv", text), "a.csv", *parts)
        self.refused(self.file("a.csv", "1,2\n".encode("utf-16")), "a.csv")


class DrawnByLabel(support.Test):
    def test_validation_holds_every_label_in_proportion(self):
        sizes = (3, 40, 157)
        labels = numpy.repeat([5, -1, 2], sizes)
        values = numpy.random.default_rng(3).normal(size=(200, 2)).astype(numpy.float32)
        numpy.save(self.folder / "x.npy", values)
        numpy.save(self.folder / "y.npy", labels)
        drawn = {}
        for seed in (1, 2):
            data = self.folder / f"data-{seed}"
            support.must("prepare", "--output", data, "--train", self.folder / "x.npy", "--labels",
                         self.folder / "y.npy", "--val-random", 50, "--seed", seed)
            found = {name: h5py.File(data / f"{name}-00000-of-00001.h5")["labels"][...]
                     for name in ("train", "val")}
            counts = [int((found["val"] == label).sum()) for label in (5, -1, 2)]
            self.assertEqual(counts, [1, 10, 39])  # 50 * size / 200 is 0.75, 10, 39.25
            drawn[seed] = split(data, "val")
            together = numpy.concatenate([split(data, "train"), drawn[seed]])
            numpy.testing.assert_array_equal(numpy.sort(together, 0), numpy.sort(values, 0))
        self.assertFalse(numpy.array_equal(drawn[1], drawn[2]))

    def test_class_folders_and_cifar_too(self):
        for number in range(60):
            folder = self.folder / "images" / f"class-{number % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.pgm").write_bytes(b"P5 1 1 255\n" + bytes([number]))
        records = b"".join(bytes([number // 20]) + bytes([number]) * 3072 for number in range(60))
        (self.folder / "data_batch_1.bin").write_bytes(records)
        for train, option in (("images", ["--class-folders"]), ("data_batch_1.bin", [])):
            data = self.folder / f"data-{train}"
            support.must("prepare", "--output", data, "--train", self.folder / train, *option,
                         "--val-random", 12)
            labels = h5py.File(data / "val-00000-of-00001.h5")["labels"][...]
            self.assertEqual(sorted(labels), [0] * 4 + [1] * 4 + [2] * 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
