"""Rewrites the generated regions of README.md and docs/*.md: `python docs/generate.py`.

A region stands between `<!-- generated: NAME -->` and `<!-- end -->`. Its text comes from the register of experiments
and from the committed results in benchmarks/results.
"""

import functools
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import tables  # noqa: E402
from jaxgan.reports import benchmark, figures  # noqa: E402
from jaxgan.runs import registry  # noqa: E402

REGION = re.compile(r"(<!-- generated: (\w+) -->)(.*?)(<!-- end -->)", re.DOTALL)
DIRAC = "experiments.dirac"


def files() -> list[Path]:
    """Returns the documents that may have generated regions."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def update(text: str) -> str:
    """Returns a document with its regions generated anew. Raises KeyError for a region of unknown name."""

    def replace(match: re.Match) -> str:
        start, name, old, end = match.groups()
        gap = "\n\n" if "\n" in old else ""  # Tables stand between blank lines, words within their line.
        return f"{start}{gap}{REGIONS[name]()}{gap}{end}"

    return REGION.sub(replace, text)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table in Markdown."""
    rows = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)


@functools.cache
def results(name: str) -> Any:
    """Returns the contents of benchmarks/results/NAME.json."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


# The register.


def counts() -> str:
    """Returns how many experiments, papers and figures there are, in words."""
    experiments, reproduced = registry.entries(), figures.entries()
    papers = {entry.paper for entry in (*experiments.values(), *reproduced.values())}
    return f"{len(experiments)} experiments and {len(reproduced)} figures from {len(papers)} papers"


def methods() -> str:
    """Returns the table of methods with their papers, data and files, oldest paper first."""
    groups: dict[tuple[str, str, str], list[registry.Entry]] = {}
    for entry in registry.entries().values():
        module = _module(entry)
        shows = "five methods on the Dirac-GAN, where convergence has closed forms" if module == DIRAC else entry.shows
        groups.setdefault((entry.paper, module, shows), []).append(entry)
    rows = []
    for paper, module, shows in sorted(groups, key=lambda key: (_arxiv(key[0]), key[1:])):
        names = [entry.name.split("/") for entry in groups[paper, module, shows]]
        method = ", ".join(f"`{name}`" for name in dict.fromkeys(method for method, _ in names))
        data = ", ".join(dict.fromkeys(data for _, data in names))
        path = _module_path(module)
        rows.append((method, shows, _paper_link(paper), data, f"[{Path(path).name}](../{path})"))
    return table(("method", "what it shows", "paper", "data", "file"), rows)


def tasks() -> str:
    """Returns the table of tasks with their methods, oldest paper first, and their data."""
    entries = sorted(registry.entries().values(), key=lambda entry: (_module(entry) == DIRAC, _arxiv(entry.paper)))
    rows = []
    for task in sorted({entry.task for entry in entries}):
        group = [entry for entry in entries if entry.task == task]
        paths: dict[str, str] = {}
        for entry in group:
            paths.setdefault(entry.name.split("/")[0], _module_path(_module(entry)))
        methods = ", ".join(f"[{method}]({path})" for method, path in paths.items())
        data = ", ".join(dict.fromkeys(entry.name.split("/")[1] for entry in group))
        rows.append((task, methods, data))
    return table(("task", "methods", "data"), rows)


def _module_path(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _module(entry: registry.Entry) -> str:
    build = entry.build.func if isinstance(entry.build, functools.partial) else entry.build
    return inspect.unwrap(build).__module__


def _arxiv(paper: str) -> str:
    return paper.rpartition("arXiv ")[2]


def _paper_link(paper: str) -> str:
    authors = paper.partition(", arXiv")[0]
    return f"[{authors}](https://arxiv.org/abs/{_arxiv(paper)})"


# Figures.


def claim_counts() -> str:
    """Returns how many claims hold, in words."""
    claims = [claim for result in results("figures") for claim in result["claims"]]
    return f"{sum(claim['holds'] for claim in claims)} of {len(claims)} claims hold"


def stale_counts() -> str:
    """Returns how many results are stale, in words."""
    stale = [figures.is_stale(figures.get(result["id"]), result) for result in results("figures")]
    return f"{sum(stale)} of {len(stale)} results are stale"


def claims() -> str:
    """Returns the table of all claims of the committed results, in their present words. Old results are stale."""
    measured = sorted(results("figures"), key=lambda result: (_arxiv(result["paper"]), result["id"]))
    rows = []
    for result in measured:
        stale = " (stale)" if figures.is_stale(figures.get(result["id"]), result) else ""
        first = f"`{result['id']}`{stale}", f"{result['protocol']['seconds']:,.0f}"
        texts = {
            (claim.number, claim.least, claim.most): claim.text for claim in figures.get(result["id"]).build().claims
        }
        for claim in result["claims"]:
            bounds = claim.get("least", -math.inf), claim.get("most", math.inf)
            text = texts.get((claim["number"], *bounds), claim["text"]).replace("|", "\\|")
            holds = "yes" if claim["holds"] else "**no**"
            rows.append((first[0], text, figures.format_bound(claim), figures.format_value(claim), holds, first[1]))
            first = "", ""
    return table(("figure", "claim", "bound", "measured", "holds", "seconds"), rows)


def figure_conditions() -> str:
    """Returns the hardware, date and version of the committed figures."""
    return _conditions(result["protocol"] for result in results("figures"))


def _conditions(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    hardware, dates = (sorted({row[name] for row in rows}) for name in ("hardware", "date"))
    versions = sorted({row["versions"]["jax"] for row in rows})
    return f"{'; '.join(hardware)}; jax {', '.join(versions)}; {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"


# Images and toys.


def images() -> str:
    """Returns the last evaluation of each image experiment while it was trained."""
    rows = []
    for name, run in results("images")["while_training"].items():
        last = run["over_time"][-1] if "over_time" in run else run
        distance = next(metric for metric in last if metric.startswith("fd_"))
        protocol = run["evaluator"][distance]
        agreement = f"{last['agreement']:.3f} ({last['worst_agreement']:.3f})" if "agreement" in last else ""
        rows.append(
            (
                f"`{name}`",
                f"{last['step']:,}",
                f"{last['classes']:.0f}",
                f"{last['class_kl']:.3f}",
                f"{last[distance]:.3g}",
                f"{last['precision']:.2f}",
                f"{last['recall']:.2f}",
                agreement,
                f"{protocol['weights'][:8]}, {protocol['accuracy']:.3f}",
            )
        )
    rows.sort(key=lambda row: row[0].split("/")[::-1])
    head = ("experiment", "steps", "classes", "class KL", "fd", "precision", "recall", "agreement (worst class)")
    return table((*head, "classifier, accuracy"), rows)


def records() -> str:
    """Returns the metrics of finished runs on 10,000 samples."""
    names = list(dict.fromkeys(record["name"] for record in results("images")["records"]))
    values = {(record["metric"], record["name"]): record for record in results("images")["records"]}
    rows = []
    for metric in dict.fromkeys(metric for metric, _ in values):
        of_runs = [values.get((metric, name)) for name in names]
        n_real = next(f"{record['n_real']:,}" for record in of_runs if record)
        rows.append((metric, *(f"{record['value']:.4g}" if record else "" for record in of_runs), n_real))
    configs = {record["name"]: f"{record['hash']}, step {record['step']:,}" for record in values.values()}
    head = ("metric", *(f"`{name}` ({configs[name]})" for name in names), "real images")
    return table(head, rows)


def toys() -> str:
    """Returns the metrics of five methods on the six small testbeds."""
    by_name = {row["name"]: row for row in results("toys")}
    methods, testbeds = (list(dict.fromkeys(part)) for part in zip(*(name.split("/") for name in by_name), strict=True))

    def cell(row: Mapping[str, Any]) -> str:
        value = lambda name: row[f"eval/{name}"]
        if "eval/distance" in row:
            return f"{value('distance'):.2g}"
        if "eval/covered" in row:
            return f"{value('covered'):.0f}; {value('high_quality'):.2f}"
        return f"{value('classes'):.0f}; {value('class_kl'):.3f}"

    rows = [(f"`{method}`", *(cell(by_name[f"{method}/{testbed}"]) for testbed in testbeds)) for method in methods]
    return table(("method", *(f"`{testbed}`" for testbed in testbeds)), rows)


def toy_conditions() -> str:
    """Returns the hardware, date and version of the committed toy runs."""
    return _conditions(results("toys"))


# Methods.

# The columns of the comparison.
SHOWN = ("fd_digits", "fd_mnist", "precision", "recall", "coverage", "classes", "class_kl", "agreement")


def compared_methods(name: str) -> str:
    """Returns the table of a comparison of methods."""
    return benchmark.table(results(name)["results"], results(name)["by"], SHOWN)


def compared_conditions(name: str) -> str:
    """Returns what all methods of a comparison were given, and the hardware, date and version."""
    budget = results(name)["budget"]
    measured = [result for result in results(name)["results"] if "failure" not in result]
    given = f"{budget['seeds']} seeds, {budget['images']:,} images in training, {budget['samples']:,} samples measured"
    for name, words in (("width", "width"), ("batch_size", "batches of")):
        given += f", {words} {budget[name]}" if budget.get(name) else ""
    return f"{given}; {_conditions(result['common'] for result in measured)}"


# Performance.


def performance_conditions() -> str:
    """Returns the hardware, date and version of the benchmarks."""
    return _conditions(results("cpu"))


def systems_conditions() -> str:
    """Returns the hardware, date and version of the benchmarks of translation, styles, videos and sequences."""
    return _conditions(results("cpu_systems"))


def systems() -> str:
    """Returns times of steps and translations, and their ratios to eager PyTorch and to its fastest variant."""

    def cells(row: Mapping[str, Any]) -> list[str]:
        eager = row.get("tried_ms", {}).get("eager", row["peer_ms"])
        fastest = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f}), {row['peer']}"
        first = f"{row['first_step_s']:.0f}" if "first_step_s" in row else ""
        times = [f"{row['ours_ms']:.0f}", f"{eager:.0f}", f"{eager / row['ours_ms']:.2f}"]
        return [f"`{row['name']}`", str(row["batch"]), *times, fastest, first]

    head = (
        "step or translation",
        "batch",
        "ours, ms",
        "PyTorch eager, ms",
        "ratio",
        "ratio to the fastest",
        "first, s",
    )
    return table(head, map(cells, results("cpu_systems")))


# Faults.


def faults() -> str:
    """Returns the counts of the campaign of faults."""
    result = results("faults")
    kinds = ("kills", "damages", "full disks", "bad commands", "lost", "silent", "traceback")
    counts = table(kinds, [[f"{result[kind]:,}" for kind in kinds]])
    minutes = f"{result['minutes']:g} minutes, seed {result['seed']}"
    return f"{counts}\n\n`{result['command']}`; {minutes}; {_conditions([result])}."


REGIONS: dict[str, Callable[[], str]] = {
    "counts": counts,
    "methods": methods,
    "tasks": tasks,
    "claim_counts": claim_counts,
    "stale_counts": stale_counts,
    "claims": claims,
    "figure_conditions": figure_conditions,
    "images": images,
    "records": records,
    "toys": toys,
    "toy_conditions": toy_conditions,
    "dense_methods": functools.partial(compared_methods, "methods_dense"),
    "dense_methods_conditions": functools.partial(compared_conditions, "methods_dense"),
    "mnist_methods": functools.partial(compared_methods, "methods_mnist"),
    "mnist_methods_conditions": functools.partial(compared_conditions, "methods_mnist"),
    "performance_conditions": performance_conditions,
    "systems_conditions": systems_conditions,
    "systems": systems,
    "faults": faults,
    "steps": lambda: tables.steps_table(results("cpu")),
    "penalties": lambda: tables.prices_table(results("cpu")),
    "other_measurements": lambda: tables.own_table(results("cpu")),
}


def main() -> None:
    """Rewrites the documents."""
    for path in files():
        old = path.read_text()
        if (new := update(old)) != old:
            path.write_text(new)
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
