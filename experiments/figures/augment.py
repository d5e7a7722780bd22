"""Data augmentation by a conditional GAN: what a classifier on few labelled images gains from generated ones.

    python launch.py figure cgan/augment

A support vector machine learns the 8x8 digits from n labelled images: from these alone, with shifted copies, with
images of a conditional GAN that was trained on the same n images, and with both. Accuracies are on 897 other images.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from experiments import conditionings
from experiments.testbeds import DENSE_DIGITS
from jaxgan.data.datasets import Dataset
from jaxgan.data.digits import digits
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs import targets
from jaxgan.runs.registry import Entry
from jaxgan.training.metric_log import summarise_seeds

PAPER = "Mirza & Osindero 2014, arXiv 1411.1784"
SIZES = (50, 100, 500)
GENERATED = 1_000  # images of the GAN
SHIFTS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
HELD_OUT = 900  # images before this index are for training, the others for the test


def labelled(n: int) -> Dataset:
    """Returns n labelled digits, in equal numbers of each class."""
    data = digits()
    images, labels = data.images[:HELD_OUT], data.labels[:HELD_OUT]
    chosen = np.concatenate([np.flatnonzero(labels == label)[: n // 10] for label in range(10)])
    return Dataset(f"{n} digits", images[chosen], labels[chosen], data.classes)


def shifted(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns all shifts by at most one pixel, images uint8 [9 N, 8, 8, 1] and labels [9 N]."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    copies = [padded[:, 1 + y : 9 + y, 1 + x : 9 + x] for y, x in SHIFTS]
    return np.concatenate(copies), np.tile(labels, len(SHIFTS))


def accuracy(images: np.ndarray, labels: np.ndarray) -> float:
    """Returns the accuracy on the held-out digits of a support vector machine that is trained on these images."""
    from sklearn.svm import SVC  # Importing it takes a second.

    flat = lambda x: x.reshape(len(x), -1) / 255.0
    data = digits()
    machine = SVC(C=10.0, gamma="scale").fit(flat(images), labels)
    return float(machine.score(flat(data.images[HELD_OUT:]), data.labels[HELD_OUT:]))


def _entry(n: int) -> Entry:
    """Returns ReACGAN on n labelled digits."""
    target = targets.images(lambda split: labelled(n), (8, 8, 1), classes=10)
    target = dataclasses.replace(target, evaluate_conditional=None)
    images = dataclasses.replace(DENSE_DIGITS, name=f"digits{n}", target=target)
    build = functools.partial(conditionings.build, conditionings.METHODS["reacgan"], images)
    return Entry(f"augment/{n}", conditionings.CONFIGS[DENSE_DIGITS], build, PAPER)


def _measure(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {"sizes": np.array(SIZES)}
    for n in SIZES:
        ((run,), data) = runs[str(n)], labelled(n)
        shifts = shifted(data.images, data.labels)
        labels = np.arange(GENERATED) % 10
        with_gan: dict[str, list[float]] = {"gan": [], "both": []}
        for member in range(run.config.seeds):
            fakes = run.sample(GENERATED, member=member, labels=labels)
            for name, (images, targets_) in (("gan", (data.images, data.labels)), ("both", shifts)):
                joined = np.concatenate([images, fakes]), np.concatenate([targets_, labels])
                with_gan[name].append(accuracy(*joined))
        plain, augmented = accuracy(data.images, data.labels), accuracy(*shifts)
        numbers |= {f"none_{n}": plain, f"shifts_{n}": augmented}
        numbers |= {f"{name}_{n}": summarise_seeds(values) for name, values in with_gan.items()}
        numbers[f"gain_shifts_{n}"] = augmented - plain
        numbers[f"gain_gan_{n}"] = summarise_seeds(np.array(with_gan["gan"]) - plain)
        numbers[f"gain_both_{n}"] = summarise_seeds(np.array(with_gan["both"]) - augmented)
    return numbers


def _plot(numbers: Numbers) -> Any:
    fig, ((ax,),) = plots.subplots(1, 1, width=3.6, height=2.6)
    middle = lambda x: x["median"] if isinstance(x, dict) else x
    rows = (("none", "no augmentation"), ("shifts", "shifts"), ("gan", "cGAN"), ("both", "shifts and cGAN"))
    for name, label in rows:
        values = [numbers[f"{name}_{n}"] for n in SIZES]
        (line,) = ax.plot(SIZES, [middle(x) for x in values], marker="o", markersize=3, label=label)
        if isinstance(values[0], dict):
            low, high = ([x[end] for x in values] for end in ("low", "high"))
            ax.fill_between(SIZES, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    ax.set(xlabel="labelled images", ylabel="accuracy on other images", xscale="log")
    ax.set_xticks(SIZES, [str(n) for n in SIZES])
    ax.minorticks_off()
    ax.legend()
    return fig


@figures.register(
    "cgan/augment",
    paper=PAPER,
    shows="accuracy of a classifier on few labelled digits, with shifted copies and with images of a conditional GAN",
    minutes=2,
)
def augment() -> Figure:
    """Five seeds of the GAN on the same labelled images. The bounds ask whether there is a gain at all."""
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={str(n): run_spec(_entry(n), 3_000, seeds=5) for n in SIZES},
        claims=(
            Claim("100 images: gain in accuracy by shifts", "gain_shifts_100", least=0.0),
            Claim("100 images: gain by images of the GAN, median of 5 seeds", "gain_gan_100", least=0.0),
            Claim("100 images: gain by images of the GAN beside shifts", "gain_both_100", least=0.0),
            Claim("500 images: gain by images of the GAN", "gain_gan_500", least=0.0),
        ),
    )
