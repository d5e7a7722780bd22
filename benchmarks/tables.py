"""Formats rows as the README's tables: `python -m benchmarks.tables benchmarks/results/cpu.json`."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
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
    "stylegan2": 1.0,
}

START_GOALS = {"r3gan/ring": (8, 4), "dcgan/digits": (9, None), "dcgan/mnist": (15, None)}  # seconds: cold, warm

Row = Mapping[str, Any]


def steps_table(rows: Sequence[Row]) -> str:
    """Returns the table of whole steps compared with PyTorch's."""
    header = ("step", "ours, ms", "PyTorch, ms", "ratio", "goal", "ratio to `nn.Module`", "GFLOP/s, of peak")
    return _table(header, [_step_cells(row) for row in rows if "peer" in row])


def _step_cells(row: Row) -> tuple[str, ...]:
    goal = GOALS.get(row["name"])
    return (
        f"`{row['name']}`{'' if row['dtype'] == 'float32' else ', ' + row['dtype']}",
        _three_digits(row["ours_ms"]),
        f"{_three_digits(row['peer_ms'])} ({row['peer']})",
        _with_range(row, "ratio"),
        "" if goal is None else _goal(f"{goal:g}", row["ratio"] >= goal),
        f"{_with_range(row, 'module_ratio')}, {row['module']}" if "module" in row else "the same",
        f"{row['flops_per_s'] / 1e9:,.0f}, {row['part_of_peak']:.0%}" if "flops_per_s" in row else "",
    )


def prices_table(rows: Sequence[Row]) -> str:
    """Returns the table of the cost of penalties: a line per penalty, a column per family of networks."""
    prices = {tuple(row["name"].split("/")[1:]): row for row in rows if row["name"].startswith("price/")}
    families, penalties = (list(dict.fromkeys(names)) for names in zip(*prices, strict=True))
    lines = [(penalty, *(_price_cell(prices[family, penalty]) for family in families)) for penalty in penalties]
    return _table(("penalty", *families), lines)


def _price_cell(row: Row) -> str:
    return f"{_three_digits(row['ms'])} ms" if row["name"].endswith("/none") else f"{row['ratio']:.2f}"


def own_table(rows: Sequence[Row]) -> str:
    """Returns the table of what is measured of this project alone, with goals where there are any."""
    lines = []
    for row in rows:
        benchmark, _, name = row["name"].partition("/")
        if benchmark in OWN_CELLS and row.get("seeds") != 1:  # One seed is the reference of the others.
            lines.append(OWN_CELLS[benchmark](row, name))
    return _table(("what", "measured", "goal"), lines)


Cells = tuple[str, str, str]  # what, measured, goal


def _loop_cells(row: Row, name: str) -> Cells:
    what = f"speed of `train` with all logs, relative to its bare compiled loop, `{name}`"
    return what, _with_range(row, "ratio"), _goal("0.95", row["ratio"] >= 0.95)


def _seeds_cells(row: Row, name: str) -> Cells:
    what = f"{row['seeds']} seeds of `{name.rpartition('/')[0]}`, total steps per second"
    return what, f"{row['steps_per_s']:,.0f}, {row['ratio']:.2f} times those of one seed", ""


def _start_cells(row: Row, name: str) -> Cells:
    if name == "import":
        return "`import jaxgan`", f"{row['import_s']} s", ""
    cold, warm = START_GOALS.get(name, (None, None))
    reached = (limit is None or seconds <= limit for seconds, limit in ((row["cold_s"], cold), (row["warm_s"], warm)))
    goal = _goal("; ".join(f"{limit} s" for limit in (cold, warm) if limit), all(reached)) if cold else ""
    what = f"from start to the end of the first step, cold; warm cache, `{name}`"
    return what, f"{row['cold_s']:.1f} s; {row['warm_s']:.1f} s", goal


def _compile_cells(row: Row, name: str) -> Cells:
    measured = f"{row['ours_s']:.1f} s, {row['ratio']:.2f} times those with `lax`'s convolutions"
    return f"time to trace and compile a step, `{name}`", measured, _goal("1.5", row["ratio"] <= 1.5)


def _memory_cells(row: Row, name: str) -> Cells:
    what = f"peak memory, relative to state, data and temporaries, `{name}`"
    return what, f"{row['ratio']:.2f}", _goal("1.3", row["ratio"] <= 1.3)


OWN_CELLS: Mapping[str, Callable[[Row, str], Cells]] = {
    "loop": _loop_cells,
    "seeds": _seeds_cells,
    "start": _start_cells,
    "compile": _compile_cells,
    "memory": _memory_cells,
}


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    return "\n".join([_line(header), "|" + "---|" * len(header), *map(_line, lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _with_range(row: Row, name: str) -> str:
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


def _goal(text: str, met: bool) -> str:
    return text if met else f"{text}, **missed**"


def _three_digits(value: float) -> str:
    """Formats with three significant digits, or as a whole number from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    all_rows = json.loads(Path(sys.argv[1]).read_text())
    print(steps_table(all_rows), prices_table(all_rows), own_table(all_rows), sep="\n\n")
