#!/usr/bin/env python3
"""The pages: links that lead somewhere, lines that fit a screen, figures with the command that makes them, plain words."""
import importlib.util
import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = 120


def pages():
    """Every Markdown file that belongs to the project."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(page):
    return str(page.relative_to(ROOT))


def without_code(text):
    """The text with fenced blocks, indented blocks and code spans left out."""
    text = re.sub(r"(?ms)^```.*?^```$", "", text)
    text = re.sub(r"(?m)^ {4,}.*$", "", text)
    return re.sub(r"`[^`\n]*`", "``", text)


def anchors(page):
    """What GitHub calls the headings of a page."""
    found = []
    for heading in re.findall(r"(?m)^#+ +(.*)$", re.sub(r"(?ms)^```.*?^```$", "", page.read_text())):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return found


def sections(text):
    """(title, text) of the head of a page and of every "## " section."""
    parts = re.split(r"(?m)^## +(.*)$", text)
    return [("head", parts[0]), *zip(parts[1::2], parts[2::2])]


class Links(unittest.TestCase):
    def test_every_link_leads_to_a_file_and_a_heading(self):
        broken = []
        for page in pages():
            text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
            for link in re.findall(r"\]\(\s*([^)\s]+)\s*\)", text):
                if re.match(r"[a-z]+:", link):
                    continue
                path, _, anchor = link.partition("#")
                target = page.parent / path if path else page
                if not target.exists() or anchor and anchor not in anchors(target):
                    broken.append(f"{name_of(page)}: {link}")
        self.assertEqual(broken, [])

    def test_every_page_that_a_file_names_is_there(self):
        tracked = []
        if shutil.which("git"):
            tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                                     check=False).stdout.split()
        if not tracked:
            self.skipTest("not a git checkout, or no git")
        missing = []
        for name in tracked:
            path = ROOT / name
            if path.suffix in (".png", ".svg", ".h5") or not path.is_file():
                continue
            for page in set(re.findall(r"\bdocs/[\w/-]+\.(?:md|png|svg)", path.read_text(errors="replace"))):
                if not (ROOT / page).exists():
                    missing.append(f"{name}: {page}")
        self.assertEqual(missing, [])

    def test_the_index_names_every_page(self):
        index = (ROOT / "docs/README.md").read_text()
        for page in (ROOT / "docs").rglob("*.md"):
            if page.name != "README.md":
                self.assertIn(f"({page.relative_to(ROOT / 'docs')}", index)


class Layout(unittest.TestCase):
    def test_the_readme_has_at_most_130_lines(self):
        self.assertLessEqual(len((ROOT / "README.md").read_text().splitlines()), 130)

    def test_lines_fit_a_screen(self):
        """Rows of tables cannot be broken; all other lines can, code as well."""
        long = [f"{name_of(page)}:{number}: {len(line)} columns"
                for page in pages() for number, line in enumerate(page.read_text().splitlines(), 1)
                if len(line) > COLUMNS and not line.startswith("|")]
        self.assertEqual(long, [])


class Figures(unittest.TestCase):
    COMMAND = re.compile(r"tools/\w+|\brelgrad (train|evaluate|score|sample|plan|bench|prepare)\b|\bmpirun -n")
    FIGURE = re.compile(r"\d (ms|s|min|h|%|x|nats|MiB|GB/s|GFLOP/s)\b|\d times\b|\d bits/dim|\d \+- \d")
    MEASURED = ["README.md", "docs/optimizers.md", "docs/reliability.md"]

    def measures(self, text):
        rows = [line for line in text.splitlines() if line.startswith("|") and re.search(r"\d\.\d|\d %", line)]
        return rows or self.FIGURE.search(without_code(text))

    def test_every_measured_figure_has_a_command_in_its_section_or_at_the_head_of_its_page(self):
        bare = []
        measured = [ROOT / name for name in self.MEASURED] + list((ROOT / "docs/measured").glob("*.md"))
        for page in measured:
            parts = sections(page.read_text())
            if page.parent.name == "measured" and self.COMMAND.search(parts[0][1]):
                continue  # one command writes the whole page
            for title, text in parts:
                if self.measures(text) and not self.COMMAND.search(text):
                    bare.append(f"{name_of(page)}: {title}")
        self.assertEqual(bare, [])

    def test_the_results_of_the_readme_are_those_that_the_tool_writes(self):
        spec = importlib.util.spec_from_file_location("front", ROOT / "tools/results_page/front.py")
        front = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(front)
        text = (ROOT / "README.md").read_text()

        table = front.table([(ROOT / "docs/measured" / name).read_text() for name in front.PAGES])

        self.assertEqual(sum(line.startswith("| ") for line in table) - 1, 3, "rows")
        self.assertIn("\n".join([front.BEGIN, *table, front.END]), text, "run tools/results --front")


class PlainEnglish(unittest.TestCase):
    # Rule 1: "per", not "a". Others: what was hardest to read in the first version.
    UNITS = r"(flops|bytes?|numbers?|elements|samples?|threads?|CPUs?|ms|seconds|time|s|MiB|GB|products|allreduce|error)"
    PER = r"(rank|layer|step|weight|sample|batch|second|cycle|matrix|node|thread|core|side|save|line)"
    IDIOMS = [rf"\b{UNITS} an? {PER}\b", r"\bare told of\b", r"\bin words\b", r"\bslow twin\b", r"\bso many ranks\b",
              r"is what of it", r"nothing progresses it", r"of other signals it makes", r"goes on below it",
              r"are relgrad's own: pieces", r"takes every other turn of six", r"which took the usual time",
              r"no gradient of anything", r"what would pay next", r"the command line decides over it"]

    def test_the_pages_keep_to_plain_words(self):
        for page in pages():
            text = re.sub(r"\s+", " ", re.sub(r"(?ms)^```.*?^```$", "", page.read_text()))
            for idiom in self.IDIOMS:
                found = re.search(rf".{{0,40}}{idiom}.{{0,20}}", text)
                self.assertIsNone(found, f"{name_of(page)}: {found and found.group()}")


if __name__ == "__main__":
    unittest.main()
