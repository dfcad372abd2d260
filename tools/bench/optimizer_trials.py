#!/usr/bin/env python3
"""Trials of optimizers, starts and learning rates under the same budget: the tables of docs/optimizers.md.

    tools/bench/optimizer_trials.py --data data/mnist [--every 2] [--epochs 6] [--only natural]

trains every trial below on one thread, on every second row and column of the images (--every 1: all of them, an hour or
more), evaluates it on the test split and prints a table. Needs python3-h5py and python3-numpy.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    import h5py
    import numpy
except ImportError:
    sys.exit("optimizer_trials: h5py or numpy is missing; install python3-h5py")

NET = ["--layers", 2, "--activation", "smooth-leaky-relu", "--last-activation", "none", "--no-marginal",
       "--transform", "logit"]
KINKED = ["--init", "kinked"]
NATURAL = ["--optimizer", "natural", "--warmup", 500]


def trials(rate):
    """(name, options); `rate` is the learning rate of natural steps, about 2 / D."""
    return [
        ("adam, orthogonal start", ["--lr", 1e-3, "--init", "orthogonal"]),
        ("adam, identity start", ["--lr", 1e-3]),
        ("natural, identity start", [*NATURAL, "--lr", rate]),
        ("adam, kinked start", ["--lr", 1e-3, *KINKED]),
        ("adam 3e-4, kinked start", ["--lr", 3e-4, *KINKED]),
        ("sgd, clipped, kinked start",
         ["--optimizer", "sgd", "--clip-norm", 10, "--lr", 0.3 * rate, "--warmup", 500, *KINKED]),
        ("momentum, clipped, kinked start",
         ["--optimizer", "momentum", "--clip-norm", 10, "--lr", 0.03 * rate, "--warmup", 500, *KINKED]),
        ("natural, kinked start", [*NATURAL, "--lr", rate, *KINKED]),
        ("natural, half the learning rate", [*NATURAL, "--lr", 0.5 * rate, *KINKED]),
        ("natural, batches of 50", [*NATURAL, "--lr", 0.5 * rate, "--batch-size", 50, *KINKED]),
        ("natural, slope 0.1", [*NATURAL, "--lr", rate, *KINKED, "--leaky-slope", 0.1]),
        ("natural, hyperbolic-secant latent", [*NATURAL, "--lr", rate, *KINKED, "--latent", "hyperbolic-secant"]),
    ]


def sub_sampled(program, data, every, folder):
    """The data set with every `every`-th row and column of its images."""
    if every == 1:
        return data
    info = json.load(open(os.path.join(data, "dataset.json")))
    channels, height, width = info["sample_shape"]
    words = [program, "prepare", "--output", os.path.join(folder, "data")]
    for split in info["splits"]:
        parts = []
        for shard in split["shards"]:
            with h5py.File(os.path.join(data, shard["file"])) as file:
                images = file["samples"][:].reshape(-1, channels, height, width)
            parts.append(images[:, :, every // 2::every, every // 2::every])
        path = os.path.join(folder, split["name"] + ".npy")
        numpy.save(path, numpy.concatenate(parts).reshape(sum(map(len, parts)), -1))
        words += ["--" + split["name"], path]
    subprocess.run(words, check=True, capture_output=True)
    return os.path.join(folder, "data")


def run(program, data, run_directory, options):
    """Test nats in pixel units, or why there are none; seconds of training."""
    words = [program, "train", "--data", data, "--run", run_directory, *options]
    start = time.monotonic()
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode == 5:
        return "diverged", seconds
    if done.returncode != 0:
        sys.exit(f"optimizer_trials: {' '.join(map(str, words))}\n{done.stderr}")
    shown = subprocess.run([program, "evaluate", "--run", run_directory, "--data", data, "--json", "-"],
                           check=True, capture_output=True, text=True)
    result = json.loads(shown.stdout)
    return f"{result['log_likelihood_pixel_nats']:.2f}", seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="data set of 8-bit images, written by relgrad prepare")
    parser.add_argument("--every", type=int, default=2, help="rows and columns that are kept: one of so many")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", default="", help="trials whose name has this in it")
    parser.add_argument("--program", default="build/release/relgrad")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = sub_sampled(given.program, given.data, given.every, folder)
        dimension = json.load(open(os.path.join(data, "dataset.json")))["dimension"]
        print(f"{dimension} dimensions, {given.epochs} epochs\n")
        print("| trial | options | test, pixel nats | training, s |\n|---|---|---|---|", flush=True)
        for number, (name, options) in enumerate(trials(round(2.0 / dimension, 4))):
            if given.only not in name:
                continue
            nats, seconds = run(given.program, data, os.path.join(folder, str(number)),
                                [*NET, "--epochs", given.epochs, "--eval-every", given.epochs, *options])
            print(f"| {name} | `{' '.join(map(str, options))}` | {nats} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
