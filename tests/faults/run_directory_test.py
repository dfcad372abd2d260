#!/usr/bin/env python3
"""Run directories that moved, lost their checkpoints, hold other things, or are looked at meanwhile."""
import ctypes
import os
import shutil
import signal
import subprocess
import unittest

import faults  # first: it finds what the end-to-end tests share
import support
from faults import newest, step_of
from support import (PROGRAM, checkpoints, finish, manifest, metrics, must, reached, run, start,
                     status, wait_for)


def contents(directory):
    """Every file below `directory`, byte for byte."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class Moved(faults.Test):
    def test_a_run_whose_directory_was_moved_writes_nothing_into_the_next_one(self):
        directory, moved = self.folder / "run", self.folder / "moved"
        first = start(*self.words(directory, epochs=1000000))
        wait_for(lambda: newest(directory) and reached(directory, 50), "checkpoint")
        os.kill(first.pid, signal.SIGSTOP)
        directory.rename(moved)
        must(*self.words(directory, lr=0.0001))
        before = contents(directory)
        os.kill(first.pid, signal.SIGCONT)
        result = finish(first)
        self.assertEqual(result.code, 6, str(result))
        self.assertIn("LOCK", result.errors()[0])
        self.assertEqual(contents(directory), before)
        self.assert_sound(directory)

    def test_a_run_whose_directory_was_removed_does_not_make_it_again(self):
        for ranks in (0, 2):
            directory = self.folder / str(ranks)
            process = start(*self.words(directory, epochs=1000000), ranks=ranks)
            wait_for(lambda: newest(directory) and reached(directory, 50), "checkpoint")
            gone = self.folder / f"gone-{ranks}"
            directory.rename(gone)
            result = finish(process)
            self.assertEqual(result.code, 6, str(result))
            self.assertFalse(directory.exists(), str(result))
            shutil.rmtree(gone)

    def test_auto_does_not_start_from_scratch_where_checkpoints_should_be(self):
        directory = self.folder / "run"
        must(*self.words(directory, max_seconds=0.4))
        step = f"step {status(directory)['step']}"
        elsewhere = self.folder / "elsewhere"
        for link in (False, True):
            (directory / "ckpt").rename(elsewhere)
            if link:
                (directory / "ckpt").symlink_to(self.folder / "not-mounted")
            before = contents(directory)
            self.refuses(self.words(directory, resume="auto"), 4, directory, step)
            self.assertEqual(contents(directory), before)
            (directory / "LATEST").rename(self.folder / "LATEST")  # STATUS says it as well
            self.refuses(self.words(directory, resume="auto"), 4, directory, step)
            (self.folder / "LATEST").rename(directory / "LATEST")
            if link:
                (directory / "ckpt").unlink()
            elsewhere.rename(directory / "ckpt")
        shutil.rmtree(newest(directory))
        result = must(*self.words(directory, resume="auto"))
        self.assertIn("warning", result.err)
        self.assertIn(step, result.err)
        self.assert_same_bits(directory, self.undisturbed(0))

    def test_files_of_something_else_are_not_written_over(self):
        for name in ("metrics.jsonl", "STATUS", "LATEST", "LOCK", "config.ini"):
            for resume in ("never", "auto"):
                with self.subTest(name, resume=resume):
                    directory = self.folder / f"{name}-{resume}"
                    directory.mkdir()
                    (directory / name).write_text("mine\n")
                    self.refuses(self.words(directory, resume=resume), 2, directory)
                    self.assertEqual(contents(directory), {directory / name: b"mine\n"})
        directory = self.folder / "file"
        directory.mkdir()
        (directory / "ckpt").write_text("mine\n")
        self.refuses(self.words(directory), 2, directory)
        picture = self.folder / "pictures" / "step-000000000.png"
        for name, link in (("linked", picture.parent), ("own", None)):
            directory = self.folder / name
            directory.mkdir()
            samples = directory / "samples"
            samples.mkdir() if link is None else samples.symlink_to(link)
            picture.parent.mkdir(exist_ok=True)
            (samples / picture.name).write_text("mine\n")
            self.refuses(self.words(directory), 2, samples)
            self.assertEqual((samples / picture.name).read_text(), "mine\n")


class Paths(faults.Test):
    def test_any_bytes_make_a_path(self):
        for number, name in enumerate((b"r\xe9", b"line\nbreak", b" # \"quoted\" \\ ", b"\x1b[31m")):
            with self.subTest(name):
                folder = os.path.join(os.fsencode(self.folder), name)
                os.mkdir(folder)
                data, directory = folder + b"/data #1", folder + b"/run"
                words = ["train", "--run", directory, *support.QUICK]

                def call(*words):
                    words = [word if isinstance(word, bytes) else str(word).encode()
                             for word in words]
                    done = subprocess.run([PROGRAM.encode(), *words], capture_output=True,
                                          env={**os.environ, **support.ENVIRONMENT}, check=False,
                                          timeout=support.SECONDS)
                    self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
                    return done.stdout

                call("prepare", "--output", data, *support.SMALL, "--rows", 300, "--val-last", 50)
                call(*words, "--data", data, "--max-steps", 3)
                call(*words, "--data", data, "--resume", "auto")
                call("evaluate", "--run", directory, "--data", data, "--json", folder + b"/e.json")
                call("score", "--run", directory, "--data", data, "--output", folder + b"/s.h5")
                call("sample", "--run", directory, "--output", folder + b"/s.png")
                call("inspect", directory, "--json")
                call("inspect", directory, "--verify")
                call("inspect", data, "--json")
                newest_bytes = folder + b"/run/ckpt/" + os.listdir(folder + b"/run/ckpt")[0]
                call("evaluate", "--checkpoint", newest_bytes, "--data", data)
                # --config of the run, with another --run: the same data set again
                call("train", "--config", directory + b"/config.ini", "--run", folder + b"/again")
                with open(folder + b"/run/config.ini", "rb") as file:
                    self.assertIn(b"data = ", file.read())


class Budget(faults.Test):
    """What a run ends with is validated, so that evaluate takes the best of all."""

    def best(self, directory):
        """The step that evaluate takes."""
        result = must("evaluate", "--run", directory, "--data", self.data, "--split", "val")
        return int(result.err.split("(step ")[1].split(")")[0])

    def figures(self, directory):
        return {step_of(c): manifest(c)["state"]["metrics"]["val_bits_per_dim"]
                for c in checkpoints(directory)}

    def test_the_start_is_a_checkpoint_and_may_be_the_best(self):
        tiny = support.numpy.random.default_rng(1).normal(size=(40, 100)).astype("float32")
        data = support.prepared_from("tiny", train=tiny[:20], val=tiny[20:])
        directory = self.folder / "run"
        result = must("train", "--data", data, "--run", directory, "--epochs", 50, "--eval-every", 50)
        figures = self.figures(directory)
        self.assertIn(0, figures)
        best = min((value, step) for step, value in figures.items() if value is not None)
        self.assertEqual(best[1], 0, figures)
        self.assertIn(f"{best[0]:.4f} bits/dim at step 0", result.err)
        told = must("evaluate", "--run", directory, "--data", data, "--split", "val")
        self.assertIn("(step 0)", told.err)

    def test_at_max_seconds_and_max_steps(self):
        # Validations are far apart: the last weights are the best, and are between two of them.
        for name, options in (("seconds", {"max_seconds": 0.7, "epochs": 1000000}),
                              ("steps", {"max_steps": 101})):
            with self.subTest(name):
                directory = self.folder / name
                result = run(*self.words(directory, eval_every=1000, **options))
                self.assertEqual(result.code, 0, str(result))
                last = step_of(newest(directory))
                self.assertEqual(status(directory)["step"], last)
                figures = self.figures(directory)
                self.assertIsNotNone(figures[last])
                known = {step: value for step, value in figures.items() if value is not None}
                self.assertEqual(self.best(directory), min(known, key=known.get))
                self.assertEqual(status(directory)["best_val_bits_per_dim"], min(known.values()))
                self.assertEqual(metrics(directory, "val")[-1]["step"], last)

    def test_a_signal_saves_first_and_validates_only_where_time_is_known_to_allow_it(self):
        for name, number, environment, validates in (
                ("term", signal.SIGTERM, {}, False), ("usr1", signal.SIGUSR1, {}, False),
                ("slurm", signal.SIGUSR1, {"SLURM_JOB_END_TIME": "4000000000"}, True)):
            with self.subTest(name):
                directory = self.folder / name
                process = start(*self.words(directory, eval_every=1000, epochs=1000000),
                                **environment)
                wait_for(lambda: reached(directory, 50), "step 50")
                process.send_signal(number)
                result = finish(process)
                self.assertEqual(result.code, 75, str(result))
                figure = self.figures(directory)[status(directory)["step"]]
                self.assertEqual(figure is not None, validates)

    def test_a_run_that_goes_on_is_the_one_that_never_stopped(self):
        directory = self.folder / "run"
        for _ in range(2):
            result = run(*self.words(directory, resume="auto", max_seconds=0.4))
            self.assertEqual(result.code, 0, str(result))
        must(*self.words(directory, resume="auto"))
        self.assert_same_bits(directory, self.undisturbed(0))


class Signals(faults.Test):
    def test_each_of_them_saves_and_stops(self):
        for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGQUIT", "SIGINT", "SIGTERM"):
            with self.subTest(name):
                directory = self.folder / name
                process = start(*self.words(directory, epochs=1000000))
                wait_for(lambda: reached(directory, 20), "step 20")
                process.send_signal(signal.Signals[name])
                result = finish(process)
                self.assertEqual(result.code, 75, str(result))
                self.assertIn(name, result.err)
                self.assertEqual(step_of(newest(directory)), status(directory)["step"])

    def test_those_that_the_parent_ignores_stay_ignored(self):
        directory = self.folder / "run"
        library = faults.shim()
        caught = faults.preloaded(library, SHIM_CATCHES_HANGUP=1) if library else {}
        words = [PROGRAM, *map(str, self.words(directory, epochs=1000000))]
        process = subprocess.Popen(["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *words],
                                   stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, **support.ENVIRONMENT, **caught})
        wait_for(lambda: reached(directory, 20), "step 20")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGINT):
            process.send_signal(number)
        step = metrics(directory)[-1]["step"]
        wait_for(lambda: reached(directory, step + 200), "more steps")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(finish(process).code, 75)


class Beside(faults.Test):
    def test_a_running_job_may_be_inspected(self):
        directory = self.folder / "run"
        process = start(*self.words(directory, epochs=1000000, save_every_seconds=0.001))
        wait_for(lambda: len(checkpoints(directory)) >= 3, "checkpoints")
        for _ in range(12):
            result = run("inspect", directory, "--verify")
            self.assertEqual((result.code, result.err), (0, ""), str(result))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(finish(process).code, 75)

    def test_data_that_cannot_be_read_any_more_cost_no_step(self):
        for ranks in (0, 2):
            with self.subTest(ranks=ranks):
                directory = self.folder / str(ranks)
                result = run(*self.words(directory, save_every_seconds=1000), ranks=ranks,
                             RELGRAD_FAULT=f"data:100:{max(0, ranks - 1)}")
                self.assertEqual(result.code, 3, str(result))
                self.assertEqual(step_of(newest(directory)), 100)
                self.assertEqual(status(directory)["state"], "failed")
                must(*self.words(directory, resume="auto"), ranks=ranks)
                self.assert_same_bits(directory, self.undisturbed(ranks))


# The program needs the library as well.
hash_bytes = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
hash_bytes.argtypes, hash_bytes.restype = (ctypes.c_char_p, ctypes.c_size_t), ctypes.c_uint64


class Damaged(faults.Test):
    """Files of a run that hold what they should not."""

    def with_state(self, directory, change):
        """Changes the newest manifest and seals it again, as relgrad would."""
        path = newest(directory) / "manifest.json"
        content = support.json.loads(path.read_text())
        change(content)
        content.pop("manifest_checksum")
        text = support.json.dumps(content, separators=(",", ":"), sort_keys=True,
                                  ensure_ascii=False)
        digest = hash_bytes(text.encode(), len(text.encode()))
        content["manifest_checksum"] = f"xxh3:{digest:016x}"
        path.write_text(support.json.dumps(content))

    def test_nesting_without_end(self):
        directory = self.folder / "run"
        must(*self.words(directory, max_steps=20))
        deep = "[" * 200000
        (newest(directory) / "manifest.json").write_text(deep)
        self.refuses(["inspect", newest(directory)], 4, "manifest.json")
        self.refuses(["evaluate", "--checkpoint", newest(directory), "--data", self.data], 4,
                     "manifest.json")
        for name in ("STATUS", "metrics.jsonl"):
            (directory / name).write_text('{"a":' * 200000 + "\n")
        must("inspect", directory)
        result = run(*self.words(directory, resume="auto", max_steps=20))
        self.assertIn(result.code, (0, 4), str(result))

    def test_steps_that_are_no_numbers_in_metrics(self):
        directory = self.folder / "run"
        must(*self.words(directory, max_seconds=0.3))
        with (directory / "metrics.jsonl").open("a") as file:
            file.write('{"kind": "train", "step": "x"}\n[]\n')
        must(*self.words(directory, resume="auto"))
        self.assert_same_bits(directory, self.undisturbed(0))

    def test_state_out_of_range(self):
        for name, value in (("rows", 0), ("step", 2 ** 62), ("model", [])):  # more: run_state_test
            with self.subTest(name, value=value):
                directory = self.folder / name
                shutil.copytree(self.undisturbed(0), directory)
                self.with_state(directory, lambda content: content["state"].update({name: value}))
                bad = newest(directory)
                for words in (["audit-order", "--checkpoint", bad, "--data", self.data],
                              ["evaluate", "--checkpoint", bad, "--data", self.data],
                              ["sample", "--checkpoint", bad, "--output", self.folder / "a.h5"],
                              self.words(self.folder / "other", resume=bad)):
                    self.refuses(words, 4, "manifest.json")

    def test_steps_far_away_are_told_at_once(self):
        directory = self.undisturbed(0)
        result = must("audit-order", "--run", directory, "--data", self.data, "--from-step",
                      10 ** 9, "--to-step", 10 ** 9 + 1, seconds=20)
        self.assertIn("step 1000000000 ", result.out)
        run("audit-order", "--run", directory, "--data", self.data, "--from-step", 10 ** 12,
            "--to-step", 10 ** 12 + 1, seconds=20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
