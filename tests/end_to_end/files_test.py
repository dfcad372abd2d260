#!/usr/bin/env python3
"""What the program writes is what it says, read by others: h5py, numpy, a PNG reader, itself."""
import json
import struct
import unittest
import zlib

import support  # first: it finds a python that has h5py
from support import checkpoints, h5py, metrics, must, numpy, prepared, prepared_from

RANDOM = numpy.random.default_rng(3)


def evaluated(run, data, *options):
    return json.loads(must("evaluate", "--run", run, "--data", data, *options, "--json", "-").out)


def scores(words, output):
    must("score", *words, "--output", output)
    with h5py.File(output, "r") as file:
        return file["log_likelihood"][...]


class Shards(support.Test):
    def test_h5py_reads_the_samples_and_labels_that_were_put_in(self):
        labels = RANDOM.integers(0, 10, 50).astype(numpy.uint8)
        for kind in (numpy.uint8, numpy.float32):
            with self.subTest(kind.__name__):
                values = (100 * RANDOM.random((50, 3, 4))).astype(kind)
                numpy.save(self.folder / "values.npy", values)
                numpy.save(self.folder / "labels.npy", labels)
                data = self.folder / kind.__name__
                must("prepare", "--output", data, "--train", self.folder / "values.npy", "--labels",
                     self.folder / "labels.npy", "--val-last", 9, "--rows-per-shard", 20)
                train, val = support.split(data, "train"), support.split(data, "val")
                self.assertEqual(train.dtype, kind)
                numpy.testing.assert_array_equal(numpy.concatenate([train, val]),
                                                 values.reshape(50, 12))
                shards = sorted(data.glob("train-*.h5"))
                self.assertEqual([h5py.File(s, "r")["samples"].shape[0] for s in shards], [20, 20, 1])
                told = numpy.concatenate([h5py.File(s, "r")["labels"][...] for s in shards])
                numpy.testing.assert_array_equal(told, labels[:41])


class Checkpoint(support.Test):
    def test_the_weights_in_it_give_the_scores_by_hand(self):
        values = RANDOM.normal(size=(300, 4)) @ RANDOM.normal(size=(4, 4)) + [5, 0, -3, 100]
        data = prepared_from("correlated", train=values.astype(numpy.float32),
                             test=values[:40].astype(numpy.float32))
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, "--layers", 1, "--activation", "none",
             "--no-marginal", "--transform", "standardize", "--precision", "float64", "--lr", 0.05,
             "--epochs", 3)
        found = support.tensors(checkpoints(run)[-1])
        w, b = found["layer/0/W"], found["layer/0/b"][:, 0]
        mean, deviation = (found[f"transform/{name}"][:, 0] for name in ("mean",
                                                                         "standard_deviation"))
        self.assertGreater(abs(w - w.T).max(), 1e-3)  # else W and its transpose were the same

        # x = (v - mean) / deviation, z = W x + b:
        # log p(v) = log N(z; 0, I) + log|det W| - sum_d log deviation_d
        x = (support.split(data, "test").astype(float) - mean) / deviation
        z = x @ w.T + b
        expected = (-0.5 * (z * z).sum(1) - 2 * numpy.log(2 * numpy.pi)
                    + numpy.linalg.slogdet(w)[1] - numpy.log(deviation).sum())
        given = scores(["--checkpoint", checkpoints(run)[-1], "--data", data],
                       self.folder / "scores.h5")
        numpy.testing.assert_allclose(given, expected, rtol=1e-12)

    def test_the_blocks_of_several_ranks_make_up_the_tensors(self):
        data = prepared(*support.SMALL, "--rows", 120)
        hashes = []
        for ranks in (1, 3):
            run = self.folder / str(ranks)
            result = support.run("train", "--data", data, "--run", run, "--max-seconds", 1e-9,
                                 ranks=ranks)
            self.assertEqual(result.code, 0, str(result))
            hashes.append({t["name"]: t["hash"] for t in
                           support.manifest(checkpoints(run)[-1])["tensors"]})
        self.assertEqual(*hashes)  # at step 0 nothing has been summed: the same bits


