#!/usr/bin/env python3
"""Draws what a run did: bits/dim of training and validation, learning rate, and where a step's time went.

    tools/plot_run.py runs/first                       -> runs/first/curves.png
    tools/plot_run.py runs/a runs/b --output both.png  several runs on the same axes

For two-dimensional data it also draws samples beside the data (needs the relgrad program for the samples):

    tools/plot_run.py runs/moons --data data/moons --program build/release/relgrad
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

try:
    import matplotlib
except ImportError:
    sys.exit("plot_run: matplotlib is missing; install python3-matplotlib and python3-h5py")
matplotlib.use("Agg")
import matplotlib.pyplot as plt


def read_lines(run):
    path = os.path.join(run, "metrics.jsonl")
    if not os.path.exists(path):
        sys.exit(f"plot_run: {path}: no such file; name a run directory of relgrad train")
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return [l for l in lines if l["kind"] == "train"], [l for l in lines if l["kind"] == "val"]


def train_points(train):
    """(epochs, bits/dim) of the lines that have log|det|, and whether it is exact in all of them."""
    lines = [l for l in train if l.get("train_bits_per_dim") is not None]
    exact = all(l["log_abs_det"].startswith("exact") for l in lines)
    return [l["epoch"] for l in lines], [l["train_bits_per_dim"] for l in lines], exact


def draw_curves(runs, output):
    figure, (curve, rate, parts) = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    for number, run in enumerate(runs):
        train, validation = read_lines(run)
        name, colour = os.path.basename(os.path.normpath(run)), f"C{number}"
        epochs, bits, exact = train_points(train)
        if epochs:
            kind = "exact" if exact else "log|det| of the last evaluation"
            curve.plot(epochs, bits, color=colour, alpha=0.4, linewidth=1, label=f"{name}: train ({kind})")
        if validation:
            curve.errorbar([l["epoch"] for l in validation], [l["bits_per_dim"] for l in validation],
                           yerr=[l["standard_error_bits_per_dim"] for l in validation], color=colour, marker="o",
                           markersize=3, capsize=2, label=f"{name}: validation +- standard error")
            low = min(l["bits_per_dim"] for l in validation)
            high = sorted(l["bits_per_dim"] for l in validation)[len(validation) // 2]
            curve.set_ylim(low - 0.15 * (high - low + 0.02), high + 2.5 * (high - low + 0.02))
        rate.plot([l["epoch"] for l in train], [l["lr"] for l in train], color=colour, label=name)
        names = ["data", "forward", "backward", "exposed_exchange", "optimizer", "checkpoint"]
        total = sum(l["seconds"] for l in train) or 1.0
        share = [sum(l["seconds_by_part"][part] for l in train) / total for part in names]
        parts.barh([i + number * 0.8 / len(runs) for i in range(len(names))], share, height=0.8 / len(runs),
                   color=colour, label=name)
        parts.set_yticks(range(len(names)), [part.replace("_", " ") for part in names])
    curve.set(xlabel="epoch", ylabel="bits per dimension", title="log-likelihood (lower is better)")
    rate.set(xlabel="epoch", ylabel="learning rate", title="schedule")
    parts.set(xlabel="share of the steps' time", title="where a step's time goes")
    parts.invert_yaxis()
    for axes in (curve, rate, parts):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(output, dpi=110)
    print(output)


def draw_plane(run, data, program, output):
    import h5py

    info = json.load(open(os.path.join(data, "dataset.json")))
    if info["dimension"] != 2:
        sys.exit(f"plot_run: {data} has {info['dimension']} dimensions; --data is for two")
    split = next(s for s in info["splits"] if s["name"] == "train")
    with h5py.File(os.path.join(data, split["shards"][0]["file"])) as file:
        truth = file["samples"][:20000]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "samples.h5")
        subprocess.run([program, "sample", "--run", run, "--count", str(len(truth)), "--output", path], check=True)
        with h5py.File(path) as file:
            drawn = file["samples"][:]
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), sharex=True, sharey=True, layout="constrained")
    low, high = truth.min(axis=0), truth.max(axis=0)
    margin = 0.1 * (high - low)
    window = [[low[0] - margin[0], high[0] + margin[0]], [low[1] - margin[1], high[1] + margin[1]]]
    for ax, points, title in zip(axes, (truth, drawn), ("data", "samples of the model")):
        ax.hist2d(points[:, 0], points[:, 1], bins=120, range=window, cmap="magma")
        ax.set(title=title, aspect="equal")
    figure.savefig(output, dpi=110)
    print(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run directories")
    parser.add_argument("--output", help="default: curves.png in the first run")
    parser.add_argument("--data", help="two-dimensional data set of the first run: draws plane.png there as well")
    parser.add_argument("--program", default="build/release/relgrad")
    options = parser.parse_args()
    draw_curves(options.runs, options.output or os.path.join(options.runs[0], "curves.png"))
    if options.data:
        draw_plane(options.runs[0], options.data, options.program, os.path.join(options.runs[0], "plane.png"))


if __name__ == "__main__":
    main()
