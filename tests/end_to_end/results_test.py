#!/usr/bin/env python3
"""tools/results --quick: the page and its pictures are made, and a second call reads what is kept."""
import importlib.util
import pathlib
import subprocess
import sys
import unittest

import support  # first: it finds a python that has h5py

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "python3-matplotlib is not installed")
class ResultsPage(support.Test):
    def results(self, *words):
        done = subprocess.run([sys.executable, TOOLS / "results", "--program", support.PROGRAM, "--work",
                               self.folder / "work", "--output", self.folder / "RESULTS.md", "--ranks", "1", *words],
                              capture_output=True, text=True, timeout=support.SECONDS)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout, (self.folder / "RESULTS.md").read_text()

    def table(self):
        """A folder with the three arrays of a table: correlated columns with heavy tails."""
        folder = self.folder / "power"
        folder.mkdir()
        random = support.numpy.random.default_rng(1)
        mixing = random.normal(size=(6, 6))
        for split, rows in (("train", 600), ("val", 100), ("test", 100)):
            support.numpy.save(folder / f"{split}.npy", random.laplace(size=(rows, 6)) @ mixing)
        return folder

    def test_is_made_from_quick_runs_and_again_from_what_is_kept(self):
        words = ["--quick", "--only", "toy,ica,fashion-mnist,mnist,tabular", "--tabular", f"power={self.table()}"]

        told, page = self.results(*words)

        self.assertIn("min left", told)
        for line in ("## Images", "### MNIST", "### Fashion-MNIST", "## Toy densities", "| checkerboard | 1 | -3.4657 |",
                     "## Nonlinear ICA", "Gaussian, full covariance", "marginals only", "published, MNIST test",
                     "## Tabular data", "| power | ", "--quick", "Machine: "):
            self.assertIn(line, page)
        self.assertNotIn(str(self.folder), page)
        pictures = sorted(path.name for path in (self.folder / "results").iterdir())
        self.assertEqual(pictures, ["curves.png", "ica.png", "samples.png", "toys.png"])

        self.front_picture()

        told, again = self.results(*words, "--read")
        self.assertNotIn("min left", told)
        self.assertEqual(again, page)

    def front_picture(self):
        """The picture of README is made of those of the page."""
        lines = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from results_page import front; front.picture(*2 * sys.argv[1:])"
        subprocess.run([sys.executable, "-B", "-c", lines, self.folder / "results"], check=True, timeout=support.SECONDS)
        self.assertTrue((self.folder / "results/front.png").read_bytes().startswith(b"\x89PNG"))

    def test_tells_how_to_get_the_data_that_it_was_not_given(self):
        _, page = self.results("--only", "cifar10,mnist")

        self.assertIn("## Left out", page)
        self.assertIn("`--mnist DIR`: a prepared data set, or a folder with train-images-idx3-ubyte[.gz]", page)


if __name__ == "__main__":
    unittest.main(verbosity=2)
