"""The few pictures of the page."""
import math

import matplotlib
import matplotlib.ticker

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy  # noqa: E402

DPI = 80
GRID_INCHES, CURVE_INCHES = 3.2, 5.6  # width of one panel


def save(figure, path):
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def curves(panels, path):
    """Validation over training time, a panel a data set.

    panels: [(title, D, pixel minus logit-space nats, [(label, validations)], [(baseline, pixel nats)])]
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(CURVE_INCHES * len(panels), 3.9), layout="constrained", squeeze=False)
    for axis, (title, dimension, offset, lines, baselines) in zip(axes[0], panels):
        nats = dimension * math.log(2.0)
        best, given = [], []
        for label, validations in lines:
            seen = [v for v in validations if v["wall_seconds"]]
            axis.plot([v["wall_seconds"] for v in seen], [v["bits_per_dim"] for v in seen], marker=".", markersize=4,
                      label=label)
            best += [v["bits_per_dim"] for v in seen]
        for number, (label, pixel_nats) in enumerate(baselines):
            axis.axhline(-pixel_nats / nats, color="0.35", linestyle=("--", ":", "-.")[number % 3], linewidth=1,
                         label=label)
            given.append(-pixel_nats / nats)
        low, high = min(best + given), max(numpy.median(best), *given)  # starts may be far above
        axis.set(xlabel="seconds since the start", ylabel="bits per dimension", title=title,
                 ylim=(low - 0.08 * (high - low), high + 0.08 * (high - low)), xscale="log")
        axis.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        pixel = axis.secondary_yaxis("right", functions=(lambda b, n=nats: -b * n, lambda x, n=nats: -x / n))
        pixel.set_ylabel("pixel nats" if offset is None else f"pixel nats (logit-space nats: {-offset:+.1f})")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    save(figure, path)


def sample_grids(grids, path):
    """grids: [(title, file of relgrad sample)] side by side."""
    figure, axes = plt.subplots(1, len(grids), figsize=(GRID_INCHES * len(grids), 3.5), layout="constrained", squeeze=False)
    for axis, (title, file) in zip(axes[0], grids):
        image = plt.imread(file)
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    save(figure, path)


def lattice(low, high, count):
    """Middles of count x count cells, [count^2, 2], and their edges."""
    edges = [numpy.linspace(low[i], high[i], count + 1) for i in range(2)]
    x, y = (0.5 * (e[1:] + e[:-1]) for e in edges)
    return numpy.stack(numpy.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2), edges


def planes(toys, path):
    """toys: [(title, points of the truth, edges, density of the model on the lattice)]."""
    figure, axes = plt.subplots(2, len(toys), figsize=(2.5 * len(toys), 5.2), layout="constrained", squeeze=False)
    for (above, below), (title, truth, edges, density) in zip(axes.T, toys):
        count = len(edges[0]) - 1
        found, _, _ = numpy.histogram2d(truth[:, 0], truth[:, 1], bins=edges, density=True)
        peak = numpy.quantile(found[found > 0], 0.995)
        for axis, values, words in ((above, found, f"{title}: data"),
                                    (below, density.reshape(count, count), "density of the model")):
            axis.imshow(values.T, origin="lower", cmap="magma", vmin=0, vmax=peak, interpolation="nearest",
                        extent=[edges[0][0], edges[0][-1], edges[1][0], edges[1][-1]], aspect="auto")
            axis.set_title(words, fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
    save(figure, path)


def correlations(found, path):
    """|rank correlation| of sources (down) with latent coordinates (across, in matched order)."""
    figure, axis = plt.subplots(figsize=(3.4, 3.0), layout="constrained")
    shown = axis.imshow(found, cmap="viridis", vmin=0, vmax=1)
    axis.set(xlabel="latent coordinate, matched", ylabel="true source")
    figure.colorbar(shown)
    save(figure, path)
