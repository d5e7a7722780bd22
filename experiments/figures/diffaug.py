"""Where to augment, and what it is for (Zhao et al. 2020, DiffAugment, arXiv 2006.10738, figure 5 and section 4.3).

    python launch.py figure diffaug/fig5 diffaug/lowshot

In figure 5 the paper augments CIFAR-10 by translation and cutout for BigGAN. Here fully connected networks learn 8x8
digits. The augmentation is a cutout of 4 x 4 pixels, whose grey rectangles are easy to find: digits hardly have any.
Pixels are grey up to 0.5, at which 0.01 % of the digits' own pixels lie in grey squares; this was chosen on the data. A
first version with 0.15 found nothing in samples in which a person sees noisy grey rectangles.

`diffaug/lowshot` trains on 100 digits, as `ada/fig1` does; the paper on 100 photographs.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
import optax

from experiments import gan
from experiments.figures import ada
from experiments.testbeds import DIGITS_MLP
from jaxgan.core import augment, losses, prng
from jaxgan.core.augment import Augmentation
from jaxgan.core.game import Batch
from jaxgan.data.digits import digits
from jaxgan.data.sources import Source
from jaxgan.data.streams import WindowData
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.render import pictures, plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training.experiment import Experiment
from jaxgan.training.metric_log import summarise_seeds

PAPER = "Zhao et al. 2020, arXiv 2006.10738"
STEPS, SEEDS, N = 6_000, 3, 1_797
GREY = 0.5  # largest absolute value of a pixel that counts as grey
SIDE = 3  # pixels, of the smallest square of grey that counts as an artefact
METHODS = {"reals": "reals only", "d_only": "reals and fakes, D only", "both": "reals and fakes, D and G"}


def _plain(config: gan.Config, transform: Augmentation | None = None) -> Experiment:
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return DIGITS_MLP.two_player(config, losses.non_saturating, adam(config.g_lr), adam(config.d_lr), augment=transform)


def build_reals(config: gan.Config) -> Experiment:
    """Returns the GAN whose real examples are augmented, and nothing else."""
    experiment = _plain(config)

    def batch(data: WindowData, key: jax.Array, step: jax.Array, index: jax.Array) -> Batch:
        batch = experiment.source.batch(data, key, step, index)
        keys = prng.example_keys(jax.random.fold_in(jax.random.fold_in(key, step), 1), index)
        return {**batch, "real": augment.cutout(batch["real"], keys)}

    return dataclasses.replace(experiment, source=Source(experiment.source.windows, batch))


def build_d_only(config: gan.Config) -> Experiment:
    """Returns the GAN whose discriminator learns on augmented reals and fakes; the generator's fakes are not."""
    experiment = build_both(config)
    d_phase, _ = experiment.game.phases
    _, g_phase = _plain(config).game.phases
    return dataclasses.replace(experiment, game=dataclasses.replace(experiment.game, phases=(d_phase, g_phase)))


def build_both(config: gan.Config) -> Experiment:
    """Returns the GAN that augments everything that the discriminator sees."""
    return _plain(config, augment.always(augment.cutout))


BUILDS = {"reals": build_reals, "d_only": build_d_only, "both": build_both}


def grey_share(images: np.ndarray) -> float:
    """Returns the share of pixels of images float [N, 8, 8] in [-1, 1] that lie in a grey square of `SIDE` pixels."""
    from scipy.ndimage import binary_opening  # Takes a moment to import.

    return binary_opening(np.abs(images) <= GREY, np.ones([1, SIDE, SIDE])).mean().item()


_cutout = jax.jit(lambda images: augment.cutout(images, jax.random.key(1)))


def _measure_fig5(runs: Runs) -> Numbers:
    real = np.float32(digits().images) / 127.5 - 1
    cut = np.asarray(_cutout(real))
    evaluate = make_evaluator(("fd",), lambda split: digits())
    grey = {"digits": grey_share(real[..., 0]), "cutout": grey_share(cut[..., 0])}
    numbers: dict[str, Any] = {"grey": grey, "digits": digits().images[:36], "cut": (cut[:36] + 1) / 2}
    for name, (run,) in runs.items():
        values: dict[str, list[float]] = {key: [] for key in ("leak", "distance", "caught", "caught_cut")}
        for member in range(run.config.seeds):
            samples = run.sample(N, member=member)
            fake = np.float32(samples) / 127.5 - 1
            D = run.network("discriminator", member)
            leak = (grey_share(fake[..., 0]) - grey["digits"]) / (grey["cutout"] - grey["digits"])
            values["leak"].append(leak)
            values["distance"].append(evaluate(samples).values["fd_digits"])
            values["caught"].append((D(fake) < 0).mean().item())
            values["caught_cut"].append((D(_cutout(fake)) < 0).mean().item())
        numbers[f"{name} samples"] = run.sample(36)
        numbers |= {f"{name} {key}": summarise_seeds(by_seed) for key, by_seed in values.items()}
        numbers[f"{name} gap"] = summarise_seeds(np.subtract(values["caught_cut"], values["caught"]))
    distance = {name: numbers[f"{name} distance"]["median"] for name in METHODS}
    return numbers | {f"distance over {name}": distance["both"] / distance[name] for name in ("reals", "d_only")}