class Samples(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 300)
        cls.run_directory = support.SPACE / "sampled"
        must("train", "--data", cls.data, "--run", cls.run_directory, "--epochs", 2)

    def sample(self, name, *options, ranks=0):
        output = self.folder / name
        result = must("sample", "--run", self.run_directory, "--output", output, *options,
                      ranks=ranks)
        error = float(result.out.split("max reconstruction error ")[1].split()[0])
        self.assertLess(error, 1e-3)  # single precision, 64 dimensions
        return output.read_bytes()

    def test_numbers_have_the_shape_and_range_of_the_data(self):
        self.sample("a.h5", "--count", 70)
        with h5py.File(self.folder / "a.h5", "r") as file:
            values = file["samples"][...]
        self.assertEqual((values.shape, values.dtype), ((70, 64), numpy.uint8))
        train = support.split(self.data, "train")
        # The marginals are learned: means agree to a few standard errors.
        difference = values.astype(float).mean(0) - train.astype(float).mean(0)
        self.assertLess(abs(difference).max(), 6 * train.std(0).max() / 70 ** 0.5)

    def test_they_are_a_function_of_the_seed_and_not_of_ranks(self):
        first = self.sample("a.h5", "--count", 10, "--seed", 5)
        self.assertEqual(self.sample("b.h5", "--count", 10, "--seed", 5), first)
        self.assertEqual(self.sample("c.h5", "--count", 10, "--seed", 5, ranks=3), first)
        self.assertNotEqual(self.sample("d.h5", "--count", 10, "--seed", 6), first)
        self.sample("e.h5", "--count", 4, "--seed", 5)
        with h5py.File(self.folder / "a.h5") as ten, h5py.File(self.folder / "e.h5") as four:
            numpy.testing.assert_array_equal(ten["samples"][:4], four["samples"][...])

    def test_temperature_narrows_them(self):
        values = {}
        for temperature in (0.3, 1):
            self.sample(f"{temperature}.h5", "--count", 50, "--temperature", temperature)
            with h5py.File(self.folder / f"{temperature}.h5") as file:
                values[temperature] = file["samples"][...].astype(float)
        self.assertLess(values[0.3].std(0).mean(), 0.7 * values[1].std(0).mean())

    def test_the_picture_is_a_png_of_the_right_size(self):
        content = self.sample("grid.png", "--count", 7)
        chunks = support.png_chunks(content)
        width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        # 7 images in rows of 3, each 8 x 8 enlarged 7 times, 2 pixels apart
        self.assertEqual((width, height, depth, colour), (3 * 58 + 2, 3 * 58 + 2, 8, 0))
        self.assertEqual(len(zlib.decompress(chunks[b"IDAT"])), height * (width + 1))

    def test_real_data_are_sampled_as_they_are(self):
        data = prepared("--synthetic", "toy:gaussian", "--rows", 2000)
        run = self.folder / "gaussian"
        must("train", "--data", data, "--run", run, "--epochs", 5, "--lr", 0.02)
        must("sample", "--run", run, "--output", self.folder / "g.h5", "--count", 2000)
        with h5py.File(self.folder / "g.h5") as file:
            values = file["samples"][...]
        self.assertEqual((values.shape, values.dtype), ((2000, 2), numpy.float32))
        train = support.split(data, "train")
        numpy.testing.assert_allclose(values.mean(0), train.mean(0), atol=0.2 * train.std(0).max())
        numpy.testing.assert_allclose(numpy.cov(values.T), numpy.cov(train.T),
                                      atol=0.25 * train.var(0).max())


