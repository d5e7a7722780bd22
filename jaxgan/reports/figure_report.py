"""The report of all figures: a page of HTML with every figure and its claims, and the claims as a Markdown table."""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from PIL import Image

from jaxgan.errors import UserError, command_name
from jaxgan.io import atomic
from jaxgan.render import html, plots
from jaxgan.reports import figures


class _FigureResult(NamedTuple):
    """A figure with the contents of its result.json and its picture."""

    entry: figures.FigureEntry
    result: dict[str, Any]
    image: Markup
    is_stale: bool

    @property
    def num_holding(self) -> int:
        """The number of claims that hold."""
        return sum(claim["holds"] for claim in self.result["claims"])


def write(root: Path, out: Path) -> Path:
    """Writes out/report.html and out/claims.md about the figures in `root`, and returns the path of the page.

    Raises UserError if no figure was made yet, or if the files cannot be written.
    """
    results = _read_results(root)
    if not results:
        raise UserError(f"no figure was made in {root} yet; `{command_name()} figure` lists all figures")
    grouped = itertools.groupby(results, lambda figure: figure.entry.paper)
    page = html.write_page(
        out / "report.html",
        "figures.html.j2",
        title="jaxgan: figures",
        papers=[{"name": paper, "figures": list(group)} for paper, group in grouped],
        num_figures=len(results),
        num_missing=len(figures.entries()) - len(results),
        num_holding=sum(figure.num_holding for figure in results),
        num_claims=sum(len(figure.result["claims"]) for figure in results),
        format_bound=figures.format_bound,
        format_value=figures.format_value,
    )
    try:
        atomic.write_text(out / "claims.md", _markdown_table(results))
    except OSError as error:
        raise UserError(f"cannot write {out / 'claims.md'}: {error.strerror}") from error
    return page


def _read_results(root: Path) -> list[_FigureResult]:
    """Returns the figures that were made, those of the oldest paper first."""
    results = []
    for entry in figures.entries().values():
        if result := figures.read_result(root, entry.id):
            image = _image(entry, root / entry.id / "figure.png")
            results.append(_FigureResult(entry, result, image, figures.is_stale(entry, result)))
    # arXiv numbers begin with the year and month.
    return sorted(results, key=lambda figure: (figure.entry.paper.rsplit("arXiv ")[-1], figure.entry.id))


def _image(entry: figures.FigureEntry, path: Path) -> Markup:
    """Returns the figure's picture, as wide relative to the page as it would be in print."""
    with Image.open(path) as image:
        width = min(1.0, image.width / figures.DPI / plots.WIDTH)
    return html.image_tag(path.read_bytes(), entry.shows, width)


def _markdown_table(results: list[_FigureResult]) -> str:
    rows = [f"| `{command_name()}` | claim | bound | measured | | time |", "|---|---|---|---|---|---|"]
    for entry, result, _, is_stale in results:
        command = f"`figure {entry.id}`{' (stale)' if is_stale else ''}"
        seconds = f"{result['protocol']['seconds']:,.0f} s"
        for claim in result["claims"]:
            text = claim["text"].replace("|", "\\|")
            bound, value = figures.format_bound(claim), figures.format_value(claim)
            verdict = "holds" if claim["holds"] else "**fails**"
            rows.append(f"| {command} | {text} | {bound} | {value} | {verdict} | {seconds} |")
            command = seconds = ""  # Only the first row of a figure has them.
    return "\n".join(rows) + "\n"
