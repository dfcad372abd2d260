#!/usr/bin/env python3
"""The quick tour of README.md does what it says: every fenced command of it is run, in order.

Run by ctest with RELGRAD, the path of the program, and MPIRUN in the environment.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ["RELGRAD"]
MPIRUN = os.environ.get("MPIRUN", "mpirun")
ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = next(p for p in ("/usr/bin/python3", sys.executable) if os.path.exists(p))  # with h5py


def section(title):
    """The text under a heading of the README, up to the next one."""
    text = (ROOT / "README.md").read_text()
    return re.search(rf"(?ms)^## {title}\n(.*?)(?=^## |\Z)", text).group(1)


def blocks(text):
    """(language, content) of every fenced block."""
    return re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", text)


class QuickTour(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.folder = pathlib.Path(cls.holder.name)
        (cls.folder / "build/release").mkdir(parents=True)
        (cls.folder / "build/release/relgrad").symlink_to(PROGRAM)
        (cls.folder / "jobs").symlink_to(ROOT / "jobs")

    def run_block(self, language, content):
        words = {"bash": ["bash", "-euxc", content], "python": [PYTHON, "-c", content]}[language]
        path = f"{os.path.dirname(MPIRUN)}:{os.environ['PATH']}"
        return subprocess.run(words, cwd=self.folder, env={**os.environ, "PATH": path},
                              capture_output=True, text=True, timeout=300, check=False)

    def test_its_lines_run_as_they_stand_and_leave_what_they_promise(self):
        tour = [block for block in blocks(section("A quick tour")) if block[0] != "text"]
        self.assertGreaterEqual(len(tour), 5)
        for language, content in tour:
            result = self.run_block(language, content)
            self.assertEqual(result.returncode, 0, f"{content}\n{result.stdout}{result.stderr}")
        self.assertRegex(result.stdout, r"log\|det W\| of layer 0: -?\d")  # of the block in Python

        run = self.folder / "runs/two"
        figures = json.loads((run / "test.json").read_text())
        self.assertEqual(figures["nonfinite"], 0)
        self.assertTrue((run / "samples.png").read_bytes().startswith(b"\x89PNG"))
        self.same_curve(self.folder / "runs/one", run)

    def same_curve(self, one, two):
        """One rank and two ended their second epoch alike, as the tour says."""
        values = [json.loads(line)["val_bits_per_dim"] for run in (one, two)
                  for line in (run / "metrics.jsonl").read_text().splitlines()
                  if json.loads(line)["kind"] == "val" and json.loads(line)["epoch"] == 2]
        self.assertEqual(len(values), 2)
        self.assertAlmostEqual(values[0], values[1], delta=1e-3)


class ReadMe(unittest.TestCase):
    def test_exit_codes_are_those_of_the_program(self):
        header = (ROOT / "include/relgrad/core/error.hpp").read_text()
        in_code = re.findall(r"^  \w+ = (\d+),", header, re.MULTILINE)
        in_text = re.findall(r"^\| (\d+) \|", section("On a cluster"), re.MULTILINE)
        self.assertEqual(in_text, in_code)

    def test_metrics_have_the_keys_it_names(self):
        text = section("What a run leaves")
        for source in ("run/metrics.cpp", "evaluation/evaluation.cpp"):
            code = (ROOT / "src" / source).read_text()
            for key in re.findall(r'\{+"(\w+)", |line\["(\w+)"\]', code):
                self.assertIn(f"`{key[0] or key[1]}`", text)

    def test_links_lead_to_files(self):
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
            for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")


if __name__ == "__main__":
    unittest.main()
