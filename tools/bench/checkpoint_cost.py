#!/usr/bin/env python3
"""What checkpoints cost a run: the time training is held up by saves, and how long a start takes until
its first step, fresh and resumed (a fresh one validates first).

    tools/bench/checkpoint_cost.py --program build/release/relgrad [--ranks 2] [--size 48x64] [--seconds 150]

Data are drawn by the program: HxW grey images, D = H W; two linear layers, smooth leaky ReLU, Adam.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import launcher  # pylint: disable=wrong-import-position


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/relgrad")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--size", default="48x64", help="D = H W; 48x64 is 3072")
    parser.add_argument("--seconds", type=float, default=150, help="of each run that saves every 60 s")
    parser.add_argument("--starts", type=int, default=3, help="fresh ones, each then resumed")
    return parser.parse_args()


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.data = options, folder, folder / "data"
        subprocess.run([options.program, "prepare", "--output", self.data, "--synthetic", "images",
                        "--size", options.size, "--rows", "6000"], check=True, capture_output=True)

    def start(self, run, *words):
        command = ["mpirun", "-n", str(self.options.ranks), self.options.program, "train",
                   "--data", self.data, "--run", run, "--activation", "smooth-leaky-relu", "--marginal",
                   "false", "--logit-a", "0.05", "--epochs", "100000", "--eval-every", "100000", *words]
        with open(self.folder / "log", "w") as log:
            return subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT,
                                    env={**os.environ, **launcher.ENVIRONMENT})

    def stopped(self, process):
        """Waits for the end: of --max-seconds (0), or because it was asked to stop (75)."""
        if process.wait() not in (0, 75):
            raise SystemExit((self.folder / "log").read_text())

    def held_up(self, background):
        """Share of training time that saves held up, and the number of saves; one every 60 s."""
        run = self.folder / f"background-{background}"
        self.stopped(self.start(run, "--max-seconds", self.options.seconds, "--save-every-seconds", 60,
                                "--log-every", 20, "--background-save", background))
        lines = train_lines(run)
        held = [line["seconds_by_part"]["checkpoint"] for line in lines]
        return sum(held) / sum(line["seconds"] for line in lines), sum(held)

    def first_step(self, run, *words):
        """Seconds from the start to the first step this process makes; then stops it."""
        before = len(train_lines(run))
        began = time.monotonic()
        process = self.start(run, "--log-every", 1, "--save-every-seconds", 100000, *words)
        while len(train_lines(run)) == before:
            if process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text())
            time.sleep(0.01)
        taken = time.monotonic() - began
        process.send_signal(signal.SIGUSR1)
        self.stopped(process)
        return taken


def train_lines(run):
    lines = []
    try:
        for text in (run / "metrics.jsonl").read_text().splitlines():
            line = json.loads(text)
            if line["kind"] == "train":
                lines.append(line)
    except (OSError, ValueError):  # not there yet, or a line half written
        pass
    return lines


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="relgrad-checkpoint-cost-") as name:
        bench = Bench(options, pathlib.Path(name))
        fresh, resumed = [], []
        for number in range(options.starts):
            run = bench.folder / f"start-{number}"
            fresh.append(bench.first_step(run))
            resumed.append(bench.first_step(run, "--resume", "auto"))
        for what, values in (("fresh", fresh), ("resumed", resumed)):
            print(f"start to first step, {what:8} median {statistics.median(values):.2f} s "
                  f"({min(values):.2f} ... {max(values):.2f})")
        for background in ("true", "false"):
            share, seconds = bench.held_up(background)
            print(f"--background-save {background:6} saves every 60 s held training up for {100 * share:.2f} % "
                  f"({seconds:.2f} s of {options.seconds:.0f} s)")


if __name__ == "__main__":
    main()
