"""A small classifier of a data set's own classes, trained on the spot and kept.

Its classes say which there are among samples. The features before them serve distances that are named after the data
set, such as fd_mnist: only those on the Inception network of 2015 are called FID and KID.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tqdm import tqdm

from jaxgan import cache
from jaxgan.cache import digest
from jaxgan.data.datasets import Dataset
from jaxgan.errors import Problem
from jaxgan.networks.layers import Conv

CHUNK = 500  # images that are classified at a time; always as many, so that none depends on how many there are
EXACT = "float32"  # the precision of products, which accelerators would round more
HELD_OUT = 10  # of so many images one is kept for the test where there is no other


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that the weights follow from, besides the images and their labels."""

    version: int = 1  # of what the code does; another makes other numbers
    images: int = 180_000  # to train on, in all: three epochs of MNIST
    batch_size: int = 128
    lr: float = 3e-3  # of Adam: the peak of one cycle
    width: int = 32  # channels at half the size; twice as many each time the size halves again
    features: int = 128
    seed: int = 0


RECIPE = Recipe()


class Net(nn.Module):
    """Images uint8 [B, H, W, C] to features [B, D] and logits [B, K]."""

    recipe: Recipe
    classes: int

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        x, width = images.astype(jnp.float32) / 127.5 - 1.0, self.recipe.width
        while x.shape[1] > 4 and x.shape[1] % 2 == 0:
            x, width = nn.relu(Conv(width, strides=(2, 2))(x)), 2 * width
        features = nn.relu(nn.Dense(self.recipe.features)(x.reshape(len(x), -1)))
        return features, nn.Dense(self.classes)(features)


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network, and what a number that it gave must say of it."""

    net: Net
    variables: Any
    shape: tuple[int, ...]  # of an image
    protocol: dict[str, Any]

    def look(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 [N, D] and logits float32 [N, K] of images uint8 [N, H, W, C]."""
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            seen, of = (" x ".join(map(str, shape)) for shape in (self.shape, images.shape[1:]))
            raise Problem(f"the {self.protocol['evaluator']} sees images of {seen}, not of {of} ({images.dtype})")
        found, variables = [], jax.device_put(self.variables)
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            rest = np.zeros((CHUNK - len(chunk), *self.shape), np.uint8)
            out = jax.device_get(_look(self.net, variables, np.concatenate([chunk, rest])))
            found.append([part[: len(chunk)] for part in out])
        features, logits = (np.concatenate(part) for part in zip(*found, strict=True))
        return features, logits

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The class of each image, int [N]."""
        return self.look(images)[1].argmax(1)


def classifier(train: Dataset, test: Dataset | None, recipe: Recipe = RECIPE) -> Classifier:
    """The classifier of a labelled data set, from the cache, or trained with a bar of progress.

    Its accuracy is measured on `test`, or where there is none on a tenth of `train` that it is then not trained on.
    """
    if train.labels is None:
        raise Problem(f"{train.name} has no labels, so that no classifier can be trained on it")
    images, labels = train.images, train.labels
    if test is None or test.labels is None:
        out = np.arange(len(images)) % HELD_OUT == 0
        test = Dataset(f"every {HELD_OUT}th of {train.name}", images[out], labels[out], train.classes)
        images, labels = images[~out], labels[~out]
    net = Net(recipe, len(train.classes))
    key = jax.random.key(recipe.seed)
    shapes = jax.eval_shape(net.init, key, images[:1])
    leaves, tree = jax.tree.flatten(shapes)

    def make() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        variables = _train(net, images, labels)
        arrays = {f"p{i:02}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(variables))}
        made = Classifier(net, variables, images.shape[1:], {})
        return arrays, {"accuracy": round(float(np.mean(made.classify(test.images) == test.labels)), 5)}

    of = [dataclasses.asdict(recipe), len(train.classes), digest(images, labels, test.images, test.labels)]
    arrays, about = cache.kept("classifiers", train.name, of, make)
    values = [arrays[f"p{i:02}"] for i in range(len(leaves))]
    protocol = {
        "evaluator": f"classifier of {train.name}",
        "recipe": recipe.version,
        "weights": digest(*values),
        "accuracy": about["accuracy"],
        "accuracy_on": test.name,
    }
    return Classifier(net, jax.tree.unflatten(tree, values), images.shape[1:], protocol)


def _train(net: Net, images: np.ndarray, labels: np.ndarray) -> Any:
    recipe, n = net.recipe, len(images)
    steps = recipe.images // recipe.batch_size
    optimizer = optax.adam(optax.cosine_onecycle_schedule(steps, recipe.lr, 0.2))
    rng = np.random.default_rng(recipe.seed)
    order = np.concatenate([rng.permutation(n) for _ in range(-(-recipe.images // n))])
    batches = order[: steps * recipe.batch_size].reshape(steps, -1)

    def loss(variables: Any, images: Array, labels: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(net.apply(variables, images)[1], labels).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, images: Array, labels: Array) -> Any:
        variables, opt = state
        grads = jax.grad(loss)(variables, images, labels)
        with jax.numpy_dtype_promotion("standard"):  # As in `update`.
            updates, opt = optimizer.update(grads, opt)
        return optax.apply_updates(variables, updates), opt

    with jax.default_matmul_precision(EXACT):
        variables = net.init(jax.random.key(recipe.seed), images[:1])
        state = variables, optimizer.init(variables)
        # Inside a loop XLA's CPU backend would run convolutions four times slower.
        for rows in tqdm(batches, desc="training a classifier", disable=None):
            state = jax.block_until_ready(step(state, images[rows], labels[rows]))
    return jax.device_get(state[0])


@functools.partial(jax.jit, static_argnums=0)
def _apply(net: Net, variables: Any, images: Array) -> tuple[Array, Array]:
    return net.apply(variables, images)


def _look(net: Net, variables: Any, images: np.ndarray) -> tuple[Array, Array]:
    with jax.default_matmul_precision(EXACT):
        return _apply(net, variables, images)
