#!/usr/bin/env python3
"""The same training step in relgrad and in JAX on the CPU, checked, then timed side by side.

Ways of JAX: by-hand (the relative gradient written out, jitted, buffers donated), slogdet (the plain
gradient, by autograd). Both start from the weights and the batch of `relgrad bench step --dump`; the first
must end with relgrad's update, the second have the plain gradient. JAX is the one of the Python that runs
this; it needs numpy and h5py. Its threads are as many as the cores it may use, so those are limited.

    python3 tools/bench/compare_jax.py [--shapes 784x100x2] [--ways by-hand] [--json FILE]
"""
import argparse
import os

import peer_bench


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    peer_bench.add_options(parser)
    parser.add_argument("--ways", nargs="+", default=["by-hand", "slogdet"], choices=["by-hand", "slogdet"])
    return parser.parse_args()


def compare(options, relgrad, shape, steps):
    start = relgrad.start(shape)
    for way in options.ways:
        if way == "by-hand":
            make = lambda rule="adam": steps.ByHand(start, rule)
            check = peer_bench.check_update(start, make)
        elif shape.dim > peer_bench.LARGEST_FACTORISED:
            continue
        else:
            make = lambda: steps.Slogdet(start)
            check = {"gradient": steps.check_slogdet(start)}
        yield peer_bench.measure(relgrad, shape, way, make, options, {"check": check})


def main():
    options = arguments()
    peer_bench.limit_threads(options.threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    import steps_jax as steps  # after the limits: its thread pool is made once

    peer_bench.run_comparison(options, "JAX", steps.jax.__version__, steps, compare)


if __name__ == "__main__":
    main()
