"""Figures for print: matplotlib in one style, and drawings that several figures share."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: distinct for readers with any colour vision. Black is left for data and for theoretical curves.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
WIDTH = 6.75  # inches, text width of a page


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Within this context matplotlib uses small sans-serif type and thin lines, and keeps text as text in PDF."""
    import matplotlib  # Importing it takes half a second.

    settings = {
        "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 8,
        "figure.constrained_layout.use": True,
        "font.size": 8,
        "image.cmap": "cividis",
        "legend.fontsize": 7,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
        "savefig.facecolor": "white",
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
    }
    with matplotlib.rc_context(settings):
        yield


def subplots(
    rows: int, columns: int, height: float = 1.7, width: float = WIDTH, **options: Any
) -> tuple["Figure", np.ndarray]:
    """Returns a figure and its axes [rows, columns].

    Args:
        rows: Rows of panels.
        columns: Columns of panels.
        height: Height of one row, in inches.
        width: Width of the figure, in inches.
        **options: Arguments of matplotlib's `Figure.subplots`.
    """
    from matplotlib.figure import Figure  # Unlike pyplot it keeps no global state and opens no window.

    fig = Figure(figsize=(width, rows * height))
    return fig, fig.subplots(rows, columns, squeeze=False, **options)


def median_band(ax: "Axes", x: ArrayLike, values: ArrayLike, label: str | None = None, **options: Any) -> None:
    """Draws the median over seeds of values [K, T] against x [T], and, if K > 1, a band between the quartiles.

    `options` go to `ax.plot`.
    """
    low, median, high = np.quantile(np.asarray(values), [0.25, 0.5, 0.75], axis=0)
    (line,) = ax.plot(x, median, label=label, **options)
    if len(values) > 1:
        ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def image_columns(columns: Mapping[str, np.ndarray], titles: Mapping[str, str]) -> "Figure":
    """Returns a figure with a column of images uint8 [N, H, W, C] for each entry, under its title or else its name."""
    width = min(WIDTH, 0.95 * len(columns))
    num_rows = len(next(iter(columns.values())))
    fig, axes = subplots(num_rows, len(columns), height=0.93 * width / len(columns), width=width)
    for column, (name, images) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(titles.get(name, name))
        for ax, image in zip(column, images, strict=True):
            ax.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
            ax.set_axis_off()
    return fig
