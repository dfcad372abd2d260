"""metrics.jsonl of a run as arrays (docs/run-directory.md, "Keys of metrics.jsonl")."""
from __future__ import annotations

import json
import pathlib
from typing import Any, Dict, List, Mapping

import numpy

from .checkpoint import PathLike
from .errors import RelgradError


def metrics(run: PathLike) -> Dict[str, Dict[str, Any]]:
    """What a run has logged so far: metrics(run)["val"]["bits_per_dim"] is an array with a number per validation.

    The first key is the kind of line, "train" or "val"; the second is a key of metrics.jsonl. Numbers become float64
    arrays with nan where a line has null or no such key, texts become arrays of texts, and "seconds_by_part" a
    dictionary of arrays.
    """
    path = pathlib.Path(run) / "metrics.jsonl"
    try:
        text = path.read_text()
    except OSError as error:
        raise RelgradError(f"{path}: {error.strerror}; name a run of relgrad train") from error
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            if number == text.count("\n") + 1:  # the run is writing it
                break
            raise RelgradError(f"{path}: line {number} is not JSON: {error}") from error
    return {kind: _columns([line for line in lines if line["kind"] == kind]) for kind in ("train", "val")}


def _columns(lines: List[Mapping[str, Any]]) -> Dict[str, Any]:
    keys = dict.fromkeys(key for line in lines for key in line if key != "kind")
    return {key: _column([line.get(key) for line in lines]) for key in keys}


def _column(values: List[Any]) -> Any:
    if any(isinstance(value, Mapping) for value in values):
        return _columns([value or {} for value in values])
    if any(isinstance(value, str) for value in values):
        return numpy.array([value or "" for value in values])
    return numpy.array([numpy.nan if value is None else value for value in values], dtype=numpy.float64)
