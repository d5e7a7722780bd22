"""Every figure that was made, on one page of HTML that needs no other file, and its claims as a table of Markdown."""

import html
import itertools
from pathlib import Path
from typing import Any

from PIL import Image

from jaxgan import figures, page, plots
from jaxgan.errors import Problem


def write(root: Path, out: Path) -> Path:
    """Write out/report.html and out/claims.md of the results under `root`. Raises Problem if there are none."""
    made = [(entered, found) for id, entered in figures.entries().items() if (found := figures.read(root, id))]
    if not made:
        raise Problem(f"no figure was made in {root} yet; `python launch.py figure` lists them")
    made.sort(key=lambda pair: (pair[0].paper.rsplit("arXiv ")[-1], pair[0].id))  # The oldest paper first.
    claims = [claim for _, result in made for claim in result["claims"]]
    held = sum(claim["holds"] for claim in claims)
    parts = [
        "<h1>Figures of the papers, made again</h1>",
        f"<p>{held} of {len(claims)} claims hold, in {len(made)} figures; {_missing(len(made))}</p>",
        _contents(made),
    ]
    for paper, group in itertools.groupby(made, lambda pair: pair[0].paper):
        parts.append(f"<h2>{html.escape(paper)}</h2>")
        parts += [_figure(entered, result, root / entered.id) for entered, result in group]
    written = page.write(out / "report.html", "jaxgan: figures", parts)
    try:
        (out / "claims.md").write_text(_markdown(made))
    except OSError as error:
        raise Problem(f"cannot write {out / 'claims.md'}: {error.strerror}") from error
    return written


def _missing(made: int) -> str:
    left = len(figures.entries()) - made
    return f"{left} more on the register were not made." if left else "all that are on the register."


def _contents(made: list[tuple[figures.Entered, dict[str, Any]]]) -> str:
    rows = []
    for entered, result in made:
        held = sum(claim["holds"] for claim in result["claims"])
        rows.append(
            f'<tr><td><a href="#{entered.id}">{entered.id}</a></td><td>{html.escape(entered.shows)}</td>'
            f'<td class="n {_class(result["holds"])}">{held} of {len(result["claims"])}</td></tr>'
        )
    head = '<tr><th>figure</th><th>shows</th><th class="n">claims that hold</th></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _figure(entered: figures.Entered, result: dict[str, Any], folder: Path) -> str:
    with Image.open(folder / "figure.png") as image:
        width = min(1.0, image.width / figures.DPI / plots.WIDTH)  # of the page's
    rows = "".join(_claim(claim) for claim in result["claims"])
    protocol = result["protocol"]
    runs = "".join(
        f"<li>{html.escape(label)}: {html.escape(run['name'])}, {run['config']['seeds']} seed(s) from "
        f"{run['config']['seed']}, {max(run['at']):,} steps, config {run['hash']}</li>"
        for label, run in protocol["runs"].items()
    )
    where = f"{html.escape(protocol['hardware'])}, {protocol['date']}, jax {protocol['versions']['jax']}"
    commit = (protocol["git"] or "unknown")[:10] + (", reduced" if protocol["reduced"] else "")
    return f"""<section id="{entered.id}"><h3>{entered.id}</h3><p>{html.escape(entered.shows)}</p>
{page.image((folder / "figure.png").read_bytes(), entered.shows, width)}
<table><tr><th>claim</th><th class="n">bound</th><th class="n">measured</th><th></th></tr>{rows}</table>
<p><code>{html.escape(entered.command)}</code></p>
<details class="soft"><summary>{protocol["seconds"]:,.0f} s on {where}, commit {commit}</summary>
<ul>{runs or "<li>no training</li>"}</ul></details></section>
"""


def _markdown(made: list[tuple[figures.Entered, dict[str, Any]]]) -> str:
    rows = ["| `python launch.py` | claim | bound | measured | | time |", "|---|---|---|---|---|---|"]
    for entered, result in made:
        first = f"`figure {entered.id}`", f"{result['protocol']['seconds']:,.0f} s"
        for claim in result["claims"]:
            mark = "holds" if claim["holds"] else "**fails**"
            text = claim["text"].replace("|", "\\|")
            rows.append(
                f"| {first[0]} | {text} | {figures.bound(claim)} | {figures.measured(claim)} | {mark} | {first[1]} |"
            )
            first = "", ""
    return "\n".join(rows) + "\n"


def _claim(claim: dict[str, Any]) -> str:
    return (
        f"<tr><td>{html.escape(claim['text'])}</td>"
        f'<td class="n">{figures.bound(claim)}</td><td class="n">{figures.measured(claim)}</td>'
        f'<td class="n {_class(claim["holds"])}">{"✓ holds" if claim["holds"] else "✗ fails"}</td></tr>'
    )


def _class(holds: bool) -> str:
    return "holds" if holds else "fails"
