"""The README's tables from rows: `python -m benchmarks.table benchmarks/results/cpu.json`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GOALS = {  # ratios to PyTorch's best variant on two CPU cores
    "ring_mlp_128": 3.0,
    "ring_mlp_32": 12.0,
    "ring_mlp_32_seeds_8": 25.0,
    "mnist_mlp": 1.5,
    "dcgan_wgan_gp": 1.3,
    "dcgan_r1": 1.15,
    "dcgan_none": 1.15,
    "sngan_resnet_hinge": 1.0,
}

Row = Mapping[str, Any]


def steps(rows: Sequence[Row]) -> str:
    """Whole steps beside PyTorch's: milliseconds, the ratio and its range over the rounds, and the part of the peak."""
    lines = [
        "| step | ours, ms | PyTorch, ms | ratio | goal | beside `nn.Module` | GFLOP/s, of peak |",
        "|---|---|---|---|---|---|---|",
    ]
    spread = lambda row, name: f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"
    for row in (row for row in rows if "peer" in row):
        goal = GOALS.get(row["name"])
        mark = "" if goal is None else _goal(f"{goal:g}", row["ratio"] >= goal)
        cells = (
            f"`{row['name']}`{'' if row['dtype'] == 'float32' else ', ' + row['dtype']}",
            _figures(row["ours_ms"]),
            f"{_figures(row['peer_ms'])} ({row['peer']})",
            spread(row, "ratio"),
            mark,
            f"{spread(row, 'module_ratio')}, {row['module']}" if "module" in row else "the same",
            f"{row['flops_per_s'] / 1e9:,.0f}, {row['part_of_peak']:.0%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def prices(rows: Sequence[Row]) -> str:
    """What a penalty costs: the step's time as a multiple of that without any, by family of networks."""
    found = {tuple(row["name"].split("/")[1:]): row for row in rows if row["name"].startswith("price/")}
    families, kinds = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    cell = lambda row, kind: f"{_figures(row['ms'])} ms" if kind == "none" else f"{row['ratio']:.2f}"
    lines = [f"| penalty | {' | '.join(families)} |", "|---|" + "---|" * len(families)]
    lines += [f"| {kind} | {' | '.join(cell(found[f, kind], kind) for f in families)} |" for kind in kinds]
    return "\n".join(lines)


def others(rows: Sequence[Row]) -> str:
    """What is measured of this project alone, with its goal if there is one."""
    lines = ["| what | measured | goal |", "|---|---|---|"]
    for row in rows:
        kind, _, name = row["name"].partition("/")
        what, goal = f"`{name}`", ""
        if kind == "loop":
            what = f"speed of `train`, all logs on, as a part of the bare round's, {what}"
            found = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            goal = _goal("0.95", row["ratio"] >= 0.95)
        elif kind == "seeds" and row["seeds"] > 1:
            what = f"{row['seeds']} seeds of `{name.rpartition('/')[0]}`, steps a second together"
            found = f"{row['steps_per_s']:,.0f}, {row['ratio']:.2f} times those of one"
        elif name == "import":
            what, found = "`import jaxgan`", f"{row['import_s']} s"
        elif kind == "start":
            what = f"start to the end of the first step, cold; warm cache, {what}"
            found = f"{row['cold_s']:.1f} s; {row['warm_s']:.1f} s"
            goal = _goal("8 s; 4 s", row["cold_s"] <= 8 and row["warm_s"] <= 4) if name == "r3gan/ring" else ""
        elif kind == "compile":
            what = f"to trace and compile a step, {what}"
            found = f"{row['ours_s']:.1f} s, {row['ratio']:.2f} times those with `lax`'s convolutions"
            goal = _goal("1.5", row["ratio"] <= 1.5)
        elif kind == "memory":
            what = f"most memory, in multiples of state, data and temporaries, {what}"
            found, goal = f"{row['ratio']:.2f}", _goal("1.3", row["ratio"] <= 1.3)
        else:
            continue
        lines.append(f"| {what} | {found} | {goal} |")
    return "\n".join(lines)


def _goal(text: str, met: bool) -> str:
    return text if met else f"{text}, **missed**"


def _figures(value: float) -> str:
    """Three figures, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    there = json.loads(Path(sys.argv[1]).read_text())
    print(steps(there), prices(there), others(there), sep="\n\n")
