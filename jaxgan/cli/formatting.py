"""Tables and numbers for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]], indent: str = "  ") -> str:
    """Returns rows as aligned columns under their names."""
    if not rows:
        return f"{indent}none"
    names = list(rows[0])
    cells = [names, *([cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    pad = lambda line: "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
    return "\n".join(indent + pad(line).rstrip() for line in cells)


def cell(value: Any) -> str:
    """Returns a value in a few characters; for a summary over seeds its median and quartiles."""
    if isinstance(value, Mapping):
        median, low, high = (cell(value[k]) for k in ("median", "low", "high"))
        return f"{median} ({low} to {high} over {len(value['seeds'])} seeds)"
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value)) if value and value[0] == "B" else ", ".join(map(cell, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
