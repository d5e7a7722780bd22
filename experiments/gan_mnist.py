"""The original GAN on MNIST (Goodfellow et al. 2014, arXiv 1406.2661): its networks, its table 1, its figure 2.

    python launch.py train gan/mnist
    python launch.py figure gan/table1 gan/fig2

Settings are those of the authors' mnist.yaml, whose noise is normal, for it names none. They trained for hundreds of
epochs, the figures for 60: a first version of table1, of 30, gave 118 nats.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import imagesets
from jaxgan import figures, latents, losses, plots, registry
from jaxgan.data.datasets import Dataset
from jaxgan.evaluate.neighbours import nearest
from jaxgan.evaluate.parzen import parzen
from jaxgan.figures import Claim, Figure, needs
from jaxgan.game import KEY, LABEL, Network, spec
from jaxgan.networks import maxout
from jaxgan.networks.layers import Initializer
from jaxgan.objectives import two_player
from jaxgan.registry import Experiment, register

PAPER = "Goodfellow et al. 2014, arXiv 1406.2661"
MNIST = imagesets.MNIST
LEARNT, LEFT = "train[:50000]", "train[50000:]"  # what is learnt from, and what the window's width is chosen on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """The authors' GAN for MNIST, their mnist.yaml."""

    steps: int = 30_000  # 60 epochs; the authors trained for hundreds
    batch_size: int = 100  # examples a step, over all devices
    log_every: int = 100  # steps
    latent: int = 100  # dimensions of z
    width: int = 1200  # units of a hidden layer of the generator
    units: int = 240  # of a hidden layer of the discriminator, each the largest of five
    lr: float = 0.1  # learning rate at the start
    lr_decay: float = 1.000004  # by which the rate is divided at each step, until it is 1e-6
    momentum: float = 0.5  # at the start
    last_momentum: float = 0.7  # reached along a line
    momentum_steps: int = 125_000  # steps until then, 250 epochs


def with_maxout(
    images: imagesets.ImageSet, config: Config, split: str, draw: Callable[..., Array], conditional: bool = False
) -> Experiment:
    """A rectifier generator on `draw` of z, against maxout with dropout, by plain momentum.

    The discriminator's loss is half the cross-entropy: it matters to gradient descent, as it does not to Adam.
    """
    lr = lambda count: jnp.maximum(config.lr * config.lr_decay ** -jnp.float32(count), 1e-6)
    momentum = optax.linear_schedule(config.momentum, config.last_momentum, config.momentum_steps)
    descend = optax.inject_hyperparams(optax.sgd)(learning_rate=lr, momentum=momentum)
    classes, labels = (images.classes, (LABEL,)) if conditional else (0, ())
    g_module = maxout.Generator(images.shape, config.width, classes, mean_pixels(lambda: images.data(split)))
    d_module = maxout.Discriminator(config.units, classes)
    generator = Network("generator", g_module, (spec(config.latent), *labels, *([KEY] if conditional else [])))
    latent = lambda keys: draw(keys, config.latent)
    loss = losses.non_saturating
    game = two_player(
        generator,
        Network("discriminator", d_module, (spec(*images.shape), *labels, KEY)),
        loss._replace(d=lambda real_logits, fake_logits: 0.5 * loss.d(real_logits, fake_logits)),
        latent,
        g_optimizer=descend,
        d_optimizer=descend,
    )
    return images.look(game, generator, latent, images.source(config.batch_size, split), conditional)


@register(
    "gan/mnist",
    Config(),
    paper=PAPER,
    dataset=MNIST.dataset,
    shows="the first GAN: rectifiers against maxout with dropout, by plain momentum",
    cost="30 min, 2 CPU cores",
)
def on_mnist(config: Config) -> Experiment:
    """Of the training images the last 10,000 are left for the choice of a Parzen window's width."""
    return with_maxout(MNIST, config, LEARNT, latents.normal)


def mean_pixels(load: Callable[[], Dataset]) -> Initializer:
    """Biases with which a generator that knows nothing yet gives the mean image."""

    def logits() -> np.ndarray:
        mean = np.clip(load().images.mean(0, dtype=np.float64).ravel() / 255, 1e-7, 1 - 1e-7)
        return np.float32(np.log(mean) - np.log1p(-mean))

    # By a callback nothing is read until a run starts: `show` and `load` know the shape without the data.
    shape = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype)
    return lambda key, *of: jax.pure_callback(logits, shape(*of), vmap_method="broadcast_all")


