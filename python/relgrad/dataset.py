"""Data sets of `relgrad prepare` as arrays (docs/data.md)."""
from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Dict, Iterator, List, Optional, Tuple

import h5py
import numpy

from .checkpoint import PathLike
from .errors import RelgradError

FORMAT_VERSION = 1  # the newest that this package reads


class Data(Mapping):
    """The splits of a data set by name: data["train"] is an array [rows, *sample_shape], uint8 or float32.

    A split is read at its first use and then kept.
    """

    def __init__(self, directory: PathLike):
        self.directory = pathlib.Path(directory)
        path = self.directory / "dataset.json"
        try:
            info = json.loads(path.read_text())
            if info["format_version"] > FORMAT_VERSION:
                raise RelgradError(f"{path}: format {info['format_version']} is newer than this package reads "
                                   f"(format {FORMAT_VERSION}); install a newer one")
            self.name: str = info["name"]
            #: Shape of one sample, e.g. (1, 28, 28) or (63,); channels x height x width for images.
            self.sample_shape: Tuple[int, ...] = tuple(info["sample_shape"])
            self._shards: Dict[str, List[str]] = {split["name"]: [shard["file"] for shard in split["shards"]]
                                                  for split in info["splits"]}
            #: Names of the classes by label, if the data have names.
            self.class_names: List[str] = info.get("class_names", [])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, RelgradError):
                raise
            raise RelgradError(f"{path}: no data set of relgrad prepare: {error}") from error
        self._read: Dict[Tuple[str, str], Optional[numpy.ndarray]] = {}

    def __getitem__(self, split: str) -> numpy.ndarray:
        if split not in self._shards:
            raise KeyError(f"{self.directory} has no split '{split}'; it has {', '.join(self._shards)}")
        samples = self._array(split, "samples")
        if samples is None:
            raise RelgradError(f"{self.directory}: its shards hold no samples; prepare the data again")
        return samples.reshape(-1, *self.sample_shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)

    def labels(self, split: str) -> Optional[numpy.ndarray]:
        """Class of every row, int64 [rows]; None if the data have no labels."""
        return self._array(split, "labels")

    def _array(self, split: str, name: str) -> Optional[numpy.ndarray]:
        if (split, name) not in self._read:
            parts = []
            for shard in self._shards[split]:
                with h5py.File(self.directory / shard, "r") as file:
                    if name in file:
                        parts.append(file[name][...])
            self._read[split, name] = numpy.concatenate(parts) if parts else None
        return self._read[split, name]


def data(directory: PathLike) -> Data:
    """The data set that `relgrad prepare` made in `directory`. Raises RelgradError if there is none."""
    return Data(directory)
