#!/usr/bin/env python3
"""Seconds of log_prob for 10,000 samples on one core: the Python package, and flows of zuko and nflows with about as
many parameters, those of them that are installed.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python3 tools/bench/python_scores.py DATA RUN

DATA, RUN: a data set and a run of dense layers with splines on it, as of jobs/mnist-best.ini. Needs the package
(python/), and torch for the others; they get the latent vectors, so that no transform of theirs is missing. zuko: NSF;
nflows: LULinear and rational-quadratic splines; their samples in batches of 500.
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
import relgrad  # pylint: disable=wrong-import-position

SAMPLES = 10000


def report(name, parameters, work):
    """Runs `work` once and prints a line."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:44} {parameters:9d} parameters   {wall:6.2f} s wall   {cpu:6.2f} s CPU", flush=True)


def parameters_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


def zuko_flow(dimension, wanted):
    """The widest NSF of three transforms that has at most `wanted` parameters."""
    import zuko
    best = None
    for hidden in range(4, 4096, 4):
        flow = zuko.flows.NSF(dimension, transforms=3, bins=8, hidden_features=(hidden,))
        if best is not None and parameters_of(flow) > wanted:
            return best
        best = flow
    return best


def nflows_flow(dimension, layers, bins):
    from nflows import distributions, flows, transforms
    maps = []
    for _ in range(layers):
        maps += [transforms.LULinear(dimension),
                 transforms.PiecewiseRationalQuadraticCDF([dimension], num_bins=bins, tails="linear", tail_bound=6.0)]
    return flows.Flow(transforms.CompositeTransform(maps), distributions.StandardNormal([dimension]))


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    data, model = relgrad.data(sys.argv[1]), relgrad.load(sys.argv[2])
    x = data["train"][:SAMPLES]
    layers = model.description["layers"]
    bins = [int(layer["settings"]["bins"]) for layer in layers if layer["kind"] == "spline"]
    linear = sum(layer["kind"] == "linear" for layer in layers)
    count = sum(values.size for tensors in model.tensors for values in tensors.values())
    report(f"relgrad, {linear} dense layers, splines", count, lambda: model.log_prob(x))
    try:
        import torch
    except ImportError:
        raise SystemExit("torch is not installed: nothing to compare with") from None
    torch.set_num_threads(1)
    z = torch.tensor(model.encode(x))
    peers = {"zuko, NSF, 3 transforms": lambda: zuko_flow(model.dimension, count),
             "nflows, LULinear, splines": lambda: nflows_flow(model.dimension, linear, bins[0] if bins else 8)}
    for name, make in peers.items():
        try:
            flow = make()
        except ImportError as error:
            print(f"{name}: not installed ({error})")
            continue
        log_prob = (lambda batch: flow().log_prob(batch)) if name.startswith("zuko") else flow.log_prob
        with torch.no_grad():
            report(name, parameters_of(flow), lambda: [log_prob(batch) for batch in z.split(500)])


if __name__ == "__main__":
    main()
