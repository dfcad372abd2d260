"""Reads a data set, scores, samples and a checkpoint without relgrad: all are HDF5 and JSON.

    python3 examples/read_run.py [DATA RUN]        by default those of docs/tour.md

Needs python3-h5py and python3-numpy.
"""
import glob
import os
import sys

import h5py
import numpy

data, run = sys.argv[1:3] if len(sys.argv) > 2 else ("data/tour", "runs/two")

with h5py.File(sorted(glob.glob(f"{data}/train-*.h5"))[0]) as file:
    train = file["samples"]                                      # [rows, D], one sample per row
    print("training samples:", train.shape, train.dtype)

if os.path.exists(f"{run}/scores.h5"):
    with h5py.File(f"{run}/scores.h5") as file:
        scores = file["log_likelihood"][...]                     # nats, in the order of the split
    print("mean log-likelihood:", numpy.mean(scores), "nats over", len(scores), "samples")

if os.path.exists(f"{run}/samples.h5"):
    with h5py.File(f"{run}/samples.h5") as file:
        print("drawn samples:", file["samples"].shape)           # [count, D]

with open(f"{run}/LATEST") as file:
    checkpoint = f"{run}/ckpt/{file.read().strip()}"


def tensor(name):
    """A whole tensor. If several ranks wrote the checkpoint, each of its files holds some columns."""
    parts = []
    for path in glob.glob(f"{checkpoint}/shard-*.h5"):
        with h5py.File(path) as file:
            if name in file:
                parts.append((file[name].attrs["columns"][0], file[name][...]))
    parts.sort(key=lambda part: part[0])
    return numpy.concatenate([rows for _, rows in parts]).T      # .T, because HDF5 is row-major


sign, log_abs_det = numpy.linalg.slogdet(tensor("layer/0/W").astype(float))
print("log|det W| of layer 0:", log_abs_det)
