"""docs/measured/performance-peers.md from the figures of tools/bench/peers."""
from statistics import median

from peer_bench import Shape

HEAD = """# A step beside PyTorch and JAX

This page is written by `tools/bench/peers`; its figures are of one run of

```text
{command}
```

on {cores} cores of {processor} ({vectors}), {threads} thread{s} a side. {state}

A step is forward pass, log-likelihood (without log|det W|, which no update needs), gradient and Adam, in float32, with smooth leaky
ReLU between linear layers. Both sides start from the same weights and the same batch, which `relgrad bench step --dump` writes. A
way of the relative gradient must make relgrad's update (by plain ascent within {sgd:.0e} of its norm here, by Adam as well), a way of
the plain gradient must have that gradient, else nothing is timed. Rounds time relgrad in a process of its own, then the peer, each
after warm-ups; a ratio is that of one round's medians, the table gives its median and its range over rounds. Times are medians over
rounds, in ms.
"""

WAYS = {
    "by-hand": """
## The relative gradient by hand

What a careful person writes: `W^T Delta` and `W^T Y` in one product, samples as rows, the gradient's last product accumulating onto
W. In PyTorch the update is the fastest of these, taken anew for every shape: Adam in place by a few tensor operations or, from 2.4 on,
by PyTorch's fused kernel; on whole matrices or on blocks of rows while their gradient is in cache. JAX is jitted, with donated buffers.

`bound` is the least that a step of this algorithm can take here: its products (8 B D^2 flops a layer, 6 the first) at the
{peak:.0f} GFLOP/s that the best library here reached on 1024 x 1024, and, where weights and moments do not fit into the last cache
({cache:.0f} MiB), 32 D^2 bytes a layer (W read three times, moments read, all three written) at the {memory:.1f} GB/s of an addition of
long arrays; of the two, pass for pass, the larger counts. The ratio to a peer cannot exceed the peer's time over `bound`.
""",
    "notebook": """
## The relative gradient the way the published notebook does it

Errors by autograd, retained at the pre-activations; slopes by a second autograd pass; a multivariate normal latent; Adam of
torch.optim (github.com/fissoreg/relative-gradient-jacobian, mnist_training_pytorch.ipynb). It averages log s' over hidden layers,
so it makes the right update with one of them only.
""",
    "slogdet": """
## The plain gradient, by autograd through slogdet

The O(D^3) way that the relative gradient replaces; its update is another one, with the same stationary points. Flops of its products
and factorisations over those of relgrad's step, (8/3 L D^3 + (6 L - 2) B D^2) / ((8 L - 2) B D^2), say how far apart they can be
at equal efficiency; the column `flops` gives that.
"""}

GROWTH = """
## Growth with the dimension

One linear layer, B = {batch_size}, PyTorch {version}: median ms of a step over {rounds} round(s) in which sizes take turns; the
exponent is the least-squares slope of log time over log D. Alone: `tools/bench/cost_growth.py`.
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
