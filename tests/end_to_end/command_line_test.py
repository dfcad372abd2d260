#!/usr/bin/env python3
"""The command line as people and scripts meet it: help, docs, mistakes and their exit codes.

Run by ctest with RELGRAD, the path of the program, and MPIRUN in the environment.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["RELGRAD"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ["prepare", "train", "evaluate", "score", "encode", "sample", "export", "inspect", "report", "info",
            "audit-order", "plan", "bench"]
TRAIN_OPTIONS = """data run resume layers activation last-activation marginal latent init transform
    gradient optimizer lr spline-lr schedule warmup batch-size epochs max-steps max-seconds patience
    seed precision exchange threads products compute save-every-seconds eval-every keep-last config""".split()


def relgrad(*words, **environment):
    """Runs the program; what it prints and its exit code."""
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=600,
                          env={**os.environ, **environment}, check=False)


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def refuses(self, words, exit_code, *parts):
        """The one line of error must hold every part, and nothing may come on standard output."""
        result = relgrad(*words)
        self.assertEqual(result.returncode, exit_code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Arelgrad: error: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, result.stderr)

    def resolved(self, *words):
        """The options that `train WORDS` would use."""
        result = relgrad("train", *words, "--print-config")
        self.assertEqual(result.returncode, 0, result.stderr)
        return dict(line.split(" = ", 1) for line in result.stdout.splitlines())

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


class Help(CommandLineTest):
    def test_every_command_explains_itself(self):
        for command in COMMANDS:
            with self.subTest(command):
                result = relgrad(command, "--help")
                self.assertEqual(result.returncode, 0)
                self.assertEqual(result.stderr, "")
                for heading in ("Usage:", "Examples:", "Exit codes:"):
                    self.assertIn(heading, result.stdout)
                for same in (relgrad("help", command), relgrad(command, "-h"),
                             relgrad("--help", command)):
                    self.assertEqual(same.stdout, result.stdout)

    def test_help_of_train_names_every_option_of_the_contract(self):
        text = relgrad("train", "--help").stdout
        for option in TRAIN_OPTIONS:
            self.assertRegex(text, rf"(?m)^  --{option}[ \n]")

    def test_the_options_that_examples_use_exist(self):
        for command in COMMANDS:
            text = relgrad(command, "--help").stdout
            head, options = text.split("Examples:")[0], text.split("Examples:")[1]
            used = re.findall(r"--([a-z-]+)", head)
            used += [name for line in options.splitlines() if f"relgrad {command} " in line
                     for name in re.findall(r"--([a-z-]+)", line)]
            for name in used:
                self.assertRegex(text, rf"(?m)^  --{name}[ \n]", f"{command} --{name}")

    def test_pages_in_docs_are_what_the_program_prints(self):
        for command in COMMANDS:
            page = ROOT / "docs" / f"{command}.md"
            printed = relgrad(command, "--help-markdown").stdout
            self.assertEqual(page.read_text(), printed, f"{page.name}: run tools/make_docs")

    def test_man_pages_name_every_option_and_are_sound(self):
        for command in ["", *COMMANDS]:
            words = [command] if command else []
            page = relgrad(*words, "--help-man").stdout
            self.assertTrue(page.startswith(".TH relgrad"), page[:40])
            help_text = relgrad(*words, "--help").stdout
            for option in re.findall(r"(?m)^  --([a-z-]+)", help_text) if command else ():
                self.assertIn("\n.B \\-\\-" + option.replace("-", "\\-"), page)
            if shutil.which("man"):
                path = self.write("page.1", page)
                shown = subprocess.run(["man", "--warnings", "-l", str(path)], capture_output=True, text=True,
                                       check=False, env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
                self.assertEqual((shown.returncode, shown.stderr), (0, ""), command)

    def complete(self, *words):
        """What bash offers for the last word of `relgrad WORDS`."""
        script = self.write("completion.bash", relgrad("--bash-completion").stdout)
        code = ('. "$1"; shift; COMP_WORDS=(relgrad "$@"); COMP_CWORD=$#; '
                '_relgrad relgrad "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; echo "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-euc", code, "bash", str(script), *words], capture_output=True, text=True,
                              check=True).stdout.split()

    def test_bash_completes_commands_options_and_named_values(self):
        self.assertLessEqual({*COMMANDS, "help"}, {*self.complete("")})
        self.assertEqual(self.complete("tra"), ["train"])
        self.assertEqual(self.complete("train", "--watch"), ["--watchdog-seconds"])
        self.assertIn("adam", self.complete("train", "--optimizer", ""))
        self.assertEqual(self.complete("train", "--resume", ""), ["never", "auto"])
        self.assertEqual(self.complete("inspect", ""), [])  # bash then offers files
        self.assertIn("--verify", self.complete("inspect", "runs", "--"))

    def test_overview_lists_the_commands_and_is_an_error_without_words(self):
        overview = relgrad("--help")
        self.assertEqual(overview.returncode, 0)
        for command in COMMANDS:
            self.assertRegex(overview.stdout, rf"(?m)^  {command} ")
        nothing = relgrad()
        self.assertEqual((nothing.returncode, nothing.stdout), (2, ""))
        self.assertEqual(nothing.stderr, overview.stdout)

    def test_version_is_that_of_the_project(self):
        cmake = (ROOT / "CMakeLists.txt").read_text()
        version = re.search(r"project\(relgrad VERSION (\S+)", cmake).group(1)
        self.assertTrue(relgrad("--version").stdout.startswith(f"relgrad {version}\n"))


class Options(CommandLineTest):
    def test_line_decides_over_file_and_file_over_defaults(self):
        path = self.write("a.ini", "# a comment\nlr = 0.5  # more\nlayers=3\n\nmarginal = no\n")
        options = self.resolved("--config", path, "--layers", "4", "--epochs=7")
        self.assertEqual(options["lr"], "0.5")
        self.assertEqual(options["layers"], "4")
        self.assertEqual(options["epochs"], "7")
        self.assertEqual(options["marginal"], "false")
        self.assertEqual(options["batch-size"], "100")

    def test_what_print_config_prints_can_be_read_again(self):
        words = ["--data", "d", "--run", "r", "--lr", "0.1", "--no-marginal", "--seed", "9"]
        path = self.write("again.ini", relgrad("train", *words, "--print-config").stdout)
        self.assertEqual(self.resolved("--config", path), self.resolved(*words))

    def test_switches_have_the_usual_spellings(self):
        for words, value in ((["--marginal"], "true"), (["--no-marginal"], "false"),
                             (["--marginal", "off"], "false"), (["--marginal=1"], "true"),
                             (["--marginal", "--layers", "3"], "true")):
            self.assertEqual(self.resolved(*words)["marginal"], value, words)

    def test_every_file_in_jobs_is_understood(self):
        files = sorted((ROOT / "jobs").glob("*.ini"))
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            self.resolved("--config", path)

    def test_mistakes_of_the_line_name_option_value_limit_and_remedy(self):
        self.refuses(["train", "--lr", "-1"], 2, "--lr: -1 is out of range (> 0); try 0.001")
        self.refuses(["train", "--lrr", "1"], 2, "unknown option --lrr", "did you mean --lr?")
        self.refuses(["train", "--zzzzz"], 2, "unknown option --zzzzz", "relgrad train --help")
        self.refuses(["train", "--epochs"], 2, "--epochs needs a value")
        self.refuses(["train", "--lr", "--epochs", "3"], 2, "--lr needs a value")
        self.refuses(["train", "--lr="], 2, "--lr needs a value")
        self.refuses(["train", "--lr", "1", "--lr", "2"], 2, "--lr is given twice (1 and 2)")
        self.refuses(["train", "left", "over"], 2, "'left' is not expected")
        self.refuses(["train", "--exchange", "rows"], 2, "did you mean row?")
        self.refuses(["train", "--activation", "splin"], 2, "did you mean spline?")
        self.refuses(["train", "--marginal=perhaps"], 2, "neither true nor false")

    def test_missing_and_contradicting_options_are_named(self):
        self.refuses(["train", "--run", "r"], 2, "--data is missing")
        self.refuses(["train", "--data", "d"], 2, "--run is missing")
        for command in ("evaluate", "score", "encode", "sample"):
            self.refuses([command, "--run", "r", "--checkpoint", "c"], 2, "both --run and --checkp")
            self.refuses([command], 2, "no model is named", "--run DIR or --checkpoint DIR")
        self.refuses(["evaluate", "--run", "r"], 2, "--data is missing")
        self.refuses(["score", "--run", "r", "--data", "d"], 2, "--output is missing")
        self.refuses(["sample", "--run", "r", "--output", "x.jpg"], 2, "neither in .png nor in .h5")
        self.refuses(["prepare", "--train", "x"], 2, "--output is missing")
        self.refuses(["prepare", "--output", "x"], 2, "either --train FILE or --synthetic KIND")
        self.refuses(["prepare", "--output", "x", "--train", "a", "--val", "b", "--val-last", "3"],
                     2, "--val, --val-last and --val-random exclude each other")
        self.refuses(["prepare", "--output", "x", "--train", "a", "--size", "big"], 2, "--size")

    def test_mistakes_in_an_option_file_name_the_file(self):
        for text, part in (("layerz = 3\n", "unknown key 'layerz'; did you mean layers?"),
                           ("lr 3\n", "line 1: 'lr 3': expected lines like lr = 0.001"),
                           ("lr = 1\nlr = 2\n", "--lr is given twice"),
                           ("layers = 0\n", "--layers: 0 is out of range (1 ... 1000)"),
                           ("config = other.ini\n", "unknown key 'config'")):
            path = self.write("wrong.ini", text)
            self.refuses(["train", "--config", path], 2, str(path), part)
        self.refuses(["train", "--config", self.folder / "none.ini"], 2, "none.ini", "cannot read")
        self.refuses(["train", "--config", self.folder], 2, "is a directory")

    def test_unknown_commands_are_answered_with_those_that_exist(self):
        self.refuses(["trian"], 2, "unknown command 'trian'; did you mean train?", "inspect")
        self.refuses(["draw"], 2, "unknown command 'draw'", "prepare | train")
        self.refuses(["help", "draw"], 2, "unknown command 'draw'")


class Ranks(CommandLineTest):
    def test_a_task_that_is_alone_tells_its_mistake_whatever_its_number(self):
        for variable in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"):
            for number in ("0", "3"):
                result = relgrad("train", "--lr", "-1", **{variable: number})
                self.assertEqual(result.returncode, 2)
                self.assertEqual(result.stderr.count("relgrad: error: --lr"), 1, variable)

    def test_a_mistake_under_mpirun_is_printed_once(self):
        mpirun = [os.environ.get("MPIRUN", "mpirun"), "-n", "4"]
        result = subprocess.run([*mpirun, PROGRAM, "train", "--lr", "-1"], capture_output=True,
                                text=True, timeout=600, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count("relgrad: error:"), 1)

    def test_commands_of_one_process_refuse_mpirun(self):
        result = relgrad("inspect", ".", OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="0")
        self.assertEqual(result.returncode, 2)
        self.assertIn("inspect runs in one process; start it without mpirun", result.stderr)


class Inspect(CommandLineTest):
    def test_says_what_was_looked_for_when_nothing_is_there(self):
        self.refuses(["inspect", self.folder / "none"], 3, "nothing is at", "data set, checkpoint")
        self.refuses(["inspect", self.folder], 3, "no dataset.json", "manifest.json", "config.ini")
        self.refuses(["inspect", self.write("a.txt", "text")], 3, "a.txt")
        self.refuses(["inspect"], 2, "no path is given")
        self.refuses(["inspect", "a", "b"], 2, "'b' is not expected")

    def test_a_data_set_is_told_in_words_and_in_json_and_verified(self):
        data = self.folder / "data"
        prepared = relgrad("prepare", "--output", data, "--synthetic", "images", "--rows", "60")
        self.assertEqual(prepared.returncode, 0, prepared.stderr)
        words = relgrad("inspect", data, "--verify")
        self.assertEqual(words.returncode, 0, words.stderr)
        for line in (r"kind +data set", r"sample shape +1 x 28 x 28", r"  train +60 +1",
                     r"verified +every checksum agrees"):
            self.assertRegex(words.stdout, rf"(?m)^{line}$")
        report = json.loads(relgrad("inspect", "--json", data).stdout)
        self.assertEqual((report["kind"], report["dimension"]), ("data set", 784))
        shard = data / report["shards"][0]["file"]
        self.assertRegex(relgrad("inspect", shard).stdout, r"(?m)^  /samples +60 x 784 +uint8")
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1
        shard.write_bytes(content)
        self.refuses(["inspect", data, "--verify"], 3, shard.name, "checksum")

    def test_a_run_without_checkpoints_yet_is_told(self):
        self.write("config.ini", "layers = 3\nlr = 0.001\n")
        self.write("STATUS", '{"state": "running", "step": 12}\n')
        self.write("metrics.jsonl", '{"kind": "train", "step": 10, "lr": 0.002}\n'
                                    '{"kind": "train", "step": 12, "lr": 0.001}\n'
                                    '{"kind": "val", "step": 12, "val_bits_per_dim": 2.5}\n'
                                    '{"kind": "train", "step": 1')
        report = json.loads(relgrad("inspect", self.folder, "--json").stdout)
        self.assertEqual(report["kind"], "run")
        self.assertEqual(report["status"]["state"], "running")
        self.assertEqual(report["options_not_at_default"], {"layers": "3"})
        self.assertEqual(report["last_metrics"], {
            "train": {"step": 12, "lr": 0.001}, "val": {"step": 12, "val_bits_per_dim": 2.5},
            "unreadable_lines": 1})
        words = relgrad("inspect", self.folder)
        self.assertRegex(words.stdout, r"(?m)^checkpoints +none$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
