"""Losses against sample quality during training, of Wasserstein GAN (Arjovsky et al. 2017, arXiv 1701.07875).

    python launch.py figure wgan/fig3 wgan/fig4

The paper trains on bedrooms of 64 pixels and lets the reader judge the samples. Here fully connected networks learn 8x8
digits, and quality is the Fréchet distance on the features of a digit classifier. Both figures have the same networks,
optimizer and learning rate. The discriminator of the GAN is not clipped and has the loss of the GAN.
"""

from typing import Any

import jax
import numpy as np

from experiments import wgan
from experiments.testbeds import DIGITS_MLP
from experiments.wgan import PAPER
from jaxgan.core import losses, optim
from jaxgan.core.losses import Adversarial
from jaxgan.data.digits import digits
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run
from jaxgan.training.experiment import Experiment

STEPS = tuple(range(1_500, 15_001, 1_500))
SHOWN = (0, 3, 9)  # which of the steps have their samples drawn
N = 1_797  # samples, as many as there are digits


def build_gan(config: wgan.Config) -> Experiment:
    """Returns the GAN with the networks, optimizer and learning rates of `wgan/digits`, without clipping."""
    return DIGITS_MLP.two_player(
        config, losses.non_saturating, optim.rmsprop(config.g_lr), optim.rmsprop(config.d_lr), n_critic=config.n_critic
    )


def current_samples(run: Run, n: int) -> np.ndarray:
    """Returns n samples float32 [n, 8, 8, 1] of the generator as it is, which the critic is trained against."""
    (generator,) = (network for network in run.experiment.game.networks if network.name == "generator")
    z = jax.random.normal(jax.random.key(1), [n, run.config.latent])
    return np.asarray(generator.bind(run.state, train=False)(z))


def loss_and_quality(loss: Adversarial, examined: tuple[Run, ...]) -> dict[str, np.ndarray]:
    """Returns the critic's loss on all digits and as many samples, and the samples' Fréchet distance, at each step."""
    real = np.float32(digits().images) / 127.5 - 1
    evaluate = make_evaluator(("fd",), lambda split: digits())
    d_loss, distance, shown = [], [], []
    for run in examined:
        fake = current_samples(run, N)
        D = run.network("discriminator")
        d_loss.append(loss.d(D(real), D(fake)).item())
        images = run.experiment.output.postprocess(fake)
        distance.append(evaluate(images).values["fd_digits"])
        shown.append(images[:16])
    return {
        "steps": np.array([run.step for run in examined]),
        "d_loss": np.array(d_loss),
        "distance": np.array(distance),
        "samples": np.stack([shown[k] for k in SHOWN]),
    }


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Returns Spearman's rank correlation; 0 if one of them is constant."""
    from scipy.stats import spearmanr  # Takes a moment to import.

    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else spearmanr(a, b).statistic.item()


def _few_ticks(axis: Any) -> None:
    """Puts ticks at 1, 2 and 5 times powers of ten on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def draw_course(numbers: Numbers, key: str, label: str, colour: str) -> Any:
    """Returns a figure of an estimate and the distance over steps, of one against the other, and of samples."""
    fig, axes = plots.subplots(1, 5, height=1.9, width_ratios=[2, 1.6, 1, 1, 1])
    course, scatter, *panels = axes[0]
    course.plot(numbers["steps"] / 1e3, numbers[key], "o-", markersize=3, color=colour)
    course.set(xlabel="critic steps / 1000", ylim=(0, None))
    course.set_ylabel(label, color=colour)
    right = course.twinx()
    right.plot(numbers["steps"] / 1e3, numbers["distance"], "s--", markersize=3, color="0.4")
    right.set_yscale("log")
    _few_ticks(right.yaxis)
    right.set_ylabel("Fréchet distance", color="0.4")
    right.spines["right"].set_visible(True)
    scatter.plot(numbers["distance"], numbers[key], "o", markersize=3, color=colour)
    scatter.set(xscale="log", xlabel="Fréchet distance", ylabel=label, title=f"Spearman {numbers['correlation']:.2f}")
    _few_ticks(scatter.xaxis)
    for ax, images, step in zip(panels, numbers["samples"], numbers["steps"][list(SHOWN)], strict=True):
        tiles = np.pad(images[..., 0], [(0, 0), (0, 1), (0, 1)], constant_values=255)
        ax.imshow(tiles.reshape(4, 4, 9, 9).swapaxes(1, 2).reshape(36, 36), cmap="gray", interpolation="nearest")
        ax.set(title=f"step {step:,}", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return fig


@register(
    "wgan/fig3",
    paper=PAPER,
    shows="the earth mover's distance that a clipped critic estimates falls as samples improve; fully connected "
    "networks on 8x8 digits",
    minutes=2,
)
def fig3() -> Figure:
    """The estimate is E D(x) - E D(G(z)), up to the critic's unknown Lipschitz constant."""

    def measure(runs: Runs) -> Numbers:
        numbers = loss_and_quality(losses.wasserstein, runs["WGAN"])
        estimate = -numbers["d_loss"]
        return numbers | {"estimate": estimate, "correlation": rank_correlation(estimate, numbers["distance"])}

    claim = f"rank correlation of the estimate and the Fréchet distance of samples, at {len(STEPS)} steps"
    return Figure(
        measure=measure,
        plot=lambda numbers: draw_course(numbers, "estimate", "E D(x) - E D(G(z))", plots.COLOURS[0]),
        runs={"WGAN": run_spec("wgan/digits", *STEPS)},
        claims=(Claim(claim, "correlation", least=0.8),),
    )


@register(
    "wgan/fig4",
    paper=PAPER,
    shows="the Jensen-Shannon divergence that a GAN's discriminator estimates stays near log 2 and says nothing about "
    "samples; fully connected networks on 8x8 digits",
    minutes=4,
)
def fig4() -> Figure:
    """The estimate is log 2 - L_D / 2, a lower bound of the divergence in nats."""

    def measure(runs: Runs) -> Numbers:
        numbers = loss_and_quality(losses.minimax, runs["GAN"])
        of_wgan = loss_and_quality(losses.wasserstein, runs["WGAN"])
        estimate = np.log(2) - numbers["d_loss"] / 2
        correlation = rank_correlation(estimate, numbers["distance"])
        wgan_correlation = rank_correlation(-of_wgan["d_loss"], of_wgan["distance"])
        return numbers | {
            "estimate": estimate,
            "correlation": correlation,
            "wgan_correlation": wgan_correlation,
            "less": abs(wgan_correlation) - abs(correlation),
            "least": estimate.min().item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig = draw_course(numbers, "estimate", "log 2 - L_D / 2, nats", plots.COLOURS[1])
        for ax in fig.axes[:2]:
            ax.axhline(np.log(2), color="black", linewidth=0.8, linestyle=":", label="log 2")
            ax.set_ylim(0, 0.75)
        fig.axes[1].legend(loc="lower right")
        return fig

    gan = Entry("non_saturating/digits_rmsprop", wgan.Config(**DIGITS_MLP.defaults), build_gan)
    return Figure(
        measure=measure,
        plot=plot,
        runs={"GAN": run_spec(gan, *STEPS), "WGAN": run_spec("wgan/digits", *STEPS)},
        claims=(
            Claim("|rank correlation| of WGAN's estimate with the Fréchet distance, minus the GAN's", "less", least=0),
            Claim("the estimate of the divergence, nats: the least", "least", least=0.5),
        ),
    )
