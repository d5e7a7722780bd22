"""Semi-supervised learning with feature matching (Salimans et al. 2016, arXiv 1606.03498, sections 3.1 and 5).

    python launch.py train semi_supervised/digits
    python launch.py train semi_supervised/mnist

The discriminator classifies: it returns K class logits l, and its logit is log Σ exp l, that of the class "real"
against an implicit class "fake" with logit 0. It learns the classes of a few labelled images and tells all images from
fakes; the generator matches its mean features. `eval/error` is the share of wrong classes among images without labels.
Networks are those of the testbed and not the paper's: no weight norm, no noise between layers.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import conditionings, testbeds
from experiments.testbeds import DENSE_DIGITS, MNIST, ImageSet
from jaxgan.core import conditioning, losses
from jaxgan.core.game import Batch, TrainState
from jaxgan.core.terms import Pass, Term
from jaxgan.data.sources import Source, constant_window, in_memory_arrays
from jaxgan.data.streams import WindowData
from jaxgan.networks.heads import Outputs
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

    @nn.compact
    def __call__(self, features: Array, labels: Array | None = None, train: bool = True) -> Outputs:
        class_logits = nn.Dense(self.classes)(features)
        return {"features": features, "class_logits": class_logits, "logits": jax.nn.logsumexp(class_logits, axis=1)}


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


@testbeds.register_on(
    "semi_supervised",
    {DENSE_DIGITS: Config(**DENSE_DIGITS.defaults), MNIST: Config(**MNIST.defaults)},
    paper="Salimans et al. 2016, arXiv 1606.03498",
    shows="a classifier learns from 100 labels and from telling unlabelled images from generated ones",
)
def build(images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment whose discriminator is the classifier."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    experiment = images.two_player(
        config,
        semi_supervised(config.unlabelled),
        adam(config.g_lr),
        adam(config.d_lr),
        networks=images.with_head(config, Classifier(images.classes), spectral=0),
        source=with_labelled(images.source(config), config.labels, images.classes),
    )
    _, D = experiment.game.networks
    classify = jax.jit(lambda state, x: D.bind(state, train=False)(x)["class_logits"].argmax(1))

    def evaluate(samples: np.ndarray, state: TrainState):
        data = images.target.data("train").in_memory()
        counts = np.array([np.cumsum(data.labels == label) for label in range(images.classes)])
        without_label = np.flatnonzero(
            counts[data.labels, np.arange(len(data.labels))] > config.labels // images.classes
        )
        judged = without_label[:10_000]
        predicted = classify(state, np.float32(data.images[judged]) / 127.5 - 1.0)
        result = experiment.evaluate(samples, state)
        error = float(np.mean(np.asarray(predicted) != data.labels[judged]))
        return result._replace(values={**result.values, "error": error})

    return dataclasses.replace(experiment, evaluate=evaluate)
