#!/usr/bin/env python3
"""The same training step in relgrad and in PyTorch, checked, then timed side by side.

Ways of PyTorch: by-hand (the relative gradient written out), notebook (the way of the published notebook),
slogdet (the plain gradient, by autograd). All start from the weights and the batch of
`relgrad bench step --dump`; the first two must end with relgrad's update, the third have the plain gradient.
PyTorch is the one of the Python that runs this; it needs numpy and h5py.

    python3 tools/bench/compare_pytorch.py [--shapes 784x100x2] [--ways by-hand] [--json FILE]
"""
import argparse

import peer_bench


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    peer_bench.add_options(parser)
    parser.add_argument("--ways", nargs="+", default=["by-hand", "notebook", "slogdet"],
                        choices=["by-hand", "notebook", "slogdet"])
    return parser.parse_args()


def compare(options, relgrad, shape, steps):
    start = relgrad.start(shape)
    for way in options.ways:
        about = {}
        if way == "by-hand":
            candidates = steps.by_hand_candidates(start)
            about["update"] = peer_bench.fastest(candidates)
            make = candidates[about["update"]]
            about["check"] = peer_bench.check_update(start, make)
        elif way == "notebook":
            if shape.layers != 2:  # it averages log s' over hidden layers, so it is right for one
                continue
            make = lambda rule="adam": steps.Notebook(start, rule)
            about["check"] = peer_bench.check_update(start, make)
        elif shape.dim > peer_bench.LARGEST_FACTORISED:
            continue
        else:
            make = lambda: steps.Slogdet(start)
            about["check"] = {"gradient": steps.check_slogdet(start)}
        yield peer_bench.measure(relgrad, shape, way, make, options, about)


def main():
    options = arguments()
    peer_bench.limit_threads(options.threads)
    import steps_pytorch as steps  # after the limits: OpenMP reads them once

    steps.torch.set_num_threads(options.threads)
    peer_bench.run_comparison(options, "PyTorch", steps.torch.__version__, steps, compare)


if __name__ == "__main__":
    main()
