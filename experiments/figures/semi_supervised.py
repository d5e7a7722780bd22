"""Table 1 of Improved Techniques for Training GANs (Salimans et al. 2016, arXiv 1606.03498), reduced.

    python launch.py figure improved/table1

The classifier has a quarter of the authors' width and is trained for 8,000 steps, 13 of their 300 epochs. The learning
rate is theirs; the average of the classifier follows faster, with a half-life of 50,000 images.
"""

from typing import Any

import numpy as np

from experiments.semi_supervised import PAPER, predict
from experiments.testbeds import MNIST
from jaxgan.render import pictures, plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.run import Run
from jaxgan.training.metric_log import summarise_seeds

STEPS = (500, 1_000, 2_000, 4_000, 8_000)
SETTINGS = {"seeds": 2, "width": 250, "ema_half_life": 50_000.0}


def errors(run: Run, member: int) -> int:
    """Returns how many of the 10,000 test images are classified wrongly."""
    data = MNIST.target.data("test").in_memory()
    return int((predict(run.experiment.game, run.seed_states[member], data.images) != data.labels).sum())


def _measure(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["gan"]])}
    for name, at_steps in runs.items():
        members = range(at_steps[0].config.seeds)
        numbers[name] = np.array([[errors(run, member) for run in at_steps] for member in members])
        numbers[f"{name}_errors"] = summarise_seeds(numbers[name][:, -1])
    ratio = numbers["supervised"][:, -1] / np.maximum(numbers["gan"][:, -1], 1)
    return numbers | {"ratio": summarise_seeds(ratio), "samples": runs["gan"][-1].sample(36)}


def _plot(numbers: Numbers) -> Any:
    fig, ((curves, panel),) = plots.subplots(1, 2, height=2.4, width_ratios=[1.6, 1])
    for name, label in (("gan", "with unlabelled and generated images"), ("supervised", "100 labelled images alone")):
        plots.median_band(curves, numbers["steps"], numbers[name], label)
    curves.set(xlabel="step", ylabel="errors on 10,000 test images", yscale="log")
    curves.legend()
    panel.imshow(pictures.grid(numbers["samples"]), cmap="gray")
    panel.set(title="samples", xticks=[], yticks=[])
    return fig


@figures.register(
    "improved/table1",
    paper=PAPER,
    shows="errors on MNIST of a classifier with 100 labels, with and without unlabelled and generated images; the "
    "paper has 93 errors. A quarter of the authors' width and 13 epochs for their 300, two seeds",
    minutes=12,
)
def table1() -> Figure:
    """Both runs see the same labelled images."""
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={
            "gan": run_spec("semi_supervised/mnist", *STEPS, **SETTINGS),
            "supervised": run_spec("semi_supervised/mnist", *STEPS, **SETTINGS, unlabelled=0.0),
        },
        claims=(
            Claim("errors on 10,000 test images with 100 labels, median of 2 seeds", "gan_errors", most=200),
            Claim("errors with the labelled images alone, over these", "ratio", least=5),
        ),
    )
