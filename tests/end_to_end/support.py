"""What the end-to-end tests share: running the program with a clock, small data sets, reading runs.

RELGRAD is the program, MPIRUN the launcher (ctest sets both). Needs python3-h5py and python3-numpy.
"""
import atexit
import json
import os
import pathlib
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

try:
    import h5py
    import numpy
except ImportError:
    DEBIAN = "/usr/bin/python3"  # has the packages where another python3 comes first in PATH
    if os.path.realpath(sys.executable) == os.path.realpath(DEBIAN) or not os.path.exists(DEBIAN):
        raise
    os.execv(DEBIAN, [DEBIAN, *sys.argv])

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import launcher  # pylint: disable=wrong-import-position

PROGRAM = os.environ.get("RELGRAD", "relgrad")
MPIRUN = os.environ.get("MPIRUN", "mpirun")
SECONDS = 600  # a hang is a failure; what a busy machine does late is none
ENVIRONMENT = {**launcher.ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1"}
SMALL = ["--synthetic", "images", "--size", "8x8"]
# A net that is quick and not trivial, without splines; 64 x 64 weights.
QUICK = ["--activation", "smooth-leaky-relu", "--batch-size", 30, "--epochs", 1]

# A shell that starts a script in the background has it ignore some of these; programs inherit that.
for number in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Result:
    """What a command printed and how it ended."""

    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def __str__(self):
        return f"{' '.join(self.words)}\nexit code {self.code}\n{self.out}{self.err}"

    def errors(self):
        """Lines of the program, not of the launcher, that tell an error. (mpirun of Open MPI 5 writes
        what ranks that end by MPI_Abort wrote to standard error to its standard output, at times.)"""
        text = self.out + self.err if MPIRUN in self.words else self.err
        return [line for line in text.splitlines()
                if line.startswith(("relgrad: error:", "relgrad: internal error:"))]


def start(*words, ranks=0, program=PROGRAM, **environment):
    """Starts the program, alone or under mpirun, in a process group of its own."""
    mpirun = [MPIRUN, "-n", str(ranks)] if ranks else []
    return subprocess.Popen([*mpirun, program, *map(str, words)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, errors="replace",
                            start_new_session=True,
                            env={**os.environ, **ENVIRONMENT, **environment})


def line_of_each_rank(*lines):
    """Words for mpirun that start rank n of the program with lines[n]. mpirun's own way, with
    colons, ends in a segmentation fault where Debian 13 has it (Open MPI 5.0.7)."""
    cases = "".join(f"{rank}) exec {shlex.join([str(PROGRAM), *map(str, line)])};; "
                    for rank, line in enumerate(lines))
    return ["-n", str(len(lines)), "sh", "-c",
            f'case "${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" in {cases} esac']


def finish(process, seconds=SECONDS):
    """The end of a started program; it fails the test if that does not come."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"no end after {seconds} s: {process.args}\n{out}{err}") from None
    return Result(list(map(str, process.args)), process.returncode, out, err)


def run(*words, ranks=0, seconds=SECONDS, **environment):
    return finish(start(*words, ranks=ranks, **environment), seconds)


def must(*words, ranks=0, seconds=SECONDS, **environment):
    """Runs the program, which must succeed."""
    result = run(*words, ranks=ranks, seconds=seconds, **environment)
    assert result.code == 0, str(result)
    return result


SPACE = pathlib.Path(tempfile.mkdtemp(prefix="relgrad-end-to-end-"))
atexit.register(shutil.rmtree, SPACE, ignore_errors=True)
PREPARED = {}


def prepared(*words):
    """A data set made with these options of prepare, once a process. Read only."""
    if words not in PREPARED:
        path = SPACE / f"data-{len(PREPARED)}"
        must("prepare", "--output", path, *words)
        PREPARED[words] = path
    return PREPARED[words]


def prepared_from(name, labels=None, **splits):
    """A data set of arrays: prepared_from("a", train=array, val=array); `labels`: those of the same splits."""
    words = []
    for split, values in splits.items():
        path = SPACE / f"{name}-{split}.npy"
        numpy.save(path, values)
        words += [f"--{split}", path]
        if labels:
            path = SPACE / f"{name}-{split}-labels.npy"
            numpy.save(path, labels[split])
            words += ["--labels" if split == "train" else f"--{split}-labels", path]
    must("prepare", "--output", SPACE / name, *words)
    return SPACE / name


LABELLED_ROWS = {"train": 600, "val": 60, "test": 200}


def labelled(classes=3, unlabelled=0.0):
    """Words of prepare, for 8 x 8 images of as many classes, each brighter in two rows of its own. `unlabelled`: share of
    the training samples without a label."""
    folder = SPACE / f"labelled-{classes}-{unlabelled}"
    words = ["--val-labels", folder / "val-labels.npy", "--test-labels", folder / "test-labels.npy",
             "--labels", folder / "train-labels.npy"]
    folder.mkdir(exist_ok=True)
    for number, (name, rows) in enumerate(LABELLED_ROWS.items()):
        words += [f"--{name}", folder / f"{name}.npy"]
        random = numpy.random.default_rng(number)
        labels = numpy.concatenate([numpy.arange(classes), random.integers(0, classes, rows - classes)])
        images = random.normal(100, 20, (rows, 1, 8, 8))
        for k in range(classes):
            images[labels == k, :, 2 * k:2 * k + 2] += 30
        if name == "train":
            labels[random.random(rows) < unlabelled] = -1
        numpy.save(folder / f"{name}.npy", images.clip(0, 255).astype(numpy.uint8))
        numpy.save(folder / f"{name}-labels.npy", labels)
    return tuple(map(str, words))


def split(data, name):
    """The samples of a split, rows x D, as h5py reads them."""
    return numpy.concatenate([h5py.File(path, "r")["samples"][...]
                              for path in sorted(data.glob(f"{name}-*-of-*.h5"))])


def png_chunks(content):
    """Bodies of a PNG's chunks by kind, those of one kind put together; checks every CRC."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n", content[:8]
    chunks, at = {}, 8
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at:at + 8])
        body = content[at + 8:at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", content[at + 8 + length:at + 12 + length])[0], kind
        chunks[kind] = chunks.get(kind, b"") + body
        at += 12 + length
    return chunks


def read_png(content, most_rows=10 ** 9):
    """The upper rows of an 8-bit PNG, [rows, width, channels]."""
    chunks = png_chunks(content)
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8 and colour in (0, 2, 6), (depth, colour)
    channels = {0: 1, 2: 3, 6: 4}[colour]
    rows, stride = min(height, most_rows), width * channels
    lines = zlib.decompress(chunks[b"IDAT"])
    above, pixels = bytearray(stride), []
    for row in range(rows):
        begin = row * (stride + 1)
        line = bytearray(lines[begin + 1:begin + 1 + stride])
        undo_filter(lines[begin], line, above, channels)
        pixels.append(bytes(line))
        above = line
    return numpy.frombuffer(b"".join(pixels), numpy.uint8).reshape(rows, width, channels)


def undo_filter(kind, line, above, channels):
    """PNG specification, section 9.2."""
    if kind == 2:
        line[:] = (numpy.frombuffer(line, numpy.uint8) + numpy.frombuffer(above, numpy.uint8)).tobytes()
    elif kind:
        for i, value in enumerate(line):
            left = line[i - channels] if i >= channels else 0
            corner = above[i - channels] if i >= channels else 0
            up = above[i]
            if kind == 1:
                guess = left
            elif kind == 3:
                guess = (left + up) // 2
            else:
                guess = min((left, up, corner), key=lambda near: abs(left + up - corner - near))
            line[i] = value + guess & 255


class Test(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=SPACE))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refuses(self, words, exit_code, *parts, ranks=0):
        """One line of error that holds every part, and the exit code; returns the result."""
        result = run(*words, ranks=ranks)
        self.assertEqual(result.code, exit_code, str(result))
        self.assertEqual(result.out, "", str(result))
        self.assertEqual(len(result.errors()), 1, str(result))
        if not ranks:
            self.assertEqual(result.err.splitlines()[-1:], result.errors(), str(result))
        for part in parts:
            self.assertIn(str(part), result.errors()[0])
        return result

    def assert_same_bits(self, run, expected):
        """The last checkpoints agree in every bit, and so do the lasting metrics of two runs."""
        ours, theirs = checkpoints(run)[-1], checkpoints(expected)[-1]
        self.assertEqual(ours.name, theirs.name)
        hashes, expected_hashes = ({t["name"]: t["hash"] for t in manifest(c)["tensors"]}
                                   for c in (ours, theirs))
        self.assertEqual(*(manifest(c)["state"]["metrics"] for c in (ours, theirs)))
        self.assertTrue(any(name.startswith("optimizer/moment2/") for name in hashes))
        self.assertEqual(hashes, expected_hashes)
        values, expected_values = tensors(ours), tensors(theirs)
        for name, value in expected_values.items():
            self.assertEqual(values[name].tobytes(), value.tobytes(), name)
        self.assertEqual(lasting_metrics(run), lasting_metrics(expected))
        steps = [(line["kind"], line["step"]) for line in metrics(run)]
        self.assertEqual(len(steps), len(set(steps)), "doubled steps")


