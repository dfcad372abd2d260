#!/usr/bin/env python3
"""Ranks that were started with other commands, options or data end together and say which."""
import unittest

import support  # first: it finds a python that has h5py
from support import MPIRUN, PROGRAM, must, prepared, start, finish



class SameLine(support.Test):
    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", 300, "--val-last", 50)
        cls.finished = support.SPACE / "finished"
        must("train", "--data", cls.data, "--run", cls.finished, *support.QUICK)

    def together(self, *lines):
        """What mpirun makes of these lines, one a rank."""
        return finish(start("--oversubscribe", *support.line_of_each_rank(*lines), program=MPIRUN), 60)

    def refused(self, *lines, parts):
        result = self.together(*lines)
        self.assertEqual(result.code, 2, str(result))
        self.assertEqual(len(result.errors()), 1, str(result))
        for part in (*parts, "rank 1"):
            self.assertIn(str(part), result.errors()[0])

    def train(self, *options):
        return ["train", "--data", self.data, "--run", self.folder / "run", *support.QUICK, *options]

    def test_options(self):
        for option, one, other in (("lr", 0.001, 0.1), ("seed", 1, 2), ("logit-a", 1e-6, 1e-5),
                                   ("beta1", 0.9, 0.8), ("exchange", "dense", "sharded"),
                                   ("eval-every", 1, 2), ("layers", 2, 3),
                                   ("precision", "float32", "float64")):
            with self.subTest(option):
                self.refused(self.train(f"--{option}", one), self.train(f"--{option}", other),
                             parts=[f"--{option}", one, other])
        self.assertFalse((self.folder / "run").exists())

    def test_commands_and_what_they_ask_for(self):
        evaluate = ["evaluate", "--run", self.finished, "--data", self.data]
        self.refused(self.train(), evaluate, parts=["command", "train", "evaluate"])
        self.refused([*evaluate, "--split", "val"], [*evaluate, "--split", "test"],
                     parts=["--split", "val", "test"])
        self.refused(["bench", "step"], ["bench", "products"], parts=["step", "products"])

    def test_questions(self):
        questions = (["train", "--help"], ["--version"], ["train", "--print-config"])
        for question in questions:
            for lines in ((self.train(), question), (question, self.train())):
                with self.subTest(question=question, first=lines[0] == question):
                    result = self.together(*lines)
                    self.assertEqual(result.code, 2, str(result))
                    self.assertEqual(len(result.errors()), 1, str(result))
                    self.assertIn("on rank 1, but", result.errors()[0])
            result = self.together(question, question)
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(result.out, must(*question).out)  # once
        result = self.together(self.train(), [])
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("rank 1: no command", result.errors()[0])

    def test_data(self):
        other = prepared(*support.SMALL, "--rows", 300, "--val-last", 50, "--seed", 7)
        elsewhere = ["train", "--data", other, "--run", self.folder / "run", *support.QUICK]
        self.refused(self.train(), elsewhere, parts=["--data", other])
        evaluate = ["evaluate", "--run", self.finished, "--data"]
        self.refused([*evaluate, self.data], [*evaluate, other], parts=["--data", other])

    def test_places_threads_and_spellings_may_differ(self):
        result = self.together(self.train("--lr", "0.001", "--threads", 1),
                               self.train("--lr", "1e-3", "--threads", 2, "--keep-last", 5))
        self.assertEqual(result.code, 0, str(result))


if __name__ == "__main__":
    unittest.main(verbosity=2)
