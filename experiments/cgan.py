"""Conditional Generative Adversarial Nets (Mirza & Osindero 2014, arXiv 1411.1784).

    python launch.py train cgan/digits
    python launch.py train cgan/mnist
    python launch.py figure cgan/table1 cgan/fig2

Both networks are told the class, by concatenation; a fake is judged by the label that it was made for. On MNIST the
networks and the optimiser are the paper's, fully connected, with dropout in both; its z from the unit hypercube is
scaled to mean 0 and variance 1. On CIFAR-10 and on the small digits the networks are DCGAN's. The figures take 60
epochs and one seed: a first version of table1, of 30 epochs, gave 98 nats.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optax

from experiments import gan, gan_mnist, imagesets
from jaxgan import figures, latents, losses, plots
from jaxgan.evaluate.reals import Reals
from jaxgan.evaluate.subject import Subject
from jaxgan.figures import Claim, Figure, needs
from jaxgan.registry import Experiment, register
from jaxgan.run import Run

PAPER = "Mirza & Osindero 2014, arXiv 1411.1784"
SHOWS = "both networks are told the class: samples of the class that is asked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mnist(gan_mnist.Config):
    """The paper's networks for MNIST."""

    lr_decay: float = 1.00004  # by which the rate is divided at each step, until it is 1e-6


@register("cgan/mnist", Mnist(), paper=PAPER, dataset=imagesets.MNIST.dataset, shows=SHOWS, cost="30 min, 2 CPU cores")
def on_mnist(config: Mnist) -> Experiment:
    """Of the training images the last 10,000 are left for the choice of a Parzen window's width."""
    side = math.sqrt(3)
    draw = functools.partial(latents.uniform, minval=-side, maxval=side)
    return gan_mnist.with_maxout(imagesets.MNIST, config, gan_mnist.LEARNT, draw, conditional=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config, gan.Config):
    """A conditional DCGAN."""


@imagesets.on(
    "cgan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults),
        imagesets.CIFAR10: Config(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)
def build(images: imagesets.ImageSet, config: Config) -> Experiment:
    """Labels beside the latents, and as constant maps beside the image."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    networks = images.networks(config, classes=images.classes)
    g_optimizer, d_optimizer = adam(config.g_lr), adam(config.d_lr)
    return images.two_player(config, networks, losses.non_saturating, g_optimizer, d_optimizer, conditional=True)


def agreement(run: Run) -> dict[str, float]:
    """The part of 1,000 samples of each class that a classifier of MNIST takes for that class, "0" to "9", and "all".

    The classifier is trained on MNIST alone; `accuracy` is its own on the test images.
    """
    labels = np.arange(10_000) % 10
    subject = Subject(run.sample(10_000, labels=labels), Reals(imagesets.MNIST.data), labels)
    right = subject.classes == labels
    found = {str(label): float(right[labels == label].mean()) for label in range(10)}
    return found | {"all": float(right.mean()), "accuracy": subject.reals.classifier.protocol["accuracy"]}


@figures.register(
    "cgan/table1",
    paper=PAPER,
    shows="log-likelihood of MNIST's test images by a Parzen window on 1,000 samples of each class, which the paper "
    "has at 132 ± 1.8 nats, and whether samples are of the class that was asked",
    cost="30 min, 2 CPU cores",
)
def table1() -> Figure:
    """The likelihood is by the protocol of gan/table1."""
    published = {"GAN, paper": 225, "cGAN, paper": 132}

    def measure(looks: figures.Looks) -> figures.Numbers:
        (run,) = looks["cGAN"]
        return gan_mnist.likelihood(run.sample(10_000)) | agreement(run)

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.0)
        rows = published | {"cGAN, here": found["log_likelihood"]}
        left.barh(list(rows), list(rows.values()), color=[plots.COLOURS[5]] * 2 + [plots.COLOURS[0]])
        left.set_xlabel("log-likelihood, nats")
        left.invert_yaxis()
        right.bar(range(10), [100 * found[str(label)] for label in range(10)])
        right.set(xlabel="class that was asked", ylabel="seen as that class, %", xticks=range(10), ylim=(0, 100))
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("log-likelihood of the test images, nats", "log_likelihood", least=100),
            Claim("samples that a classifier takes for the class that was asked", "all", least=0.95),
        ),
        runs={"cGAN": needs("cgan/mnist", 30_000)},
    )


@figures.register(
    "cgan/fig2",
    paper=PAPER,
    shows="digits by the class that was asked, one class a row",
    cost="30 min, 2 CPU cores; shares its run with cgan/table1",
)
def fig2() -> Figure:
    """Ten samples of each class; beside the rows, the part of 1,000 that a classifier takes for that class."""

    def measure(looks: figures.Looks) -> figures.Numbers:
        (run,) = looks["cGAN"]
        found = agreement(run)
        worst = min(found[str(label)] for label in range(10))
        return found | {"worst": worst, "samples": run.sample(100, labels=np.arange(100) // 10)}

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=2.9, width=plots.WIDTH / 2)
        rows = found["samples"].reshape(10, 10, 28, 28).swapaxes(1, 2).reshape(280, 280)
        ax.imshow(rows, cmap="gray", interpolation="nearest")
        names = [f"{label}   {found[str(label)]:.1%}" for label in range(10)]
        ax.set(xticks=[], yticks=14 + 28 * np.arange(10), yticklabels=names)
        ax.set(title="samples", ylabel="class asked, and how many are seen as it")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(Claim("samples of a class that a classifier takes for it, the worst class", "worst", least=0.9),),
        runs={"cGAN": needs("cgan/mnist", 30_000)},
    )
