#!/usr/bin/env python3
"""README.md and docs/tour.md do what they say: every fenced command of them is run, in order.

Run by ctest with RELGRAD, the path of the program, and MPIRUN in the environment.
"""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["RELGRAD"]
MPIRUN = os.environ.get("MPIRUN", "mpirun")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(page):
    return (ROOT / page).read_text()


def blocks(text, language):
    """The content of every fenced block of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


class Commands(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        (self.folder / "build/release").mkdir(parents=True)
        (self.folder / "build/release/relgrad").symlink_to(PROGRAM)
        for name in ("jobs", "examples"):
            (self.folder / name).symlink_to(ROOT / name)

    def run_lines(self, content):
        """What these lines print; they must succeed."""
        path = f"{os.path.dirname(MPIRUN)}:{os.environ['PATH']}"
        result = subprocess.run(["bash", "-euxc", content], cwd=self.folder, env={**os.environ, "PATH": path},
                                capture_output=True, text=True, timeout=1800, check=False)
        self.assertEqual(result.returncode, 0, f"{content}\n{result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def test_the_minute_of_the_readme_prints_what_it_shows(self):
        text = read("README.md").split("## One minute")[1].split("\n## ")[0]

        printed = "".join(self.run_lines(block) for block in blocks(text, "bash"))

        shown = "".join(blocks(text, "text")).splitlines()
        self.assertGreaterEqual(len(shown), 3)
        for line in shown:  # times and the last digits of figures may differ
            pattern = r"\d[\d.:]*".join(re.escape(part) for part in re.split(r"\d[\d.:]*", line))
            self.assertRegex(printed, pattern)

    def test_the_lines_of_the_tour_run_and_leave_what_they_promise(self):
        tour = blocks(read("docs/tour.md"), "bash")
        self.assertGreaterEqual(len(tour), 5)
        for content in tour:
            printed = self.run_lines(content)

        self.assertRegex(printed, r"log\|det W\| of layer 0: -?\d")  # of examples/read_run.py
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


class Tables(unittest.TestCase):
    def test_exit_codes_are_those_of_the_program(self):
        in_code = re.findall(r"^  \w+ = (\d+),", read("include/relgrad/core/error.hpp"), re.MULTILINE)
        in_code += re.findall(r"ExitCode exit_code_\w+\{(\d+)\}", read("include/relgrad/core/escaped.hpp"))
        in_text = re.findall(r"^\| (\d+) \|", read("docs/exit-codes.md"), re.MULTILINE)
        self.assertEqual(in_text, sorted(in_code, key=int))

    def test_every_layer_has_a_row(self):
        kinds = re.findall(r'^      \{"([\w-]+)",\s+"', read("src/model/registry.cpp"), re.MULTILINE)
        self.assertGreater(len(kinds), 5)
        for kind in kinds:
            self.assertRegex(read("docs/models.md"), rf"(?m)^\| `{kind}[`\[]")

    def test_every_key_of_the_metrics_has_a_row(self):
        text = read("docs/run-directory.md")
        for source in ("src/run/metrics.cpp", "src/evaluation/evaluation.cpp"):
            for key in re.findall(r'\{+"(\w+)", |\w\["(\w+)"\]', read(source)):
                self.assertRegex(text, rf"(?m)^\| `{key[0] or key[1]}`", source)


if __name__ == "__main__":
    unittest.main()
