#!/usr/bin/env python3
"""A training step of the nets for images in relgrad and in PyTorch, by turns, as a table in Markdown.

usage: tools/bench/image_nets.py [--program FILE] [--threads N] [--rounds N] [--steps N]

Nets: snf-conv with the self-normalizing gradient (Keller et al. 2021, arXiv 2011.07248), and Glow with 3 levels
of 4 steps and 64 channels in the coupling nets (arXiv 1807.03039), at batch 100. PyTorch's side is the same net with
as many parameters, written as its users would, with the backward pass of a self-normalizing convolution by hand
(torch.autograd.Function), and torch.optim.Adam. A step: forward, backward, update, on a batch that is ready.
Milliseconds: median, least and largest of the rounds; a round times relgrad, then PyTorch.
Exit codes: 0 done, 1 the program failed, 2 usage.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

NETS = {"snf-conv": ("1x28x28", "self-normalizing"), "glow:3x4:64": ("3x32x32", "relative")}
BATCH = 100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/relgrad")
    parser.add_argument("--threads", type=int, default=1, help="of both sides, on that many cores")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="timed per side and round")
    return parser.parse_args()


def peers(torch):
    """The two nets: name -> function that makes one step."""
    nn, functional = torch.nn, torch.nn.functional

    def squeeze(x):
        n, c, h, w = x.shape
        return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)

    class SelfNormalizing(torch.autograd.Function):
        """z = w * x, with G_w = (delta corr x + N flip(R) m) / 2 and G_R = -(delta_x corr z + N flip(w) m) / 2,
        and the gradients of lambda |R * z - x|^2 / 2 for both kernels."""

        @staticmethod
        def forward(context, x, w, r):
            z = functional.conv2d(x, w, padding=1)
            context.save_for_backward(x, z, w, r)
            return z

        @staticmethod
        def backward(context, delta):
            x, z, w, r = context.saved_tensors
            n, _, h, width = x.shape
            delta_x = torch.nn.grad.conv2d_input(x.shape, w, delta, padding=1)
            count = torch.tensor([[(h - abs(i)) * (width - abs(j)) for j in (-1, 0, 1)] for i in (-1, 0, 1)],
                                 dtype=x.dtype)
            error = functional.conv2d(z, r, padding=1) - x
            error_z = torch.nn.grad.conv2d_input(z.shape, r, error, padding=1)
            flip_r, flip_w = r.transpose(0, 1).flip(2, 3), w.transpose(0, 1).flip(2, 3)
            g_w = (torch.nn.grad.conv2d_weight(x, w.shape, 0.5 * delta + error_z, padding=1)
                   - 0.5 * n * flip_r * count)
            g_r = (torch.nn.grad.conv2d_weight(z, r.shape, error - 0.5 * delta_x, padding=1)
                   + 0.5 * n * flip_w * count)
            return delta_x, g_w, g_r

    class Convolution(nn.Module):
        def __init__(self, channels):
            super().__init__()
            w = torch.zeros(channels, channels, 3, 3)
            w[:, :, 1, 1] = torch.eye(channels)
            w += 0.01 * nn.init.xavier_normal_(torch.empty_like(w))
            self.w, self.r = nn.Parameter(w), nn.Parameter(w.transpose(0, 1).flip(2, 3).clone())
            self.b = nn.Parameter(torch.zeros(1, channels, 1, 1))

        def forward(self, x):
            return SelfNormalizing.apply(x, self.w, self.r) + self.b, 0.0

    class Spline(nn.Module):
        """Durkan et al. 2019 (arXiv 1906.04032), one per pixel and channel, linear beyond the bound."""

        def __init__(self, shape, bins=5, bound=10.0):
            super().__init__()
            self.bins, self.bound = bins, bound
            self.widths, self.heights = (nn.Parameter(torch.zeros(*shape, bins)) for _ in range(2))
            self.slopes = nn.Parameter(torch.full((*shape, bins + 1), math.log(math.e - 1)))

        def forward(self, x):
            def knots(raw):
                sizes = 1e-3 + (1 - 1e-3 * self.bins) * functional.softmax(raw, -1)
                return functional.pad(2 * self.bound * sizes.cumsum(-1), (1, 0)) - self.bound
            at, to, slopes = knots(self.widths), knots(self.heights), 1e-3 + functional.softplus(self.slopes)
            inside = x.clamp(-self.bound, self.bound)
            k = (inside.unsqueeze(-1) >= at[..., 1:-1]).sum(-1, keepdim=True)
            def pick(table, shift=0):
                return table.expand(len(x), *table.shape).gather(-1, k + shift).squeeze(-1)
            x0, x1, y0, y1, d0, d1 = (pick(t, s) for t in (at, to, slopes) for s in (0, 1))
            s, u = (y1 - y0) / (x1 - x0), (inside - x0) / (x1 - x0)
            v = u * (1 - u)
            bottom = s + (d0 + d1 - 2 * s) * v
            y = y0 + (y1 - y0) * (s * u * u + d0 * v) / bottom
            slope = 2 * torch.log(s) + torch.log(d1 * u * u + 2 * s * v + d0 * (1 - u) ** 2) - 2 * torch.log(bottom)
            return y + (x - inside), slope.sum((1, 2, 3))

    class Squeeze(nn.Module):
        def forward(self, x):
            return squeeze(x), 0.0

    class Actnorm(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.shift, self.log_scale = (nn.Parameter(torch.zeros(1, channels, 1, 1)) for _ in range(2))

        def forward(self, x):
            return (x - self.shift) * self.log_scale.exp(), self.log_scale.sum() * x.shape[2] * x.shape[3]

    class Mix(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.w = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])

        def forward(self, x):
            return (functional.conv2d(x, self.w[:, :, None, None]),
                    torch.linalg.slogdet(self.w)[1] * x.shape[2] * x.shape[3])

    class Net(nn.Module):
        def __init__(self, channels_in, channels_out, width=64):
            super().__init__()
            self.first = nn.Conv2d(channels_in, width, 3, padding=1)
            self.middle = nn.Conv2d(width, width, 1)
            self.last = nn.Conv2d(width, channels_out, 3, padding=1)
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
            self.gain = nn.Parameter(torch.zeros(1, channels_out, 1, 1))

        def forward(self, x):
            hidden = functional.relu(self.middle(functional.relu(self.first(x))))
            return (self.last(hidden) * (3 * self.gain).exp()).chunk(2, 1)

    class Coupling(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.net = Net(channels // 2, channels)

        def forward(self, x):
            stays, moves = x.chunk(2, 1)
            h, t = self.net(stays)
            log_scale = 2 * torch.tanh(h / 2)
            return torch.cat([stays, log_scale.exp() * moves + t], 1), log_scale.sum((1, 2, 3))

    class Split(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.net = Net(channels // 2, channels)

        def forward(self, x):
            stays, leaves = x.chunk(2, 1)
            h, t = self.net(stays)
            log_scale = 2 * torch.tanh(h / 2)
            z = log_scale.exp() * leaves + t
            return stays, (log_scale - 0.5 * z * z).sum((1, 2, 3))

    snf, channels = [], 1
    for level, count in enumerate((3, 3, 3)):
        side = 28 >> level
        for i in range(count):
            snf.append(Convolution(channels))
            if (level, i) != (2, 2):
                snf.append(Spline((channels, side, side)))
        if level < 2:
            snf.append(Squeeze())
            channels *= 4
    glow, channels = [], 3
    for level in range(3):
        glow.append(Squeeze())
        channels *= 4
        for _ in range(4):
            glow += [Actnorm(channels), Mix(channels), Coupling(channels)]
        if level < 2:
            glow.append(Split(channels))
            channels //= 2

    def step_of(modules, sample):
        x = torch.randn(BATCH, *map(int, sample.split("x")))
        net = nn.ModuleList(modules)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

        def step():
            y, log_likelihood = x, 0.0
            for module in net:
                y, change = module(y)
                log_likelihood = log_likelihood + change
            loss = ((0.5 * y * y).sum((1, 2, 3)) - log_likelihood).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return step, sum(p.numel() for p in net.parameters())

    return {"snf-conv": step_of(snf, NETS["snf-conv"][0]), "glow:3x4:64": step_of(glow, NETS["glow:3x4:64"][0])}


def ours(options, net, gradient=None):
    sample, own = NETS[net]
    words = [options.program, "bench", "step", "--model", net, "--sample", sample, "--gradient", gradient or own,
             "--batch-size", BATCH, "--steps", options.steps, "--threads", options.threads, "--json", "-"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"image_nets.py: error: {' '.join(map(str, words))}: {done.stderr.strip()}")
    return json.loads(done.stdout)["time"]["median_ms"]


def theirs(step, steps):
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def words_of(times):
    return f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"


def main():
    options = arguments()
    if not os.access(options.program, os.X_OK):
        sys.exit(f"image_nets.py: error: --program {options.program}: no such program; build it or name another")
    cores = sorted(os.sched_getaffinity(0))[:options.threads]
    os.sched_setaffinity(0, cores)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    try:
        import torch
    except ImportError:
        sys.exit("image_nets.py: error: PyTorch is not installed (Debian: python3-torch); this compares with it")
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, {options.threads} thread(s), batch {BATCH}, ms per step\n")
    print("| net | parameters | gradient | relgrad | PyTorch | PyTorch / relgrad |")
    print("|---|---|---|---|---|---|")
    for net, (step, parameters) in peers(torch).items():
        gradients = ["self-normalizing", "relative"] if net == "snf-conv" else ["relative"]
        times = {key: [] for key in [*gradients, "theirs"]}
        for _ in range(options.rounds):
            for gradient in gradients:
                times[gradient].append(ours(options, net, gradient))
            times["theirs"].append(theirs(step, options.steps))
        for gradient in gradients:
            ratio = statistics.median(times["theirs"]) / statistics.median(times[gradient])
            print(f"| `{net}` | {parameters} | {'exact' if gradient == 'relative' else gradient} | "
                  f"{words_of(times[gradient])} | {words_of(times['theirs'])} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