class Run(support.Test):
    """The run directory."""

    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 300)
        cls.run_directory = support.SPACE / "looked-at"
        must("train", "--data", cls.data, "--run", cls.run_directory, "--epochs", 3, "--batch-size",
             20, "--log-every", 4, "--warmup", 10, "--products", "openblas", ranks=2)

    def test_metrics_have_their_keys_and_seconds_add_up(self):
        lines = metrics(self.run_directory, "train")
        self.assertEqual([line["step"] for line in lines], list(range(4, 46, 4)))
        for line in lines:
            self.assertEqual(line["samples"], 20 * line["step"])
            self.assertAlmostEqual(line["epoch"], line["step"] / 15)
            for key in ("train_log_likelihood_without_log_abs_det_nats", "lr", "samples_per_s",
                        "bytes_sent", "peak_memory_mib"):
                self.assertIsInstance(line[key], (int, float), key)
            parts = line["seconds_by_part"]
            for part in ("data", "forward", "backward", "exchange", "optimizer", "checkpoint",
                         "other"):
                self.assertGreaterEqual(parts[part], -0.05 * line["seconds"], part)
            waited = parts["exposed_exchange"] - parts["exchange"]
            total = sum(parts.values()) - parts["exposed_exchange"] + waited
            self.assertAlmostEqual(total, line["seconds"], delta=0.05 * line["seconds"])
            # two layers' weights, biases and splines of 64 dimensions, 4 bytes each, 4 steps
            self.assertGreater(line["bytes_sent"], 4 * 2 * 64 * 64 * 4)
            self.assertAlmostEqual(line["samples_per_s"], 80 / line["seconds"], delta=1e-6 *
                                   line["samples_per_s"])

    def test_the_learning_rate_told_is_that_of_the_step(self):
        lines = metrics(self.run_directory, "train")
        # warm-up over 10 steps: the middle of step 4 is at 3.5 of them
        self.assertAlmostEqual(lines[0]["lr"], 1e-3 * 3.5 / 10, delta=1e-9)
        self.assertGreater(lines[-1]["lr"], 0)

    def test_validation_lines_are_what_evaluate_says(self):
        line = metrics(self.run_directory, "val")[-1]
        found = evaluated(self.run_directory, self.data, "--split", "val")
        self.assertEqual(found["step"], line["step"])
        self.assertAlmostEqual(found["bits_per_dim"], line["val_bits_per_dim"], delta=1e-6)

    def test_status_and_directory(self):
        told = support.status(self.run_directory)
        self.assertEqual((told["state"], told["exit_code"], told["step"], told["epoch"],
                          told["world_size"]), ("done", 0, 45, 3.0, 2))
        self.assertEqual(sorted(path.name for path in self.run_directory.iterdir()),
                         ["LATEST", "STATUS", "ckpt", "config.ini", "metrics.jsonl", "samples"])

    def test_its_config_gives_the_same_run_again(self):
        again = self.folder / "again"
        must("train", "--config", self.run_directory / "config.ini", "--run", again, ranks=2)
        self.assertEqual(support.lasting_metrics(again), support.lasting_metrics(self.run_directory))
        ours, theirs = (support.tensors(checkpoints(run)[-1]) for run in (again,
                                                                          self.run_directory))
        for name, values in theirs.items():
            numpy.testing.assert_array_equal(ours[name], values)


class Stopping(support.Test):
    def test_early_with_patience_and_the_best_checkpoint_stays(self):
        # 60 samples are learned by heart soon, at a learning rate that does not fall
        data = prepared(*support.SMALL, "--rows", 60, "--val-last", 60)
        run = self.folder / "run"
        words = ["train", "--data", data, "--run", run, "--schedule", "constant", "--epochs", 400,
                 "--batch-size", 20, "--patience", 3, "--keep-last", 2, "--keep-every", 0,
                 "--save-every-seconds", 1e-6, "--background-save", "false", "--lr", 0.005]
        result = must(*words)
        self.assertIn("no better validation in 3 evaluations: stopped early", result.err)
        curve = metrics(run, "val")
        best = min(curve, key=lambda line: line["val_bits_per_dim"])
        self.assertEqual(curve.index(best), len(curve) - 1 - 3)
        self.assertLess(curve[-1]["epoch"], 400)

        kept = [checkpoint.name for checkpoint in checkpoints(run)]
        self.assertEqual(len(kept), 3)
        self.assertIn(f"step-{best['step']:09d}", kept)
        self.assertEqual(kept[-1], f"step-{curve[-1]['step']:09d}")
        found = evaluated(run, data, "--split", "val")
        self.assertEqual(found["step"], best["step"])
        self.assertAlmostEqual(found["bits_per_dim"], best["val_bits_per_dim"], delta=1e-6)

        lines = support.lasting_metrics(run)
        must(*words, "--resume", "auto")
        self.assertEqual(support.lasting_metrics(run), lines, "a run that stopped early goes on")


