"""Semi-supervised learning with feature matching (Salimans et al. 2016, arXiv 1606.03498, sections 3.1 and 5).

    python launch.py train semi_supervised/digits
    python launch.py train semi_supervised/mnist

The discriminator classifies: it returns K class logits l, and its logit is log Σ exp l, that of the class "real"
against an implicit class "fake" with logit 0. It learns the classes of a few labelled images and tells all images from
fakes; the generator matches its mean features. `eval/error` is the share of wrong classes among images without labels.
The discriminator is averaged, and `eval/error` is that of the average. On MNIST networks and settings are those of the
authors' code, without its initialisation by the first batch and the weight norm of the generator's last layer; on the
other data sets networks are the testbed's.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import conditionings, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DENSE_DIGITS, MNIST
from jaxgan.core import conditioning, losses, prng
from jaxgan.core.game import Batch, Game, TrainState
from jaxgan.core.terms import Pass, Term
from jaxgan.data.sources import Source, constant_window, in_memory_arrays
from jaxgan.data.streams import WindowData
from jaxgan.networks import mlp
from jaxgan.networks.heads import Outputs
from jaxgan.networks.layers import batch_norm
from jaxgan.training.experiment import Experiment, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(conditionings.Config):
    """Semi-supervised learning."""

    g_lr: float = 1e-3
    d_lr: float = 1e-3
    labels: int = setting(100, "how many images are labelled, in equal numbers of each class")
    unlabelled: float = setting(1.0, "weight of the unsupervised loss; with 0 D learns from the labelled images alone")


class Classifier(nn.Module):
    """A head that returns "features", "class_logits" l [B, K], and log Σ exp l as "logits"."""

    classes: int
    norm: Callable[[nn.Module], nn.Module] = lambda layer: layer  # of the last layer, such as weight norm

    @nn.compact
    def __call__(self, features: Array, labels: Array | None = None, train: bool = True) -> Outputs:
        class_logits = self.norm(nn.Dense(self.classes))(features)
        return {"features": features, "class_logits": class_logits, "logits": jax.nn.logsumexp(class_logits, axis=1)}


class NoisyClassifier(nn.Module):
    """Maps images [B, ...] and example keys [B] to the outputs of `Classifier`: five weight-normed layers with noise.

    In training the input has Gaussian noise of 0.3, as a share of white minus black, and every layer's output of 0.5.
    """

    classes: int
    width: int = 1_000  # units of the first layer; the others have a half and three times a quarter of them

    @nn.compact
    def __call__(self, x: Array, keys: Array, train: bool = True) -> Outputs:
        noisy = lambda x, n, std: x + std * prng.normal(prng.fold_in(keys, n), *x.shape[1:]) if train else x
        x = noisy(x.reshape(len(x), -1), 0, 2 * 0.3)
        for n, width in enumerate((self.width, self.width // 2, *[self.width // 4] * 3), 1):
            features = nn.relu(nn.WeightNorm(nn.Dense(width))(x))
            x = noisy(features, n, 0.5)
        return Classifier(self.classes, nn.WeightNorm)(x) | {"features": features}


def with_labelled(source: Source, labels: int, classes: int) -> Source:
    """Returns batches with "labelled" images and "labelled_label", drawn from the first `labels` / K of each class."""

    def load():
        arrays = in_memory_arrays(source)
        per_class = [np.flatnonzero(arrays["label"] == label)[: labels // classes] for label in range(classes)]
        chosen = np.concatenate(per_class)
        return arrays | {"labelled": arrays["real"][chosen], "labelled_label": arrays["label"][chosen]}

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        arrays = dict(data.replicated)
        images, image_labels = arrays.pop("labelled"), arrays.pop("labelled_label")
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(jax.random.fold_in(key, 1), step), index)
        at = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(images)))(keys)
        labelled = jnp.asarray(images)[at].astype(jnp.float32) / 127.5 - 1.0
        drawn = source.batch(WindowData(arrays), key, step, index)
        return drawn | {"labelled": labelled, "labelled_label": jnp.asarray(image_labels)[at]}

    return source._replace(windows=constant_window(load), batch=batch)


def semi_supervised(unlabelled: float) -> Term:
    """Returns L_supervised + `unlabelled` L_unsupervised for D and feature matching for G (section 5)."""

    def d(p: Pass) -> Array:
        logits = p.discriminate(p.batch["labelled"])["class_logits"]
        supervised = conditioning.cross_entropy(logits, p.batch["labelled_label"])
        return supervised + unlabelled * 0.5 * losses.non_saturating.d(p.real_logits, p.fake_logits)

    return Term(
        "semi_supervised", d=d, g=lambda p: losses.feature_matching(p.real_out["features"], p.fake_out["features"])
    )


def semi_supervised_game(images: ImageSet, config: Config, **options: Any) -> Experiment:
    """Returns the experiment whose discriminator is the classifier; `options` are those of `ImageSet.two_player`."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    experiment = images.two_player(
        config,
        semi_supervised(config.unlabelled),
        adam(config.g_lr),
        adam(config.d_lr),
        source=with_labelled(images.source(config), config.labels, images.classes),
        **options,
    )
    averages = experiment.game.ema
    if "generator" in averages:
        averages = {**averages, "discriminator": averages["generator"]}
    game = dataclasses.replace(experiment.game, ema=averages)

    def evaluate(samples: np.ndarray, state: TrainState):
        data = images.target.data("train").in_memory()
        counts = np.array([np.cumsum(data.labels == label) for label in range(images.classes)])
        without_label = np.flatnonzero(
            counts[data.labels, np.arange(len(data.labels))] > config.labels // images.classes
        )
        judged = without_label[:10_000]
        result = experiment.evaluate(samples, state)
        error = float(np.mean(predict(game, state, data.images[judged]) != data.labels[judged]))
        return result._replace(values={**result.values, "error": error})

    return dataclasses.replace(experiment, game=game, evaluate=evaluate)


