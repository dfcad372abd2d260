#!/usr/bin/env python3
"""RUN/samples: a picture at every validation, of the same latent vectors, that no trouble of its own ends the run."""
import shutil
import unittest

import support  # first: it finds a python that has h5py
from support import Test, metrics, must, prepared

IMAGES = ["--synthetic", "images", "--size", "8x8", "--rows", 300]
OPTIONS = ["--activation", "smooth-leaky-relu", "--batch-size", 30, "--lr", 0.02, "--schedule", "constant"]


def grids(run):
    """Contents by name."""
    return {path.name: path.read_bytes() for path in sorted((run / "samples").glob("*"))}


class SampleGrids(Test):
    def train(self, name, *words, epochs=2, ranks=0, data=None):
        run = self.folder / name
        result = must("train", "--data", data or prepared(*IMAGES), "--run", run, "--epochs", epochs, *OPTIONS, *words,
                      ranks=ranks)
        return run, result

    def test_every_validation_draws_what_sample_draws_from_its_checkpoint(self):
        run, _ = self.train("run")
        found = grids(run)
        self.assertEqual(list(found), [f"step-{line['step']:09}.png" for line in metrics(run, "val")])
        self.assertEqual(len(found), 3)
        self.assertEqual(len(set(found.values())), 3, "the model learns, so its pictures change")
        newest = support.checkpoints(run)[-1]
        must("sample", "--checkpoint", newest, "--count", 36, "--output", self.folder / "same.png")
        self.assertEqual(found[f"{newest.name}.png"], (self.folder / "same.png").read_bytes())

    def test_they_are_the_same_on_several_ranks_and_change_nothing_that_is_trained(self):
        words = ["--deterministic", "--products", "ordered"]
        alone, _ = self.train("alone", *words)
        together, _ = self.train("together", *words, ranks=2)
        without, _ = self.train("without", *words, "--sample-grids", "off")
        self.assertEqual(grids(alone), grids(together))
        self.assertFalse((without / "samples").exists())
        self.assert_same_bits(without, alone)

    def test_a_resumed_run_has_those_of_one_that_never_stopped(self):
        whole, _ = self.train("whole")
        run, _ = self.train("run", epochs=1)
        (run / "samples" / "step-000000099.png").write_bytes(b"of a branch that is left")
        (run / "samples" / "mine.png").write_bytes(b"of somebody else")
        self.train("run", "--resume", "auto")
        self.assertEqual(grids(run), {**grids(whole), "mine.png": b"of somebody else"})

    def test_what_cannot_be_written_is_warned_of_once_and_the_run_goes_on(self):
        run, _ = self.train("run", epochs=1)
        shutil.rmtree(run / "samples")
        (run / "samples").write_text("not a folder")
        _, result = self.train("run", "--resume", "auto")
        self.assertEqual(result.err.count("no picture"), 1, str(result))
        self.assertEqual(support.status(run)["state"], "done")

    def test_there_are_none_of_vectors_nor_where_ranks_share_the_weights(self):
        run, _ = self.train("toy", data=prepared("--synthetic", "toy:moons", "--rows", 300))
        self.assertFalse((run / "samples").exists())
        run, _ = self.train("row", "--exchange", "row", "--sample-grids", "on", ranks=2)
        self.assertFalse((run / "samples").exists())

    def test_an_expensive_inverse_is_left_out_or_the_learned_one_is_used(self):
        # 2 LU of 1024 x 1024, 1.4 10^9 operations, for 120 samples an epoch
        data = prepared("--synthetic", "images", "--size", "32x32", "--rows", 150)
        words = ["--max-steps", 1, "--layers", 2]
        run, _ = self.train("expensive", *words, data=data)
        self.assertFalse((run / "samples").exists())
        run, _ = self.train("wanted", *words, "--sample-grids", "on", data=data)
        self.assertEqual(len(grids(run)), 2)
        run, _ = self.train("learned", *words, "--gradient", "self-normalizing", data=data)
        self.assertEqual(len(grids(run)), 2)
        newest = support.checkpoints(run)[-1]
        must("sample", "--checkpoint", newest, "--count", 36, "--inverse", "learned", "--output",
             self.folder / "same.png")
        self.assertEqual(grids(run)[f"{newest.name}.png"], (self.folder / "same.png").read_bytes())


if __name__ == "__main__":
    unittest.main()
