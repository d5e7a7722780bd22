"""A run on one page of HTML: what it was asked to do, its losses, what was measured, and its samples over time."""

import html
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import metrics, page, plots
from jaxgan.errors import Problem
from jaxgan.registry import describe
from jaxgan.workdir import read_config

DPI = 200  # of its pictures
MARKED = 40  # points that are marked, where there are fewer
COLUMNS = 3  # panels beside each other
PICTURES = 6  # of samples, evenly over the run

# What the page says of all of it, or shows beside.
ELSEWHERE = {"metric", "value", "samples", "name", "hash", "seed", "seeds", "versions", "git"}

Records = Sequence[Mapping[str, Any]]


def write(workdir: Path, out: Path) -> Path:
    """Write out/report.html of what the run has written so far. Raises Problem if that is nothing."""
    entry, config = read_config(workdir)
    about = json.loads((workdir / "config.json").read_text())
    records = metrics.read(workdir / "metrics.jsonl")
    if not records:
        raise Problem(f"{workdir} has no metrics yet; it is written after the first {config.log_every} steps")
    last, fields, comments = records[-1], about["config"], describe(type(config))
    names = [n for n in dict.fromkeys(itertools.chain(*records)) if n not in ("step", "images", "seconds")]
    losses = [name for name in names if name.endswith("/loss")]
    found = [name for name in names if name.startswith("eval/")]
    rest = [name for name in names if name not in losses and name not in found]
    evaluations = metrics.read(workdir / "evaluations.jsonl")
    settings = [(name, str(fields[name]), comments[name]) for name in fields]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return page.write(
        out / "report.html",
        f"jaxgan: {entry.name}",
        [
            f"<h1>{entry.name}</h1><p>{html.escape(entry.shows)} [{html.escape(entry.paper)}]</p>",
            f'<p class="soft">{last["step"]:,} of {config.steps:,} steps, {last["images"]:,} images in '
            f"{last['seconds']:,.0f} s; config {about['hash']}, {config.seeds} seed(s) from {config.seed}</p>",
            f"<h2>Samples</h2>{_samples(workdir / 'samples')}",
            _curves("Measured while training", records, found),
            _protocol(workdir / "evaluator.json"),
            f"<h2>Measured afterwards</h2>{_evaluations(evaluations)}" if evaluations else "",
            _neighbours(workdir / "neighbours.png"),
            _curves("Losses", records, losses),
            _curves("What else was logged", records, rest),
            f"<h2>Settings</h2>{_table(('name', 'value', ''), settings)}",
            f'<p class="soft">commit {(about["git"] or "unknown")[:11]}; {html.escape(versions)}</p>',
        ],
    )


def _samples(folder: Path) -> str:
    """Pictures of the first seed's samples, the first and the last and some between."""
    steps = itertools.groupby(sorted(folder.glob("[0-9]*.png")), lambda path: int(path.stem.split("-")[0]))
    shown = [(step, next(paths)) for step, paths in steps]
    places = np.unique(np.linspace(0, len(shown) - 1, min(PICTURES, len(shown))).round().astype(int))
    tiles = (
        f"<figure>{page.image(path.read_bytes(), f'samples at step {step}')}"
        f"<figcaption>step {step:,}</figcaption></figure>"
        for step, path in (shown[place] for place in places)
    )
    return f'<div class="row">{"".join(tiles)}</div>'


def _curves(title: str, records: Records, names: Sequence[str]) -> str:
    """A panel for each metric over the steps; of several seeds the median and the quartiles."""
    if not names:
        return ""
    rows = -(-len(names) // COLUMNS)
    with plots.style():
        drawing, axes = plots.panels(rows, COLUMNS)
        for ax, name in itertools.zip_longest(axes.flat, names):
            if name is None:
                ax.set_axis_off()
                continue
            there = [(record["step"], record[name]) for record in records if name in record]
            steps, values = zip(*there, strict=True)
            plots.band(ax, np.array(steps), _by_seed(values), marker="." if len(steps) < MARKED else None, markersize=3)
            ax.set(title=name.removeprefix("eval/"), xlabel="step")
            ax.set_xlim(left=0)
        file = io.BytesIO()
        drawing.savefig(file, format="png", dpi=DPI)
    return f"<h2>{title}</h2>{page.image(file.getvalue(), ', '.join(names))}"


def _by_seed(values: Sequence[Any]) -> np.ndarray:
    """Values [K, T] of what `metrics.summary` wrote T times for K seeds; what was not finite is NaN."""
    seeds = [value["seeds"] if isinstance(value, Mapping) else [value] for value in values]
    return np.array(seeds, np.float64).T


def _protocol(path: Path) -> str:
    """How the numbers were taken while training; metrics that share a protocol together."""
    if not path.exists():
        return ""
    together: dict[str, list[str]] = {}
    for metric, protocol in json.loads(path.read_text()).items():
        together.setdefault(_words(protocol), []).append(metric)
    return "".join(f'<p class="soft">{", ".join(names)}: {words}.</p>' for words, names in together.items())


def _evaluations(evaluations: Records) -> str:
    """The last value of each metric, those that share a protocol in one table."""
    newest: dict[str, Mapping[str, Any]] = {}
    for record in evaluations:
        if "metric" in record:
            newest[record["metric"]] = record
        for name in record:
            if name.startswith("eval/"):  # By the experiment itself: all its numbers in one record.
                own = {"metric": name.removeprefix("eval/"), "value": record[name], "n_fake": record["samples"]}
                newest[own["metric"]] = record | own
    together: dict[str, list[Sequence[Any]]] = {}
    for metric, record in newest.items():
        words = _words(
            {name: x for name, x in record.items() if name not in ELSEWHERE and not name.startswith("eval/")}
        )
        together.setdefault(words, []).append((metric, record["value"]))
    rows = []
    for words, group in together.items():
        cells = [f"<td>{metric}</td><td>{_cell(value)}</td>" for metric, value in group]
        cells[0] += f'<td rowspan="{len(group)}" class="soft">{words}</td>'
        rows += [f"<tr>{row}</tr>" for row in cells]
    return f"<table><tr><th>metric</th><th>value</th><th>protocol</th></tr>{''.join(rows)}</table>"


def _neighbours(path: Path) -> str:
    if not path.exists():
        return ""
    text = "samples above their nearest training images"
    return f"<figure>{page.image(path.read_bytes(), text, 0.6)}<figcaption>{text}</figcaption></figure>"


def _words(protocol: Mapping[str, Any]) -> str:
    """A protocol in a line; of digests the beginning."""
    said = (f"{name} {_short(value)}" for name, value in protocol.items() if name != "evaluator")
    return html.escape(", ".join([protocol.get("evaluator", "the experiment's own"), *said]))


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:8]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(_cell(value))}</{tag}>" for value in row)
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            f"{_cell(value['median'])} ({_cell(value['low'])} to {_cell(value['high'])}, {len(value['seeds'])} seeds)"
        )
    return f"{value:.4g}" if isinstance(value, float) else "not finite" if value is None else str(value)
