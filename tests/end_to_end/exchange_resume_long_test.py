"""Every pair of {1, 2, 3, 4} ranks by every exchange: exchange_resume_test.py at length."""
import os

os.environ["RELGRAD_ALL_PAIRS"] = "1"

import exchange_resume_test  # noqa: E402  (reads it)
import support  # noqa: E402

AnotherExchange = exchange_resume_test.AnotherExchange

if __name__ == "__main__":
    support.unittest.main()
