"""The training step in PyTorch, four ways; the model is that of peer_bench.py.

ByHand    relative gradient written out, as well as the library allows
Notebook  relative gradient the way its published notebook does it (github.com/fissoreg/relative-gradient-jacobian,
          mnist_training_pytorch.ipynb): errors delta from autograd, retained at the pre-activations
Slogdet   plain gradient, everything by autograd, through torch.linalg.slogdet
Plain     plain gradient written out, W^-T by torch.linalg.inv
"""
import math
import time

import torch
from peer_bench import BETA1, BETA2, EPSILON, LEARNING_RATE, SLOPE


def softplus(y):
    return torch.nn.functional.softplus(y, threshold=1e9)


def forward(w, b, x):
    """Pre-activations Y_k = W_k Z_{k-1} + b_k and inputs Z_{k-1}. Samples are rows here (B x D), which PyTorch's
    products do faster than columns: so every equation below stands transposed."""
    y, z = [], [x]
    for k in range(len(w)):
        y.append(torch.addmm(b[k], z[k], w[k].t()))
        if k + 1 < len(w):
            z.append(SLOPE * y[k] + (1 - SLOPE) * softplus(y[k]))
    return y, z


def through_activation(delta, y):
    """Delta s' + s''/s', and log s'."""
    sigmoid = torch.sigmoid(y)
    slope = SLOPE + (1 - SLOPE) * sigmoid
    return delta * slope + (1 - SLOPE) * sigmoid * (1 - sigmoid) / slope, slope.log()


