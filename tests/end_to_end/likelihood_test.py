#!/usr/bin/env python3
"""What the likelihood must be by itself, whatever was trained, and latent values beside it."""
import json
import math
import unittest

import support  # first: it finds a python that has h5py
from support import h5py, must, numpy, prepared, prepared_from


def scored(output, *words, ranks=0):
    """Log-likelihoods and latent values of a split."""
    latent = output.with_name(f"{output.stem}-latent.h5")
    must("score", *words, "--output", output, ranks=ranks)
    must("encode", *words, "--output", latent, ranks=ranks)
    with h5py.File(output) as file, h5py.File(latent) as encoded:
        return file["log_likelihood"][...], encoded["latent"][...]


class OnePixel(support.Test):
    def test_its_256_values_have_probabilities_that_add_up_to_one(self):
        random = numpy.random.default_rng(3)
        pixels = numpy.where(random.random(3000) < 0.6, 0, random.normal(150, 40, 3000)).clip(0, 255).astype("uint8")
        data = prepared_from("one-pixel", train=pixels[:2500, None], val=pixels[2500:, None])
        draws = 400
        levels = prepared_from("levels", train=numpy.repeat(numpy.arange(256, dtype="uint8"), draws)[:, None],
                               val=numpy.zeros((1, 1), "uint8"))
        for name, options in (("marginal", []), ("logit", ["--no-marginal", "--transform", "logit"])):
            with self.subTest(name):
                run = self.folder / name
                must("train", "--data", data, "--run", run, "--batch-size", 50, "--epochs", 2, "--init-noise", 0.3, *options)

                nats, _ = scored(self.folder / f"{name}.h5", "--run", run, "--data", levels, "--split", "train")

                # P(v) is the mean over the noise of p(v + noise).
                density = numpy.exp(nats).reshape(256, draws)
                error = math.sqrt((density.var(axis=1, ddof=1) / draws).sum())
                print(f"{name}: sum {density.mean(axis=1).sum():.5f} +- {error:.5f}")
                self.assertAlmostEqual(density.mean(axis=1).sum(), 1.0, delta=5 * error)
                self.assertLess(error, 0.01)


class LatentValues(support.Test):
    def test_with_log_det_they_make_the_log_likelihood_on_any_ranks_and_row_groups(self):
        data = prepared("--synthetic", "ica:6", "--rows", 500)
        run = self.folder / "run"
        must("train", "--data", data, "--run", run, "--layers", 2, "--activation", "none", "--last-activation", "none",
             "--no-marginal", "--transform", "none", "--batch-size", 50, "--epochs", 1, "--precision", "float64")
        found = json.loads(must("evaluate", "--run", run, "--data", data, "--json", "-").out)
        words = ["--run", run, "--data", data]

        nats, latent = scored(self.folder / "alone.h5", *words)

        expected = -0.5 * (latent.astype(float) ** 2).sum(axis=1) - 3 * math.log(2 * math.pi) + found["log_abs_det_nats"]
        numpy.testing.assert_allclose(nats, expected, atol=1e-5)
        for ranks, row_groups in ((3, 1), (2, 2), (4, 2)):
            with self.subTest(f"{ranks} ranks, {row_groups} share W"):
                again_nats, again = scored(self.folder / f"{ranks}-{row_groups}.h5", *words, "--row-groups", row_groups,
                                           ranks=ranks)
                numpy.testing.assert_allclose(again, latent, atol=1e-6)
                numpy.testing.assert_allclose(again_nats, nats, atol=1e-9)

    def test_shards_of_planted_data_hold_the_sources(self):
        data = prepared("--synthetic", "ica:6", "--rows", 500)
        with h5py.File(next(data.glob("train-*.h5"))) as file:
            samples, sources = file["samples"][...], file["sources"][...].astype(float)

        self.assertEqual(samples.shape, sources.shape)
        # x = tanh(A s) + 0.3 A s is increasing in A s: its ranks are those of a linear function of s.
        bent = numpy.linspace(-8, 8, 100001)
        unbent = numpy.interp(samples, numpy.tanh(bent) + 0.3 * bent, bent)
        mixing, residual, _, _ = numpy.linalg.lstsq(sources, unbent, rcond=None)
        self.assertLess(numpy.abs(sources @ mixing - unbent).max(), 1e-4)
        numpy.testing.assert_allclose((mixing ** 2).sum(axis=0), 1, atol=1e-4)


class WhiteningStart(support.Test):
    def first_validation(self, name, data, *options, ranks=0):
        run = self.folder / name
        must("train", "--data", data, "--run", run, "--init", "whitening", "--max-steps", 1, "--batch-size", 40, *options,
             ranks=ranks)
        return support.validation(run)[0]

    def test_beats_the_marginals_before_the_first_step_and_is_the_same_on_any_ranks(self):
        data = prepared(*support.SMALL, "--rows", 3000)
        marginals = self.folder / "marginals"
        must("train", "--data", data, "--run", marginals, "--max-steps", 1, "--init-noise", 0)

        alone = self.first_validation("alone", data)

        self.assertLess(alone, support.validation(marginals)[0] - 0.5)
        for ranks, row in ((2, []), (2, ["--exchange", "row"])):
            with self.subTest(ranks=ranks, row=row):
                found = self.first_validation(f"{ranks}-{len(row)}", data, *row, ranks=ranks)
                self.assertAlmostEqual(found, alone, delta=1e-6)

    def test_learned_inverses_start_as_the_inverses_of_a_start_that_looks_at_the_data(self):
        data = prepared(*support.SMALL, "--rows", 3000)
        for init in ("whitening", "kinked"):
            with self.subTest(init=init):
                run = self.folder / init
                must("train", "--data", data, "--run", run, "--init", init, "--max-steps", 1, "--gradient",
                     "self-normalizing", "--activation", "smooth-leaky-relu")
                self.assertLess(support.metrics(run, "val")[0]["inverse_error"], 1e-3)

    def test_a_run_that_goes_on_keeps_what_it_has_learned(self):
        data = prepared(*support.SMALL, "--rows", 3000)
        self.first_validation("run", data)
        must("train", "--data", data, "--run", self.folder / "run", "--init", "whitening", "--max-steps", 60, "--batch-size",
             40, "--resume", "auto")
        bits = support.validation(self.folder / "run")
        self.assertLess(bits[-1], bits[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
