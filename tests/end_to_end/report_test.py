#!/usr/bin/env python3
"""relgrad report: one page that says what the run's files say, loads nothing, and shows in a browser."""
import html
import json
import math
import re
import shutil
import subprocess
import unittest

import support  # first: it finds a python that has h5py
from support import Test, metrics, must, numpy, prepared, read_png

MOST_BYTES = 3 << 20
NAME = "a <b>run & 'more'"  # of a run directory


class Shared:
    """A finished run with a test figure, and another with other options; made once."""
    folder = None

    @classmethod
    def make(cls):
        if cls.folder:
            return
        cls.folder = support.SPACE / "report"
        cls.folder.mkdir()
        cls.data = prepared(*support.SMALL, "--rows", 300)
        cls.first, cls.second = cls.folder / NAME, cls.folder / "second"
        must("train", "--data", cls.data, "--run", cls.first, *support.QUICK)
        must("train", "--data", cls.data, "--run", cls.second, *support.QUICK, "--lr", 0.002)
        must("evaluate", "--run", cls.first, "--data", cls.data, "--json", cls.first / "test.json")
        must("sample", "--run", cls.first, "--count", 16, "--output", cls.first / "drawn.png")
        forms = {"Gaussian <i>": {"data_nats": -300.25, "logit_nats": -100.5, "split": "test"}}
        (cls.first / "baselines.json").write_text(json.dumps(forms))


class Report(Test):
    def setUp(self):
        super().setUp()
        Shared.make()

    def page(self, *runs):
        output = self.folder / "report.html"
        must("report", *runs, "--output", output)
        self.assertLessEqual(output.stat().st_size, MOST_BYTES)
        return output.read_text()


class Content(Report):
    def test_the_figures_are_those_of_the_files(self):
        page = self.page(Shared.first)
        test = json.loads((Shared.first / "test.json").read_text())
        best = min(metrics(Shared.first, "val"), key=lambda line: line["bits_per_dim"])
        for figure in (test, best):
            self.assertIn(f"{figure['bits_per_dim']:.4f} ± {figure['standard_error_bits_per_dim']:.4f}", page)
            self.assertIn(f"{figure['log_likelihood_pixel_nats']:.2f} ± {figure['standard_error_nats']:.2f}", page)
            self.assertIn(f"{figure['log_likelihood_logit_nats']:.2f}", page)
        self.assertIn(f"{300.25 / (64 * math.log(2)):.4f}", page)  # bits/dim of the closed form
        self.assertIn("test.json", page)
        self.assertIn("drawn.png", page)
        self.assertIn("data:image/png;base64,iVBOR", page)
        self.assertIn("<td><code>epochs</code></td><td>1</td><td>10</td>", page)

    def test_the_model_is_the_one_that_inspect_shows(self):
        page = self.page(Shared.first)
        newest = support.checkpoints(Shared.first)[-1]
        shown = json.loads(must("inspect", newest, "--json").out)
        self.assertIn(f">{html.escape(shown['model']['line'])}<", page)
        for layer in shown["layers"]:
            cells = [html.escape(str(value)) for value in layer.values()]
            row = "".join(rf"<td[^>]*>{re.escape(cell)}</td>" for cell in cells)
            self.assertRegex(page, row)

    def test_the_parts_of_a_step_add_up(self):
        page = self.page(Shared.first)
        lines = metrics(Shared.first, "train")
        seconds = sum(line["seconds"] for line in lines)
        backward = sum(line["seconds_by_part"]["backward"] for line in lines)
        steps = lines[-1]["step"]
        self.assertIn(f"{100 * backward / seconds:.1f} %", page)
        shares = [float(share) for share in re.findall(r" ms, (-?[\d.]+) %", page)]
        self.assertAlmostEqual(sum(shares), 100, delta=0.5)
        found = re.search(r"<td>a step</td><td class=\"number\">([\d.]+) ms", page)
        self.assertAlmostEqual(float(found.group(1)), 1e3 * seconds / steps, delta=0.01 * 1e3 * seconds / steps)

    def test_curves_go_through_the_validations_in_both_units(self):
        page = self.page(Shared.first)
        for line in metrics(Shared.first, "val"):
            self.assertIn(f"validation: {line['bits_per_dim']:.6g} ± {line['standard_error_bits_per_dim']:.4g} "
                          f"bits/dim, {line['epoch']:.4g} epochs", page)
            self.assertIn(f"validation: {line['log_likelihood_pixel_nats']:.6g}", page)
        self.assertEqual(page.count('<div class="chart '), 4)

    def test_text_of_files_is_escaped_and_nothing_is_loaded(self):
        page = self.page(Shared.first, Shared.second)
        for text in ("<b>", "<i>", "& '"):
            self.assertNotIn(text, page)
        self.assertIn(html.escape(NAME), page)
        self.assertIn("Gaussian &lt;i&gt;", page)
        self.assertNotRegex(page, r"(?i)https?:|<script|<link|@import|url\(")
        for source in re.findall(r'(?:src|href)="([^"]*)"', page):
            self.assertTrue(source.startswith("data:image/png;base64,"), source[:60])
        self.assertIn("Content-Security-Policy\" content=\"default-src 'none'", page)

    def test_several_runs_share_axes_and_show_in_what_they_differ(self):
        page = self.page(Shared.first, Shared.second)
        table = page[page.index("What differs between the runs"):]
        self.assertRegex(table, r"<code>lr</code></td><td>0\.001</td><td>0\.002</td><td>0\.001<")
        self.assertNotIn("<code>epochs</code>", table)
        self.assertIn("The same model as " + html.escape(NAME), page)
        self.assertIn("second, validation", page)


