#!/usr/bin/env python3
"""Standard streams that are closed, full or without a reader; a rank that is alone with its trouble."""
import os
import subprocess
import unittest

import faults  # first: it finds what the end-to-end tests share
import support
from support import PROGRAM, must, run

FULL = "/dev/full"


def shell(line, *words, **environment):
    """Runs the program, named $0, with these words, $@, in a line of sh."""
    result = subprocess.run(["sh", "-c", line, PROGRAM, *map(str, words)], capture_output=True,
                            text=True, errors="replace", timeout=support.SECONDS, check=False,
                            env={**os.environ, **support.ENVIRONMENT, **environment})
    return support.Result([line, *map(str, words)], result.returncode, result.stdout, result.stderr)


class Streams(faults.Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.finished = support.SPACE / "finished"
        must(*cls.small(cls.finished))

    @classmethod
    def small(cls, directory):
        """A short run; its bits are compared with another's."""
        return ["train", "--data", cls.data, "--run", directory, *support.QUICK, "--products",
                "ordered"]

    def test_a_log_that_cannot_be_written_changes_nothing(self):
        for number, line in enumerate((f'"$0" "$@" 2> {FULL}', '"$0" "$@" 2>&-',
                                       '"$0" "$@" 0<&- 1>&- 2>&-')):
            with self.subTest(line):
                directory = self.folder / str(number)
                result = shell(line, *self.small(directory))
                self.assertEqual(result.code, 0, str(result))
                self.assert_same_bits(directory, self.finished)

    def test_nor_does_a_log_that_nobody_reads(self):
        directory = self.folder / "run"
        script = f'{{ "$0" "$@" 2>&1; echo $? > {self.folder}/code; }} | true'
        shell(script, *self.small(directory))
        self.assertEqual((self.folder / "code").read_text(), "0\n")
        self.assert_same_bits(directory, self.finished)

    def test_no_file_gets_the_number_of_a_closed_stream(self):
        # A line of the log would land in it: an error on purpose, and a data set that is whole.
        data = self.folder / "data"
        result = shell('"$0" "$@" 0<&- 1>&- 2>&-', "prepare", "--output", data, *support.SMALL,
                       "--rows", 400, "--val-last", 50)
        self.assertEqual(result.code, 0, str(result))
        must("inspect", data, "--verify")
        for shard in self.data.glob("*.h5"):
            self.assertEqual((data / shard.name).read_bytes(), shard.read_bytes())

    def test_standard_output_that_is_full_is_exit_6(self):
        for words in (["evaluate", "--run", self.finished, "--data", self.data, "--json", "-"],
                      ["evaluate", "--run", self.finished, "--data", self.data],
                      ["inspect", self.finished], ["inspect", self.data, "--json"], ["--version"],
                      ["train", "--print-config"], ["plan", "--dim", 64],
                      ["audit-order", "--run", self.finished, "--data", self.data, "--to-step", 900]):
            with self.subTest(words):
                result = shell(f'"$0" "$@" > {FULL}', *words)
                self.assertEqual(result.code, 6, str(result))
                self.assertEqual(len(result.errors()), 1, str(result))

    def test_a_task_of_a_farm_speaks_for_itself(self):
        for variable in ("SLURM_PROCID", "PMIX_RANK", "PMI_RANK"):
            with self.subTest(variable):
                result = run("prepare", "--output", self.folder / "o", "--train", "none.npy",
                             **{variable: "3"})
                self.assertEqual((result.code, len(result.errors())), (3, 1), str(result))
                result = run("train", "--nonsense", **{variable: "3"})
                self.assertEqual((result.code, len(result.errors())), (2, 1), str(result))
                self.assertIn("Usage", run("train", "--help", **{variable: "3"}).out.title())

    def test_a_rank_that_is_alone_with_its_trouble_tells_it(self):
        good = self.small(self.folder / "run")
        lines = support.line_of_each_rank(good, [*good, "--lrr", "1"])
        result = shell('shift; "$@"', "", support.MPIRUN, "--oversubscribe", *lines)
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("rank 1: train: unknown option --lrr", result.err)

    def test_control_characters_of_names_do_not_reach_the_terminal(self):
        result = run("inspect", "nothing-\x1b[31m-here\n")
        self.assertEqual(result.code, 3, str(result))
        self.assertNotIn("\x1b", result.err)
        self.assertEqual(len(result.err.splitlines()), 1)
        model = ["--run", self.finished]
        for words in (["sample", *model, "--output", self.folder / "\x1b[31m\n.png"],
                      ["export", self.finished, "--output", self.folder / "\x1b[31m\n.npz"]):
            result = must(*words)
            self.assertNotIn("\x1b", result.out + result.err)
            self.assertEqual(len(result.out.splitlines()), 1, str(result))


class Memory(faults.Test):
    def test_a_limit_of_address_space_is_told_and_nothing_hangs(self):
        finished = support.SPACE / "of-memory"
        must("train", "--data", self.data, "--run", finished, *support.QUICK)
        codes = set()
        for number, mebibytes in enumerate((200, 400, 600)):
            limit = f'ulimit -v {mebibytes * 1024}; exec timeout 60 "$0" "$@"'
            if shell(limit, "--version").code == 124:
                continue  # OpenBLAS 0.3.29 waits without end while it is loaded, before main()
            for words in (["train", "--data", self.data, "--run", self.folder / str(number),
                           *support.QUICK],
                          ["evaluate", "--run", finished, "--data", self.data],
                          ["sample", "--run", finished, "--output", self.folder / f"{number}.h5"]):
                with self.subTest(mebibytes=mebibytes, command=words[0]):
                    result = shell(limit, *words)
                    # 127: what the loader says before main is not ours
                    self.assertIn(result.code, (0, 3, 4, 8, 127), str(result))
                    self.assertNotIn("internal error", result.err)
                    codes.add(result.code)
        self.assertIn(8, codes)


if __name__ == "__main__":
    unittest.main(verbosity=2)
