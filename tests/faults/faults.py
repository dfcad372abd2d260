"""What the fault tests share: chance that can be repeated, a run in which everything has state,
processes that are killed, and a library that comes between the program and the system.

RELGRAD_FAULT_RUNS=200 asks for more, RELGRAD_FAULT_SEED=N for the same chance again.
"""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "end_to_end"))

import support  # first: it finds a python that has h5py
from support import SPACE, must, prepared, run

SEED = int(os.environ.get("RELGRAD_FAULT_SEED", random.SystemRandom().randrange(10 ** 6)))
print(f"chance: RELGRAD_FAULT_SEED={SEED}", file=sys.stderr)

# What killed launchers and ranks leave behind goes with the test's own folder.
SCRATCH = SPACE / "tmp"
SCRATCH.mkdir()
support.ENVIRONMENT.update(TMPDIR=str(SCRATCH), OMPI_MCA_btl_vader_backing_directory=str(SCRATCH),
                           OMPI_MCA_btl_sm_backing_directory=str(SCRATCH))  # Open MPI 4 and 5

# 840 steps in 60 epochs, with everything that has state: moments, schedule, warm-up, noise of every
# epoch, splines, the best validation, lines of metrics over several steps.
ROWS = 400
STEPS_PER_EPOCH = 14
STEPS = 60 * STEPS_PER_EPOCH
OPTIONS = {"batch-size": 30, "epochs": 60, "eval-every": 4, "warmup": 40, "log-every": 5,
           "weight-decay": 0.01, "spline-bins": 4, "keep-every": 0, "save-every-seconds": 0.02,
           "products": "ordered"}  # bits are compared between runs


def runs(short):
    """How many random faults are asked for."""
    return int(os.environ.get("RELGRAD_FAULT_RUNS", short))


def chance(*names):
    """A stream of random numbers for these names: one scenario does not disturb the next."""
    return random.Random(repr((SEED, *names)))


def has_option(name):
    """Whether this build of the program can train with --NAME."""
    return f"--{name}" in must("train", "--help").out.split()


class Test(support.Test):
    UNDISTURBED = {}

    @classmethod
    def setUpClass(cls):
        cls.data = prepared(*support.SMALL, "--rows", ROWS, "--val-last", 50)

    @classmethod
    def words(cls, directory, **options):
        """A command line: OPTIONS and `options`, max_seconds=1 for --max-seconds 1."""
        given = {"data": cls.data, "run": directory, **OPTIONS,
                 **{name.replace("_", "-"): value for name, value in options.items()}}
        return ["train", *[word for name, value in given.items()
                           for word in ((f"--{name}",) if value is True else (f"--{name}", value))]]

    @classmethod
    def undisturbed(cls, ranks, **options):
        """The run that nothing happened to, once for every number of ranks and options."""
        key = (ranks, *sorted(options.items()))
        if key not in cls.UNDISTURBED:
            directory = SPACE / f"undisturbed-{len(cls.UNDISTURBED)}"
            must(*cls.words(directory, **options), ranks=ranks)
            cls.UNDISTURBED[key] = directory
        return cls.UNDISTURBED[key]

    def repeat(self, *names):
        """A part of the test that tells, when it fails, how to have the same chance again."""
        return self.subTest(repeat=f"RELGRAD_FAULT_SEED={SEED}", scenario=names)

    def assert_sound(self, directory):
        """Every checkpoint of the run is whole; nothing half made has a checkpoint's name."""
        result = run("inspect", directory, "--verify")
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        self.assertNotIn("rejected", result.out)


def newest(directory):
    """The newest checkpoint that has its name; None where there is none."""
    return max(support.checkpoints(directory), default=None)


def step_of(checkpoint):
    """-1 for no checkpoint."""
    return -1 if checkpoint is None else int(checkpoint.name.removeprefix("step-"))


def latest_step(directory):
    """What LATEST says; -1 before there is one."""
    try:
        return int((directory / "LATEST").read_text().strip().removeprefix("step-"))
    except FileNotFoundError:
        return -1


def state_of(process):
    """The letter of proc(5): T stopped, Z zombie; X where there is no such process."""
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return stat.rsplit(")", 1)[1].split()[0]


def is_running(process):
    """Neither gone nor a zombie."""
    return state_of(process) not in "ZX"


def children(process):
    """The processes that `process` started."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process:
                found.append(int(entry.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


def kill(process, number=signal.SIGKILL):
    """Sends a signal; nothing happens where there is no such process any more."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


def shim():
    """shim.c as a library to preload; None, with the reason printed, where that cannot be."""
    library = SPACE / "shim.so"
    if not library.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            print("no C compiler here: nothing comes between program and system", file=sys.stderr)
            return None
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl",
                        "-lpthread"], check=True)
    result = run("--version", **preloaded(library))
    if result.code != 0:
        print(f"this program cannot be preloaded:\n{result}", file=sys.stderr)
        library.unlink()
        return None
    return library


def preloaded(library, **environment):
    """Environment of a program under the shim, which reads SHIM_... of `environment`."""
    sanitizer = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0",
            **{name: str(value) for name, value in environment.items()}}