class Running(Report):
    def copy(self):
        run = self.folder / "going"
        shutil.copytree(Shared.first, run)
        return run

    def test_a_line_half_written_is_passed_over(self):
        run = self.copy()
        text = (run / "metrics.jsonl").read_text()
        (run / "metrics.jsonl").write_text(text[:-40])
        (run / "STATUS").write_text('{"state": "running", "exit_code": 0, "step": 0}\n')
        page = self.page(run)
        kept = [json.loads(line) for line in text.splitlines()[:-1]]
        for line in kept:
            if line["kind"] == "val":
                self.assertIn(f"{line['bits_per_dim']:.4f}", page)
        self.assertIn("running, last line ", page)

    def test_a_run_without_a_checkpoint_or_a_line_has_a_page(self):
        run = self.copy()
        shutil.rmtree(run / "ckpt")
        for name in ("metrics.jsonl", "STATUS", "test.json"):
            (run / name).unlink()
        page = self.page(run)
        self.assertIn("has not written a checkpoint yet", page)
        self.assertIn("--json", page)  # how to get the test figure

    def test_files_of_anything_do_no_harm(self):
        run = self.copy()
        (run / "metrics.jsonl").write_text('[]\n{"step": "x"}\n{"step": 1, "kind": 7}\n{"step": 1e999, "kind": "val"}\n'
                                           '{"step": 2, "kind": "train", "seconds": "x", "seconds_by_part": [1]}\n')
        (run / "STATUS").write_bytes(b"\x00\xff{")
        (run / "test.json").write_text('{"split": 3, "bits_per_dim": null}')
        (run / "baselines.json").write_text('{"a": 1, "b": {"data_nats": "x"}, "c": {"data_nats": 1, "split": []}}')
        (run / "drawn.png").write_text("no picture")
        self.assertNotIn("no picture", self.page(run))

    def test_a_report_is_replaced_and_nothing_else_is(self):
        self.page(Shared.first)
        self.page(Shared.first)
        (self.folder / "mine.html").write_text("<p>my own</p>")
        self.refuses(["report", Shared.first, "--output", self.folder / "mine.html"], 2, "--output", "mine.html")
        self.refuses(["report", self.folder, "--output", self.folder / "new.html"], 3, "run directory")
        self.refuses(["report", "--output", self.folder / "new.html"], 2, "no run is given")
        self.refuses(["report", Shared.first], 2, "--output is missing")
        self.assertFalse((self.folder / "new.html").exists())


BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)


@unittest.skipUnless(BROWSER, "no headless Chromium; install chromium-headless-shell (tools/packages.txt)")
class Browser(Report):
    def look(self, page, width, *options):
        """What the browser says on its console, and the pixels of the page."""
        shot = self.folder / "shot.png"
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
             f"--user-data-dir={self.folder / 'profile'}", f"--window-size={width},1400", f"--screenshot={shot}",
             *options, page.as_uri()], capture_output=True, text=True, errors="replace", timeout=support.SECONDS,
            check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line for line in done.stderr.splitlines() if "CONSOLE" in line], read_png(shot.read_bytes(), 500)

    def test_it_shows_without_an_error_light_and_dark_wide_and_narrow(self):
        self.page(Shared.first, Shared.second)
        page = self.folder / "report.html"
        brightness = {}
        for width in (390, 1280):
            for scheme, number in (("dark", 0), ("light", 1)):
                console, pixels = self.look(page, width, f"--blink-settings=preferredColorScheme={number}")
                self.assertEqual(console, [])
                self.assertEqual(pixels.shape[1], width)
                colours = numpy.unique(pixels[:, :, :3].reshape(-1, 3), axis=0)
                self.assertGreater(len(colours), 50, "an empty page")
                brightness[width, scheme] = pixels[:, :, :3].mean()
        for width in (390, 1280):
            self.assertLess(brightness[width, "dark"], 90)
            self.assertGreater(brightness[width, "light"], 170)

    def test_what_the_console_says_is_heard(self):
        page = self.folder / "wrong.html"
        page.write_text("<meta charset=utf-8><script>console.error('heard')</script>")
        console, _ = self.look(page, 390)
        self.assertTrue(any("heard" in line for line in console), console)


if __name__ == "__main__":
    unittest.main()