def likelihood(samples: np.ndarray) -> dict[str, float]:
    """Parzen window log-likelihood of MNIST's test images under samples uint8 [N, 28, 28, 1], in nats."""
    rows = lambda images: np.float32(images).reshape(len(images), -1) / 255
    return parzen(rows(samples), rows(MNIST.data(LEFT).images[:1_000]), rows(MNIST.data("test").images))


@figures.register(
    "gan/table1",
    paper=PAPER,
    shows="log-likelihood of MNIST's test images by a Parzen window on 10,000 samples; the paper has 225 ± 2 nats. "
    "Here 60 epochs of training, one seed",
    cost="30 min, 2 CPU cores",
)
def table1() -> Figure:
    """Beside it what windows on no model's samples give: on training images, and on the centres of k-means."""
    published = {"DBN": 138, "stacked CAE": 121, "deep GSN": 214, "GAN": 225}

    def measure(looks: figures.Looks) -> figures.Numbers:
        from sklearn.cluster import MiniBatchKMeans  # Takes a second to import.

        (run,), train = looks["GAN"], MNIST.data(LEARNT).images
        some = train[np.random.default_rng(0).choice(len(train), 10_000, replace=False)]
        means = MiniBatchKMeans(500, random_state=0, n_init=1, batch_size=4096, max_iter=10).fit(
            np.float32(some).reshape(len(some), -1)
        )
        found = {
            "samples": likelihood(run.sample(10_000)),
            "training images": likelihood(some),
            "k-means": likelihood(means.cluster_centers_),
        }
        return {f"{name} {key}": value for name, one in found.items() for key, value in one.items()}

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=2.2, width=0.75 * plots.WIDTH)
        ours = {"GAN, here": "samples", "training images": "training images", "500 means of them": "k-means"}
        rows = [(f"{name}, paper", nats, plots.COLOURS[5]) for name, nats in published.items()]
        rows += [(name, found[f"{key} log_likelihood"], plots.COLOURS[0]) for name, key in ours.items()]
        for y, (_, nats, colour) in enumerate(rows):
            ax.barh(y, nats, color=colour)
            ax.text(nats + 3, y, f"{nats:.0f}", va="center", fontsize=7)
        ax.set(yticks=range(len(rows)), yticklabels=[name for name, *_ in rows], xlabel="log-likelihood, nats")
        ax.invert_yaxis()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("log-likelihood of the test images, nats", "samples log_likelihood", least=180, most=320),
            Claim("it is above that of the stacked CAE, 121 nats", "samples log_likelihood", least=121),
        ),
        runs={"GAN": needs("gan/mnist", 30_000)},
    )


@figures.register(
    "gan/fig2",
    paper=PAPER,
    shows="samples, and the training image nearest to the one beside it: digits that are not copies. 60 epochs",
    cost="30 min, 2 CPU cores; shares its run with gan/table1",
)
def fig2() -> Figure:
    """Distances are those of pixels; among training images, from one in 25 to the nearest other."""
    rows, columns = 6, 9

    def measure(looks: figures.Looks) -> figures.Numbers:
        (run,), train = looks["GAN"], MNIST.data(LEARNT).images
        flat = lambda images: np.float32(images).reshape(len(images), -1) / 255
        samples = run.sample(2_000)
        places, distances = nearest(flat(samples), flat(train))
        _, others = nearest(flat(train[::25]), flat(np.delete(train, np.s_[::25], axis=0)))
        return {
            "samples": samples[: rows * columns],
            "neighbours": train[places[columns - 1 : rows * columns : columns]],
            "distance": float(np.median(distances)),
            "among": float(np.median(others)),
            "ratio": float(np.median(distances) / np.median(others)),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=3.0, width=0.75 * plots.WIDTH)
        grid = lambda images, n: images.reshape(rows, n, 28, 28).swapaxes(1, 2).reshape(rows * 28, n * 28)
        gap = np.full((rows * 28, 8), 255, np.uint8)
        beside = [grid(found["samples"], columns), gap, grid(found["neighbours"], 1)]
        ax.imshow(np.concatenate(beside, axis=1), cmap="gray", interpolation="nearest")
        ax.set(xticks=[14 * columns, 28 * columns + 22], xticklabels=["samples", "nearest in training"], yticks=[])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("distance to the nearest training image, over that of training images, medians", "ratio", least=0.5),
        ),
        runs={"GAN": needs("gan/mnist", 30_000)},
    )
