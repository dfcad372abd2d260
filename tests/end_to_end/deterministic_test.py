"""--deterministic: the same bits of weights, moments and metrics for every number of ranks and threads,
and for a run resumed on another number of them."""
import os

import support
from support import Test, lasting_metrics, must, numpy, prepared, tensors

# 9 x 7 pixels: columns of a batch start at every alignment. 23 samples a batch, of which the last has
# few: 8 ranks get unequal parts and sometimes none.
DATA = ["--synthetic", "images", "--size", "9x7", "--rows", 300]
NETS = {
    "spline": ["--activation", "spline", "--layers", 2],
    "smooth-leaky-relu": ["--activation", "smooth-leaky-relu", "--last-activation", "spline"],
    "clipped": ["--clip-norm", 0.5, "--layers", 1, "--optimizer", "momentum"],
    "float64": ["--precision", "float64"],
    "self-normalizing": ["--gradient", "self-normalizing", "--reconstruction", "symmetric",
                         "--geco-tolerance", 1e-3],
    "newton": ["--gradient", "self-normalizing", "--reconstruction", "newton"],
}
# RELGRAD_ALL_PAIRS: of {1, 2, 3, 4, 8}, all 25.
RANKS = (1, 2, 3, 4, 8)
PAIRS = ([(p, q) for p in RANKS for q in RANKS] if "RELGRAD_ALL_PAIRS" in os.environ
         else [(1, 3), (4, 2)])
BUDGET = ["--batch-size", 23, "--epochs", 2, "--spline-bins", 5, "--lr", 3e-3]


def train(run, *words, ranks=1):
    must("train", "--data", prepared(*DATA), "--run", run, "--deterministic", *BUDGET, *words, ranks=ranks)


def final(run):
    """Every tensor of the last checkpoint, weights and moments."""
    return tensors(support.checkpoints(run)[-1])


class Deterministic(Test):
    def equal(self, run, expected):
        found, wanted = final(run), final(expected)
        self.assertEqual(found.keys(), wanted.keys())
        for name, values in wanted.items():
            self.assertTrue(numpy.array_equal(found[name], values), f"{name} of {run.name}")
        self.assertEqual(lasting_metrics(run), lasting_metrics(expected))

    def test_any_number_of_ranks_gives_the_same_bits(self):
        for net, words in NETS.items():
            first = self.folder / f"{net}-1"
            train(first, *words)
            for ranks in (2, 3, 4, 8):
                with self.subTest(net=net, ranks=ranks):
                    run = self.folder / f"{net}-{ranks}"
                    train(run, *words, ranks=ranks)
                    self.equal(run, first)

    def test_any_number_of_threads_gives_the_same_bits(self):
        one, three = self.folder / "one", self.folder / "three"
        train(one)
        train(three, "--threads", 3)
        self.equal(three, one)

    def test_without_it_the_ranks_show(self):
        runs = [self.folder / "1", self.folder / "3"]
        for run, ranks in zip(runs, (1, 3)):
            must("train", "--data", prepared(*DATA), "--run", run, *BUDGET, "--exchange", "dense",
                 ranks=ranks)
        a, b = (final(run)["layer/0/W"] for run in runs)
        self.assertFalse(numpy.array_equal(a, b))

    def test_resumed_on_another_number_of_ranks(self):
        for before, after in PAIRS:
            with self.subTest(before=before, after=after):
                self.stopped_and_resumed(before, after)

    def test_learned_inverses_resumed_on_another_number_of_ranks(self):
        self.stopped_and_resumed(3, 2, NETS["self-normalizing"])

    def stopped_and_resumed(self, before, after, net=NETS["spline"]):
        words = [*net, "--schedule", "constant"]  # a budget in steps would bend another
        whole, run = self.folder / "whole", self.folder / f"{before}-{after}"
        if not whole.exists():
            train(whole, *words)
        train(run, *words, "--max-steps", 11, ranks=before)
        train(run, *words, "--resume", "auto", ranks=after)
        found, wanted = final(run), final(whole)
        for name, values in wanted.items():
            self.assertTrue(numpy.array_equal(found[name], values), name)
        self.assertEqual(support.validation(run)[-1], support.validation(whole)[-1])

    def test_refuses_what_it_cannot_promise(self):
        words = ["train", "--data", prepared(*DATA), "--run", self.folder / "run", "--deterministic"]
        self.refuses([*words, "--exchange", "sharded"], 2, "--exchange", "sharded", "--deterministic")
        self.refuses([*words, "--products", "openblas"], 2, "--products", "openblas")
        self.assertFalse((self.folder / "run").exists())


if __name__ == "__main__":
    support.unittest.main()
