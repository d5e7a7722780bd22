"""The feature classifier: a small network trained on the data set's own classes, and cached on disk.

It predicts the classes of samples, and Fréchet and kernel distances are measured on its features. They carry the name
of the data set, such as fd_mnist: only distances on the Inception network of 2015 are called FID and KID.
"""

import dataclasses
import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tqdm import tqdm

from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.io import cache
from jaxgan.networks.layers import Conv

CHUNK = 500  # images per call; short chunks are padded, so that a result does not depend on the number of images
MATMUL_PRECISION = "float32"  # Accelerators compute in lower precision by default.
HOLD_OUT_EVERY = 10  # Without a test split, every tenth training image is held out to measure the accuracy.


@dataclasses.dataclass(frozen=True)
class TrainingRecipe:
    """The settings that, with the images and their labels, determine the classifier's weights."""

    version: int = 1  # of the training code; a change that alters the weights increases it
    images: int = 180_000  # training examples in all: three epochs of MNIST
    batch_size: int = 128
    lr: float = 3e-3  # peak learning rate of Adam, one-cycle schedule
    width: int = 32  # channels of the first convolution; doubled at each halving of the resolution
    features: int = 128
    seed: int = 0


RECIPE = TrainingRecipe()


class ClassifierNetwork(nn.Module):
    """A convolutional network from images uint8 [B, H, W, C] to features [B, D] and logits [B, K]."""

    recipe: TrainingRecipe
    classes: int

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        x, width = images.astype(jnp.float32) / 127.5 - 1.0, self.recipe.width
        while x.shape[1] > 4 and x.shape[1] % 2 == 0:
            x, width = nn.relu(Conv(width, strides=(2, 2))(x)), 2 * width
        features = nn.relu(nn.Dense(self.recipe.features)(x.reshape(len(x), -1)))
        return features, nn.Dense(self.classes)(features)


class FeatureMaps(nn.Module):
    """The convolutions of a `ClassifierNetwork` for images float32 [B, H, W, C] in [-1, 1], of any size.

    Returns the maps [B, H / 2, W / 2, width], [B, H / 4, W / 4, 2 width], ..., before their activations.
    """

    recipe: TrainingRecipe
    layers: int  # convolutions; log2(H / 4) of the classifier's images

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, ...]:
        maps = []
        for n in range(self.layers):
            maps.append(Conv(self.recipe.width << n, strides=(2, 2))(nn.relu(maps[-1]) if maps else x))
        return tuple(maps)


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureClassifier:
    """A trained classifier.

    Attributes:
        network: Its network.
        variables: The network's variables, on the host.
        image_shape: [H, W, C] of the images that it takes.
        protocol: Fields that every metric measured with it reports: data set, recipe, weights, accuracy.
    """

    network: ClassifierNetwork
    variables: chex.ArrayTree
    image_shape: tuple[int, ...]
    protocol: dict[str, Any]

    def features_and_logits(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns features float32 [N, D] and logits float32 [N, K] of images uint8 [N, H, W, C].

        Raises UserError if the images have another shape or type than the training images.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            expected, given = (" x ".join(map(str, shape)) for shape in (self.image_shape, images.shape[1:]))
            evaluator = self.protocol["evaluator"]
            raise UserError(f"the {evaluator} takes uint8 images of {expected}, not {images.dtype} images of {given}")
        variables, chunks = jax.device_put(self.variables), []
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            padding = np.zeros((CHUNK - len(chunk), *self.image_shape), np.uint8)
            with jax.default_matmul_precision(MATMUL_PRECISION):
                outputs = jax.device_get(_apply(self.network, variables, np.concatenate([chunk, padding])))
            chunks.append([output[: len(chunk)] for output in outputs])
        features, logits = (np.concatenate(arrays) for arrays in zip(*chunks, strict=True))
        return features, logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Returns the most probable class of each image, int [N]."""
        return self.features_and_logits(images)[1].argmax(1)


def train_classifier(train: Dataset, test: Dataset | None, recipe: TrainingRecipe = RECIPE) -> FeatureClassifier:
    """Returns the classifier of a labelled data set, from the cache if it was trained before.

    Args:
        train: The images to train on, with labels.
        test: The images to measure the accuracy on. Without labelled test images a tenth of `train` is held out.
        recipe: Training settings.

    Raises UserError if `train` has no labels.
    """
    if train.labels is None:
        raise UserError(
            f"{train.name} has no classes, which the feature classifier needs; measure `neighbours` or `pixels`, "
            "or with the Inception weights `fid`, `kid` or `is`"
        )
    images, labels = train.images, train.labels
    if test is None or test.labels is None:
        held_out = np.arange(len(images)) % HOLD_OUT_EVERY == 0
        name = f"every {HOLD_OUT_EVERY}th of {train.name}"
        test = Dataset(name, images[held_out], labels[held_out], train.classes)
        images, labels = images[~held_out], labels[~held_out]
    network = ClassifierNetwork(recipe, len(train.classes))
    shapes = jax.eval_shape(network.init, jax.random.key(recipe.seed), images[:1])
    leaves, structure = jax.tree.flatten(shapes)

    def make() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        variables = _train(network, images, labels)
        arrays = {f"p{i:02}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(variables))}
        predicted = FeatureClassifier(network, variables, images.shape[1:], {}).predict(test.images)
        return arrays, {"accuracy": round(float(np.mean(predicted == test.labels)), 5)}

    digest = cache.array_digest(images, labels, test.images, test.labels)
    cache_key = [dataclasses.asdict(recipe), len(train.classes), digest]
    arrays, info = cache.memoise("classifiers", train.name, cache_key, make)
    weights = [arrays[f"p{i:02}"] for i in range(len(leaves))]
    protocol = {
        "evaluator": f"classifier of {train.name}",
        "recipe": recipe.version,
        "weights": cache.array_digest(*weights),
        "accuracy": info["accuracy"],
        "accuracy_on": test.name,
    }
    return FeatureClassifier(network, jax.tree.unflatten(structure, weights), images.shape[1:], protocol)


def _train(network: ClassifierNetwork, images: np.ndarray, labels: np.ndarray) -> chex.ArrayTree:
    recipe, n = network.recipe, len(images)
    steps = recipe.images // recipe.batch_size
    optimizer = optax.adam(optax.cosine_onecycle_schedule(steps, recipe.lr, 0.2))
    rng = np.random.default_rng(recipe.seed)
    order = np.concatenate([rng.permutation(n) for _ in range(-(-recipe.images // n))])
    batches = order[: steps * recipe.batch_size].reshape(steps, -1)

    def loss(variables: chex.ArrayTree, images: Array, labels: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(network.apply(variables, images)[1], labels).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state: Any, images: Array, labels: Array) -> Any:
        variables, opt_state = state
        grads = jax.grad(loss)(variables, images, labels)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer step counts with floats.
            updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(variables, updates), opt_state

    with jax.default_matmul_precision(MATMUL_PRECISION):
        variables = network.init(jax.random.key(recipe.seed), images[:1])
        state = variables, optimizer.init(variables)
        # The loop over steps is not compiled: XLA's CPU backend runs convolutions in loops four times slower.
        for indices in tqdm(batches, desc="training the feature classifier", disable=None):
            state = jax.block_until_ready(train_step(state, images[indices], labels[indices]))
    return jax.device_get(state[0])


@functools.partial(jax.jit, static_argnums=0)
def _apply(network: ClassifierNetwork, variables: chex.ArrayTree, images: Array) -> tuple[Array, Array]:
    return network.apply(variables, images)
