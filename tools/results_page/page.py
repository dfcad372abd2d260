"""Text of the page from results; nothing here is typed from a run."""
import math
import statistics
import textwrap

from results_page import published


def read_text(path):
    with open(path) as file:
        return file.read()


def number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows]


def duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def spread(values, digits):
    """mean, and +- standard deviation over seeds where there are several."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return number(mean, digits)
    return f"{mean:.{digits}f} +- {statistics.stdev(values):.{digits}f}"


def busy_words(results, cores):
    """Whether other work slowed the runs down."""
    load = max((r.get("load_average", 0.0) for r in results), default=0.0)
    return f" Other programs ran too (load average {load:.0f} on {cores} cores), so times are too long." if load > cores else ""


def command_lines(command):
    return textwrap.wrap(command, 110, break_long_words=False, break_on_hyphens=False)


def broken_at_commas(line):
    """A word that no screen holds, gone on with at the start of the next line, as a shell reads it."""
    if len(line) <= 114:
        return line
    end = line.rindex(",", 0, 110) + 1
    return line[:end] + "\\\n" + broken_at_commas(line[end:])


def head(command, machine, quick, note=None):
    lines = ["# Results", "",
             "`tools/results` writes this page; no figure is typed by hand. This command makes it again:", "",
             "```text",
             " \\\n    ".join(map(broken_at_commas, command_lines(command))), "```", "",
             "It keeps finished runs in its `--work` folder, continues if it was stopped, and leaves out data sets",
             "that it is not given. Option files: [jobs/](../../jobs). Likelihoods are exact, with one draw of",
             "the dequantization noise, in both units of [MATH.md](../MATH.md#4-preprocessing-and-units). `+-` is the",
             "standard error over test samples for one seed, the standard deviation over seeds for several.", "",
             f"Machine: {machine}", ""]
    lines += [f"Note: {note}", ""] if note else []
    if quick:
        lines += ["**Made with --quick: data drawn by the program and toy budgets. No figure means anything.**", ""]
    return lines


def row_of(recipe, results):
    first = results[0]
    test = [r["test"] for r in results]
    error = first["test"]["standard_error_bits_per_dim"]
    bits = spread([t["bits_per_dim"] for t in test], 4)
    if len(results) == 1:
        bits += f" +- {error:.4f}"
    logit = [t["log_likelihood_logit_nats"] for t in test]
    return [f"{recipe.words} (`jobs/{recipe.config}`)", bits,
            spread([t["log_likelihood_pixel_nats"] for t in test], 1), spread(logit, 1) if logit[0] is not None else "",
            epochs_of(first), f"{duration(statistics.mean(r['seconds'] for r in results))}, {rank_words(first)}"]


def rank_words(result):
    return f"{result['ranks']} rank" + ("s" if result["ranks"] > 1 else "")


def epochs_of(result):
    epochs = max(v["epoch"] for v in result["validations"])
    return f"{epochs:g} epoch" + ("s" if epochs != 1 else "")


def image_section(title, dimension, offset, entries, gaussian, marginals, comparison):
    """entries: [(recipe, results)]; offset: pixel minus logit-space nats of the test split."""
    def closed(words, nats):
        return [words, f"{-nats / (dimension * math.log(2)):.4f}", f"{nats:.1f}", f"{nats - offset:.1f}", "", "closed form"]

    shrunk = f", correlations shrunk by {gaussian['shrinkage']:g}" if gaussian["shrinkage"] else ""
    rows = [closed(f"Gaussian, full covariance in logit space{shrunk}", gaussian["data_nats"]),
            closed("marginals only: independent pixels, histograms", marginals["data_nats"])]
    rows += [row_of(recipe, results) for recipe, results in entries]
    lines = [f"### {title}", ""]
    lines += table(["model", "test bits/dim", "pixel nats", "logit-space nats", "training", "time"], rows)
    best = max(results[0]["test"]["log_likelihood_pixel_nats"] for _, results in entries)
    margins = [best - gaussian["data_nats"], best - marginals["data_nats"]]
    lines += ["", f"The best is {margins[0]:+.1f} nats from the Gaussian and {margins[1]:+.1f} nats from the marginals "
              f"({'better than both' if min(margins) > 0 else 'NOT better than both'})."]
    return lines + ([""] + comparison if comparison else []) + [""]


def published_mnist():
    rows = [[words, number(bits, 3), number(pixel, 1), number(logit, 1), time, differs]
            for words, pixel, bits, logit, time, differs in published.MNIST]
    return table(["published, MNIST test", "bits/dim", "pixel nats", "logit-space nats", "time", "differs from ours"], rows)


def time_to(entries):
    """Seconds from the start of the process to the validation that first passes each mark."""
    marks = (published.EXACT_DENSE_PIXEL_NATS, published.BEYOND_MARGINALS_PIXEL_NATS)
    rows = []
    for recipe, results in entries:
        for result in results:
            start = result["validations"][0]
            cells = [f"`jobs/{recipe.config}`, {rank_words(result)}",
                     f"{number(start['log_likelihood_pixel_nats'], 1)} after {number(start['wall_seconds'], 1)} s"]
            for mark in marks:
                passed = [v for v in result["validations"] if v["log_likelihood_pixel_nats"] >= mark]
                cells.append(f"{passed[0]['wall_seconds']:.1f} s (epoch {passed[0]['epoch']:g})"
                             if passed and passed[0]["wall_seconds"] else "not reached")
            rows.append(cells)
    return table(["run", "before the first step, pixel nats", *[f"to {mark} pixel nats" for mark in marks]], rows) + [
        "", "Seconds from the start of `relgrad train`, reading the data and fitting the marginals included, to the line of",
        "the validation. Before the first step a marginal transform is a model of independent pixels, which passes the figure",
        "of the exact-gradient dense net by itself, and with `init = whitening` a Gaussian copula; the last column tells when",
        "dependence between pixels is clearly learned."]


def toy_section(entries, gaussians):
    """entries: [(recipe, results, true entropy)]."""
    rows = []
    for recipe, results, entropy in entries:
        nats = [r["test"]["log_likelihood_pixel_nats"] for r in results]
        rows.append([recipe.data.split(":")[1], len(nats), number(-entropy, 4), spread(nats, 4),
                     spread([-entropy - n for n in nats], 4), number(results[0]["test"]["standard_error_nats"], 4),
                     number(gaussians[recipe.data]["data_nats"], 4),
                     duration(statistics.mean(r["seconds"] for r in results))])
    lines = ["## Toy densities", "",
             f"{entries[0][0].words} (`jobs/{entries[0][0].config}`), {epochs_of(entries[0][1][0])}, 1 rank.",
             "The truth is minus the entropy, in closed form or by quadrature.", ""]
    lines += table(["data", "seeds", "truth, nats", "held-out nats", "short of the truth", "standard error, samples", "Gaussian",
                    "time per seed"], rows)
    worst = max(-entropy - statistics.mean(r["test"]["log_likelihood_pixel_nats"] for r in results)
                for _, results, entropy in entries)
    return lines + ["", f"Largest shortfall: {worst:.3f} nats.", "", "![toy densities](results/toys.png)", ""]


def ica_section(recipe, seeds, untrained):
    """seeds: figures of ica_score by seed; untrained: of the observations themselves."""
    rows = [["the observations themselves", number(untrained["mean_correlation"], 3),
             number(untrained["least_correlation"], 3), number(untrained["mean_pearson_correlation"], 3)]]
    rows += [[f"seed {seed}", number(s["mean_correlation"], 3), number(s["least_correlation"], 3),
              number(s["mean_pearson_correlation"], 3)] for seed, s in seeds]
    return ["## Nonlinear ICA: planted sources", "",
            f"`relgrad prepare --synthetic {recipe.data}`: independent sources, half with heavy tails (Laplace), half without",
            "(uniform), mixed by a random matrix and bent by tanh(u) + 0.3 u in every coordinate. " + recipe.words,
            f"(`jobs/{recipe.config}`). Rank correlation between each true source and the latent coordinate that it is matched",
            "with (`tools/ica_score`), on the test split:", ""] + table(
                ["latent of", "mean correlation", "worst source", "mean, Pearson"], rows) + [
                    "", "![correlations](results/ica.png)", ""]


def tabular_section(entries):
    """entries: [(name, recipe, results, gaussian)]."""
    rows = []
    for name, recipe, results, gaussian in entries:
        _, their_gaussian, gresele, maf, spline = published.TABULAR.get(name.lower(), (None,) * 5)
        rows.append([name, number(results[0]["test"]["log_likelihood_pixel_nats"], 3) + " +- "
                     + number(results[0]["test"]["standard_error_nats"], 3), number(gaussian["data_nats"], 3),
                     number(their_gaussian, 2), number(gresele, 3), number(maf, 2), number(spline, 2)])
    return ["## Tabular data", "", "Test nats of the data as prepared (`jobs/tabular.ini` says how).", ""] + table(
        ["data", "ours", "Gaussian", "Gaussian, published", f"{published.GRESELE}", "MAF (5)", "RQ-NSF (AR)"], rows) + [""]
