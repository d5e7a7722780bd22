"""Figures of pix2pix (Isola et al. 2017, arXiv 1611.07004), on outlines and coloured shapes.

python launch.py figure pix2pix/table1 pix2pix/fig6 pix2pix/fig7
"""

from typing import Any

import numpy as np

from experiments.pix2pix import PAPER
from jaxgan.data.shapes import load_shapes, segmentation_scores
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, RunSpec, register, run_spec
from jaxgan.runs.run import Run

STEPS = 3_000
COLOUR_STEPS = 8_000  # of figure 7: the spread of colours still grows after 3,000
SHOWN = 6  # pairs drawn

# Table 1: what the generator minimises.
LOSSES = {
    "L1": {"adversarial": 0.0},
    "GAN": {"l1": 0.0, "conditional": False},
    "cGAN": {"l1": 0.0},
    "L1+GAN": {"conditional": False},
    "L1+cGAN": {},
}


def spec(steps: int = STEPS, **settings: Any) -> RunSpec:
    """Returns a run of pix2pix/shapes with changed settings."""
    return run_spec("pix2pix/shapes", steps, **settings)


def translate_test_set(run: Run) -> np.ndarray:
    """Returns the translations of all held-out outlines, uint8 [N, H, W, 3]."""
    return run.sample(len(run.experiment.inputs.load()))


