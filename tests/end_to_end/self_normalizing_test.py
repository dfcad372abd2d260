"""--gradient self-normalizing and the kept inverses of --gradient plain: trained, saved, resumed, sampled."""
import support  # first: it finds a python that has h5py
from support import Test, checkpoints, h5py, must, numpy, prepared, tensors

DATA = ["--synthetic", "images", "--size", "9x7", "--rows", 600]
NET = ["--activation", "smooth-leaky-relu", "--batch-size", 23, "--schedule", "constant", "--lr", 1e-3]
LEARNED = [*NET, "--gradient", "self-normalizing"]
STEPS, HALF = 24, 11


class SelfNormalizing(Test):
    def train(self, name, *words, ranks=0, steps=STEPS):
        run = self.folder / name
        must("train", "--data", prepared(*DATA), "--run", run, *words, "--max-steps", steps, "--log-every", 5,
             ranks=ranks)
        return run

    def samples(self, run, inverse, *words, ranks=0):
        path = self.folder / f"{inverse}.h5"
        path.unlink(missing_ok=True)
        result = must("sample", "--run", run, "--output", path, "--count", 20, "--inverse", inverse, *words,
                      ranks=ranks)
        error = float(result.out.split("max reconstruction error ")[1].split()[0])
        with h5py.File(path) as file:
            return file["samples"][...].astype(float), error

    def test_learned_inverses_stay_near_the_exact_ones(self):
        run = self.train("run", *LEARNED, "--epochs", 5, "--reconstruction-weight", 100, steps=0)
        line = support.metrics(run, "train")[-1]
        self.assertEqual(line["reconstruction_weight"], 100.0)
        self.assertLess(line["reconstruction_error"], 0.01)  # of a squared norm of some 2 x 63
        last = tensors(checkpoints(run)[-1])
        found = []
        for layer in (0, 2):
            w, r = (last[f"layer/{layer}/{name}"].astype(float) for name in ("W", "R-transposed"))
            found.append(numpy.linalg.norm(r.T @ w - numpy.eye(63)) / 63 ** 0.5)
            # what the R of the start would leave
            self.assertLess(found[-1], 0.3 * numpy.linalg.norm(w - numpy.eye(63)) / 63 ** 0.5)
        told = support.metrics(run, "val")[-1]["inverse_error"]
        self.assertLess(abs(told - max(found)), 0.5 * max(found))  # by 32 draws
        values = {}
        for inverse, most in (("exact", 1e-3), ("learned", 0.2)):
            values[inverse], error = self.samples(run, inverse)
            self.assertLess(error, most)
        # 8-bit levels of the same latent draws
        self.assertLess(numpy.abs(values["learned"] - values["exact"]).mean(), 1.0)
        self.assertGreater(values["exact"].std(), 10.0)

    def test_row_groups_train_and_sample_as_one_rank_does(self):
        words = [*LEARNED, "--precision", "float64", "--reconstruction", "symmetric", "--geco-tolerance", 0.01]
        one = self.train("one", *words)
        wanted = tensors(checkpoints(one)[-1])
        self.assertIn("optimizer/moment2/layer/0/R-transposed", wanted)
        self.assertNotEqual(wanted["layer/0/reconstruction"][0], 0.0)  # lambda moved
        run = self.train("rows", *words, "--exchange", "row", ranks=3, steps=HALF)
        self.train("rows", *words, "--exchange", "row", "--row-groups", 2, "--resume", "auto", ranks=4)
        found = tensors(checkpoints(run)[-1])
        self.assertEqual(found.keys(), wanted.keys())
        for name, values in wanted.items():
            scale = max(1e-6, numpy.abs(values).max())
            self.assertLess(numpy.abs(found[name] - values).max(), 1e-9 * scale, name)
        alone, error = self.samples(run, "learned")
        together, error_together = self.samples(run, "learned", "--row-groups", 0, ranks=2)
        self.assertLess(numpy.abs(alone - together).max(), 2)
        self.assertAlmostEqual(error, error_together, delta=1e-6)

    def test_inverses_that_newton_keeps_are_the_same_on_any_ranks_and_exchange(self):
        words = [*LEARNED, "--precision", "float64", "--reconstruction", "newton"]
        one = self.train("one", *words)
        self.assertLess(support.metrics(one, "val")[-1]["inverse_error"], 0.1)
        self.assertNotIn("reconstruction_error", support.metrics(one, "train")[-1])
        wanted = tensors(checkpoints(one)[-1])
        for ranks, exchange in ((2, ["factor"]), (2, ["dense"]), (3, ["row"]), (4, ["row", "--row-groups", 2])):
            with self.subTest(ranks=ranks, exchange=exchange):
                run = self.train(f"{ranks}-{exchange[0]}", *words, "--exchange", *exchange, ranks=ranks)
                found = tensors(checkpoints(run)[-1])
                for name, values in wanted.items():
                    scale = max(1e-6, numpy.abs(values).max())
                    self.assertLess(numpy.abs(found[name] - values).max(), 1e-9 * scale, name)

    def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(self):
        plain = [*NET, "--gradient", "plain", "--inverse-every", 4]
        geco = [*LEARNED, "--geco-tolerance", 0.01, "--clip-norm", 5.0]
        newton = [*LEARNED, "--reconstruction", "newton"]
        for name, words in (("geco", geco), ("plain", plain), ("newton", newton)):
            with self.subTest(name):
                words = [*words, "--products", "openblas"]  # what is fastest may be another thing at another start
                whole = self.train(f"{name}-whole", *words)
                run = self.train(f"{name}-parts", *words, steps=HALF)
                self.train(f"{name}-parts", *words, "--resume", "auto")
                found, wanted = tensors(checkpoints(run)[-1]), tensors(checkpoints(whole)[-1])
                for tensor, values in wanted.items():
                    self.assertTrue(numpy.array_equal(found[tensor], values), tensor)

    def test_the_plain_gradient_with_a_kept_inverse_is_near_the_exact_one(self):
        runs = [self.train(f"every-{k}", *NET, "--gradient", "plain", "--inverse-every", k) for k in (1, 5)]
        exact, kept = (support.validation(run)[-1] for run in runs)
        self.assertLess(abs(exact - kept), 0.01)
        self.assertNotIn("layer/0/R-transposed", tensors(checkpoints(runs[0])[-1]))

    def test_refuses_what_cannot_be(self):
        run = self.train("relative", *NET, steps=2)
        self.refuses(["sample", "--run", run, "--output", self.folder / "a.h5", "--inverse", "learned"], 2,
                     "--inverse", "no learned inverses", "--inverse exact")
        data = ["--data", prepared(*DATA)]
        self.refuses(["train", *data, "--run", run, *LEARNED, "--resume", "auto"], 2, "--gradient",
                     "self-normalizing", "--gradient relative")
        self.refuses(["train", *data, "--run", self.folder / "b", *NET, "--gradient", "plain", "--exchange",
                      "row"], 2, "plain", "self-normalizing", ranks=2)


if __name__ == "__main__":
    support.unittest.main()