def metrics(directory, kind=None):
    """Lines of metrics.jsonl, all or of one kind."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if kind is None or line["kind"] == kind]


VOLATILE = ("seconds", "seconds_by_part", "samples_per_s", "peak_memory_mib", "bytes_sent",
            "world_size")


def lasting_metrics(directory):
    """Lines of metrics.jsonl without what two equal runs may differ in."""
    return [{key: value for key, value in line.items() if key not in VOLATILE}
            for line in metrics(directory)]


def validation(directory):
    """Bits per dimension, validation by validation."""
    return [line["val_bits_per_dim"] for line in metrics(directory, "val")]


def status(directory):
    return json.loads((directory / "STATUS").read_text())


def checkpoints(directory):
    """Oldest first."""
    return sorted(directory.glob("ckpt/step-" + 9 * "[0-9]"))


def manifest(checkpoint):
    return json.loads((checkpoint / "manifest.json").read_text())


def tensors(checkpoint):
    """Every tensor of a checkpoint by name, as matrices: rows x cols, column blocks put together."""
    found = {}
    for tensor in manifest(checkpoint)["tensors"]:
        blocks = []
        for block in sorted(tensor["blocks"], key=lambda block: block["col_begin"]):
            with h5py.File(checkpoint / block["file"], "r") as file:
                blocks.append(file[tensor["name"]][...])
        found[tensor["name"]] = numpy.concatenate(blocks, axis=0).T
    return found


def wait_for(condition, what, seconds=SECONDS):
    """Looks every few milliseconds until `condition()` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} after {seconds} s"
        time.sleep(0.005)


def hear(process, words, seconds=SECONDS):
    """Reads what a started program says on stderr until `words` are in it; returns all of it."""
    descriptor = process.stderr.fileno()
    os.set_blocking(descriptor, False)
    heard = b""

    def told():
        nonlocal heard
        try:
            heard += os.read(descriptor, 1 << 16)
        except BlockingIOError:
            pass
        assert process.poll() is None or words.encode() in heard, \
            f"ended without '{words}':\n{heard.decode()}"
        return words.encode() in heard

    wait_for(told, f"'{words}'", seconds)
    return heard.decode()


def reached(directory, step):
    """Whether metrics.jsonl tells of this step."""
    try:
        return metrics(directory)[-1]["step"] >= step
    except (OSError, ValueError, IndexError):  # not there yet, or a line half written
        return False


def rank_process(launcher, rank):
    """Process id of a rank that `launcher` started; None until it is there."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            mine = b"OMPI_COMM_WORLD_RANK=%d\0" % rank in (entry / "environ").read_bytes()
        except (OSError, IndexError, ValueError):
            continue
        if parent == launcher.pid and mine:
            return int(entry.name)
    return None