def _plot_fig5(numbers: Numbers) -> Any:
    fig, (axes,) = plots.subplots(1, 4, height=2.35)
    panels = {"data": numbers["digits"]} | {label: numbers[f"{name} samples"] for name, label in METHODS.items()}
    for ax, (title, images) in zip(axes, panels.items(), strict=True):
        tiles = np.pad(images[..., 0], [(0, 0), (0, 1), (0, 1)], constant_values=255)
        ax.imshow(tiles.reshape(6, 6, 9, 9).swapaxes(1, 2).reshape(54, 54), cmap="gray", interpolation="nearest")
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    axes[0].set_xlabel("Fréchet distance\ncutout in samples\nD rejects G(z)\nD rejects T(G(z))", fontsize=7)
    for ax, name in zip(axes[1:], METHODS, strict=True):
        median = lambda key, name=name: numbers[f"{name} {key}"]["median"]
        lines = f"{median('distance'):.1f}", *(f"{median(key):.0%}" for key in ("leak", "caught", "caught_cut"))
        ax.set_xlabel("\n".join(lines), fontsize=7)
    return fig


@figures.register(
    "diffaug/fig5",
    paper=PAPER,
    shows="augmenting reals alone leaks into the samples, augmenting for D alone misleads G, augmenting everything "
    "does neither; fully connected networks on 8x8 digits, with cutout",
    minutes=3,
)
def fig5() -> Figure:
    """Three seeds. Accuracies of D are shares of reals with positive and of fakes with negative logits."""
    settings = DIGITS_MLP.defaults | {"g_lr": 2e-4, "d_lr": 2e-4}
    entry = lambda name: Entry(f"cutout_{name}/digits", gan.Config(**settings), BUILDS[name])
    median = f"median of {SEEDS} seeds"
    share = "grey of cutout in the samples, relative to that in augmented digits"
    return Figure(
        measure=_measure_fig5,
        plot=_plot_fig5,
        runs={name: run_spec(entry(name), STEPS, seeds=SEEDS) for name in METHODS},
        claims=(
            Claim(f"reals only: {share}, {median}", "reals leak", least=0.5),
            Claim(f"D and G: {share}, {median}", "both leak", most=0.1),
            Claim(f"D only: share of fakes that D rejects, augmented minus not, {median}", "d_only gap", least=0.3),
            Claim(f"D and G: Fréchet distance over that of reals only, {median}", "distance over reals", most=1.0),
            Claim(f"D and G: Fréchet distance over that of D only, {median}", "distance over d_only", most=1.0),
        ),
    )


@figures.register(
    "diffaug/lowshot",
    paper=PAPER,
    shows="from 100 digits: with augmentation of everything that the discriminator sees samples are closer to others",
    minutes=1,
)
def lowshot() -> Figure:
    """Three seeds of the networks of `ada/fig1`, with colour, translation and cutout."""
    names = ("none", "diffaug")

    def measure(runs: Runs) -> Numbers:
        evaluate = make_evaluator(("fd",), lambda split: digits())
        numbers: dict[str, Any] = {"digits": ada.few_digits().images[:36]}
        for name, by_step in runs.items():
            distances = [
                [evaluate(run.sample(N, member=member)).values["fd_digits"] for member in range(run.config.seeds)]
                for run in by_step
            ]
            numbers[f"{name} distance"] = np.median(distances, 1)
            numbers[f"{name} last"] = summarise_seeds(distances[-1])
            numbers[f"{name} samples"] = by_step[-1].sample(36)
        ratio = np.divide(numbers["diffaug last"]["seeds"], numbers["none last"]["seeds"])
        return numbers | {"largest ratio": float(ratio.max())}

    def plot(numbers: Numbers) -> Any:
        fig, (axes,) = plots.subplots(1, 4, height=2.2)
        panels = {"data": numbers["digits"]} | {name: numbers[f"{name} samples"] for name in names}
        for ax, (title, images) in zip(axes, panels.items(), strict=False):
            ax.imshow(pictures.grid(images, 6), cmap="gray", interpolation="nearest")
            ax.set(title=title, xticks=[], yticks=[])
        for name in names:
            axes[3].plot(ada.STEPS, numbers[f"{name} distance"], marker="o", markersize=3, label=name)
        axes[3].set(xlabel="step", ylabel="Fréchet distance", xscale="log")
        axes[3].set_xticks(ada.STEPS, ada.STEPS)
        axes[3].minorticks_off()
        axes[3].legend()
        return fig

    claim = "Fréchet distance to all digits at the end, with / without augmentation, largest of 3 seeds"
    return Figure(
        measure=measure,
        plot=plot,
        runs={name: ada.few_digits_run(name) for name in names},
        claims=(Claim(claim, "largest ratio", most=1.0),),
    )
