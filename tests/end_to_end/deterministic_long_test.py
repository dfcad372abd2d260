"""Stopped on P ranks and resumed on Q: all 25 pairs of {1, 2, 3, 4, 8} end with the same bits."""
import os

os.environ["RELGRAD_ALL_PAIRS"] = "1"

import deterministic_test  # noqa: E402  (reads it)
import support  # noqa: E402


class EveryPair(deterministic_test.Deterministic):
    pass


del deterministic_test.Deterministic

if __name__ == "__main__":
    support.unittest.main(argv=["deterministic_long_test.py",
                                "EveryPair.test_resumed_on_another_number_of_ranks"])
