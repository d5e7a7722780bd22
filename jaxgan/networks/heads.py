"""Heads of a discriminator: modules from its features [B, F] to a dict of outputs, of which "logits" are always one.

Discriminators with a field `head` end in one of these instead of a linear layer. Labels int32 [B] are those that the
discriminator was given. `Code` makes an encoder of a discriminator, and `Pair` a critic of pairs.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import leaky_relu, spectral_norm

Outputs = dict[str, Any]


def _dense(train: bool, spectral: bool) -> Callable[..., Callable[[Array], Array]]:
    """Returns `nn.Dense`, with spectral norm if `spectral`."""
    normed = functools.partial(spectral_norm, train) if spectral else lambda layer: layer
    return lambda *args, **options: normed(nn.Dense(*args, **options))


def _unit(x: Array) -> Array:
    """Returns x [N, D] with rows of norm 1."""
    return x / jnp.sqrt((x**2).sum(1, keepdims=True) + 1e-12)


class Linear(nn.Module):
    """Returns "logits", "features", and a linear function of the features for each entry of `outputs`."""

    outputs: tuple[tuple[str, int], ...] = ()  # name, size; for example ("class_logits", 10)
    spectral: bool = False  # whether to use spectral norm

    @nn.compact
    def __call__(self, features: Array, labels: Array | None = None, train: bool = True) -> Outputs:
        dense = _dense(train, self.spectral)
        linear = {name: dense(size, name=name)(features) for name, size in self.outputs}
        return {"logits": dense(1, name="logits")(features)[:, 0], "features": features, **linear}


class Cosine(nn.Module):
    """Returns "logits", "embedding" [B, D] of norm 1, and as "class_logits" [B, K] its cosines with class proxies."""

    classes: int
    dims: int = 64  # D
    spectral: bool = False

    @nn.compact
    def __call__(self, features: Array, labels: Array | None = None, train: bool = True) -> Outputs:
        dense = _dense(train, self.spectral)
        embedding = _unit(dense(self.dims, name="embedding")(features))
        proxies = _unit(self.param("proxies", nn.initializers.normal(1.0), (self.classes, self.dims)))
        logits = dense(1, name="logits")(features)[:, 0]
        return {"logits": logits, "features": features, "embedding": embedding, "class_logits": embedding @ proxies.T}


class Projection(nn.Module):
    """Returns "logits" ψ(f) + ⟨f, e_y⟩ for features f (Miyato & Koyama 2018, arXiv 1802.05637, Eq. 4)."""

    classes: int
    spectral: bool = False

    @nn.compact
    def __call__(self, features: Array, labels: Array, train: bool = True) -> Outputs:
        dense = _dense(train, self.spectral)
        one_hot = nn.one_hot(labels, self.classes, dtype=features.dtype)
        embedding = dense(features.shape[1], use_bias=False, name="embedding")(one_hot)
        return {"logits": dense(1, name="logits")(features)[:, 0] + (features * embedding).sum(1), "features": features}


class MappedProjection(nn.Module):
    """Returns "logits" ⟨A f, m(y)⟩ / √D, where the network m maps classes to vectors with mean square 1.

    Reference: the discriminator of StyleGAN2-ADA (Karras et al. 2020, arXiv 2006.06676, authors' code).
    """

    classes: int
    dims: int = 64  # D
    depth: int = 2  # hidden layers of m

    @nn.compact
    def __call__(self, features: Array, labels: Array, train: bool = True) -> Outputs:
        code = nn.one_hot(labels, self.classes, dtype=features.dtype)
        for _ in range(self.depth):
            code = leaky_relu(nn.Dense(self.dims)(code))
        code = math.sqrt(self.dims) * _unit(nn.Dense(self.dims)(code))
        return {"logits": (nn.Dense(self.dims)(features) * code).sum(1) / math.sqrt(self.dims), "features": features}


class Code(nn.Module):
    """Returns codes [B, dims], a linear function of the features. A discriminator with this head is an encoder."""

    dims: int

    @nn.compact
    def __call__(self, features: Array, labels: Array | None = None, train: bool = True) -> Array:
        return nn.Dense(self.dims)(features)


class Pair(nn.Module):
    """Returns logits [B] of pairs of an example and a code [B, D], which the discriminator is given in place of labels.

    Features and code pass through one hidden layer (BiGAN; Donahue et al. 2016, arXiv 1605.09782).
    """

    width: int  # units of the hidden layer

    @nn.compact
    def __call__(self, features: Array, code: Array, train: bool = True) -> Array:
        both = jnp.concatenate([features, code], axis=1)
        return nn.Dense(1)(leaky_relu(nn.Dense(self.width)(both)))[:, 0]
