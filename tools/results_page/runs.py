"""Runs of recipes, kept in a folder: a finished one is read, one that was cut short goes on."""
import json
import os
import shutil
import subprocess
import threading
import time

import launcher

ENVIRONMENT = {**launcher.ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def read_json(path):
    with open(path) as file:
        return json.load(file)


def write_json(path, value):
    with open(path + ".tmp", "w") as file:
        json.dump(value, file, indent=1)
    os.replace(path + ".tmp", path)


class Stopped(Exception):
    """A run was asked to stop and has saved a checkpoint."""


class ValidationClock(threading.Thread):
    """Notes when each validation line appears in metrics.jsonl: seconds since the start of the process."""

    def __init__(self, path, before):
        super().__init__(daemon=True)
        self.path, self.before, self.began, self.over = path, before, time.monotonic(), threading.Event()
        self.seen, self.offset = {}, os.path.getsize(path) if os.path.exists(path) else 0

    def run(self):
        while not self.over.wait(0.02):
            self.look()

    def look(self):
        if not os.path.exists(self.path):
            return
        now = self.seconds()
        with open(self.path, "rb") as file:
            if os.path.getsize(self.path) < self.offset:
                self.offset = 0  # lines past the checkpoint were cut
            file.seek(self.offset)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        self.offset += whole
        for line in text[:whole].splitlines():
            try:
                line = json.loads(line)
            except ValueError:
                continue  # the end of a line whose front was there before
            if line.get("kind") == "val":
                self.seen[str(line["step"])] = now

    def seconds(self):
        return self.before + time.monotonic() - self.began

    def finish(self):
        self.over.set()
        self.join()
        self.look()


class Runs:
    def __init__(self, work, program, ranks, quick, jobs, may_run):
        self.work, self.program, self.ranks, self.quick, self.jobs = work, program, ranks, quick, jobs
        self.may_run = may_run
        os.makedirs(os.path.join(work, "runs"), exist_ok=True)

    def folder(self, recipe, seed):
        return os.path.join(self.work, "runs", f"{recipe.name}-seed-{seed}")

    def call(self, *words, ranks=1, log=None):
        """Runs relgrad; its words go to `log`. Returns what it printed."""
        launcher = ["mpirun", "-n", str(ranks), "--bind-to", "none"] if ranks > 1 else []
        with open(log or os.devnull, "a") as errors:
            done = subprocess.run([*launcher, self.program, *map(str, words)], stdout=subprocess.PIPE, stderr=errors,
                                  text=True, env={**os.environ, **ENVIRONMENT})
        if done.returncode == 75:
            raise Stopped()
        if done.returncode != 0:
            raise SystemExit(f"results: relgrad {words[0]} ended with exit code {done.returncode}; see {log}")
        return done.stdout

    def options(self, recipe, seed):
        words = ["--config", os.path.join(self.jobs, recipe.config), "--seed", seed]
        return words + (list(recipe.quick) if self.quick else [])

    def result(self, recipe, seed, data):
        """Figures of a finished run of the recipe as it is now, or None."""
        path = os.path.join(self.folder(recipe, seed), "result.json")
        if not os.path.exists(path):
            return None
        result = read_json(path)
        same = result["options"] == self.wanted(recipe, seed) and result["data"] == identity(data)
        return result if same else None

    def wanted(self, recipe, seed):
        """Every option as resolved, but for those that name places."""
        text = self.call("train", *self.options(recipe, seed), "--print-config")
        return "\n".join(line for line in text.splitlines() if not line.startswith(("data =", "run =", "#")))

    def finish(self, recipe, seed, data):
        """Trains, evaluates and scores what is not done yet; returns the figures."""
        result = self.result(recipe, seed, data)
        if result or not self.may_run:
            return result
        run = self.folder(recipe, seed)
        wanted = self.wanted(recipe, seed)
        state_path = run + ".json"  # beside the run directory, which train makes
        state = read_json(state_path) if os.path.exists(state_path) else {}
        if state.get("options") != wanted or state.get("data") != identity(data):
            shutil.rmtree(run, ignore_errors=True)
            state = {"options": wanted, "data": identity(data), "seconds": 0.0, "validation_seconds": {}}
        state["load_average"] = max(state.get("load_average", 0.0), os.getloadavg()[0])  # of what else runs
        write_json(state_path, state)
        clock = ValidationClock(os.path.join(run, "metrics.jsonl"), state["seconds"])
        clock.start()
        ranks = self.ranks if recipe.group not in ("toy", "ica") else 1  # 2 x 2 weights: nothing to share
        try:
            self.call("train", "--data", data, "--run", run, *self.options(recipe, seed), "--resume", "auto",
                      ranks=ranks, log=run + ".log")
        finally:
            clock.finish()
            state["seconds"] = clock.seconds()
            state["validation_seconds"].update(clock.seen)
            write_json(state_path, state)
        test = json.loads(self.call("evaluate", "--run", run, "--data", data, "--split", recipe.score, "--json", "-",
                                    ranks=ranks, log=run + ".log"))
        with open(os.path.join(run, "metrics.jsonl")) as file:
            validations = [line for line in map(json.loads, file) if line["kind"] == "val"]
        for line in validations:
            line["wall_seconds"] = state["validation_seconds"].get(str(line["step"]))
        result = {**state, "ranks": ranks, "test": test, "validations": validations, "recipe": recipe.name, "seed": seed}
        write_json(os.path.join(run, "result.json"), result)
        return result

    def keep_closed_forms(self, recipe, seed, forms):
        """Puts them beside the run, where `relgrad report` finds them."""
        if self.may_run:
            names = {"gaussian": "Gaussian, full covariance", "marginals": "marginals only"}
            write_json(os.path.join(self.folder(recipe, seed), "baselines.json"),
                       {names[name]: {**form, "split": "test"} for name, form in forms.items()})

    def latent(self, recipe, seed, data):
        """File of latent values of the test split."""
        path = os.path.join(self.folder(recipe, seed), "latent.h5")
        if not os.path.exists(path):
            self.call("encode", "--run", self.folder(recipe, seed), "--data", data, "--output", path,
                      log=self.folder(recipe, seed) + ".log")
        return path

    def sampled(self, recipe, seed, name, *options):
        """A file that relgrad sample writes."""
        path = os.path.join(self.folder(recipe, seed), name)
        if not os.path.exists(path):
            self.call("sample", "--run", self.folder(recipe, seed), "--output", path, *options,
                      log=self.folder(recipe, seed) + ".log")
        return path

    def log_likelihood(self, recipe, seed, points, name):
        """log p at `points` [n, D], nats, by way of a data set of them."""
        import h5py
        import numpy
        base = os.path.join(self.folder(recipe, seed), name)
        if not os.path.exists(base + ".h5"):
            shutil.rmtree(base, ignore_errors=True)
            numpy.save(base + ".npy", points.astype("float32"))
            self.call("prepare", "--output", base, "--train", base + ".npy", "--val", base + ".npy")
            self.call("score", "--run", self.folder(recipe, seed), "--data", base, "--split", "train", "--output",
                      base + ".h5", log=self.folder(recipe, seed) + ".log")
        with h5py.File(base + ".h5") as file:
            return file["log_likelihood"][...]


def identity(data):
    return read_json(os.path.join(data, "dataset.json"))["identity"]


class Progress:
    """Tells what is done and about how long the rest takes, by the minutes that the recipes name."""

    def __init__(self, work):
        self.left = sum(minutes for _, minutes in work)
        self.began, self.spent = time.monotonic(), 0.0

    def starts(self, what):
        pace = (time.monotonic() - self.began) / 60 / self.spent if self.spent else 1.0
        print(f"results: {what}; about {max(1, round(self.left * pace))} min left", flush=True)

    def ends(self, minutes, was_kept):
        self.left -= minutes
        if not was_kept:
            self.spent += minutes
