#!/usr/bin/env python3
"""The Python package computes what the program computes: likelihoods, latent vectors and samples of every kind of
layer, transform and latent density; it reads data sets and metrics, and refuses what does not fit in one line."""
import importlib.util
import json
import os
import re
import subprocess
import sys
import unittest

import support  # first: it finds a python that has h5py
from support import h5py, must, numpy, prepared

ROOT = support.pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
import relgrad  # pylint: disable=wrong-import-position
from relgrad.layers import KINDS  # pylint: disable=wrong-import-position

HAS_SAFETENSORS = importlib.util.find_spec("safetensors") is not None
HAS_TORCH = importlib.util.find_spec("torch") is not None
IMAGES = ("--synthetic", "images", "--size", "8x8", "--rows", 300)
REAL = ("--synthetic", "ica:6", "--rows", 400)
PLAIN = ("--no-marginal", "--transform")
ALL_IMAGE_LAYERS = ("actnorm conv:3 spline:5:4:channel squeeze conv:3:circular actnorm conv:1 coupling:8 split:8 conv:5 "
                    "leaky-tanh squeeze linear conv:7 smooth-leaky-relu")
# name: data, options of train, ranks
CASES = {
    "dense": (IMAGES, ("--exchange", "row"), 2),  # every W in two files
    "self-normalizing": (IMAGES, (*PLAIN, "logit", "--gradient", "self-normalizing", "--activation", "smooth-leaky-relu",
                                  "--latent", "logistic"), 0),
    "all layers": (IMAGES, (*PLAIN, "standardize", "--model", ALL_IMAGE_LAYERS), 0),
    "all layers in double": (IMAGES, ("--model", ALL_IMAGE_LAYERS, "--precision", "float64"), 0),
    "spectral": (IMAGES, (*PLAIN, "none", "--model", "spectral:frequencies spline:6:5:ring spectral", "--init", "whitening",
                          "--latent", "hyperbolic-secant"), 0),
    "learned kernels": (IMAGES, ("--model", "2*(conv:3 spline:5) squeeze conv:5:circular conv:7", "--gradient", "self-normalizing"), 0),
    "glow": (IMAGES, ("--model", "glow:2x2:8", "--latent", "laplace"), 0),
    "real": (REAL, (), 0),
    "real, standardized": (REAL, (*PLAIN, "standardize", "--activation", "leaky-tanh", "--precision", "float64"), 0),
    "real, as it is": (REAL, (*PLAIN, "none", "--latent", "laplace"), 0),
}
# With classes, too:
CONDITIONAL = ("--conditional", "--model", "squeeze conv:3 spline:5:4 split:4 conv:3")
CASES["conditional"] = (support.labelled(), CONDITIONAL, 0)
CASES["conditional in double"] = (support.labelled(), ("--conditional", "--precision", "float64", "--latent", "logistic",
                                                       "--exchange", "row"), 2)
TRAINED = {}


def trained(name):
    """(data, run) of a case, trained for some steps, once a process. Read only."""
    if name not in TRAINED:
        words, options, ranks = CASES[name]
        data, run = prepared(*words), support.SPACE / f"run-{len(TRAINED)}"
        must("train", "--data", data, "--run", run, "--batch-size", 40, "--max-steps", 10, "--lr", 0.01, *options, ranks=ranks)
        TRAINED[name] = data, run
    return TRAINED[name]


def h5(path, name):
    with h5py.File(path) as file:
        return file[name][...]


