"""Reads what relgrad writes: data sets, runs and models, in numpy.

    model = relgrad.load("runs/first")          # a run or a checkpoint
    model.log_prob(x)                           # nats per sample: what `relgrad score` computes
    model.sample(64, seed=1)                    # what `relgrad sample` draws
    relgrad.data("data/images")["test"]         # arrays [rows, channels, height, width]
    relgrad.metrics("runs/first")["val"]        # arrays, a number per validation
"""
from .checkpoint import Checkpoint
from .dataset import Data, data
from .errors import RelgradError
from .metrics import metrics
from .model import Model, load

__version__ = "0.2.0"
__all__ = ["Checkpoint", "Data", "Model", "RelgradError", "data", "load", "metrics"]
