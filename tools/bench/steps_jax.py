"""The training step in JAX, jitted, weights and moments donated; the model is that of peer_bench.py.

ByHand   relative gradient written out
Slogdet  plain gradient, everything by autograd, through jnp.linalg.slogdet
"""
import functools
import time

import jax
import jax.numpy as jnp
import numpy
from peer_bench import BETA1, BETA2, EPSILON, LEARNING_RATE, SLOPE


def updated(rule, t, parameters, gradients, m, v):
    """Ascent: three lists like `parameters`, which are parameters, m, v after step t."""
    if rule == "sgd":
        return [p + LEARNING_RATE * g for p, g in zip(parameters, gradients)], m, v
    m = [BETA1 * a + (1 - BETA1) * g for a, g in zip(m, gradients)]
    v = [BETA2 * a + (1 - BETA2) * g * g for a, g in zip(v, gradients)]
    rate, correction = LEARNING_RATE / (1 - BETA1**t), 1 / (1 - BETA2**t)
    return [p + rate * a / (jnp.sqrt(c * correction) + EPSILON) for p, a, c in zip(parameters, m, v)], m, v


def activation(y):
    return SLOPE * y + (1 - SLOPE) * jax.nn.softplus(y)


def relative_gradients(w, b, x):
    """log-likelihood, G_W = Delta (W^T Y)^T / B + W and G_b = Delta (1 + Y^T b) / B + b, all transposed, as
    samples are rows (B x D)."""
    count, last = len(x), len(w) - 1
    y, z = [], x
    for k in range(len(w)):
        y.append(z @ w[k].T + b[k])
        z = activation(y[k])
    log_likelihood, delta = -0.5 * jnp.sum(y[last] ** 2), -y[last]
    weight_gradients, bias_gradients = [None] * len(w), [None] * len(w)
    for k in reversed(range(len(w))):
        if k < last:
            sigmoid = jax.nn.sigmoid(y[k])
            slope = SLOPE + (1 - SLOPE) * sigmoid
            log_likelihood += jnp.sum(jnp.log(slope))
            delta = delta * slope + (1 - SLOPE) * sigmoid * (1 - sigmoid) / slope
        both = (jnp.concatenate([delta, y[k]]) if k > 0 else y[k]) @ w[k]
        weight_gradients[k] = delta.T @ both[-count:] / count + w[k]
        bias_gradients[k] = delta.T @ (1 + y[k] @ b[k]) / count + b[k]
        delta = both[:count]
    return log_likelihood, weight_gradients + bias_gradients


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def relative_step(rule, parameters, m, v, t, x):
    layers = len(parameters) // 2
    log_likelihood, gradients = relative_gradients(parameters[:layers], parameters[layers:], x)
    return updated(rule, t, parameters, gradients, m, v), log_likelihood


def log_likelihood_with_det(parameters, x):
    """Mean over samples of log N(z) + sum log s', plus sum_k log|det W_k|."""
    layers, z, total = len(parameters) // 2, x, 0.0
    for k in range(layers):
        y = z @ parameters[k].T + parameters[layers + k]
        if k + 1 < layers:
            z = activation(y)
            total += jnp.sum(jnp.log(SLOPE + (1 - SLOPE) * jax.nn.sigmoid(y))) / len(x)
        total += jnp.linalg.slogdet(parameters[k])[1]
    return total - 0.5 * jnp.sum(y**2) / len(x)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def slogdet_step(rule, parameters, m, v, t, x):
    log_likelihood, gradients = jax.value_and_grad(log_likelihood_with_det)(parameters, x)
    return updated(rule, t, parameters, gradients, m, v), log_likelihood


class ByHand:
    name = "JAX by hand"
    step = staticmethod(relative_step)

    def __init__(self, start, rule="adam"):
        self.parameters = [jnp.array(p) for p in start.weights + start.biases]
        self.m = [jnp.zeros_like(p) for p in self.parameters]
        self.v = [jnp.zeros_like(p) for p in self.parameters]
        self.x, self.rule, self.t = jnp.array(start.x.T), rule, 0

    def run(self):
        self.t += 1
        (self.parameters, self.m, self.v), log_likelihood = self.step(self.rule, self.parameters, self.m, self.v,
                                                                     float(self.t), self.x)
        log_likelihood.block_until_ready()
        self.parameters[0].block_until_ready()

    def weights(self):
        return [numpy.asarray(p) for p in self.parameters[:len(self.parameters) // 2]]


class Slogdet(ByHand):
    name = "JAX, autograd through slogdet"
    step = staticmethod(slogdet_step)


def check_slogdet(start):
    """Relative difference of its gradient times W^T W and the relative gradient, at b = 0; limit 1e-3."""
    parameters = ByHand(start).parameters
    layers = len(start.weights)
    plain = jax.jit(jax.grad(log_likelihood_with_det))(parameters, jnp.array(start.x.T))
    _, relative = jax.jit(relative_gradients)(parameters[:layers], parameters[layers:], jnp.array(start.x.T))
    worst = 0.0
    for w, g, expected in zip(parameters, plain, relative[:layers]):
        worst = max(worst, float(jnp.linalg.norm(g @ w.T @ w - expected) / jnp.linalg.norm(expected)))
    if not worst <= 1e-3:
        raise SystemExit(f"{Slogdet.name}: its gradient is not the plain one: {worst:.1e}, limit 1e-3")
    return worst


def peak_gflops(size=1024):
    """Of one large product, best of twenty."""
    a, product, times = jax.random.normal(jax.random.key(1), (size, size)), jax.jit(jnp.matmul), []
    for _ in range(20):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2e-9 * size**3 / min(times)


def product_library():
    """What JAX multiplies with."""
    return "XLA"
