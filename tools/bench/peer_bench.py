"""What the comparisons with other frameworks share: relgrad's side, the same start, pairs of timings.

A peer is a class that makes the same training step: `Peer(start, rule)` with rule "adam" or "sgd",
`run()` makes one step, `weights()` gives the D x D matrices. It starts from the weights and the batch that
`relgrad bench step --dump` wrote, and must end where relgrad ends. Model: linear layers with smooth leaky
ReLU (slope 0.3) between them, standard normal latent, float32, learning rate 1e-3.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time
from typing import NamedTuple

LEARNING_RATE, SLOPE = 1e-3, 0.3
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
LARGEST_FACTORISED = 4096  # of ways that cost D^3


class Shape(NamedTuple):
    dim: int
    batch_size: int
    layers: int

    def __str__(self):
        return f"{self.dim}x{self.batch_size}x{self.layers}"

    def multiplications(self):
        """Flops of the products: 8 B D^2 a layer, 6 the first (docs/MATH.md)."""
        return (8 * self.layers - 2) * self.batch_size * self.dim**2

    def weight_bytes(self):
        return 4 * self.layers * self.dim**2


SHAPES = [Shape(784, 100, 2), Shape(3072, 100, 2), Shape(3072, 10, 2), Shape(12288, 100, 1)]


def parse_shape(text):
    if not re.fullmatch(r"\d+x\d+x\d+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not DxBxLAYERS, as in 784x100x2")
    return Shape(*map(int, text.split("x")))


def add_options(parser):
    parser.add_argument("--program", default="build/release/relgrad")
    parser.add_argument("--shapes", type=parse_shape, nargs="+", default=SHAPES, metavar="DxBxLAYERS")
    parser.add_argument("--threads", type=int, default=1, help="of both sides, on that many cores")
    parser.add_argument("--rounds", type=int, default=5, help="each times relgrad, then the peer; at most 3 of what takes long")
    parser.add_argument("--seconds", type=float, default=0.7, help="timed, a side and round; 2 steps at least")
    parser.add_argument("--json", help="write the figures here; - for standard output")


def limit_threads(threads):
    """Before the framework is imported: both sides get the same cores and as many threads."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < threads:
        raise SystemExit(f"--threads {threads}: only {len(cores)} cores are here")
    os.sched_setaffinity(0, cores[:threads])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


class Relgrad:
    def __init__(self, program, threads):
        if not os.access(program, os.X_OK):
            raise SystemExit(f"--program {program}: no such program; build it (README.md) or name another")
        self.program, self.threads = program, threads

    def bench_step(self, shape, *words):
        """Standard output of `relgrad bench step`."""
        command = [self.program, "bench", "step", "--dim", shape.dim, "--batch-size", shape.batch_size,
                   "--layers", shape.layers, "--threads", self.threads, *words]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stderr}")
        return result.stdout

    def milliseconds(self, shape, steps):
        """Median of a step in a process of its own, after warm-ups."""
        output = self.bench_step(shape, "--steps", steps, "--warmup", 2 if steps > 2 else 1, "--json", "-")
        return json.loads(output)["time"]["median_ms"]

    def start(self, shape):
        """Where a step begins and ends: Start with numpy arrays."""
        with tempfile.TemporaryDirectory() as folder:
            after = {}
            for rule in ("sgd", "adam"):
                path = pathlib.Path(folder) / "step.h5"
                self.bench_step(shape, "--optimizer", rule, "--dump", path)
                weights, biases, after[rule], x = read_dump(path, shape.layers)
                path.unlink()
            return Start(weights, biases, x, after)


class Start(NamedTuple):
    weights: list  # D x D each: y = W z + b
    biases: list
    x: object  # D x B, a sample per column
    after: dict  # rule -> weights after one step


def read_dump(path, layers):
    import h5py
    import numpy

    def matrix(file, name):  # HDF5 is row-major, relgrad column-major
        return numpy.ascontiguousarray(file[name][...].T)

    with h5py.File(path) as file:
        # a linear layer is followed by an activation, so linear layers have even numbers
        linear = range(0, 2 * layers, 2)
        return ([matrix(file, f"before/layer/{k}/W") for k in linear],
                [file[f"before/layer/{k}/b"][...].reshape(-1) for k in linear],
                [matrix(file, f"after/layer/{k}/W") for k in linear], matrix(file, "x"))