@register(
    "pix2pix/table1",
    paper=PAPER,
    shows="scores of a segmenter on translations, for L1, GAN, cGAN and their sums",
    minutes=15,
)
def table1() -> Figure:
    """Five losses. The scores are those of `data.shapes.segmentation_scores`, on 500 held-out pairs.

    Training is reduced to 3,000 steps of 16 pairs, 12 epochs, so that it takes 15 minutes on one CPU core.
    """

    def measure(runs: Runs) -> Numbers:
        outlines, truth = load_shapes("test")
        numbers: dict[str, Any] = {"input": outlines.images[:SHOWN], "truth": truth.images[:SHOWN]}
        scores = {}
        for label, (run,) in runs.items():
            images = translate_test_set(run)
            numbers[label] = images[:SHOWN]
            scores[label] = segmentation_scores(images, truth.images)
        numbers |= {f"{label}, {name}": value for label, s in scores.items() for name, value in s.items()}
        iou = {label: s["class_iou"] for label, s in scores.items()}
        numbers["GAN below the others"] = min(iou[label] for label in LOSSES if label != "GAN") - iou["GAN"]
        numbers["L1+cGAN above cGAN"] = iou["L1+cGAN"] - iou["cGAN"]
        numbers["L1+cGAN above L1"] = iou["L1+cGAN"] - iou["L1"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        columns = {name: numbers[name] for name in ("input", *LOSSES, "truth")}
        titles = {label: f"{label}\nIoU {numbers[f'{label}, class_iou']:.2f}" for label in LOSSES}
        return plots.image_columns(columns, titles)

    return Figure(
        runs={label: spec(**settings) for label, settings in LOSSES.items()},
        measure=measure,
        plot=plot,
        claims=(
            Claim("unconditional GAN: class IoU below that of the next worst loss", "GAN below the others", least=0.0),
            Claim("L1+cGAN: class IoU above that of the cGAN alone", "L1+cGAN above cGAN", least=0.0),
            Claim("L1+cGAN: class IoU above that of L1 alone", "L1+cGAN above L1", least=0.0),
        ),
    )


def edge_contrast(images: np.ndarray, truth: np.ndarray) -> float:
    """Returns the mean colour difference of horizontal neighbours across edges of the truth, relative to the truth."""
    step = lambda x: np.linalg.norm(np.diff(np.float64(x), axis=2), axis=-1)
    edges = step(truth) > 0
    return float(step(images)[edges].mean() / step(truth)[edges].mean())


@register(
    "pix2pix/fig6",
    paper=PAPER,
    shows="patches of 1, 16 and 34 pixels: a discriminator of single pixels does not sharpen edges",
    minutes=8,
)
def fig6() -> Figure:
    """L1+cGAN with three sizes of the discriminator's patches. Edge contrast is relative to the truth."""
    halvings = {1: 0, 16: 1, 34: 2}

    def measure(runs: Runs) -> Numbers:
        outlines, truth = load_shapes("test")
        numbers: dict[str, Any] = {"input": outlines.images[:SHOWN], "truth": truth.images[:SHOWN]}
        for label, (run,) in runs.items():
            images = translate_test_set(run)
            numbers[label] = images[:SHOWN]
            numbers[f"{label}, edges"] = edge_contrast(images, truth.images)
            numbers[f"{label}, class_iou"] = segmentation_scores(images, truth.images)["class_iou"]
        numbers["16 above 1"] = numbers["16, edges"] - numbers["1, edges"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        labels = [str(side) for side in halvings]
        titles = {label: f"{label} x {label}\nedges {numbers[f'{label}, edges']:.2f}" for label in labels}
        return plots.image_columns({name: numbers[name] for name in ("input", *labels, "truth")}, titles)

    return Figure(
        runs={str(side): spec(halvings=n) for side, n in halvings.items()},
        measure=measure,
        plot=plot,
        claims=(Claim("edge contrast with patches of 16 pixels above that with 1 pixel", "16 above 1", least=0.0),),
    )


@register(
    "pix2pix/fig7",
    paper=PAPER,
    shows="histograms of Lab colours: L1 narrows them, the cGAN does not",
    minutes=15,
)
def fig7() -> Figure:
    """Marginal distributions of L, a and b over the pixels of all shapes of the held-out pairs."""
    losses = ("L1", "cGAN", "L1+cGAN")

    def measure(runs: Runs) -> Numbers:
        truth = load_shapes("test")[1].images
        inside = (truth != truth[0, 0, 0]).any(-1)
        colours = {"truth": lab(truth[inside])}
        colours |= {label: lab(translate_test_set(run)[inside]) for label, (run,) in runs.items()}
        numbers: dict[str, Any] = {}
        bins = np.linspace(-110, 110, 45)
        for label, values in colours.items():
            for n, channel in enumerate("Lab"):
                numbers[f"{label}, {channel}"] = np.histogram(values[:, n], bins, density=True)[0]
            numbers[f"{label}, std"] = float(np.sqrt(values[:, 1:].var(0).sum()))
        for label in losses:
            numbers[f"{label}, relative std"] = numbers[f"{label}, std"] / numbers["truth, std"]
        return numbers | {"bins": bins}

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 3, height=1.9, sharey=True)
        centres = (numbers["bins"][1:] + numbers["bins"][:-1]) / 2
        for ax, channel in zip(axes[0], "Lab", strict=True):
            for label in ("truth", *losses):
                style = {"color": "k", "linewidth": 2} if label == "truth" else {}
                ax.semilogy(centres, numbers[f"{label}, {channel}"] + 1e-5, label=label, **style)
            ax.set(xlabel=channel, ylim=(1e-4, 1))
        axes[0, 0].set_ylabel("density of pixels")
        axes[0, 0].legend()
        return fig

    return Figure(
        runs={label: spec(COLOUR_STEPS, **LOSSES[label]) for label in losses},
        measure=measure,
        plot=plot,
        claims=(
            Claim("L1: standard deviation of (a, b), relative to the truth", "L1, relative std", most=0.85),
            Claim(
                "L1+cGAN: standard deviation of (a, b), relative to the truth",
                "L1+cGAN, relative std",
                least=0.85,
                most=1.15,
            ),
        ),
    )


def lab(colours: np.ndarray) -> np.ndarray:
    """Returns CIE Lab coordinates, float64 [..., 3], of sRGB colours uint8 [..., 3], for the white point D65."""
    srgb = np.float64(colours) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
