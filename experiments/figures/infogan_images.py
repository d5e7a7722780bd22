"""The figures of InfoGAN (Chen et al. 2016) on images: the bound on the information, and the code as a classifier.

As in the paper, the generator is not an average over training. One that is mixes the codes until its parameters settle.
The discriminator normalises by the batch that it is given, as in training, where a batch has reals or fakes alone; its
running statistics are those of both.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import linear_sum_assignment

from experiments.infogan import PAPER, information_bound
from experiments.infogan_images import CLASSES, CONTINUOUS, draw
from jaxgan.core import prng
from jaxgan.core.game import TrainState
from jaxgan.data.datasets import Dataset
from jaxgan.data.digits import digits
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.run import Run
from jaxgan.training.experiment import Experiment
from jaxgan.training.metric_log import summarise_seeds

STEPS = (0, 500, 1_000, 2_500, 5_000, 10_000)


@functools.partial(jax.jit, static_argnums=0)
def _generate_and_judge(experiment: Experiment, state: TrainState, z: Array) -> tuple[Array, dict[str, Array]]:
    """Returns the images of the generator and the discriminator's outputs for them."""
    generator, discriminator = experiment.game.networks
    images = generator.bind(state, train=False)(z)
    return images, discriminator.bind(state)(images)


@functools.partial(jax.jit, static_argnums=0)
def _judge(experiment: Experiment, state: TrainState, images: Array) -> dict[str, Array]:
    return experiment.game.networks[1].bind(state)(images)


def generate(run: Run, member: int, z: Array) -> np.ndarray:
    """Returns the images [N, H, W, 1] that the generator makes of latents z."""
    return np.asarray(_generate_and_judge(run.experiment, run.seed_states[member], z)[0])


def information(run: Run, member: int, n: int = 2_000) -> float:
    """Returns the bound on the information about the class code, in nats, on n samples."""
    z = draw(prng.example_keys(jax.random.key(0), jnp.arange(n)), run.config.latent)
    _, outputs = _generate_and_judge(run.experiment, run.seed_states[member], z)
    code = z[:, run.config.latent : run.config.latent + CLASSES].argmax(1)
    return float(information_bound(outputs["code_logits"], code))


def matched_accuracy(run: Run, member: int, data: Dataset) -> float:
    """Returns the accuracy of Q's class code on digits, after the best one-to-one matching of codes to digits."""
    images = jnp.float32(data.images) / 127.5 - 1.0
    code = np.asarray(_judge(run.experiment, run.seed_states[member], images)["code_logits"].argmax(1))
    counts = np.zeros([CLASSES, CLASSES])
    np.add.at(counts, (code, data.labels), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / len(code))


def sweep(run: Run, member: int = 0, code: int = 0) -> np.ndarray:
    """Returns a picture [CLASSES * H, 9 * W] with a row for each class code, in which a continuous code varies."""
    noise = draw(prng.example_keys(jax.random.key(1), jnp.arange(1)), run.config.latent)[:, : run.config.latent]
    classes = jnp.eye(CLASSES).repeat(9, 0)
    continuous = jnp.zeros([9 * CLASSES, CONTINUOUS]).at[:, code].set(jnp.tile(jnp.linspace(-2.0, 2.0, 9), CLASSES))
    z = jnp.concatenate([noise.repeat(9 * CLASSES, 0), classes, continuous], axis=1)
    images = generate(run, member, z)[..., 0]
    _, height, width = images.shape
    return images.reshape(CLASSES, 9, height, width).transpose(0, 2, 1, 3).reshape(CLASSES * height, 9 * width)


def _measure(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {"steps": np.array(STEPS[: len(runs["infogan"])]), "sweep": sweep(runs["infogan"][-1])}
    for name, at_steps in runs.items():
        members = range(at_steps[0].config.seeds)
        bounds = np.array([[information(run, member) for run in at_steps] for member in members])
        accuracies = [matched_accuracy(at_steps[-1], member, digits()) for member in members]
        numbers |= {
            f"{name}_information": bounds,
            f"{name}_last": summarise_seeds(bounds[:, -1]),
            f"{name}_accuracy": summarise_seeds(accuracies),
            f"{name}_best_accuracy": max(accuracies),
        }
    return numbers


def _plot(numbers: Numbers) -> Any:
    fig, ((left, right),) = plots.subplots(1, 2, height=2.6)
    left.axhline(math.log(CLASSES), color="black", linewidth=0.8, label="H(c) = ln 10")
    for name, label in (("infogan", "InfoGAN"), ("gan", "GAN, with Q trained beside it")):
        plots.median_band(left, numbers["steps"], numbers[f"{name}_information"], label)
    left.set(xlabel="step", ylabel="$L_I$ of the class code, nats")
    left.legend()
    right.imshow(numbers["sweep"], cmap="gray", vmin=-1, vmax=1)
    right.set(xlabel="first continuous code, -2 to 2", ylabel="class code", xticks=[], yticks=[])
    return fig


@figures.register(
    "infogan/digits",
    paper=PAPER,
    shows="figures 1 and 2 on the 8x8 digits: the information about the class code, and the code as a classifier",
    minutes=2,
)
def on_digits() -> Figure:
    """Both games on three seeds. The bounds are those that the reproduction of the paper's MNIST figures asks for."""
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={
            "infogan": run_spec("infogan/digits", *STEPS, seeds=3),
            "gan": run_spec("infogan/digits", *STEPS, seeds=3, info=0.0),
        },
        claims=(
            Claim(
                "InfoGAN: L_I of the class code at the end, nats, of at most ln 10 = 2.30", "infogan_last", least=2.2
            ),
            Claim("plain GAN: the same", "gan_last", most=1.0),
            Claim(
                "InfoGAN: matched accuracy of the code on the digits, best of 3 seeds", "infogan_best_accuracy", 0.85
            ),
        ),
    )
