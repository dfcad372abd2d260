"""The recipes: what is trained on what, by which option file of jobs/."""
import dataclasses
import glob
import os
import subprocess

TOYS = ("moons", "rings", "spirals", "checkerboard", "eight-gaussians")


@dataclasses.dataclass(frozen=True)
class Recipe:
    name: str            # of its runs
    group: str           # what --only selects
    data: str            # key of DataSets
    config: str          # file in jobs/
    words: str           # the model, for the tables
    seeds: int = 1
    minutes: float = 1   # on two quiet cores, a seed; only for the time that is told to be left
    quick: tuple = ()    # options of --quick
    score: str = "test"  # split


QUICK_IMAGES = ("--epochs", "2", "--layers", "1")
QUICK_MODEL = ("--epochs", "1", "--model", "conv:3 spline:5", "--init", "identity")
IMAGES = [
    Recipe("mnist-fast", "mnist", "mnist", "mnist-fast.ini",
           "marginal transform, 2 dense layers, the first starts as the whitening, splines, relative gradient", 3, 0.3,
           QUICK_IMAGES),
    Recipe("mnist-paper", "mnist", "mnist", "mnist-paper.ini",
           "2 dense layers, smooth leaky ReLU, relative gradient", 1, 2, QUICK_IMAGES),
    Recipe("mnist-paper-best", "mnist", "mnist", "mnist-paper-best.ini",
           "the same class, kinked start, natural steps", 1, 8, ("--epochs", "2")),
    Recipe("mnist-self-normalizing", "mnist", "mnist", "mnist-self-normalizing.ini",
           "the same class, kinked start, self-normalizing gradient, R by Newton's iteration", 1, 6, ("--epochs", "2")),
    Recipe("mnist-best", "mnist", "mnist", "mnist-best.ini",
           "marginal transform, 3 dense layers, splines, relative gradient", 1, 5, QUICK_IMAGES),
    Recipe("mnist-snf-conv", "mnist", "mnist", "mnist-snf-conv.ini",
           "logit, the published net of 9 convolutions, self-normalizing gradient", 1, 12, QUICK_MODEL),
    Recipe("mnist-glow", "mnist", "mnist", "mnist-glow.ini", "marginal transform, Glow", 1, 30, QUICK_MODEL),
    Recipe("mnist-conv", "mnist", "mnist", "mnist-conv.ini",
           "marginal transform, 14 convolutions and splines, exact gradient", 1, 6, QUICK_MODEL),
    Recipe("mnist-conv-coupling", "mnist", "mnist", "mnist-conv-coupling.ini",
           "marginal transform, 9 convolutions, 6 couplings, splines", 1, 6, QUICK_MODEL),
    Recipe("fashion-mnist", "fashion-mnist", "fashion-mnist", "fashion-mnist.ini",
           "marginal transform, 2 dense layers, splines, relative gradient", 3, 2, QUICK_IMAGES),
    Recipe("fashion-mnist-conv", "fashion-mnist", "fashion-mnist", "fashion-mnist-conv.ini",
           "marginal transform, 14 convolutions and splines, exact gradient", 1, 6, QUICK_MODEL),
    Recipe("fashion-mnist-conv-coupling", "fashion-mnist", "fashion-mnist", "fashion-mnist-conv-coupling.ini",
           "marginal transform, 9 convolutions, 6 couplings, splines", 1, 12, QUICK_MODEL),
    Recipe("cifar10", "cifar10", "cifar10", "cifar10.ini",
           "logit, 2 dense layers of 3072, the first starts as the whitening, splines, relative gradient", 1, 8, QUICK_IMAGES),
    Recipe("cifar10-spectral", "cifar10", "cifar10", "spectral.ini",
           "logit, one spectral layer, starts as the whitening, splines by ring", 1, 1, QUICK_MODEL),
    Recipe("cifar10-glow", "cifar10", "cifar10", "cifar10-glow.ini", "Glow", 1, 15, QUICK_MODEL),
    Recipe("cifar10-conv", "cifar10", "cifar10", "cifar10-conv.ini",
           "logit, a spectral layer, 9 convolutions and splines, exact gradient", 1, 4, QUICK_MODEL),
    Recipe("cifar10-conv-coupling", "cifar10", "cifar10", "cifar10-conv-coupling.ini",
           "logit, a spectral layer, 8 convolutions, 8 couplings, splines", 1, 6, QUICK_MODEL),
    Recipe("tiny-imagenet", "tiny-imagenet", "tiny-imagenet", "tiny-imagenet.ini",
           "marginal transform, one dense layer of 12288, starts as the whitening, splines, relative gradient", 1, 15, QUICK_IMAGES),
    Recipe("tiny-imagenet-spectral", "tiny-imagenet", "tiny-imagenet", "spectral.ini",
           "logit, one spectral layer, starts as the whitening, splines by ring", 1, 1, QUICK_MODEL),
    Recipe("tiny-imagenet-conv", "tiny-imagenet", "tiny-imagenet", "tiny-imagenet-conv.ini",
           "logit, a spectral layer, 9 convolutions and splines, exact gradient", 1, 4, QUICK_MODEL),
]
PLANE = [Recipe(f"toy-{name}", "toy", f"toy:{name}", "toy.ini",
                "24 dense layers of 2, splines, relative gradient", 2, 2,
                ("--epochs", "1", "--layers", "2")) for name in TOYS]
