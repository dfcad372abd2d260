#!/usr/bin/env python3
"""How a step's time grows with the dimension D: one linear layer, B = 100, Adam, one thread.

relgrad at D = 512 ... 12288; beside it, where D^3 is still bearable, the plain gradient in PyTorch, written out
(torch.linalg.inv) and by autograd through slogdet. Exponents are least squares of log time on log D. Sizes take
turns in every round, and the median over rounds counts. Needs numpy, h5py and PyTorch; --plot also matplotlib.

    python3 tools/bench/cost_growth.py [--json FILE] [--plot FILE.svg]
"""
import argparse
import os
import statistics

import peer_bench
from peer_bench import Shape

DIMENSIONS = [512, 1024, 2048, 3072, 4096, 6144, 8192, 12288]
FACTORISED = [512, 1024, 2048, 3072]
WAYS = {"relgrad": "relgrad", "plain": "plain gradient, PyTorch with inverse",
        "slogdet": "plain gradient, PyTorch autograd of slogdet"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/relgrad")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="timed, a size and round; 2 steps at least")
    parser.add_argument("--json", help="write the figures here; - for standard output")
    parser.add_argument("--plot", help="draw them here")
    return parser.parse_args()


def time_all(options, steps):
    """{way: {D: median milliseconds}}"""
    relgrad = peer_bench.Relgrad(options.program, options.threads)
    times = {"relgrad": {dim: [] for dim in DIMENSIONS}}
    for _ in range(options.rounds):
        for dim, values in times["relgrad"].items():
            shape = Shape(dim, 100, 1)
            count = max(2, round(1e3 * options.seconds / values[0])) if values else 2
            values.append(relgrad.milliseconds(shape, count))
    starts = {dim: relgrad.start(Shape(dim, 100, 1)) for dim in FACTORISED}
    for way, peer in (("plain", steps.Plain), ("slogdet", steps.Slogdet)):
        times[way] = {dim: [] for dim in FACTORISED}
        for _ in range(options.rounds):
            for dim, values in times[way].items():
                values.append(peer_bench.time_steps(peer(starts[dim]), options.seconds))
    return {way: {dim: statistics.median(values) for dim, values in sizes.items()} for way, sizes in times.items()}


def exponent(sizes):
    import numpy

    return float(numpy.polyfit(numpy.log(list(sizes)), numpy.log(list(sizes.values())), 1)[0])


def plot(path, content):
    """Draws the figures into an SVG; False, and nothing, without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "relgrad", "font.size": 9})
    figure, axes = pyplot.subplots(figsize=(5.2, 3.4))
    for way, marker in zip(WAYS, "os^"):
        sizes = content["milliseconds"][way]
        axes.loglog(list(map(int, sizes)), list(sizes.values()), marker + "-", markersize=4,
                    label=f"{WAYS[way]}: D^{content['exponents'][way]:.2f}")
    axes.set_xticks(DIMENSIONS, DIMENSIONS, rotation=45)
    axes.minorticks_off()
    axes.set(xlabel="dimension D", ylabel="milliseconds a step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    return True


def main():
    options = arguments()
    peer_bench.limit_threads(options.threads)
    import steps_pytorch as steps  # after the limits: OpenMP reads them once

    steps.torch.set_num_threads(options.threads)
    times = time_all(options, steps)
    exponents = {way: exponent(sizes) for way, sizes in times.items()}
    for way, sizes in times.items():
        print(f"{WAYS[way]}: D^{exponents[way]:.3f}   " + "  ".join(f"{d}: {ms:.2f} ms" for d, ms in sizes.items()))
    content = {"milliseconds": times, "exponents": exponents, "threads": options.threads, "batch_size": 100,
               "layers": 1, "rounds": options.rounds, "memory_gbytes_per_s": steps.memory_gbytes(),
               "peak_gflops_per_s": steps.peak_gflops(), "version": steps.torch.__version__,
               "processor": peer_bench.processor(), "load_average": os.getloadavg()[0]}
    peer_bench.write_json(options.json, content)
    if options.plot and not plot(options.plot, content):
        raise SystemExit("--plot: this Python has no matplotlib")


if __name__ == "__main__":
    main()
