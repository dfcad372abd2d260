"""A run stopped on P ranks goes on, on Q ranks and by another exchange, as if nothing had been: moments
come back column by column, whoever held them."""
import itertools
import os

import support
from support import Test, checkpoints, must, numpy, prepared, tensors

DATA = ["--synthetic", "images", "--size", "9x7", "--rows", 300]
NET = ["--precision", "float64", "--batch-size", 23, "--spline-bins", 4, "--schedule", "constant", "--lr", 3e-3]
STEPS, HALF = 20, 9
EXCHANGES = ("dense", "sharded", "factor", "gathered", "row")
# RELGRAD_ALL_PAIRS: every pair of {1, 2, 3, 4} by every exchange.
CASES = ([(p, q, e, e) for p, q, e in itertools.product((1, 2, 3, 4), (1, 2, 3, 4), EXCHANGES)]
         if "RELGRAD_ALL_PAIRS" in os.environ
         else [(3, 2, "sharded", "row"), (4, 1, "factor", "dense"), (3, 2, "gathered", "sharded"), (3, 4, "row", "sharded")])


class AnotherExchange(Test):
    def train(self, run, exchange, ranks, steps):
        must("train", "--data", prepared(*DATA), "--run", run, *NET, "--exchange", exchange, "--max-steps",
             steps, "--resume", "auto", ranks=ranks)
        return tensors(checkpoints(run)[-1])

    def test_goes_on_where_it_was(self):
        whole = self.train(self.folder / "whole", "dense", 1, STEPS)
        self.assertIn("optimizer/moment2/layer/0/W", whole)
        for before, after, first, second in CASES:
            with self.subTest(before=before, after=after, exchanges=(first, second)):
                run = self.folder / f"{before}-{after}-{first}-{second}"
                self.train(run, first, before, HALF)
                found = self.train(run, second, after, STEPS)
                self.assertEqual(found.keys(), whole.keys())
                for name, values in whole.items():
                    # Sums in another order: some 1e-16 of the terms a step, for 20 steps; lost moments or
                    # columns in wrong places would be 1e-3.
                    scale = max(1e-6, numpy.abs(values).max())
                    self.assertLess(numpy.abs(found[name] - values).max(), 1e-10 * scale, name)


if __name__ == "__main__":
    support.unittest.main()