SOURCES = [Recipe("ica", "ica", "ica:8", "ica.ini", "2 dense layers of 8, splines", 3, 0.5,
                  ("--epochs", "1"))]
GROUPS = ("ica", "toy", "fashion-mnist", "mnist", "cifar10", "tiny-imagenet", "tabular")  # cheap ones first
NAMES = tuple(recipe.name for recipe in IMAGES if recipe.name not in GROUPS)  # what --only may name besides


def recipes_of(chosen, tabular, jobs):
    """Those of the groups or names `chosen`, in the order of GROUPS; without an option file they are left out."""
    tables = [Recipe(f"tabular-{name}", "tabular", f"tabular:{name}", "tabular.ini",
                     "marginal transform, dense layers, splines", 1, 5, ("--epochs", "1")) for name in tabular]
    every = IMAGES + PLANE + SOURCES + tables
    return [recipe for group in GROUPS for recipe in every
            if recipe.group == group and (group in chosen or recipe.name in chosen)
            and os.path.exists(os.path.join(jobs, recipe.config))]


class DataSets:
    """Prepared data sets by key; made in WORK/data from raw folders or drawn by the program."""

    # key: option, what its folder holds, files by split, options of prepare
    RAW = {
        "mnist": ("train-images-idx3-ubyte[.gz] and t10k-images-idx3-ubyte[.gz]",
                  {"train": ["train-images*"], "test": ["t10k-images*"]}, ["--val-last", "10000"]),
        "fashion-mnist": ("the same four names as MNIST (Debian package dataset-fashion-mnist)",
                          {"train": ["train-images*"], "test": ["t10k-images*"]}, ["--val-last", "10000"]),
        "cifar10": ("the binary version: data_batch_*.bin and test_batch.bin",
                    {"train": ["data_batch_*.bin"], "test": ["test_batch.bin"]}, ["--val-last", "2000"]),
        "tiny-imagenet": ("folders train and val of JPEG images, 64 x 64; without a folder test, half of val is it",
                          {"train": ["train"], "val": ["val"], "test": ["test"]}, []),
    }

    def __init__(self, work, folders, program, quick):
        self.work, self.folders, self.program, self.quick = work, folders, program, quick

    def missing(self, key):
        """A line that says how to get the data, or None where they are there."""
        if self.quick or ":" in key and not key.startswith("tabular:") or self.folders.get(key):
            return None
        return f"`--{key} DIR`: a prepared data set, or a folder with {self.RAW[key][0]}"

    def path(self, key):
        given = self.folders.get(key)
        if given and os.path.exists(os.path.join(given, "dataset.json")):
            return given
        path = os.path.join(self.work, "data", key.replace(":", "-"))
        if not os.path.exists(os.path.join(path, "dataset.json")):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            words = [self.program, "prepare", "--output", path, *self.words(key, given)]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"results: {key}: {done.stderr.strip()}")
        return path

    def words(self, key, given):
        rows = "600" if self.quick else "60000"
        if key.startswith("toy:") or key.startswith("ica:"):
            return ["--synthetic", key, "--rows", rows]
        if key.startswith("tabular:"):
            return [word for split in ("train", "val", "test")
                    for word in (f"--{split}", self.one(given, f"*{split}*.npy"))]
        if self.quick:
            return ["--synthetic", "images", "--size", "6x6", "--rows", rows]
        _, files, options = self.RAW[key]
        found = {split: [path for pattern in patterns for path in self.every(given, pattern)]
                 for split, patterns in files.items()}
        if key == "tiny-imagenet" and not found["test"]:
            found["val"], found["test"] = self.halves(found["val"][0])
        return options + [word for split, paths in found.items() for word in (f"--{split}", *paths)]

    def halves(self, folder):
        """Every other image of a folder, as two folders of links."""
        images = sorted(os.path.join(path, name) for path, _, names in os.walk(folder) for name in names
                        if name.lower().endswith((".jpeg", ".jpg", ".png")))
        result = []
        for part in range(2):
            target = os.path.join(self.work, "data", f"half-{part}")
            os.makedirs(target, exist_ok=True)
            for image in images[part::2]:
                link = os.path.join(target, os.path.basename(image))
                if not os.path.lexists(link):
                    os.symlink(os.path.abspath(image), link)
            result.append([target])
        return result

    @staticmethod
    def every(folder, pattern):
        return sorted(glob.glob(os.path.join(folder, pattern)))

    def one(self, folder, pattern):
        found = self.every(folder, pattern)
        if len(found) != 1:
            raise SystemExit(f"results: {folder}: {len(found)} files {pattern}, one is expected")
        return found[0]
