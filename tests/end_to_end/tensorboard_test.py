#!/usr/bin/env python3
"""train --tensorboard: event files that a reader of the format, and TensorBoard's own, find in order."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

import support  # first: it finds a python that has h5py
from support import Test, metrics, must, numpy, prepared

IMAGES = ["--synthetic", "images", "--size", "8x8", "--rows", 300]
OPTIONS = ["--activation", "smooth-leaky-relu", "--batch-size", 30]
TRAIN_TAGS = {"train/bits_per_dim": "train_bits_per_dim", "train/log_likelihood_nats": "train_log_likelihood_pixel_nats",
              "train/log_abs_det_nats": "log_abs_det_nats", "lr": "lr", "epoch": "epoch",
              "samples_per_second": "samples_per_s", "peak_memory_mib": "peak_memory_mib",
              "skipped_steps": "skipped_steps"}
VAL_TAGS = {"val/bits_per_dim": "bits_per_dim", "val/log_likelihood_nats": "log_likelihood_pixel_nats",
            "val/standard_error_bits_per_dim": "standard_error_bits_per_dim"}


def crc32c(content):
    """Bit by bit, from the polynomial."""
    remainder = 0xFFFFFFFF
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def masked(content):
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    """Contents of the records of an event file, every checksum compared."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        length, of_length = struct.unpack("<QI", content[at:at + 12])
        body = content[at + 12:at + 12 + length]
        assert masked(content[at:at + 8]) == of_length
        assert (masked(body),) == struct.unpack("<I", content[at + 12 + length:at + 16 + length])
        yield body
        at += 16 + length


def varint(content, at):
    value, shift = 0, 0
    while True:
        value |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            return value, at


def fields(content):
    """{number: value} of a protocol buffer whose fields do not repeat."""
    found, at = {}, 0
    while at < len(content):
        key, at = varint(content, at)
        kind = key & 7
        if kind == 0:
            found[key >> 3], at = varint(content, at)
        elif kind == 2:
            length, at = varint(content, at)
            found[key >> 3], at = content[at:at + length], at + length
        else:
            size, code = {1: (8, "<d"), 5: (4, "<f")}[kind]
            (found[key >> 3],), at = struct.unpack(code, content[at:at + size]), at + size
    return found


def read(run):
    """{tag: {step: value}} of all files in the order of their names; images are PNGs."""
    points = {}
    for path in sorted(run.glob("events.out.tfevents.*")):
        events = [fields(record) for record in records(path)]
        if not events:
            continue
        assert events[0][3] == b"brain.Event:2", events[0]
        assert fields(events[1][7]) == {1: 1}, "a session starts"
        for steps in points.values():  # what a reader forgets
            for step in [step for step in steps if step >= events[1].get(2, 0)]:
                del steps[step]
        for event in events[2:]:
            value = fields(fields(event[5])[1])
            tag = value[1].decode()
            points.setdefault(tag, {})[event.get(2, 0)] = fields(value[4]) if 4 in value else value[2]
    return points


def wanted(run):
    """{tag: {step: value}} of metrics.jsonl."""
    points = {}
    for kind, tags in (("train", TRAIN_TAGS), ("val", VAL_TAGS)):
        for line in metrics(run, kind):
            for tag, key in tags.items():
                if line[key] is not None:
                    points.setdefault(tag, {})[line["step"]] = float(numpy.float32(line[key]))
    return points


class Shared:
    """A run that was stopped between two checkpoints' lines and went on."""
    run = None

    @classmethod
    def make(cls):
        if cls.run:
            return
        cls.run = support.SPACE / "tensorboard"
        words = ["train", "--data", prepared(*IMAGES), "--run", cls.run, *OPTIONS, "--tensorboard"]
        must(*words, "--epochs", 1)
        must(*words, "--epochs", 2, "--resume", "auto")


class Events(Test):
    def setUp(self):
        super().setUp()
        Shared.make()

    def test_the_checksum_is_that_of_the_standard(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)  # RFC 3720, appendix B.4

    def test_every_number_of_the_metrics_is_there_at_its_step(self):
        points = read(Shared.run)
        grids = points.pop("samples")
        self.assertEqual(points, wanted(Shared.run))
        self.assertEqual(sorted(grids), [line["step"] for line in metrics(Shared.run, "val")])
        for step, image in grids.items():
            picture = (Shared.run / "samples" / f"step-{step:09}.png").read_bytes()
            height, width = support.read_png(picture).shape[:2]
            self.assertEqual(image, {1: height, 2: width, 3: 1, 4: picture})

    def test_a_resume_makes_a_later_file_that_takes_back_what_comes_again(self):
        run = self.folder / "run"
        shutil.copytree(Shared.run, run)
        shutil.rmtree(support.checkpoints(run)[-1])  # the run goes on from an earlier step
        (run / "LATEST").unlink()
        (run / "events.out.tfevents.9999999998.elsewhere.1").write_bytes(b"")  # its clock was ahead
        before = set(run.glob("events.out.*"))
        must("train", "--data", prepared(*IMAGES), "--run", run, *OPTIONS, "--epochs", 2, "--tensorboard", "--resume",
             "auto")
        new, = set(run.glob("events.out.*")) - before
        self.assertEqual(sorted(run.glob("events.out.*"))[-1], new)
        points = read(run)
        points.pop("samples")
        self.assertEqual(points, wanted(run))

    def test_without_the_option_there_are_none(self):
        run = self.folder / "run"
        must("train", "--data", prepared(*IMAGES), "--run", run, *OPTIONS, "--max-steps", 1)
        self.assertEqual(list(run.glob("events*")), [])


READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0, "tensors": 0})
events.Reload()
points = {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
images = {e.step: [e.width, e.height, e.encoded_image_string.hex()] for e in events.Images("samples")}
json.dump([points, images], sys.stdout)
"""


def reader():
    """A python that has TensorBoard: in a folder of the build, made if PyPI can be reached; None if not."""
    folder = pathlib.Path(os.path.abspath(support.PROGRAM)).parent / "tensorboard"
    for python in dict.fromkeys(filter(None, (shutil.which("python3"), sys.executable))):
        for command in ([python, "-m", "venv", folder],
                        [folder / "bin/python", "-m", "pip", "install", "-q", "tensorboard", "setuptools<81"]):
            if (folder / "whole").exists():
                return folder / "bin/python"
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=support.SECONDS,
                                  check=False)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                break
        else:
            (folder / "whole").touch()
            return folder / "bin/python"
    return None


class OwnReader(Test):
    def test_tensorboard_reads_the_same(self):
        python = reader()
        if python is None:
            self.skipTest("TensorBoard cannot be had: pip install tensorboard failed")
        Shared.make()
        done = subprocess.run([str(python), "-c", READ, str(Shared.run)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        scalars, images = json.loads(done.stdout)
        self.assertEqual({tag: {int(step): value for step, value in steps.items()} for tag, steps in scalars.items()},
                         wanted(Shared.run))
        for line in metrics(Shared.run, "val"):
            picture = (Shared.run / "samples" / f"step-{line['step']:09}.png").read_bytes()
            height, width = support.read_png(picture).shape[:2]
            self.assertEqual(images[str(line["step"])], [width, height, picture.hex()])


if __name__ == "__main__":
    unittest.main()
