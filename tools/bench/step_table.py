#!/usr/bin/env python3
"""Tables of docs/measured/performance-step.md: a step over its floor, and the products it is made of.

usage: tools/bench/step_table.py [--relgrad FILE] [--steps N] [--threads N] [--compute NAME]
                                 [--shapes D,B,K ...] [--write FILE]

Runs `relgrad bench step` and `relgrad bench products` for every shape and prints what they measured
as Markdown; --write puts it between the lines <!-- step tables --> and <!-- /step tables --> of
FILE. Needs an idle machine: a step is compared with what the machine gave in between.
Exit codes: 0 done, 1 a benchmark failed, 2 usage.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = ["784,100,2", "3072,100,2", "3072,10,2", "12288,100,1"]
BEGIN, END = "<!-- step tables -->\n", "<!-- /step tables -->"


def measure(relgrad, what, dim, batch, layers, steps, options):
    """What `relgrad bench WHAT` says, as JSON; the command that said it."""
    words = ["bench", what, "--dim", dim, "--batch-size", batch, "--layers", layers, "--steps",
             steps, "--threads", options.threads, "--compute", options.compute]
    words = [str(word) for word in words]
    result = subprocess.run([relgrad, *words, "--json", "-"], capture_output=True, text=True,
                            env={**os.environ, "OPENBLAS_NUM_THREADS": str(options.threads)})
    if result.returncode != 0:
        sys.exit(f"step_table: relgrad {' '.join(words)}: exit code {result.returncode}\n"
                 f"{result.stderr}")
    return json.loads(result.stdout), "relgrad " + " ".join(words)


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = {key: re.search(rf"^{key}\s*: (.*)$", text, re.M) for key in
             ("model name", "cpu family", "model")}
    name, family, model = (match.group(1) if match else "unknown" for match in found.values())
    flags = set(re.search(r"^flags\s*: (.*)$", text, re.M).group(1).split())
    units = [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")
             if flag in flags]
    return f"{name}, family {family} model {model} ({', '.join(units)}), {os.cpu_count()} CPUs"


def step_row(shape, measured):
    time, floor = measured["time"], measured["time"]["floor"]
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in time["ms_by_part"].items() if ms > 0.05)
    return (f"| {shape} | {time['median_ms']:.2f} ({time['min_ms']:.2f} ... {time['max_ms']:.2f}) "
            f"| {floor['floor_ms']:.2f}, {floor['bound_by']} "
            f"| {floor['step_over_floor']:.2f} ({floor['step_over_floor_min']:.2f} ... "
            f"{floor['step_over_floor_max']:.2f}) | {floor['step_over_fused_floor']:.2f} "
            f"| {floor['peak_gflops_per_s']['median']:.0f} "
            f"| {floor['bandwidth_gb_per_s']['median']:.0f} | {parts} |")


def product_rows(shape, measured):
    peak = measured["peak_gflops_per_s"]["median"]
    rows, best = [], {}
    for product in measured["products"]:
        key = product["product"], product["m"], product["n"], product["k"]
        best.setdefault(key, []).append(product)
    for (name, m, n, k), found in best.items():
        cells = []
        for product in found:
            rate = product["gflops_per_s"]
            cells.append(f"{product['backend']} {rate['median']:.0f} "
                         f"({rate['min']:.0f} ... {rate['max']:.0f})")
        most = max(product["gflops_per_s"]["median"] for product in found)
        name = name.replace("|", "\\|")  # a column's border in Markdown
        rows.append(f"| {shape} | {name} | {m} x {n} x {k} | {'; '.join(cells)} "
                    f"| {100 * most / peak:.0f} % |")
    return rows


def tables(options):
    steps, products, commands = [], [], []
    for shape in options.shapes:
        dim, batch, layers = (int(number) for number in shape.split(","))
        count = max(5, min(options.steps, int(2e12 / (8 * layers * batch * dim * dim))))
        measured, command = measure(options.relgrad, "step", dim, batch, layers, count, options)
        steps.append(step_row(f"{dim}, {batch}, {layers}", measured))
        commands.append(command)
        measured, command = measure(options.relgrad, "products", dim, batch, layers,
                                    max(5, count // 4), options)
        products += product_rows(f"{dim}, {batch}", measured)
        commands.append(command)
        print(f"step_table: {shape} measured", file=sys.stderr)
    plural = "" if options.threads == 1 else "s"
    return "\n".join([
        f"{cpu()}; {options.threads} thread{plural}, 1 rank, {options.compute}; load before and "
        f"after {options.load} and {os.getloadavg()[0]:.1f};\n"
        f"{datetime.date.today().isoformat()}.", "",
        "| D, B, layers | step, ms: median (min ... max) | floor, ms, bound by "
        "| step / floor (min ... max) | to the fused floor | peak, GFLOP/s | bandwidth, GB/s "
        "| ms by part |", "|---|---|---|---|---|---|---|---|", *steps, "",
        "| D, B | product | m x n x k | GFLOP/s: median (min ... max) | best of peak |",
        "|---|---|---|---|---|", *products, "", "```text", *commands, "```", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--relgrad", default=str(ROOT / "build/release/relgrad"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compute", default="float32", choices=("float32", "bf16"))
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="D,B,K")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    options.load = f"{os.getloadavg()[0]:.1f}"
    text = tables(options)
    print(text)
    if options.write:
        page = options.write.read_text()
        if BEGIN not in page or END not in page:
            sys.exit(f"step_table: {options.write} has no lines {BEGIN.strip()} and {END}")
        head, tail = page.split(BEGIN)[0], page.split(END, 1)[1]
        options.write.write_text(head + BEGIN + text + END + tail)


if __name__ == "__main__":
    main()
