"""relgrad info: what it tells is true of this build, this machine and these ranks, in words and as JSON."""
import json
import os
import pathlib
import re
import subprocess

import support
from support import Test, must

ROOT = pathlib.Path(__file__).resolve().parents[2]


def info(*words, ranks=0, **environment):
    return json.loads(must("info", "--json", *words, ranks=ranks, **environment).out)


class Info(Test):
    def test_the_build_is_this_one(self):
        build = info()["relgrad"]
        version = re.search(r"project\(relgrad VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
        self.assertEqual(build["version"], version)
        if build["commit"] != "unknown":  # built from a repository, perhaps of an older commit
            self.assertRegex(build["commit"], r"^[0-9a-f]{12}\+?$")
        self.assertRegex(build["compiler"], r"^\w+ \d+\.\d+")

    def test_libraries_have_their_versions(self):
        report = info()
        self.assertRegex(report["mpi"]["library"], r"\d+\.\d+")
        self.assertRegex(report["hdf5"]["library"], r"^\d+\.\d+\.\d+, ")
        self.assertRegex(report["products"]["openblas"], r"^\d+\.\d+\.\d+, kernels \w+, ")
        self.assertRegex(report["products"]["onednn"], r"^\d+\.\d+\.\d+, \w+|^not in this build$")

    def test_every_rank_has_a_row_with_the_cpus_that_it_may_run_on(self):
        alone = info()
        self.assertEqual((alone["mpi"]["ranks"], alone["mpi"]["launcher"]), (1, "none: one process"))
        report = info(ranks=3)
        self.assertEqual(report["mpi"]["ranks"], 3)
        self.assertRegex(report["mpi"]["launcher"], "^mpi(run|exec) of ")
        self.assertEqual([row["rank"] for row in report["ranks"]], [0, 1, 2])
        self.assertEqual(len({row["process"] for row in report["ranks"]}), 3)
        self.assertEqual([row["ranks"] for row in report["hosts"]], [3])
        one_cpu = min(os.sched_getaffinity(0))
        bound = subprocess.run(["taskset", "-c", str(one_cpu), support.PROGRAM, "info", "--json"],
                               capture_output=True, text=True, check=True, env={**os.environ, **support.ENVIRONMENT})
        row = json.loads(bound.stdout)["ranks"][0]
        self.assertEqual((row["may_run_on_cpus"], row["cpus_of_its_own"]), (str(one_cpu), "1"))

    def test_more_threads_than_cpus_are_advised_against(self):
        self.assertFalse([line for line in info("--threads", 1)["advice"] if "--threads" in line])
        advice = info("--threads", 1000)["advice"]
        self.assertTrue([line for line in advice if "--threads 1000" in line], advice)

    def test_file_locking_and_other_variables_are_told_where_they_are_set(self):
        self.assertNotIn("HDF5_USE_FILE_LOCKING", [row["variable"] for row in info()["environment"]])
        report = info(HDF5_USE_FILE_LOCKING="FALSE", OMP_NUM_THREADS="7")
        self.assertEqual(report["hdf5"]["file_locking"], "HDF5_USE_FILE_LOCKING=FALSE")
        self.assertIn({"variable": "OMP_NUM_THREADS", "value": "7"}, report["environment"])

    def test_memory_limits_are_those_of_the_process(self):
        limited = subprocess.run(["bash", "-c", f'ulimit -v 50000000; "{support.PROGRAM}" info --json'],
                                 capture_output=True, text=True, check=True,
                                 env={**os.environ, **support.ENVIRONMENT})
        self.assertEqual(json.loads(limited.stdout)["ranks"][0]["ulimit_v"], "48828 MiB")
        self.assertEqual(info()["ranks"][0]["ulimit_v"], "none")
        self.assertRegex(info()["hosts"][0]["available"], r"^\d+ MiB$")

    def test_words_fit_on_a_screen_and_say_the_same(self):
        words = must("info", ranks=2).out
        self.assertLessEqual(len(words.splitlines()), 50, words)
        for label in ("version", "commit", "library", "launcher", "file locking", "openblas", "huge pages",
                      "may run on cpus"):
            self.assertIn(label, words)


class Waiting(Test):
    """Ranks that wait yield their CPU, unless somebody says otherwise."""

    def setUp(self):
        super().setUp()
        for environment in (support.ENVIRONMENT, os.environ):
            environment.pop("OMPI_MCA_mpi_yield_when_idle", None)

    def test_by_itself_and_by_the_environment(self):
        report = info(ranks=2)
        if not report["mpi"]["library"].startswith("Open MPI"):
            self.assertEqual(report["mpi"]["waiting_ranks"], "do what this MPI does by default")
            return
        self.assertEqual(report["mpi"]["waiting_ranks"], "yield the CPU")
        for value, text in (("0", "spin"), ("1", "yield the CPU")):
            waiting = info(ranks=2, OMPI_MCA_mpi_yield_when_idle=value)["mpi"]["waiting_ranks"]
            self.assertEqual(waiting, f"{text} (OMPI_MCA_mpi_yield_when_idle={value} is set)")


if __name__ == "__main__":
    support.unittest.main()
