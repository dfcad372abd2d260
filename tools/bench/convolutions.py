#!/usr/bin/env python3
"""Convolutions of relgrad beside PyTorch's, on one thread each, as a table in Markdown.

usage: tools/bench/convolutions.py [--program FILE] [--batch N] [--runs N]

Milliseconds per batch, the least of all runs: forward pass, gradient by the input, gradient by weights and
bias. "log|det|": log|det T| and its exact gradient, once per step, whatever the batch. "inverse": the exact
inverse, per sample. Build the program first: cmake --build --preset release --target convolution_bench
Exit codes: 0 done, 1 the program failed, 2 usage.
"""
import argparse
import json
import subprocess
import sys
import time

# channels in, out, height, width, taps: the layers of the nine-layer net on MNIST, then larger ones
SHAPES = [(1, 1, 28, 28, 3), (4, 4, 14, 14, 3), (16, 16, 7, 7, 3), (4, 4, 14, 14, 5), (16, 16, 7, 7, 7),
          (3, 3, 32, 32, 3), (12, 12, 16, 16, 3), (48, 48, 8, 8, 3), (6, 64, 16, 16, 3), (64, 64, 8, 8, 3)]


def ours(program, shape, padding, batch, runs):
    words = [program, *map(str, shape), padding, str(batch), str(runs)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"convolutions.py: error: {' '.join(words)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def theirs(torch, shape, batch, runs):
    """Least milliseconds of PyTorch's forward, input and weight gradients."""
    channels_in, channels_out, height, width, taps = shape
    x = torch.randn(batch, channels_in, height, width)
    w = torch.randn(channels_out, channels_in, taps, taps)
    b = torch.randn(channels_out)
    delta = torch.randn(batch, channels_out, height, width)
    pad = taps // 2
    works = [lambda: torch.nn.functional.conv2d(x, w, b, padding=pad),
             lambda: torch.nn.grad.conv2d_input(x.shape, w, delta, padding=pad),
             lambda: (torch.nn.grad.conv2d_weight(x, w.shape, delta, padding=pad), delta.sum((0, 2, 3)))]
    result = []
    for work in works:
        least = float("inf")
        for _ in range(runs + 2):
            start = time.perf_counter()
            work()
            least = min(least, time.perf_counter() - start)
        result.append(1e3 * least)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/convolution_bench")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--runs", type=int, default=30)
    args = parser.parse_args()
    try:
        import torch
        torch.set_num_threads(1)
    except ImportError:
        torch = None
        print("PyTorch (package python3-torch) is not installed: its columns stay empty", file=sys.stderr)
    print("| channels, image, k | forward | PyTorch | input | PyTorch | weights | PyTorch | GFLOPS "
          "| log\\|det\\|, zeros | circular | inverse, zeros | circular |")
    print("|" + "---|" * 12)
    for shape in SHAPES:
        channels_in, channels_out, height, width, taps = shape
        zero = ours(args.program, shape, "zero", args.batch, args.runs)
        other = [f"{ms:.3f}" for ms in theirs(torch, shape, args.batch, args.runs)] if torch else [""] * 3
        words = [f"{channels_in} -> {channels_out}, {height} x {width}, {taps}"]
        for name, peer in zip(("forward", "input", "weight"), other):
            words += [f"{zero[name]['least']:.3f}", peer]
        words.append(f"{1e-6 * zero['flops'] / zero['forward']['least']:.0f}")
        if channels_in == channels_out:
            circular = ours(args.program, shape, "circular", args.batch, args.runs)
            words += [f"{each['log_abs_det']['least']:.3f}" for each in (zero, circular)]
            words += [f"{each['inverse']['least'] / args.batch:.4f}" for each in (zero, circular)]
        else:
            words += [""] * 4
        print("| " + " | ".join(words) + " |", flush=True)


if __name__ == "__main__":
    main()
