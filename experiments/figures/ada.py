"""Overfitting of the discriminator and its cure (Karras et al. 2020b, arXiv 2006.06676, figures 1 and 5).

    python launch.py figure ada/fig1 ada/fig5

The paper trains StyleGAN2 on 2,000 to 140,000 faces. Here fully connected networks learn 8x8 digits from few of them,
without augmentation and with adaptive augmentation, whose p can rise from 0 to 1 in 20,000 images instead of 500,000.
"""

import dataclasses
from typing import Any

import numpy as np
import optax

from experiments.defaults import ImageConfig, augmentation
from experiments.testbeds import DENSE_DIGITS
from jaxgan.core import ada, losses, penalties
from jaxgan.data.datasets import Dataset
from jaxgan.data.digits import digits
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, RunSpec, run_spec
from jaxgan.runs import targets
from jaxgan.runs.registry import Entry
from jaxgan.training.experiment import Experiment
from jaxgan.training.metric_log import summarise_seeds

PAPER = "Karras et al. 2020, arXiv 2006.06676"
N = 100  # images for training
HELD_OUT = 900  # images from this index on are held out
STEPS, SEEDS = (250, 500, 1_000, 2_000), 3
ADA_IMAGES = 20_000  # in which p can rise from 0 to 1
SAMPLES = 897
SETTINGS = {"batch_size": 32, "latent": 32, "width": 128, "g_lr": 1e-3, "d_lr": 1e-3, "ema_half_life": 5_000.0}
METHODS = {"none": "none", "ada": "adaptive"}


def few_digits(split: str = "train") -> Dataset:
    """Returns the first `N` digits."""
    data = digits()
    return Dataset(f"{N} digits", data.images[:N], data.labels[:N], data.classes)


def build(config: ImageConfig) -> Experiment:
    """Returns the non-saturating GAN with R1 on few digits, with the augmentation of the config."""
    images = dataclasses.replace(DENSE_DIGITS, target=targets.images(few_digits, (8, 8, 1)))
    fast = ada.adaptive(config.batch_size, images=ADA_IMAGES)
    adam = lambda lr: optax.adam(lr, 0.0, 0.99)
    return images.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        augment=fast if config.augment == "ada" else augmentation(config),
        penalty=penalties.r1,
        penalty_weight=0.01,
    )


def few_digits_run(augment: str) -> RunSpec:
    """Returns the run with an augmentation, one of the values of `--augment`."""
    entry = Entry(f"few_digits_{augment}/digits", ImageConfig(**SETTINGS, augment=augment), build)
    return run_spec(entry, *STEPS, seeds=SEEDS)


RUNS = {name: few_digits_run(name) for name in METHODS}


def _measure_fig1(runs: Runs) -> Numbers:
    real = np.float32(digits().images) / 127.5 - 1
    evaluate = make_evaluator(("fd",), lambda split: digits())
    numbers: dict[str, Any] = {}
    for name, by_step in runs.items():
        rows: dict[str, list[Any]] = {"train": [], "held_out": [], "fake": [], "distance": []}
        for run in by_step:
            outputs: dict[str, list[float]] = {key: [] for key in rows}
            for member in range(run.config.seeds):
                samples = run.sample(SAMPLES, member=member)
                D = run.network("discriminator", member)
                sets = {"train": real[:N], "held_out": real[HELD_OUT:], "fake": np.float32(samples) / 127.5 - 1}
                for key, images in sets.items():
                    outputs[key].append(float(D(images).mean()))
                outputs["distance"].append(evaluate(samples).values["fd_digits"])
            for key, values in outputs.items():
                rows[key].append(values)
        gap = np.subtract(rows["train"], rows["held_out"])  # [steps, seeds]
        numbers |= {f"{name} {key}": np.median(values, 1) for key, values in rows.items()}
        numbers[f"{name} growth"] = summarise_seeds(gap[-1] / gap[0])
        numbers[f"{name} gap"] = summarise_seeds(gap[-1])
        numbers[f"{name} last distance"] = summarise_seeds(rows["distance"][-1])
        numbers[f"{name} samples"] = by_step[-1].sample(36)
    last = {name: numbers[f"{name} last distance"]["median"] for name in METHODS}
    return numbers | {"distance ratio": last["ada"] / last["none"]}


def _plot_fig1(numbers: Numbers) -> Any:
    fig, (axes,) = plots.subplots(1, 3, height=2.3)
    for name, label in METHODS.items():
        axes[0].plot(STEPS, numbers[f"{name} distance"], marker="o", markersize=3, label=label)
    axes[0].set(xlabel="step", ylabel="Fréchet distance to all digits", xscale="log")
    axes[0].legend(title="augmentation")
    for ax, (name, label) in zip(axes[1:], METHODS.items(), strict=True):
        for key, text in {"train": "training images", "held_out": "other images", "fake": "samples"}.items():
            ax.plot(STEPS, numbers[f"{name} {key}"], marker="o", markersize=3, label=text)
        ax.set(xlabel="step", ylabel="mean logit", xscale="log", title=f"augmentation: {label}")
    axes[1].legend()
    for ax in axes:
        ax.set_xticks(STEPS, STEPS)
        ax.minorticks_off()
    return fig


@figures.register(
    "ada/fig1",
    paper=PAPER,
    shows="from few images the discriminator learns the images themselves: its logits at other images fall to those "
    "at samples, and samples get worse; adaptive augmentation prevents it",
    minutes=3,
)
def fig1() -> Figure:
    """100 digits, three seeds. The gap is the mean logit at training images minus that at 897 other ones."""
    return Figure(
        measure=_measure_fig1,
        plot=_plot_fig1,
        runs=RUNS,
        claims=(
            Claim("none: gap at the end / at step 250, median of 3 seeds", "none growth", least=3),
            Claim("adaptive: gap at the end / at step 250, median of 3 seeds", "ada growth", most=1.5),
            Claim("Fréchet distance at the end, adaptive / none, medians of 3 seeds", "distance ratio", most=1),
        ),
    )


def _measure_fig5(runs: Runs) -> Numbers:
    *_, run = runs["ada"]
    log = run.metrics()
    p, sign = (log[f"augment/{name}"].reshape(len(log["step"]), -1) for name in ("p", "sign"))
    last_third = sign[len(sign) * 2 // 3 :]
    return {
        "step": log["step"],
        "p": np.median(p, 1),
        "sign": np.median(sign, 1),
        "r_t": summarise_seeds(last_third.mean(0)),
        "last p": summarise_seeds(p[-1]),
    }


def _plot_fig5(numbers: Numbers) -> Any:
    fig, (axes,) = plots.subplots(1, 2, height=2.3)
    axes[0].plot(numbers["step"], numbers["sign"])
    axes[0].axhline(0.6, color="0.6", linewidth=0.8)
    axes[0].set(xlabel="step", ylabel="mean sign of logits at reals, $r_t$")
    axes[1].plot(numbers["step"], numbers["p"])
    axes[1].set(xlabel="step", ylabel="probability of a transformation, $p$")
    return fig


@figures.register(
    "ada/fig5",
    paper=PAPER,
    shows="adaptive augmentation keeps the mean sign of the logits at reals at its target of 0.6",
    minutes=2,
)
def fig5() -> Figure:
    """100 digits, three seeds."""
    return Figure(
        measure=_measure_fig5,
        plot=_plot_fig5,
        runs={"ada": RUNS["ada"]},
        claims=(Claim("mean sign over the last third of training, median of 3 seeds", "r_t", 0.5, 0.7),),
    )
