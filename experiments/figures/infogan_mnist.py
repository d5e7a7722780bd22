"""Figures 1 and 2 of InfoGAN (Chen et al. 2016, arXiv 1606.03657) on MNIST, reduced.

    python launch.py figure infogan/fig1 infogan/fig2

Both networks have a quarter of the width of `infogan/mnist`, and batches have 64 images. For figure 1 training ends
after 1,000 steps; for figure 2 InfoGAN is trained for 8,000.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.infogan_images import CLASSES, generate, information, matched_accuracy, sweep
from experiments.infogan import PAPER
from experiments.infogan_images import CONTINUOUS, draw
from experiments.testbeds import MNIST
from jaxgan.core import prng
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.run import Run
from jaxgan.training.metric_log import summarise_seeds

STEPS = (0, 100, 200, 400, 700, 1_000)
SETTINGS = {"seeds": 3, "width": 16, "batch_size": 64}
RUNS = {
    "infogan": run_spec("infogan/mnist", *STEPS, **SETTINGS),
    "gan": run_spec("infogan/mnist", *STEPS, **SETTINGS, info=0.0),
}


def slant(images: np.ndarray) -> np.ndarray:
    """Returns the slope dx / dy of the ink's principal shear, [N], of images [N, H, W] in [-1, 1]."""
    ink = (np.float64(images) + 1.0) / 2.0 + 1e-6
    y, x = np.indices(images.shape[1:])
    mean = lambda values: (ink * values).sum((1, 2)) / ink.sum((1, 2))
    covariance = mean(x * y) - mean(x) * mean(y)
    return covariance / (mean(y**2) - mean(y) ** 2)


def slant_correlation(run: Run, member: int, n: int = 2_000) -> np.ndarray:
    """Returns the correlation of each continuous code with the slant of n samples, [CONTINUOUS]."""
    z = draw(prng.example_keys(jax.random.key(2), jnp.arange(n)), run.config.latent)
    slants = slant(generate(run, member, z)[..., 0])
    return np.array([np.corrcoef(code, slants)[0, 1] for code in np.asarray(z)[:, -CONTINUOUS:].T])


@figures.register(
    "infogan/fig1",
    paper=PAPER,
    shows="the information about the class code over training on MNIST, a quarter of the width and 1,000 steps",
    minutes=4,
)
def fig1() -> Figure:
    """InfoGAN and a GAN beside which Q is trained, three seeds each."""

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["infogan"]])}
        for name, at_steps in runs.items():
            members = range(at_steps[0].config.seeds)
            bounds = np.array([[information(run, member) for run in at_steps] for member in members])
            numbers |= {f"{name}_information": bounds, f"{name}_last": summarise_seeds(bounds[:, -1])}
        gap = numbers["infogan_information"][:, -1] - numbers["gan_information"][:, -1]
        return numbers | {"gap": summarise_seeds(gap)}

    def plot(numbers: Numbers) -> Any:
        fig, ((ax,),) = plots.subplots(1, 1, width=3.6, height=2.6)
        ax.axhline(np.log(CLASSES), color="black", linewidth=0.8, label="H(c) = ln 10")
        for name, label in (("infogan", "InfoGAN"), ("gan", "GAN, with Q trained beside it")):
            plots.median_band(ax, numbers["steps"], numbers[f"{name}_information"], label)
        ax.set(xlabel="step", ylabel="$L_I$, nats")
        ax.legend(loc="center right")
        return fig

    bound = "the bound L_I after 1,000 steps, nats"
    return Figure(
        measure=measure,
        plot=plot,
        runs=RUNS,
        claims=(
            Claim(f"InfoGAN: {bound}, of at most ln 10 = 2.30", "infogan_last", least=2.2),
            Claim(f"GAN: {bound}", "gan_last", most=1.0),
            Claim("difference of the two, nats", "gap", least=1.0),
        ),
    )


@figures.register(
    "infogan/fig2",
    paper=PAPER,
    shows="what the codes change in samples of MNIST: class, class without the information, and two continuous codes",
    minutes=30,
)
def fig2() -> Figure:
    """The runs of figure 1, InfoGAN's continued. Pictures are those of the seed whose class code classifies best."""

    def measure(runs: Runs) -> Numbers:
        info, gan, data = runs["infogan"][-1], runs["gan"][-1], MNIST.target.data("test").in_memory()
        members = range(info.config.seeds)
        accuracies = [matched_accuracy(info, member, data) for member in members]
        correlations = np.abs([slant_correlation(info, member) for member in members])
        best = int(np.argmax(accuracies))
        return {
            "accuracy": summarise_seeds(accuracies),
            "best_accuracy": max(accuracies),
            "correlations": correlations,
            "slant": summarise_seeds(correlations.max(1)),
            "infogan_first": sweep(info, best, 0),
            "infogan_second": sweep(info, best, 1),
            "gan_first": sweep(gan, 0, 0),
        }

    def plot(numbers: Numbers) -> Any:
        fig, (panels,) = plots.subplots(1, 3, height=2.8)
        rows = (("infogan_first", "InfoGAN, $c_2$"), ("infogan_second", "InfoGAN, $c_3$"), ("gan_first", "GAN, $c_2$"))
        for ax, (name, title) in zip(panels, rows, strict=True):
            ax.imshow(numbers[name], cmap="gray", vmin=-1, vmax=1)
            ax.set(title=title, xlabel="-2 to 2", xticks=[], yticks=[])
        panels[0].set_ylabel("class code $c_1$")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"infogan": run_spec("infogan/mnist", 8_000, **SETTINGS), "gan": RUNS["gan"]},
        claims=(
            Claim("matched accuracy of the class code on test images, best of 3 seeds", "best_accuracy", least=0.85),
            Claim("correlation of a continuous code with the slant, absolute value, median of 3 seeds", "slant", 0.6),
        ),
    )
