"""Figures for print: matplotlib with one style, and the few drawings that several figures share."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

# Okabe & Ito 2008: told apart with any colour vision. Black is left for data and for what a theory predicts.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
WIDTH = 6.75  # inches, of a page's text


@contextlib.contextmanager
def style() -> Iterator[None]:
    """While inside, matplotlib draws for print: small sans serif, thin lines, fonts that stay text in a PDF."""
    import matplotlib  # Takes half a second to import.

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


def panels(rows: int, columns: int, height: float = 1.7, width: float = WIDTH, **options: Any) -> tuple[Any, Any]:
    """A page of panels, each `height` inches high: (matplotlib Figure, axes [rows, columns]).

    `options` go to matplotlib's `Figure.subplots`.
    """
    from matplotlib.figure import Figure  # Not pyplot: no state, no window.

    page = Figure(figsize=(width, rows * height))
    return page, page.subplots(rows, columns, squeeze=False, **options)


def band(ax: Any, x: Any, values: Any, label: str | None = None, **options: Any) -> None:
    """Draw the median over the first axis of values [K, T] and, for several, the range between the quartiles."""
    low, median, high = np.quantile(np.asarray(values), [0.25, 0.5, 0.75], axis=0)
    (line,) = ax.plot(x, median, label=label, **options)
    if len(values) > 1:
        ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
