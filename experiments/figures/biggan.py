"""Truncation in BigGAN (Brock et al. 2018, arXiv 1809.11096, figure 2).

python launch.py figure biggan/fig2
"""

from typing import Any

import numpy as np

from experiments.biggan import PAPER
from jaxgan.data.digits import digits
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.render import pictures, plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

LIMITS = (2.0, 1.0, 0.5, 0.04)  # of the latents' absolute values, as in the paper
SAMPLES, SHOWN = 1_790, 6


def _measure(runs: Runs) -> Numbers:
    (run,) = runs["digits"]
    evaluate = make_evaluator(("prdc", "score"), lambda split: digits(), classes=10)
    rows: dict[str, list[float]] = {"precision": [], "score": [], "recall": [], "distance": []}
    samples = []
    for limit in LIMITS:
        images = run.sample(SAMPLES, truncation=limit)
        values = evaluate(images).values
        by_class = np.float64(images).reshape(-1, 10, images[0].size) / 255.0  # Sample i has class i % 10.
        half = len(by_class) // 2
        distance = np.linalg.norm(by_class[:half] - by_class[half : 2 * half], axis=-1).mean()
        for name, value in zip(
            rows, (values["precision"], values["score_digits"], values["recall"], distance), strict=True
        ):
            rows[name].append(float(value))
        samples.append(images[: 10 * SHOWN])
    return {
        **rows,
        "score step": float(np.diff(rows["score"]).min()),
        "recall step": float(np.diff(rows["recall"]).max()),
        "distance step": float(np.diff(rows["distance"]).max()),
        "samples": np.stack(samples),
    }


def _plot(numbers: Numbers) -> Any:
    fig, (axes,) = plots.subplots(1, len(LIMITS), height=2.1)
    rows = zip(LIMITS, numbers["samples"], numbers["score"], numbers["recall"], numbers["distance"], strict=True)
    for ax, (limit, images, score, recall, distance) in zip(axes, rows, strict=True):
        ax.imshow(pictures.grid(images, 10), cmap="gray", interpolation="nearest")
        ax.set(xticks=[], yticks=[], title=f"limit {limit:g}")
        ax.set_xlabel(f"score {score:.2f}, recall {recall:.2f}\ndistance in a class {distance:.2f}", fontsize=7)
    return fig


@figures.register(
    "biggan/fig2",
    paper=PAPER,
    shows="truncated latents: with a falling limit samples get more typical and less varied",
    minutes=4,
)
def fig2() -> Figure:
    """`biggan/digits`, 179 samples of each class. The score is the Inception score's formula on a digit classifier."""
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={"digits": run_spec("biggan/digits", 3_000)},
        claims=(
            Claim("score: smallest change from each limit to the next lower one", "score step", least=0.0),
            Claim("recall: largest change from each limit to the next lower one", "recall step", most=0.0),
            Claim("distance of two samples of a class: largest change to the next limit", "distance step", most=0.0),
        ),
    )
