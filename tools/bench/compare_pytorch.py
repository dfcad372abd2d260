#!/usr/bin/env python3
"""The same training step in relgrad and in PyTorch, checked, then timed side by side.

Both start from the same weights and the same batch (written by `relgrad bench step --dump`) and must end
with the same update. Then rounds of relgrad and PyTorch alternate, so that both see the same machine;
the ratio is of medians over rounds. PyTorch's step is written by hand (relative gradient, fused
[W^T Delta | W^T Y] product, Adam by torch.addcmul): faster than the published notebook's way.

    tools/bench/compare_pytorch.py --program build/release/relgrad --dim 784 --batch-size 100
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/relgrad")
    parser.add_argument("--dim", type=int, default=784)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="write the figures here")
    return parser.parse_args()


class TorchStep:
    """Two or more linear layers with smooth leaky ReLU (a = 0.3) between, standard normal latent."""

    def __init__(self, weights, biases, x):
        self.w = [torch.tensor(w) for w in weights]  # y = W x + b, batch as columns
        self.b = [torch.tensor(b) for b in biases]
        self.x = torch.tensor(x)
        self.m = [torch.zeros_like(p) for p in self.w + self.b]
        self.v = [torch.zeros_like(p) for p in self.w + self.b]
        self.t = 0

    def run(self, lr=1e-3, a=0.3):
        w, b, count = self.w, self.b, self.x.shape[1]
        y, z = [], self.x
        for k in range(len(w)):
            y.append(torch.addmm(b[k][:, None], w[k], z))
            if k + 1 < len(w):
                z = a * y[k] + (1 - a) * torch.nn.functional.softplus(y[k], threshold=1e9)
        # the log-likelihood is part of a step: it is what training reports
        self.log_likelihood = -0.5 * (y[-1] * y[-1]).sum()
        gradients_w, gradients_b = [None] * len(w), [None] * len(w)
        delta = -y[-1]
        for k in reversed(range(len(w))):
            if k + 1 < len(w):
                sigmoid = torch.sigmoid(y[k])
                slope = a + (1 - a) * sigmoid
                self.log_likelihood = self.log_likelihood + slope.log().sum()
                delta = delta * slope + (1 - a) * sigmoid * (1 - sigmoid) / slope
            if k > 0:
                both = w[k].t() @ torch.cat([delta, y[k]], dim=1)
                delta_in, projected = both[:, :count], both[:, count:]
            else:
                projected = w[k].t() @ y[k]
            gradients_w[k] = torch.addmm(w[k], delta, projected.t(), alpha=1.0 / count)
            gradients_b[k] = delta @ (1 + y[k].t() @ b[k]) / count + b[k]
            if k > 0:
                delta = delta_in
        self.adam(self.w + self.b, gradients_w + gradients_b, lr)

    def adam(self, parameters, gradients, lr):
        self.t += 1
        correction1, correction2 = 1 - 0.9**self.t, 1 - 0.999**self.t
        for p, g, m, v in zip(parameters, gradients, self.m, self.v):
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            p.addcdiv_(m, (v / correction2).sqrt_().add_(1e-8), value=lr / correction1)


def program_command(options, *extra):
    return [options.program, "bench", "step", "--dim", str(options.dim), "--layers", str(options.layers),
            "--batch-size", str(options.batch_size), "--threads", str(options.threads), *extra]


def load(path, layers):
    import h5py
    import numpy

    with h5py.File(path) as file:
        # a linear layer is followed by an activation, so linear layers have even numbers
        def weight(when, k):
            return numpy.ascontiguousarray(file[f"{when}/layer/{2 * k}/W"][...].T)

        def bias(when, k):
            return file[f"{when}/layer/{2 * k}/b"][...].reshape(-1)

        before = [weight("before", k) for k in range(layers)], [bias("before", k) for k in range(layers)]
        after = [weight("after", k) for k in range(layers)], [bias("after", k) for k in range(layers)]
        return before, after, numpy.ascontiguousarray(file["x"][...].T)


def check(options):
    """Both make the same update. Adam's first step is lr * sign(g), so only the largest 99.9 % of |update|
    differences are compared: where g is nearly zero its sign is rounding."""
    import numpy

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "step.h5")
        subprocess.run(program_command(options, "--dump", path), check=True)
        before, after, x = load(path, options.layers)
    step = TorchStep(*before, x)
    step.run()
    worst = 0.0
    for ours, theirs, start in zip(after[0], step.w, before[0]):
        difference = numpy.abs(ours - theirs.numpy())
        worst = max(worst, float(numpy.quantile(difference, 0.999) / numpy.abs(ours - start).max()))
    if worst > 0.02:
        sys.exit(f"the two updates differ: {worst:.1e} of the largest change, limit 2e-2")
    return step, worst


def main():
    options = arguments()
    os.environ.update(OMP_NUM_THREADS=str(options.threads), OPENBLAS_NUM_THREADS=str(options.threads),
                      OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    global torch
    import torch

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    step, difference = check(options)
    ours, theirs = [], []
    for _ in range(options.rounds):
        output = subprocess.run(program_command(options, "--steps", str(options.steps), "--json", "-"),
                                check=True, capture_output=True, text=True).stdout
        ours.append(json.loads(output)["time"]["median_ms"])
        for _ in range(5):
            step.run()
        times = []
        for _ in range(options.steps):
            start = time.perf_counter()
            step.run()
            times.append((time.perf_counter() - start) * 1e3)
        theirs.append(statistics.median(times))
    ratios = [b / a for a, b in zip(ours, theirs)]
    result = {
        "setting": {"dim": options.dim, "layers": options.layers, "batch_size": options.batch_size,
                    "threads": options.threads, "rounds": options.rounds, "torch": torch.__version__},
        "check_relative_difference": difference,
        "relgrad_ms": ours, "pytorch_ms": theirs,
        "ratio_median": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios),
    }
    print(f"check    both make the same update: {difference:.1e} of the largest change, limit 2e-2")
    print(f"relgrad  {statistics.median(ours):8.2f} ms a step (rounds {min(ours):.2f} ... {max(ours):.2f})")
    print(f"pytorch  {statistics.median(theirs):8.2f} ms a step (rounds {min(theirs):.2f} ... {max(theirs):.2f}),"
          f" torch {torch.__version__}")
    print(f"ratio    {result['ratio_median']:.2f} (rounds {result['ratio_min']:.2f} ... {result['ratio_max']:.2f})")
    print(f"setting  D {options.dim}, {options.layers} layers, B {options.batch_size}, smooth leaky ReLU, Adam,"
          f" {options.threads} thread(s)")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=2)


if __name__ == "__main__":
    main()