def check_update(start, make):
    """Largest relative difference of the update by plain ascent, which is the gradient's; and of Adam's
    first one. That is the learning rate times the gradient's sign, which is rounding where the gradient
    is nearly zero: so the 99.9 % quantile of at most a million elements is taken.
    Limits 1e-3 and 2e-2: float32 weights near one that move by a thousandth of the gradient."""
    import numpy

    worst = {}
    for rule, limit in (("sgd", 1e-3), ("adam", 2e-2)):
        peer = make(rule)
        peer.run()
        worst[rule] = 0.0
        for before, ours, theirs in zip(start.weights, start.after[rule], peer.weights()):
            difference = numpy.abs(ours - theirs)
            if rule == "sgd":
                error = numpy.linalg.norm(difference) / numpy.linalg.norm(ours - before)
            else:
                some = difference.ravel()[::1 + difference.size // 1_000_000]
                error = numpy.quantile(some, 0.999) / LEARNING_RATE
            worst[rule] = max(worst[rule], float(error))
        if not worst[rule] <= limit:
            raise SystemExit(f"{peer.name}: its update by {rule} is not relgrad's: {worst[rule]:.1e} of the change,"
                             f" limit {limit:.0e}")
    return worst


def time_steps(peer, seconds):
    """Median milliseconds over at least two steps and about so many seconds, after two warm-ups, or one long one."""
    begin = time.perf_counter()
    peer.run()
    if time.perf_counter() - begin < 0.5:
        peer.run()
    times, begin = [], time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        peer.run()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def time_pairs(relgrad, shape, make, rounds, seconds):
    """Rounds of relgrad, then the peer, each from the start anew. The ratio is taken within a round."""
    steps = max(2, round(1e3 * seconds / relgrad.milliseconds(shape, 2)))
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(relgrad.milliseconds(shape, steps))
        theirs.append(time_steps(make(), seconds))
    ratios = [b / a for a, b in zip(ours, theirs)]
    return {"relgrad_ms": ours, "peer_ms": theirs, "ratios": ratios}


def fastest(candidates):
    """Name of the fastest of {name: make}: best of three steps after one."""
    def best(peer):
        times = []
        for _ in range(4):
            start = time.perf_counter()
            peer.run()
            times.append(time.perf_counter() - start)
        return min(times[1:])

    return min(candidates, key=lambda name: best(candidates[name]()))


def measure(relgrad, shape, way, make, options, about):
    long = way != "by-hand" or shape.dim > LARGEST_FACTORISED
    result = {"shape": shape._asdict(), "way": way, **about,
              **time_pairs(relgrad, shape, make, min(3, options.rounds) if long else options.rounds, options.seconds)}
    ratios = result["ratios"]
    print(f"{shape!s:12} {way:9} relgrad {statistics.median(result['relgrad_ms']):9.2f} ms"
          f"  peer {statistics.median(result['peer_ms']):9.2f} ms"
          f"  ratio {statistics.median(ratios):6.2f} ({min(ratios):.2f} ... {max(ratios):.2f})"
          f"  {about.get('update', '')}", flush=True)
    return result


def run_comparison(options, framework, version, steps, compare):
    """Checks and times every shape; prints a line each, writes --json. `steps` is the framework's module."""
    relgrad = Relgrad(options.program, options.threads)
    content = {"framework": framework, "version": version, "products": steps.product_library(),
               "threads": options.threads, "processor": processor(), "peak_gflops_per_s": steps.peak_gflops()}
    print(f"{framework} {version} on {content['products']}, {options.threads} thread(s), product of 1024 x 1024: "
          f"{content['peak_gflops_per_s']:.0f} GFLOP/s", flush=True)
    content["results"] = [result for shape in options.shapes for result in compare(options, relgrad, shape, steps)]
    content["load_average"] = os.getloadavg()[0]
    write_json(options.json, content)


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    flags = set(re.search(r"flags\s*: (.*)", text).group(1).split())
    cache = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    return {"name": re.search(r"model name\s*: (.*)", text).group(1), "cores": os.cpu_count(),
            "vectors": [name for name in ("avx2", "avx512f") if name in flags],
            "last_cache_mib": int(cache.read_text().rstrip("K\n")) / 1024 if cache.exists() else 0}


def write_json(path, content):
    text = json.dumps(content, indent=2) + "\n"
    if path == "-":
        print(text, end="")
    elif path:
        pathlib.Path(path).write_text(text)
