"""Figures of conditional GANs on MNIST (Mirza & Osindero 2014): Parzen log-likelihood, and samples by class.

Both figures measure the same run: 60 epochs, one seed.
"""

from typing import Any

import numpy as np

from experiments.cgan import PAPER
from experiments.figures.gan_mnist import parzen_log_likelihood
from experiments.testbeds import MNIST
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.evaluate.samples import EvaluatedSamples
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.run import Run

RUNS = {"cGAN": run_spec("cgan/mnist", 30_000)}
PUBLISHED = {"GAN, paper": 225, "cGAN, paper": 132}  # nats


def class_agreement(run: Run) -> dict[str, float]:
    """Returns the share of samples whose class, by the feature classifier of MNIST, is the requested class.

    Keys are "0" to "9", for 1,000 samples of each class, and "all"; "accuracy" is the classifier's own on test images.
    """
    labels = np.arange(10_000) % 10
    evaluated = EvaluatedSamples(run.sample(10_000, labels=labels), ReferenceSet(MNIST.target.data), labels)
    agrees = evaluated.predicted_classes == labels
    by_class = {str(label): float(agrees[labels == label].mean()) for label in range(10)}
    accuracy = evaluated.reference.classifier.protocol["accuracy"]
    return by_class | {"all": float(agrees.mean()), "accuracy": accuracy}


def _measure_table1(runs: Runs) -> Numbers:
    (run,) = runs["cGAN"]
    return parzen_log_likelihood(run.sample(10_000)) | class_agreement(run)


def _plot_table1(numbers: Numbers) -> Any:
    fig, ((left, right),) = plots.subplots(1, 2, height=2.0)
    rows = PUBLISHED | {"cGAN, here": numbers["log_likelihood"]}
    left.barh(list(rows), list(rows.values()), color=[plots.COLOURS[5]] * 2 + [plots.COLOURS[0]])
    left.set_xlabel("log-likelihood, nats")
    left.invert_yaxis()
    right.bar(range(10), [100 * numbers[str(label)] for label in range(10)])
    right.set(xlabel="requested class", ylabel="classified as requested, %", xticks=range(10), ylim=(0, 100))
    return fig


@figures.register(
    "cgan/table1",
    paper=PAPER,
    shows="log-likelihood of MNIST's test images by a Parzen window on 1,000 samples of each class, 132 ± 1.8 nats in "
    "the paper, and whether samples have the requested class",
    minutes=30,
)
def table1() -> Figure:
    """The log-likelihood has the protocol of gan/table1."""
    return Figure(
        measure=_measure_table1,
        plot=_plot_table1,
        claims=(
            Claim("log-likelihood of the test images, nats", "log_likelihood", least=100),
            Claim("share of samples that a classifier assigns to the requested class", "all", least=0.95),
        ),
        runs=RUNS,
    )


def _measure_fig2(runs: Runs) -> Numbers:
    (run,) = runs["cGAN"]
    agreement = class_agreement(run)
    worst = min(agreement[str(label)] for label in range(10))
    return agreement | {"worst": worst, "samples": run.sample(100, labels=np.arange(100) // 10)}


def _plot_fig2(numbers: Numbers) -> Any:
    fig, ((ax,),) = plots.subplots(1, 1, height=2.9, width=plots.WIDTH / 2)
    rows = numbers["samples"].reshape(10, 10, 28, 28).swapaxes(1, 2).reshape(280, 280)
    ax.imshow(rows, cmap="gray", interpolation="nearest")
    labels = [f"{label}   {numbers[str(label)]:.1%}" for label in range(10)]
    ax.set(xticks=[], yticks=14 + 28 * np.arange(10), yticklabels=labels)
    ax.set(title="samples", ylabel="requested class, share classified as requested")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


@figures.register("cgan/fig2", paper=PAPER, shows="samples by the requested class, one class per row", minutes=30)
def fig2() -> Figure:
    """Ten samples of each class, and the share of 1,000 that a classifier assigns to that class."""
    return Figure(
        measure=_measure_fig2,
        plot=_plot_fig2,
        claims=(
            Claim("share of samples that a classifier assigns to the requested class, worst class", "worst", least=0.9),
        ),
        runs=RUNS,
    )
