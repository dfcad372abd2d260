"""docs/measured/performance-peers.md from the figures of tools/bench/peers."""
from statistics import median

from peer_bench import Shape

HEAD = """# A step beside PyTorch and JAX

`tools/bench/peers` writes this page. Its figures are from one run of

```text
{command}
```

on {cores} cores of {processor} ({vectors}), {threads} thread{s} per program. {state}

A step consists of forward pass, log-likelihood (without log|det W|, which no update needs), gradient and Adam, in
float32, with smooth leaky ReLU between linear layers. Both programs start from the same weights and the same batch,
which `relgrad bench step --dump` writes. Before anything is timed, the results are compared: a program with the
relative gradient must make the same update as relgrad (with plain ascent within {sgd:.0e} of its norm here, with Adam
as well), one with the plain gradient must compute that gradient. Each round times relgrad in its own process, then the
peer, each after warm-up steps. A ratio is that of the medians of one round; the tables give the median of the ratios
and their range over rounds. Times are medians over rounds, in ms.
"""

WAYS = {
    "by-hand": """
## The relative gradient by hand

This is how a careful person would write it: `W^T Delta` and `W^T Y` in one product, samples as rows, and the last
product of the gradient accumulating onto W. In PyTorch the update is the fastest of several, chosen for every shape:
Adam in place by a few tensor operations or, from 2.4 on, by PyTorch's fused kernel; on whole matrices or on blocks of
rows while their gradient is in cache. JAX code is jitted, with donated buffers.

`bound` is the shortest possible time of a step of this algorithm on this machine. Its products (8 B D^2 flops per
layer, 6 B D^2 for the first) run at {peak:.0f} GFLOP/s, the best that a library reached here on 1024 x 1024. If weights
and moments do not fit into the last cache ({cache:.0f} MiB), 32 D^2 bytes per layer (W read three times, moments read,
all three written) move at {memory:.1f} GB/s, the rate of an addition of long arrays. For each pass the larger time
counts. The ratio to a peer cannot exceed the peer's time divided by `bound`.
""",
    "notebook": """
## The relative gradient the way the published notebook does it

The notebook (github.com/fissoreg/relative-gradient-jacobian, mnist_training_pytorch.ipynb) gets errors by autograd,
retained at the pre-activations, and slopes by a second autograd pass; it uses a multivariate normal latent and Adam of
torch.optim. It averages log s' over hidden layers, so its update is right only with one hidden layer.
""",
    "slogdet": """
## The plain gradient, by autograd through slogdet

This is the O(D^3) method that the relative gradient replaces; its update differs, but has the same stationary points.
The column `flops` is the ratio of its flops to those of relgrad's step,
(8/3 L D^3 + (6 L - 2) B D^2) / ((8 L - 2) B D^2): the ratio of times if both ran equally efficiently.
"""}

GROWTH = """
## Growth with the dimension

One linear layer, B = {batch_size}, PyTorch {version}: median time of a step in ms over {rounds} round(s), in which sizes
take turns. The exponent is the least-squares slope of log time over log D. `tools/bench/cost_growth.py` measures this
alone.
"""


def bound_ms(shape, peak, memory, cache_mib):
    """Roofline of a step: of each of a layer's three passes over W, the slower of products and memory."""
    square = shape.dim**2
    in_cache = 3 * shape.weight_bytes() <= cache_mib * 2**20

    def pass_ms(columns, matrices):
        products = 2e-6 * columns * square / peak
        return products if in_cache else max(products, 4e-6 * matrices * square / memory)

    forward, update = pass_ms(shape.batch_size, 1), pass_ms(shape.batch_size, 6)
    first_backward, backward = pass_ms(shape.batch_size, 1), pass_ms(2 * shape.batch_size, 1)
    return shape.layers * (forward + update) + first_backward + (shape.layers - 1) * backward


