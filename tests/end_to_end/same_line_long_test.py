#!/usr/bin/env python3
"""Every option of train that is no place and no matter of one rank alone is compared between ranks."""
import re
import unittest

import support  # first: it finds a python that has h5py
from same_line_test import SameLine
from support import must, prepared

# Those that may differ: places, and what only one rank or no collective call looks at.
FREE = {"data", "run", "resume", "threads", "max-seconds", "stop-margin-seconds", "watchdog-seconds",
        "save-every-seconds", "keep-last", "keep-every", "log-every", "sample-grids", "tensorboard"}


def choices():
    """The words of every option that has a list of them, from the help text."""
    found, option = {}, None
    for line in must("train", "--help").out.splitlines():
        named = re.match(r" +--([a-z0-9-]+)", line)
        option = named.group(1) if named else option
        words = re.search(r"\w[\w-]*(?: \| \w[\w-]*)+", line)
        if option and words:
            found.setdefault(option, words.group().split(" | "))
    return found


def another(value, words):
    """A valid value that is not `value`."""
    if words:
        return next(word for word in words if word != value)
    if value == "":
        return "linear"  # --model
    number = float(value)
    if re.fullmatch(r"\d+", value):
        return str(int(value) + 1)
    return str(number / 2 if number else 0.5)


class EveryOption(support.Test):
    together, refused = SameLine.together, SameLine.refused

    def test_every_option(self):
        data = prepared(*support.SMALL, "--rows", 300, "--val-last", 50)
        words = choices()
        lines = must("train", "--print-config").out.splitlines()
        defaults = {"model": "", **dict(line.split(" = ", 1) for line in lines)}
        compared = 0
        for option, value in defaults.items():
            if option in FREE:
                continue
            other = another(value, words.get(option))
            with self.subTest(option, value=other):
                line = ["train", "--data", data, "--run", self.folder / "run"]
                self.refused(line, [*line, f"--{option}", other], parts=[f"--{option}"])
                compared += 1
        self.assertGreater(compared, 40)
        self.assertFalse((self.folder / "run").exists())


del SameLine  # its tests run by themselves

if __name__ == "__main__":
    unittest.main(verbosity=2)