class Model(support.Test):
    def test_it_computes_what_the_program_computes(self):
        for name in CASES:
            with self.subTest(name):
                data, run = trained(name)
                out = self.folder / name
                must("score", "--run", run, "--data", data, "--output", f"{out}.h5")
                must("encode", "--run", run, "--data", data, "--output", f"{out}-z.h5")
                expected, latent = h5(f"{out}.h5", "log_likelihood"), h5(f"{out}-z.h5", "latent")
                model = relgrad.load(run)
                x = relgrad.data(data)["test"]

                log_prob, z = model.log_prob(x), model.encode(x)

                is_double = model.precision == "float64"
                numpy.testing.assert_allclose(log_prob, expected, rtol=1e-12 if is_double else 2e-6)
                numpy.testing.assert_allclose(z, latent, atol=1e-6 if is_double else 2e-5)
                back = model.decode(z)
                self.assertEqual(back.shape, x.shape)
                with_noise = (x <= back + 1e-2) & (back <= x + 1.01) if model.is_8_bit else abs(back - x) < 1e-4
                self.assertTrue(with_noise.all(), "decode(encode(x)) is not x")

    def test_it_draws_the_samples_that_the_program_draws(self):
        for name, words, options in (
                ("dense", (), {}),
                ("all layers", ("--seed", 5, "--temperature", 0.7), {"seed": 5, "temperature": 0.7}),
                ("self-normalizing", ("--inverse", "learned"), {"inverse": "learned"}),
                ("learned kernels", ("--inverse", "learned"), {"inverse": "learned"}),
                ("spectral", (), {}), ("glow", (), {}), ("real", (), {})):
            with self.subTest(name):
                run = trained(name)[1]
                must("sample", "--run", run, "--count", 25, "--output", self.folder / f"{name}.h5", *words)
                expected = h5(self.folder / f"{name}.h5", "samples")

                drawn = relgrad.load(run).sample(25, **options)

                self.assertEqual(drawn.dtype, expected.dtype)
                difference = abs(drawn.reshape(25, -1).astype(float) - expected)
                if drawn.dtype == numpy.uint8:  # rounding may move a value over the edge of a level
                    self.assertLessEqual(difference.max(), 1)
                    self.assertLess((difference > 0).mean(), 1e-3)
                else:
                    self.assertLess(difference.max(), 1e-4)

    def test_classes_are_those_of_the_program(self):
        for name in ("conditional", "conditional in double"):
            with self.subTest(name):
                data, run = trained(name)
                must("score", "--run", run, "--data", data, "--draws", 2, "--output", self.folder / f"{name}.h5")
                scores = {key: h5(self.folder / f"{name}.h5", key) for key in ("class_log_likelihood", "predicted_label")}
                model, x, labels = relgrad.load(run), relgrad.data(data)["test"], relgrad.data(data).labels("test")

                by_class = model.class_log_prob(x, draws=2)

                numpy.testing.assert_allclose(by_class, scores["class_log_likelihood"], rtol=2e-6)
                numpy.testing.assert_array_equal(model.predict(x, draws=2), scores["predicted_label"])
                numpy.testing.assert_array_equal(model.log_prob(x, label=2, draws=2), by_class[:, 2])
                numpy.testing.assert_array_equal(model.log_prob(x, label=labels, draws=2),
                                                 by_class[numpy.arange(len(x)), labels])
                numpy.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
                for words, options in ((("--label", 1), {"label": 1}), ((), {})):
                    drawn = self.folder / f"{name}-{len(words)}.h5"
                    must("sample", "--run", run, "--count", 25, "--seed", 3, "--output", drawn, *words)
                    expected = model.sample(25, seed=3, **options).reshape(25, -1).astype(int)
                    self.assertLessEqual(abs(h5(drawn, "samples").astype(int) - expected).max(), 1)
                    numpy.testing.assert_array_equal(h5(drawn, "labels"), 1 if words else model.sample_labels(25, seed=3))

    def test_noise_is_that_of_the_program_for_every_draw_seed_and_row(self):
        data, run = trained("dense")
        must("score", "--run", run, "--data", data, "--draws", 3, "--seed", 7, "--output", self.folder / "three.h5")
        expected = h5(self.folder / "three.h5", "log_likelihood")
        model, x = relgrad.load(run), relgrad.data(data)["test"]

        numpy.testing.assert_allclose(model.log_prob(x, draws=3, seed=7), expected, rtol=2e-6)
        numpy.testing.assert_allclose(model.log_prob(x[20:], draws=3, seed=7, first_row=20), expected[20:], rtol=2e-6)
        self.assertGreater(abs(model.log_prob(x, draws=3, seed=8) - expected).mean(), 1e-2)

    def test_units_and_the_names_of_scikit_learn(self):
        data, run = trained("self-normalizing")
        figures = json.loads(must("evaluate", "--run", run, "--data", data, "--json", "-").out)
        model, x = relgrad.load(run), relgrad.data(data)["test"]

        self.assertAlmostEqual(model.bits_per_dim(x).mean(), figures["bits_per_dim"], places=5)
        self.assertAlmostEqual(model.log_abs_det, figures["log_abs_det_nats"], places=3)
        numpy.testing.assert_array_equal(model.score_samples(x), model.log_prob(x.reshape(len(x), -1)))
        self.assertAlmostEqual(model.score(x), figures["log_likelihood_pixel_nats"], places=3)

    def test_floats_are_taken_as_they_are(self):
        model = relgrad.load(trained("dense")[1])
        values = numpy.random.default_rng(1).uniform(0, 256, (4, 1, 8, 8))

        numpy.testing.assert_allclose(model.decode(model.encode(values)), values, atol=2e-2)
        numpy.testing.assert_array_equal(model.log_prob(values, seed=1), model.log_prob(values, seed=2))

    def test_every_kind_of_layer_is_there_and_among_the_cases(self):
        in_program = re.findall(r'^      \{"([\w-]+)",\s+"', (ROOT / "src/model/registry.cpp").read_text(), re.MULTILINE)
        in_cases = {layer["kind"] for name in CASES for layer in relgrad.load(trained(name)[1]).description["layers"]}

        self.assertEqual(sorted(KINDS), sorted(in_program))
        self.assertEqual(in_cases, set(in_program))

    def test_a_run_has_a_best_and_a_latest_checkpoint(self):
        data = prepared(*IMAGES)
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, "--batch-size", 50, "--epochs", 3, "--lr", 0.3, "--model", "linear",
             "--save-every-seconds", 0.001)
        saved = [(c["state"]["metrics"]["val_bits_per_dim"], c["step"]) for c in map(support.manifest, support.checkpoints(run))]
        best = min((bits, step) for bits, step in saved if bits is not None)[1]
        self.assertNotEqual(best, saved[-1][1], saved)

        self.assertEqual(relgrad.load(run).checkpoint.step, best)
        latest = relgrad.load(run, which="latest")
        self.assertEqual(latest.checkpoint.directory.name, (run / "LATEST").read_text().strip())
        self.assertEqual(relgrad.load(latest.checkpoint.directory).checkpoint.step, latest.checkpoint.step)