def flops_ratio(shape):
    factorised = 8 / 3 * shape.layers * shape.dim**3 + (6 * shape.layers - 2) * shape.batch_size * shape.dim**2
    return factorised / shape.multiplications()


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def three_digits(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def rows_of(figures, way, extra):
    """Cells, by shape and then by peer; `extra(shape, relgrad's ms)` gives the last ones."""
    rows = []
    for comparison in figures["comparisons"]:
        for result in comparison["results"]:
            if result["way"] == way:
                shape, ratios, ours = Shape(**result["shape"]), result["ratios"], median(result["relgrad_ms"])
                update = f" ({result['update']})" if "update" in result else ""
                cells = [str(number) for number in shape]
                cells += [f"{comparison['framework']} {comparison['version']}{update}"]
                cells += [three_digits(ours), three_digits(median(result["peer_ms"]))]
                cells += [f"**{median(ratios):.2f}** ({min(ratios):.2f} ... {max(ratios):.2f})", *extra(shape, ours)]
                rows.append(((shape.dim, -shape.batch_size, shape.layers), cells))
    return [cells for _, cells in sorted(rows, key=lambda row: row[0])]


def growth(content):
    names = {"relgrad": "relgrad", "plain": "plain gradient, PyTorch, `linalg.inv`",
             "slogdet": "plain gradient, PyTorch, autograd of `slogdet`"}
    dims = list(content["milliseconds"]["relgrad"])
    rows = [[names[way]] + [three_digits(sizes[d]) if d in sizes else "" for d in dims]
            + [f"{content['exponents'][way]:.2f}"] for way, sizes in content["milliseconds"].items()]
    return GROWTH.format(**content) + "\n" + table(["D", *dims, "exponent"], rows)


def head(figures, parts):
    first, loads = parts[0], [part["load_average"] for part in parts]
    if max(loads) > first["threads"] + 0.5:
        state = (f"Load average {min(loads):.1f} ... {max(loads):.1f}:\n**the machine was doing other work**, so times and "
                 "rates are worse than they need be, and ratios uncertain.")
    else:
        state = "The machine did nothing else."
    checks = [result["check"] for part in parts for result in part.get("results", [])]
    processor = first["processor"]
    return HEAD.format(command=figures["command"], cores=processor["cores"], processor=processor["name"],
                       vectors=", ".join(processor["vectors"]), threads=first["threads"],
                       s="" if first["threads"] == 1 else "s", state=state,
                       sgd=max(check["sgd"] for check in checks if "sgd" in check))


def text(figures, has_plot):
    comparisons, grown = figures["comparisons"], figures["growth"]
    peak = max(part["peak_gflops_per_s"] for part in comparisons + [grown])
    memory, cache = grown["memory_gbytes_per_s"], grown["processor"]["last_cache_mib"]
    page = head(figures, comparisons + [grown])
    page += "\n" + table(["peer", "products by", "GFLOP/s on 1024 x 1024"],
                         [[f"{part['framework']} {part['version']}", part["products"],
                           f"{part['peak_gflops_per_s']:.0f}"] for part in comparisons])

    def share_of_bound(shape, ours):
        bound = bound_ms(shape, peak, memory, cache)
        return [three_digits(bound), f"{100 * bound / ours:.0f} %"]

    extras = {"by-hand": (["bound", "bound / relgrad"], share_of_bound),
              "notebook": ([], lambda shape, ours: []),
              "slogdet": (["flops"], lambda shape, ours: [f"{flops_ratio(shape):.1f}"])}
    for way, words in WAYS.items():
        names, extra = extras[way]
        rows = rows_of(figures, way, extra)
        if rows:
            page += words.format(peak=peak, cache=cache, memory=memory)
            page += "\n" + table(["D", "B", "layers", "peer", "relgrad", "peer's", "ratio", *names], rows)
    page += growth(grown)
    if has_plot:
        page += "\n![milliseconds a step over D](performance-growth.svg)\n"
    return page