class Evaluate(support.Test):
    KEYS = {"split", "samples", "draws", "nonfinite", "log_likelihood_pixel_nats",
            "log_likelihood_logit_nats", "standard_error_nats", "bits_per_dim", "step"}

    def test_json_has_the_keys_of_the_contract_in_a_file_too(self):
        data = prepared(*support.SMALL, "--rows", 300)
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, *support.QUICK)
        for split, samples in (("train", 300), ("val", 50), ("test", 50)):
            result = must("evaluate", "--run", run, "--data", data, "--split", split, "--draws", 2,
                          "--json", self.folder / f"{split}.json")
            found = json.loads((self.folder / f"{split}.json").read_text())
            self.assertLessEqual(self.KEYS, set(found))
            self.assertEqual((found["split"], found["samples"], found["draws"], found["nonfinite"],
                              found["step"]), (split, samples, 2, 0, 10))
            self.assertAlmostEqual(found["bits_per_dim"], -found["log_likelihood_pixel_nats"]
                                   / (64 * numpy.log(2)), places=12)
            self.assertIn(f"{found['bits_per_dim']:.4f} +- ", result.out)
            self.assertIn("pixel nats", result.out)
            self.assertIn("logit-space nats", result.out)

    def test_the_two_conventions_differ_by_what_the_data_say(self):
        data = prepared(*support.SMALL, "--rows", 300)
        a = 0.05
        differences = []
        for name, options in (("marginal", []), ("logit", ["--no-marginal"])):
            run = self.folder / name
            must("train", "--data", data, "--run", run, *support.QUICK, "--logit-a", a, *options)
            found = evaluated(run, data, "--draws", 20)
            differences.append(found["log_likelihood_pixel_nats"]
                               - found["log_likelihood_logit_nats"])
        # of the data and the noise alone, whatever the model
        self.assertAlmostEqual(*differences, delta=1e-4)
        # log p_pixel = log p_logit + sum_d [-log s - log(1 - s)] + D log(1 - 2a) - D log 256, the
        # mean over noise by the midpoint rule for each of the 256 levels
        u = (numpy.arange(256)[:, None] + (numpy.arange(1000) + 0.5) / 1000) / 256
        s = a + (1 - 2 * a) * u
        slope = (-numpy.log(s) - numpy.log1p(-s)).mean(1) + numpy.log(1 - 2 * a) - numpy.log(256)
        expected = slope[support.split(data, "test")].sum(1).mean()
        self.assertAlmostEqual(differences[0], expected, delta=0.02)

    def test_real_data_have_no_logit_space(self):
        data = prepared("--synthetic", "toy:moons", "--rows", 200)
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, *support.QUICK)
        self.assertIsNone(evaluated(run, data)["log_likelihood_logit_nats"])


class Inspect(support.Test):
    def test_every_kind_of_thing_is_told_in_words(self):
        data = prepared(*support.SMALL, "--rows", 300)
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, *support.QUICK)
        must("sample", "--run", run, "--output", self.folder / "a.h5", "--count", 5)
        for path, lines in (
                (data, [r"kind +data set", r"sample shape +1 x 8 x 8", r"  train +300 +1"]),
                (run, [r"kind +run", r"  state +done", r"  activation +smooth-leaky-relu",
                       r"  step-000000010 .*latest, best"]),
                (checkpoints(run)[-1], [r"kind +checkpoint", r".*step +10", r".*layer/0/W.*"]),
                (self.folder / "a.h5", [r"kind +HDF5 file", r"  /samples +5 x 64 +uint8 +320"])):
            for verify in ([], ["--verify"]):
                if verify and path.suffix == ".h5":
                    continue
                told = must("inspect", path, *verify).out
                for line in lines:
                    self.assertRegex(told, f"(?m)^{line}$")

    def test_hdf5_files_of_others_too(self):
        path = self.folder / "other.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("group/chunked", data=numpy.zeros((40, 3)), chunks=(10, 3),
                                compression="gzip")
            file["counts"] = numpy.arange(6, dtype=">i4")
            file["names"] = ["a", "b"]
            file["table"] = numpy.zeros(3, dtype=[("x", "f4"), ("y", "u1")])
            file["empty"] = h5py.Empty("f4")
            file["number"] = 2.5
        told = must("inspect", path).out
        for line in (r"  /counts +6 +int32, big-endian +24", r"  /group/chunked +40 x 3 +float64, chunked +\d+",
                     r"  /names +2 +text +\d+", r"  /number .*float64 +8", r"  /table +3 +compound +15"):
            self.assertRegex(told, f"(?m)^{line}$")
        path.write_bytes(path.read_bytes()[:-200])
        self.refuses(["inspect", path], 3, path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
