"""The report of a run: a page of HTML with its samples over time, metrics, losses and settings."""

import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from jaxgan.errors import UserError
from jaxgan.io import json_files
from jaxgan.render import html, plots
from jaxgan.runs.registry import field_help
from jaxgan.runs.run import read_config
from jaxgan.training.metric_log import read_log

DPI = 200  # of the plots
MAX_MARKERS = 40  # Longer curves have no markers at their points.
COLUMNS = 3  # panels in a row of plots
PREVIEWS = 6  # previews shown, spread evenly over the run

# Fields of evaluations.jsonl that a metric's protocol does not repeat, because the page shows them elsewhere.
NOT_IN_PROTOCOL = {"metric", "value", "samples", "name", "hash", "seed", "seeds", "versions", "git"}

Records = Sequence[Mapping[str, Any]]


def write(workdir: Path, out: Path) -> Path:
    """Writes out/report.html about what a run has logged so far, and returns its path.

    Raises UserError if `workdir` holds no run, if the run has logged nothing yet, or if the page cannot be written.
    """
    entry, config = read_config(workdir)
    record = json_files.read_object(workdir / "config.json")
    log = read_log(workdir / "metrics.jsonl")
    if not log:
        raise UserError(f"{workdir} has no metrics yet; the first are logged after {config.log_every} steps")
    help_texts = field_help(type(config))
    names = [name for name in dict.fromkeys(itertools.chain(*log)) if name not in ("step", "images", "seconds")]
    losses = [name for name in names if name.endswith("/loss")]
    metrics = [name for name in names if name.startswith("eval/")]
    others = [name for name in names if name not in losses and name not in metrics]
    return html.write_page(
        out / "report.html",
        "run.html.j2",
        title=f"jaxgan: {entry.name}",
        entry=entry,
        config=config,
        record=record,
        last=log[-1],
        previews=_previews(workdir / "samples"),
        metrics_plot=_curves(log, metrics),
        training_protocols=_training_protocols(workdir / "evaluator.json"),
        evaluations=_evaluations(json_files.read_lines(workdir / "evaluations.jsonl", _is_evaluation)),
        neighbours=_neighbours(workdir / "neighbours.png"),
        losses_plot=_curves(log, losses),
        other_plot=_curves(log, others),
        settings=[(name, value, help_texts[name]) for name, value in record["config"].items()],
    )


def _previews(folder: Path) -> list[tuple[int, Markup]]:
    """Returns steps and previews of the first seed: the first, the last, and some in between."""
    by_step: dict[int, list[Path]] = {}  # A preview may have several files, such as a WAV file and a spectrogram,
    for path in sorted(folder.glob("[0-9]*"), key=lambda path: (path.stem, path.suffix)):  # or two directions.
        paths = by_step.setdefault(int(path.stem.split("-")[0]), [])
        if not paths or path.stem in (paths[0].stem, f"{paths[0].stem}-backward"):
            paths.append(path)
    steps = list(by_step)
    indices = np.unique(np.linspace(0, len(steps) - 1, min(PREVIEWS, len(steps))).round().astype(int))
    chosen = [steps[i] for i in indices]
    tags = lambda step: [html.media_tag(path, f"samples at step {step}") for path in by_step[step]]
    return [(step, Markup("\n").join(tags(step))) for step in chosen]


def _curves(log: Records, names: Sequence[str]) -> Markup | None:
    """Returns a picture with a panel per name, of median and quartiles over seeds, or None if there are no names."""
    if not names:
        return None
    rows = -(-len(names) // COLUMNS)
    with plots.style():
        fig, axes = plots.subplots(rows, COLUMNS)
        for ax, name in itertools.zip_longest(axes.flat, names):
            if name is None:
                ax.set_axis_off()
                continue
            steps, values = zip(*[(record["step"], record[name]) for record in log if name in record], strict=True)
            marker = "." if len(steps) < MAX_MARKERS else None
            plots.median_band(ax, np.array(steps), _values_by_seed(values), marker=marker, markersize=3)
            ax.set(title=name.removeprefix("eval/"), xlabel="step")
            ax.set_xlim(left=0)
        file = io.BytesIO()
        fig.savefig(file, format="png", dpi=DPI)
    return html.image_tag(file.getvalue(), ", ".join(names))


def _values_by_seed(values: Sequence[Any]) -> np.ndarray:
    """Returns values [K, T] of K seeds from T results of `summarise_seeds`. Values that were not finite are NaN."""
    seeds = [value["seeds"] if isinstance(value, Mapping) else [value] for value in values]
    return np.array(seeds, np.float64).T


def _training_protocols(path: Path) -> list[tuple[list[str], str]]:
    """Returns names of metrics with the protocol that they share, of those measured during training."""
    if not path.exists():
        return []
    by_protocol: dict[str, list[str]] = {}
    for metric, protocol in json_files.read_object(path).items():
        by_protocol.setdefault(_describe_protocol(protocol), []).append(metric)
    return [(names, protocol) for protocol, names in by_protocol.items()]


def _is_evaluation(record: Mapping[str, Any]) -> bool:
    """Returns whether a line of evaluations.jsonl has what the page shows."""
    measured = {"metric", "value"} <= record.keys() or any(name.startswith("eval/") for name in record)
    return measured and ("metric" in record or "samples" in record)


def _evaluations(evaluations: Records) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns protocols with the names and latest values of the metrics that share them."""
    latest: dict[str, Mapping[str, Any]] = {}
    for record in evaluations:
        if "metric" in record:
            latest[record["metric"]] = record
        for name in record:
            if name.startswith("eval/"):  # The experiment's own metrics, all in one record.
                metric = name.removeprefix("eval/")
                latest[metric] = {**record, "metric": metric, "value": record[name], "n_fake": record["samples"]}
    by_protocol: dict[str, list[tuple[str, str]]] = {}
    for metric, record in latest.items():
        fields = {k: v for k, v in record.items() if k not in NOT_IN_PROTOCOL and not k.startswith("eval/")}
        by_protocol.setdefault(_describe_protocol(fields), []).append((metric, _format_value(record["value"])))
    return list(by_protocol.items())


def _neighbours(path: Path) -> Markup | None:
    if not path.exists():
        return None
    return html.image_tag(path.read_bytes(), "samples above their nearest training images", 0.6)


def _describe_protocol(protocol: Mapping[str, Any]) -> str:
    """Returns a protocol in one line, beginning with the evaluator."""
    fields = [f"{name} {_format_field(value)}" for name, value in protocol.items() if name != "evaluator"]
    return ", ".join([protocol.get("evaluator", "the experiment's own metric"), *fields])


def _format_field(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:  # The first digits of a SHA-256 suffice to tell files apart.
        return value[:8]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _format_value(value: Any) -> str:
    """Returns the text of a number or of a result of `summarise_seeds`."""
    if isinstance(value, Mapping):
        low, median, high = (_format_value(value[name]) for name in ("low", "median", "high"))
        return f"{median} ({low} to {high}, {len(value['seeds'])} seeds)"
    return f"{value:.4g}" if isinstance(value, float) else "not finite" if value is None else str(value)