def predict(game: Game, state: TrainState, images: np.ndarray) -> np.ndarray:
    """Returns the classes int32 [N] that the averaged discriminator gives to images uint8 [N, H, W, C]."""
    D = game.networks[1]

    @jax.jit
    def classify(state: TrainState, x: Array) -> Array:
        batch = {"index": jnp.arange(len(x))}
        inputs = D.extra_args(batch, jax.random.key(0))  # Keys for noise, which there is in training alone.
        return D.bind(state.with_ema(), train=False)(x, *inputs)["class_logits"].argmax(1)

    return np.asarray(classify(state, np.float32(images) / 127.5 - 1.0))


PAPER = "Salimans et al. 2016, arXiv 1606.03498"
SHOWS = "a classifier learns from few labels and from telling unlabelled images from generated ones"


CONFIGS = {DENSE_DIGITS: Config(**DENSE_DIGITS.defaults), CIFAR10: Config(**CIFAR10.defaults, labels=4_000)}


@testbeds.register_on("semi_supervised", CONFIGS, paper=PAPER, shows=SHOWS)
def build(images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment with the testbed's networks."""
    return semi_supervised_game(
        images, config, networks=images.with_head(config, Classifier(images.classes), spectral=0)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MnistConfig(Config):
    """The settings of the authors' code for MNIST; there training takes 300 epochs."""

    steps: int = 36_000  # 60 epochs
    batch_size: int = 100
    latent: int = 100
    width: int = setting(1_000, "units of the classifier's first layer; the generator has half as many", low=4)
    ema_half_life: float = 690_000.0  # a rate of 0.0001 per step
    g_lr: float = 3e-3
    d_lr: float = 3e-3


@testbeds.register_on("semi_supervised", {MNIST: MnistConfig(**testbeds.PERIODS)}, paper=PAPER, shows=SHOWS)
def build_mnist(images: ImageSet, config: MnistConfig) -> Experiment:
    """Returns the experiment with the authors' networks."""
    generator = mlp.Generator(images.target.shape, config.width // 2, 2, nn.softplus, jnp.tanh, norm=batch_norm)
    return semi_supervised_game(
        dataclasses.replace(images, convolutional=False),
        config,
        networks=(generator, NoisyClassifier(images.classes, config.width)),
        latent=lambda keys: prng.uniform(keys, config.latent),
        d_noise=True,
    )
