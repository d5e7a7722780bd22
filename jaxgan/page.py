"""Pages of HTML that need no other file, in one style."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from jaxgan.errors import Problem

STYLE = """
:root { color-scheme: light; --ink: #1b1b1b; --soft: #5f6368; --line: #dcdfe3; --good: #00694b; --bad: #a83a00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: #fff;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 3rem 0 0; border-bottom: 2px solid; }
h3 { font-size: 1.05rem; margin: 2rem 0 .25rem; } p { margin: .25rem 0 .75rem; }
.soft { color: var(--soft); font-size: .875rem; } a { color: inherit; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 500; } td, th { padding: .3rem .6rem .3rem 0;
     border-bottom: 1px solid var(--line); vertical-align: top; } td.n, th.n { text-align: right; white-space: nowrap;
     font-variant-numeric: tabular-nums; }
.holds { color: var(--good); font-weight: 600; } .fails { color: var(--bad); font-weight: 600; }
img { display: block; max-width: 100%; height: auto; margin: .75rem 0; }
code { font: .875rem ui-monospace, Menlo, Consolas, monospace; background: #f3f4f6; padding: .1rem .35rem;
       border-radius: 3px; overflow-wrap: anywhere; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .875rem; }
.row { display: grid; grid-template-columns: repeat(3, 1fr); gap: .75rem 1.25rem; }
@media print { body { max-width: none; padding: 0; } h3, img, table { break-inside: avoid; } }
"""


def write(path: Path, title: str, parts: Sequence[str]) -> Path:
    """Write a page, whose parts are HTML. Raises Problem if it cannot be written."""
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
{"".join(parts)}
</body></html>
"""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from error
    return path


def image(png: bytes, text: str, width: float = 1.0) -> str:
    """A picture, as wide as that part of what is around it."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(text)}" style="width: {width:.0%}">'
