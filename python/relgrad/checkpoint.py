"""Checkpoints of runs: which one, and its tensors (docs/run-directory.md)."""
from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Union

import h5py
import numpy

from .errors import RelgradError

FORMAT_VERSION = 1  # the newest that this package reads
PathLike = Union[str, "os.PathLike[str]"]


class Checkpoint(NamedTuple):
    """A checkpoint that is all there: manifest read, files of the right size."""

    directory: pathlib.Path
    manifest: Mapping[str, Any]

    @property
    def step(self) -> int:
        return self.manifest["step"]

    @property
    def val_bits_per_dim(self) -> Optional[float]:
        """Of the last validation before it; None without one."""
        value = (self.manifest["state"].get("metrics") or {}).get("val_bits_per_dim")
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None

    def tensors(self, part: str) -> Dict[str, numpy.ndarray]:
        """Every tensor whose name begins with `part`, by the rest of its name.

        A matrix is stored by columns, and h5py lists rows first: element (i, j) is found at [j, i]."""
        return {entry["name"][len(part):]: self._tensor(entry)
                for entry in self.manifest["tensors"] if entry["name"].startswith(part)}

    def _tensor(self, entry: Mapping[str, Any]) -> numpy.ndarray:
        rows, columns = entry["shape"]
        values = numpy.empty((columns, rows), dtype=entry["type"])
        done = 0
        for block in sorted(entry["blocks"], key=lambda block: block["col_begin"]):
            path = self.directory / block["file"]
            begin, end = block["col_begin"], block["col_end"]
            try:
                with h5py.File(path, "r") as file:
                    file[entry["name"]].read_direct(values, dest_sel=numpy.s_[begin:end])
            except (OSError, KeyError, TypeError, ValueError) as error:
                raise RelgradError(f"{path}: {entry['name']} cannot be read ({error}); "
                                   "use another checkpoint") from error
            done += end - begin
        if done != columns:
            raise RelgradError(f"{self.directory}: {entry['name']} has {done} of {columns} columns; "
                               "use another checkpoint")
        return values


def open_checkpoint(directory: PathLike) -> Checkpoint:
    """One checkpoint directory. Raises RelgradError if it is not whole, or of a newer format. Checksums are not
    computed: `relgrad inspect --verify` does that."""
    directory = pathlib.Path(directory)
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        version = manifest["format_version"]
        sizes = [(directory / file["name"], file["bytes"]) for file in manifest["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RelgradError(f"{path}: no manifest of a relgrad checkpoint: {error}") from error
    if version > FORMAT_VERSION:
        raise RelgradError(f"{path}: format {version} is newer than this package reads (format {FORMAT_VERSION}); "
                           "install a newer one")
    for file, expected in sizes:
        found = file.stat().st_size if file.exists() else None
        if found != expected:
            raise RelgradError(f"{file}: has {found} bytes, the manifest says {expected}; use another checkpoint")
    return Checkpoint(directory, manifest)


def checkpoints(run: PathLike) -> Iterator[Checkpoint]:
    """The whole checkpoints of a run, newest first."""
    for directory in sorted(pathlib.Path(run).glob("ckpt/step-*"), reverse=True):
        try:
            yield open_checkpoint(directory)
        except RelgradError:
            continue


def choose_checkpoint(path: PathLike, which: str = "best") -> Checkpoint:
    """The checkpoint that `relgrad score` uses for a run: the best by validation, or the newest if none was validated.

    `path`: a run, or a checkpoint itself. `which`: "best" or "latest".
    """
    path = pathlib.Path(path)
    if which not in ("best", "latest"):
        raise RelgradError(f"which: '{which}' is none of best, latest")
    if (path / "manifest.json").exists():
        return open_checkpoint(path)
    found = list(checkpoints(path))
    if not found:
        raise RelgradError(f"{path}: holds no usable checkpoint; name a run of `relgrad train`, "
                           "or a directory ckpt/step-* of it")
    if which == "latest":
        return found[0]
    bits = [math.inf if checkpoint.val_bits_per_dim is None else checkpoint.val_bits_per_dim for checkpoint in found]
    return found[bits.index(min(bits))]
