#!/usr/bin/env python3
"""relgrad beside flows of nflows on one table, at equal wall time and threads, as a table in Markdown.

usage: tools/bench/table_flows.py TABLE [--seconds S] [--program FILE] [--config FILE] [-- OPTION ...]

TABLE is a folder with train.npy, val.npy and test.npy, as tools/patches makes it. nflows (PyPI; it needs PyTorch):
MAF with 5 autoregressive layers, and RQ-NSF with 5 coupling layers of rational-quadratic splines, 8 bins, and LU linear
layers between them (Durkan et al. 2019, arXiv 1906.04032); batches of 500, Adam, cosine schedule over the time; standardized
columns, whose log-scale is in the figure. relgrad: the option file and the options after --, among them as many --epochs
as fit into the time (the schedule goes by them), and stopped by --max-seconds.
A figure is the test log-likelihood in nats, +- its standard error, of the weights with the best validation.
"""
import argparse
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", metavar="TABLE")
    parser.add_argument("--seconds", type=float, default=300, help="of training, each")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "relgrad"))
    parser.add_argument("--config", default=os.path.join(ROOT, "jobs", "tabular.ini"))
    parser.add_argument("--peers", nargs="*", default=["MAF", "RQ-NSF"], choices=["MAF", "RQ-NSF"])
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    options.train = words[end + 1:]
    return options


def ours(options):
    """(nats, error, epochs, seconds) of relgrad."""
    with tempfile.TemporaryDirectory() as folder:
        def call(*arguments):
            done = subprocess.run([options.program, *arguments], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                sys.exit(f"table_flows.py: error: relgrad {arguments[0]}: {done.stderr.strip()}")
            return done.stdout
        data, run = os.path.join(folder, "data"), os.path.join(folder, "run")
        files = {split: os.path.join(options.table, f"{split}.npy") for split in ("train", "val", "test")}
        call("prepare", "--output", data, *[word for split, path in files.items() for word in (f"--{split}", path)])
        start = time.monotonic()
        call("train", "--data", data, "--run", run, "--config", options.config, "--max-seconds", str(options.seconds),
             *options.train)
        seconds = time.monotonic() - start
        test = json.loads(call("evaluate", "--run", run, "--data", data, "--json", "-"))
        with open(os.path.join(run, "metrics.jsonl")) as file:
            epoch = max(json.loads(line).get("epoch", 0) for line in file)
    return test["log_likelihood_pixel_nats"], test["standard_error_nats"], epoch, seconds


def flow_of(name, dimension):
    from nflows import distributions, flows, nn, transforms
    import torch
    layers = []
    for index in range(5):
        if name == "MAF":
            layers.append(transforms.MaskedAffineAutoregressiveTransform(dimension, 256, num_blocks=2))
            layers.append(transforms.ReversePermutation(dimension))
            continue
        mask = torch.arange(dimension) % 2 == index % 2
        layers.append(transforms.RandomPermutation(dimension))
        layers.append(transforms.LULinear(dimension, identity_init=True))
        layers.append(transforms.PiecewiseRationalQuadraticCouplingTransform(
            mask.int(), lambda inputs, outputs: nn.nets.ResidualNet(inputs, outputs, hidden_features=128, num_blocks=2),
            num_bins=8, tails="linear", tail_bound=3.0, apply_unconditional_transform=True))
    return flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([dimension]))


def theirs(name, options):
    import numpy
    import torch
    torch.manual_seed(1)
    splits = {split: numpy.load(os.path.join(options.table, f"{split}.npy")).astype("float32")
              for split in ("train", "val", "test")}
    mean, deviation = splits["train"].mean(0), splits["train"].std(0)
    log_scale = -float(numpy.log(deviation).sum())
    tensors = {split: torch.from_numpy((rows - mean) / deviation) for split, rows in splits.items()}
    flow = flow_of(name, len(mean))
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-4 if name == "RQ-NSF" else 1e-3)

    def score(split):
        flow.eval()
        with torch.no_grad():
            nats = torch.cat([flow.log_prob(rows) for rows in tensors[split].split(2000)]) + log_scale
        flow.train()
        return nats.mean().item(), nats.std().item() / math.sqrt(len(nats))

    best, weights, epochs, start = -math.inf, None, 0, time.monotonic()
    while (part := (time.monotonic() - start) / options.seconds) < 1:
        order = torch.randperm(len(tensors["train"]))
        for rows in order.split(500):
            part = min(1.0, (time.monotonic() - start) / options.seconds)
            for group in optimizer.param_groups:
                group["lr"] = (5e-4 if name == "RQ-NSF" else 1e-3) * 0.5 * (1 + math.cos(math.pi * part))
            optimizer.zero_grad(set_to_none=True)
            (-flow.log_prob(tensors["train"][rows]).mean()).backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimizer.step()
            if part >= 1:
                break
        epochs += 1
        validation = score("val")[0]
        if validation > best:
            best, weights = validation, copy.deepcopy(flow.state_dict())
    seconds = time.monotonic() - start
    flow.load_state_dict(weights)
    return (*score("test"), epochs, seconds)


def main():
    options = arguments()
    if not os.access(options.program, os.X_OK):
        sys.exit(f"table_flows.py: error: --program {options.program}: no such program; build it or name another")
    for split in ("train", "val", "test"):
        if not os.path.exists(os.path.join(options.table, f"{split}.npy")):
            sys.exit(f"table_flows.py: error: {options.table} has no {split}.npy; tools/patches makes such a folder")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    print(f"{options.seconds:g} s of training each, one thread\n\n| model | test nats | epochs | seconds |\n|---|---|---|---|")
    rows = [("relgrad", ours)] + [(name, lambda o, name=name: theirs(name, o)) for name in options.peers]
    if options.peers:
        try:
            import nflows  # noqa: F401
            import torch
            torch.set_num_threads(1)
        except ImportError as error:
            sys.exit(f"table_flows.py: error: {error}; install PyTorch and nflows, or give --peers without names")
    for name, of in rows:
        nats, error, epochs, seconds = of(options)
        print(f"| {name} | {nats:.2f} +- {error:.2f} | {epochs:g} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