class Export(support.Test):
    """What `relgrad export` writes, read by numpy and by the package safetensors."""

    def exported(self, name, ending):
        path = self.folder / f"{name}{ending}"
        must("export", trained(name)[1], "--output", path)
        return path

    def test_npz_holds_every_array_in_the_order_of_numpy(self):
        for name in CASES:
            with self.subTest(name):
                model = relgrad.load(trained(name)[1])
                with numpy.load(self.exported(name, ".npz")) as found:
                    texts = {key: found[key].item() for key in found if found[key].dtype.kind == "U"}
                    arrays = {key: found[key] for key in found if found[key].dtype.kind == "f"}

                self.assertEqual(json.loads(texts["description"]), model.description)
                self.assertEqual(int(texts["step"]), model.checkpoint.step)
                line = json.loads(must("inspect", model.checkpoint.directory, "--json").out)["model"]["line"]
                self.assertEqual(texts["model"], line)
                for key, stored in model.checkpoint.tensors("layer/").items():
                    if key.endswith("reconstruction"):
                        continue
                    array = arrays.pop("layer/" + key.replace("R-transposed", "R"))
                    self.assertEqual(array.dtype, stored.dtype)
                    numpy.testing.assert_array_equal(array, in_order_of_numpy(key, stored, array.shape), err_msg=key)
                for key, stored in model.checkpoint.tensors("latent/").items():
                    numpy.testing.assert_array_equal(arrays.pop(f"latent/{key}").reshape(stored.shape), stored)
                for key, stored in model.checkpoint.tensors("transform/").items():
                    numpy.testing.assert_array_equal(arrays.pop(f"transform/{key}").reshape(stored.shape), stored)
                self.assertEqual(arrays, {})

    def test_a_dense_layer_and_a_kernel_work_as_they_are(self):
        x = numpy.random.default_rng(4).normal(size=(2, 1, 8, 8)).astype("float32")
        with numpy.load(self.exported("dense", ".npz")) as found:
            expected = relgrad.load(trained("dense")[1])._flow.layers[0].forward(x).output.reshape(2, -1)
            numpy.testing.assert_allclose(x.reshape(2, -1) @ found["layer/0/W"].T + found["layer/0/b"], expected, atol=1e-5)
        with numpy.load(self.exported("learned kernels", ".npz")) as found:
            self.assertEqual(found["layer/0/w"].shape, (1, 1, 3, 3))
            self.assertEqual(found["layer/5/w"].shape, (4, 4, 5, 5))
            middle = (found["layer/0/w"][0, 0] * x[0, 0, 2:5, 3:6]).sum() + found["layer/0/b"][0]
        expected = relgrad.load(trained("learned kernels")[1])._flow.layers[0].forward(x).output[0, 0, 3, 4]
        self.assertAlmostEqual(middle, expected, places=5)

    def test_safetensors_holds_the_same(self):
        for name in ("all layers", "real, standardized", "self-normalizing"):
            with self.subTest(name):
                with numpy.load(self.exported(name, ".npz")) as found:
                    expected = {key: found[key] for key in found}

                metadata, arrays = read_safetensors(self.exported(name, ".safetensors"))

                for key, value in metadata.items():
                    self.assertEqual(expected.pop(key).item(), value)
                self.assertEqual(sorted(arrays), sorted(expected))
                for key, array in arrays.items():
                    self.assertEqual(array.dtype, expected[key].dtype)
                    numpy.testing.assert_array_equal(array, expected[key])

    @unittest.skipUnless(HAS_SAFETENSORS, "the package safetensors is not installed: read by its own rules alone")
    def test_the_package_safetensors_reads_it(self):
        from safetensors import safe_open  # pylint: disable=import-outside-toplevel
        path = self.exported("all layers", ".safetensors")
        metadata, arrays = read_safetensors(path)

        with safe_open(str(path), framework="numpy") as file:
            self.assertEqual(file.metadata(), metadata)
            self.assertEqual(set(file.keys()), set(arrays))
            for key in file.keys():
                numpy.testing.assert_array_equal(file.get_tensor(key), arrays[key])

    def test_equal_weights_make_equal_files_of_a_run_or_of_its_checkpoint(self):
        run = trained("real")[1]
        for ending in (".npz", ".safetensors"):
            must("export", support.checkpoints(run)[-1], "--output", self.folder / f"again{ending}")
            if relgrad.load(run).checkpoint.directory == support.checkpoints(run)[-1]:
                self.assertEqual(self.exported("real", ending).read_bytes(), (self.folder / f"again{ending}").read_bytes())

    def test_what_cannot_be_exported_is_refused_and_leaves_nothing(self):
        run = trained("real")[1]
        taken = self.folder / "taken.npz"
        taken.write_text("")
        self.refuses(["export", run, "--output", self.folder / "weights.pt"], 2, "neither in .safetensors nor in .npz")
        self.refuses(["export", run, "--output", taken], 2, "taken.npz exists")
        self.refuses(["export", "--output", self.folder / "a.npz"], 2, "no run is given")
        self.refuses(["export", run], 2, "--output is missing")
        self.refuses(["export", self.folder, "--output", self.folder / "a.npz"], 4, "no usable checkpoint")
        copy = self.folder / "damaged"
        support.shutil.copytree(support.checkpoints(run)[-1], copy)
        shard = next(copy.glob("shard-*.h5"))
        place = next(block["offset"] for tensor in support.manifest(copy)["tensors"] for block in tensor["blocks"]
                     if tensor["name"] == "layer/0/W")
        content = bytearray(shard.read_bytes())
        content[place] ^= 1
        shard.write_bytes(content)
        for ending in (".npz", ".safetensors"):
            self.refuses(["export", copy, "--output", self.folder / f"a{ending}"], 4, "layer/0/W", "damaged")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["damaged", "taken.npz"])