class ByHand:
    """G_W = Delta (W^T Y)^T / B + W, with one product for W^T [Delta | Y].

    Adam goes over blocks of rows, each as soon as its rows of G_W are there and in cache; `block` is their
    number of elements, None for whole matrices. `fused` is PyTorch's own one-pass kernel, from 2.4 on."""
    name = "PyTorch by hand"

    def __init__(self, start, rule="adam", block=None, fused=False):
        self.w = [torch.tensor(w) for w in start.weights]
        self.b = [torch.tensor(b) for b in start.biases]
        self.x = torch.tensor(start.x).t().contiguous()
        self.m = {id(p): torch.zeros_like(p) for p in self.w + self.b}
        self.v = {id(p): torch.zeros_like(p) for p in self.w + self.b}
        self.rule, self.fused, self.t = rule, fused, 0
        dim = self.x.shape[1]
        self.rows = dim if block is None else min(dim, max(1, block // dim))
        self.gradient, self.scratch = torch.empty(self.rows, dim), torch.empty(self.rows, dim)

    @torch.no_grad()
    def run(self):
        self.t += 1
        w, b, count = self.w, self.b, len(self.x)
        y, _ = forward(w, b, self.x)
        self.log_likelihood = -0.5 * (y[-1] * y[-1]).sum()
        delta = -y[-1]
        for k in reversed(range(len(w))):
            if k + 1 < len(w):
                delta, log_slope = through_activation(delta, y[k])
                self.log_likelihood += log_slope.sum()
            if k > 0:
                delta_in, projected = (torch.cat([delta, y[k]]) @ w[k]).split(count)
            else:
                projected = y[k] @ w[k]
            bias_gradient = delta.t() @ (1 + y[k] @ b[k]) / count + b[k]
            for begin in range(0, len(w[k]), self.rows):
                rows = slice(begin, begin + self.rows)
                gradient = self.gradient[:len(w[k][rows])]
                torch.addmm(w[k][rows], delta[:, rows].t(), projected, alpha=1.0 / count, out=gradient)
                self.update(w[k], gradient, rows)
            self.update(b[k], bias_gradient, slice(None))
            if k > 0:
                delta = delta_in

    def update(self, parameter, gradient, rows):
        p, m, v = parameter[rows], self.m[id(parameter)][rows], self.v[id(parameter)][rows]
        if self.rule == "sgd":
            p.add_(gradient, alpha=LEARNING_RATE)
        elif self.fused:
            torch._fused_adam_([p], [gradient], [m], [v], [], [torch.tensor(float(self.t))], lr=LEARNING_RATE,
                               beta1=BETA1, beta2=BETA2, weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=True)
        else:
            # p += lr mhat / (sqrt(vhat) + eps), with the corrections of m and v taken into lr and eps
            correction = math.sqrt(1 - BETA2**self.t)
            root = self.scratch.view(-1)[:p.numel()].view(p.shape)
            m.lerp_(gradient, 1 - BETA1)
            v.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            torch.sqrt(v, out=root).add_(EPSILON * correction)
            p.addcdiv_(m, root, value=LEARNING_RATE * correction / (1 - BETA1**self.t))

    def weights(self):
        return [w.numpy() for w in self.w]


def by_hand_candidates(start):
    """{name: make}: how the update can be cut and by which kernel it is done; the fastest is the peer."""
    kernels = {"torch operations": False}
    if hasattr(torch, "_fused_adam_") and tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 4):
        kernels["fused Adam"] = True
    cuts = {"whole matrices": None, "blocks of 128k": 1 << 17, "blocks of 512k": 1 << 19}
    return {f"{kernel}, {cut}": lambda rule="adam", fused=fused, block=block: ByHand(start, rule, block, fused)
            for kernel, fused in kernels.items() for cut, block in cuts.items()}


class Autograd:
    """Parameters as leaves, torch.optim: what the two ways by autograd share."""

    def __init__(self, start, rule="adam"):
        self.w = [torch.tensor(w, requires_grad=True) for w in start.weights]
        self.b = [torch.tensor(b, requires_grad=True) for b in start.biases]
        self.x = torch.tensor(start.x).t().contiguous()
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[rule]
        self.optimizer = kind(self.w + self.b, lr=LEARNING_RATE)

    def weights(self):
        return [w.detach().numpy() for w in self.w]


def smooth_leaky_relu(y):
    return SLOPE * y + (1 - SLOPE) * torch.logaddexp(y, torch.zeros(y.shape))


class Notebook(Autograd):
    """Its own products and in its order, the latent density as a MultivariateNormal, slopes by a second
    autograd pass, and the b of G_b left out, as there. It is right for one hidden layer."""
    name = "PyTorch, the notebook's way"

    def __init__(self, start, rule="adam"):
        super().__init__(start, rule)
        dim = self.x.shape[1]
        self.latent = torch.distributions.MultivariateNormal(torch.zeros(dim), torch.eye(dim))

    def run(self):
        self.optimizer.zero_grad()
        inputs, hidden = [self.x], []
        for w, b in zip(self.w[:-1], self.b[:-1]):
            hidden.append(torch.nn.functional.linear(inputs[-1], w, b))
            hidden[-1].retain_grad()
            inputs.append(smooth_leaky_relu(hidden[-1]))
        z = torch.nn.functional.linear(inputs[-1], self.w[-1], self.b[-1])
        z.retain_grad()

        stacked = torch.stack(hidden)
        slopes, = torch.autograd.grad(smooth_leaky_relu(stacked), stacked, torch.ones_like(stacked), create_graph=True)
        loss = -self.latent.log_prob(z).mean() - slopes.log().sum(-1).mean()
        loss.backward()
        with torch.no_grad():
            inputs = [self.x] + [smooth_leaky_relu(y) for y in hidden]
            deltas = [y.grad for y in hidden] + [z.grad]
            for w, b, x, delta in zip(self.w, self.b, inputs, deltas):
                self.make_relative(w, b, x, delta)
        self.optimizer.step()

    @staticmethod
    def make_relative(w, b, x, delta):
        """With V = W^T: dV = V (V^T X^T) Delta + (V b) db^T - V, db (1 + b^T b) + Delta^T (X (V b))."""
        v = w.t()
        dv = v @ (v.t() @ x.t()) @ delta + torch.outer(v @ b, b.grad)
        db = b.grad * (1 + b @ b) + delta.t() @ (x @ (v @ b))
        w.grad, b.grad = dv.t() - w, db


class Slogdet(Autograd):
    """log p(x) = log N(z) + sum log s' + sum_k log|det W_k|, and backward()."""
    name = "PyTorch, autograd through slogdet"

    def run(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def loss(self):
        z, log_slope = self.x, 0.0
        for k, (w, b) in enumerate(zip(self.w, self.b)):
            y = torch.nn.functional.linear(z, w, b)
            if k + 1 < len(self.w):
                z = SLOPE * y + (1 - SLOPE) * softplus(y)
                log_slope = log_slope + (SLOPE + (1 - SLOPE) * torch.sigmoid(y)).log().sum(-1).mean()
        log_det = sum(torch.linalg.slogdet(w)[1] for w in self.w)
        return 0.5 * (y * y).sum(-1).mean() - log_slope - log_det


class Plain(ByHand):
    """G_W = Delta Z^T / B + W^-T, G_b = Delta 1 / B."""
    name = "PyTorch, plain gradient by hand"

    @torch.no_grad()
    def run(self):
        self.t += 1
        for w, b, weight_gradient, bias_gradient in zip(self.w, self.b, *self.gradients()):
            self.update(w, weight_gradient, slice(None))
            self.update(b, bias_gradient, slice(None))

    def gradients(self):
        w, count = self.w, len(self.x)
        y, z = forward(w, self.b, self.x)
        weight_gradients, bias_gradients = [None] * len(w), [None] * len(w)
        delta = -y[-1]
        for k in reversed(range(len(w))):
            if k + 1 < len(w):
                delta, _ = through_activation(delta, y[k])
            inverse = torch.linalg.inv(w[k])
            weight_gradients[k] = torch.addmm(inverse.t(), delta.t(), z[k], alpha=1.0 / count)
            bias_gradients[k] = delta.mean(dim=0)
            if k > 0:
                delta = delta @ w[k]
        return weight_gradients, bias_gradients


def check_slogdet(start):
    """Relative difference of its gradient and the plain one; limit 1e-3: float32 factorisations."""
    slogdet, plain = Slogdet(start), Plain(start)
    slogdet.loss().backward()
    expected, _ = plain.gradients()
    worst = max(float((-w.grad - g).norm() / g.norm()) for w, g in zip(slogdet.w, expected))
    if not worst <= 1e-3:
        raise SystemExit(f"{Slogdet.name}: its gradient is not the plain one: {worst:.1e}, limit 1e-3")
    return worst


def best_seconds(work, repeats=20):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_gflops(size=1024):
    """Of one large product."""
    a = torch.randn(size, size)
    return 2e-9 * size**3 / best_seconds(lambda: a @ a)


def memory_gbytes(elements=1 << 26):
    """Per second, of c = a + b on arrays too large for caches: two read, one written."""
    a, b, c = (torch.ones(elements) for _ in range(3))
    return 12e-9 * elements / best_seconds(lambda: torch.add(a, b, out=c), repeats=5)


def product_library():
    """What PyTorch multiplies with."""
    text = torch.__config__.show()
    names = [name for name, mark in (("MKL", "Math Kernel Library"), ("oneDNN", "MKL-DNN")) if mark in text]
    if "MKL" not in names:
        names += ["OpenBLAS" if "openblas" in open("/proc/self/maps").read() else "an unknown BLAS"]
    return " and ".join(names)