def in_order_of_numpy(name, stored, shape):
    """What a tensor that a checkpoint stores by columns is in an exported file."""
    kind = name.split("/")[1]
    if kind == "last_weight":  # [channels out, 3, 3, hidden]
        return stored.reshape(shape[0], 3, 3, -1).transpose(0, 3, 1, 2)
    if kind in ("W", "widths", "heights", "slopes"):
        return stored.T
    return stored.reshape(shape)


def read_safetensors(path):
    """Metadata and arrays, by the rules of the format."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__")
    arrays, end = {}, 0
    for name, entry in header.items():
        begin, last = entry["data_offsets"]
        assert begin == end, "a hole in the data"
        end = last
        values = numpy.frombuffer(content[8 + length + begin:8 + length + last], {"F32": "<f4", "F64": "<f8"}[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    assert len(content) == 8 + length + end, "bytes that belong to nothing"
    return metadata, arrays


class Refusals(support.Test):
    def refuses_in_python(self, words, work):
        with self.assertRaises(relgrad.RelgradError) as caught:
            work()
        self.assertRegex(str(caught.exception), words)
        self.assertNotIn("\n", str(caught.exception))

    def test_what_does_not_fit_is_told_in_one_line(self):
        model = relgrad.load(trained("dense")[1])
        levels = numpy.zeros((2, 1, 8, 8), numpy.uint8)
        for words, work in (
                (r"shape \(2, 63\), expected \[n, 1, 8, 8\]", lambda: model.log_prob(levels.reshape(2, -1)[:, :63])),
                (r"pass x\[None\]", lambda: model.log_prob(levels[0])),
                ("whole levels as floats", lambda: model.log_prob(levels.astype(float))),
                ("reaches from -0.5", lambda: model.log_prob(levels - 0.5)),
                (r"z has shape \(2, 3\)", lambda: model.decode(numpy.zeros((2, 3)))),
                ("no learned inverses", lambda: model.sample(2, inverse="learned")),
                ("the model has no classes", lambda: model.predict(levels)),
                ("the model has no classes", lambda: model.sample(2, label=1)),
                ("label: reaches from 3 to 3", lambda: relgrad.load(trained("conditional")[1]).log_prob(levels, label=3)),
                ("draws: 0, must be at least 1", lambda: model.log_prob(levels, draws=0)),
                ("neither float32 nor", lambda: relgrad.load(trained("dense")[1], precision="half")),
                ("holds no usable checkpoint", lambda: relgrad.load(self.folder)),
                ("no data set", lambda: relgrad.data(self.folder)),
                ("metrics.jsonl", lambda: relgrad.metrics(self.folder))):
            with self.subTest(words):
                self.refuses_in_python(words, work)

    def test_a_checkpoint_that_was_cut_or_is_newer_is_refused(self):
        copy = self.folder / "checkpoint"
        support.shutil.copytree(support.checkpoints(trained("dense")[1])[-1], copy)
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99}))
        self.refuses_in_python("format 99 is newer", lambda: relgrad.load(copy))
        (copy / "manifest.json").write_text(json.dumps(manifest))
        os.truncate(next(copy.glob("shard-*.h5")), 1000)
        self.refuses_in_python("has 1000 bytes", lambda: relgrad.load(copy))


class Files(support.Test):
    def test_splits_and_labels_of_a_data_set_are_arrays(self):
        folder = prepared(*IMAGES)
        data = relgrad.data(folder)

        self.assertEqual(list(data), ["train", "val", "test"])
        for name, values in data.items():
            self.assertEqual(values.shape[1:], (1, 8, 8))
            numpy.testing.assert_array_equal(values.reshape(len(values), -1), support.split(folder, name))
        self.assertIsNone(data.labels("train"))
        with self.assertRaisesRegex(KeyError, "no split 'valid'; it has train, val, test"):
            data["valid"]

    def test_metrics_are_arrays_also_of_a_run_that_goes_on(self):
        run = trained("dense")[1]
        lines = support.metrics(run, "train")
        copy = self.folder
        (copy / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text() + '{"kind": "tr')

        for found in (relgrad.metrics(run), relgrad.metrics(copy)):
            numpy.testing.assert_array_equal(found["train"]["step"], [line["step"] for line in lines])
            numpy.testing.assert_array_equal(found["train"]["seconds_by_part"]["forward"],
                                             [line["seconds_by_part"]["forward"] for line in lines])
            self.assertEqual(list(found["val"]["bits_per_dim"]), support.validation(run))

    def test_the_lines_of_the_page_run(self):
        data, run = trained("dense")
        for name, target in (("data/images", data), ("runs/first", run)):
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).symlink_to(target)
        blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs/python.md").read_text())
        self.assertEqual(len(blocks), 3)
        if not HAS_TORCH:
            blocks = [block for block in blocks if "torch" not in block]
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        found = {}

        for block in blocks:
            exec(block, found)  # pylint: disable=exec-used

        self.assertEqual(found["same"].shape, found["x"].shape)
        self.assertEqual(found["best"], min(support.validation(run)))

    def test_the_example_runs(self):
        data, run = trained("dense")
        result = subprocess.run([sys.executable, ROOT / "python/examples/first_look.py", data, run], text=True, check=False,
                                env={**os.environ, "PYTHONPATH": str(ROOT / "python")}, capture_output=True)

        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"test: \d\.\d+ \+- \d\.\d+ bits/dim")
        self.assertIn("drawn: (16, 1, 8, 8) uint8", result.stdout)


@unittest.skipUnless(HAS_TORCH, "python3-torch is not installed: model.torch() is not tested")
class Torch(support.Test):
    def test_log_prob_is_that_of_numpy_and_its_gradient_that_of_differences(self):
        import torch  # pylint: disable=import-outside-toplevel
        random = numpy.random.default_rng(2)
        for name in CASES:
            with self.subTest(name):
                data, run = trained(name)
                model = relgrad.load(run, precision="float64")
                x = relgrad.data(data)["test"][:3].astype(float)
                x += random.uniform(0.1, 0.9, x.shape) if model.is_8_bit else 0
                direction = random.normal(size=x.shape)
                flow, tensor = model.torch(), torch.tensor(x, requires_grad=True)

                log_prob = flow.log_prob(tensor)
                log_prob.sum().backward()

                numpy.testing.assert_allclose(log_prob.detach().numpy(), model.log_prob(x), rtol=1e-12)
                along = (tensor.grad.numpy() * direction).reshape(3, -1).sum(axis=1)
                step = 1e-5
                difference = (model.log_prob(x + step * direction) - model.log_prob(x - step * direction)) / (2 * step)
                numpy.testing.assert_allclose(along, difference, rtol=1e-3)
                self.assertTrue(all(p.grad is not None and torch.isfinite(p.grad).all() for p in flow.parameters()))
                self.assertLess(abs(relgrad.load(run).torch().encode(tensor.detach()).detach().numpy()
                                    - relgrad.load(run).encode(x)).max(), 1e-4)


if __name__ == "__main__":
    unittest.main()
