"""The games that are timed, as data from which this project and the peer each make the same training step.

In a step both players move once, by Adam. Sizes are those that two CPU cores play in seconds; on an accelerator they
are the papers'.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import latents, losses, optim, penalties
from jaxgan.data import synthetic
from jaxgan.data.datasets import Dataset
from jaxgan.data.source import Source, density, images
from jaxgan.game import Game, Network, spec
from jaxgan.networks import dcgan, mlp, r3gan, resnet
from jaxgan.objectives import Latent, Penalty, two_player


@dataclasses.dataclass(frozen=True)
class Work:
    """A game: its networks by family and size, its batch, and by name what is minimised."""

    name: str
    family: str  # of the networks: a key of `FAMILIES`
    sizes: Mapping[str, int]
    shape: tuple[int, ...]  # of an example
    batch: int
    latent: int
    loss: str  # of `jaxgan.losses`
    penalty: str = "none"  # a key of `PENALTIES`
    weight: float = 0.0  # of the penalty
    clip: float | None = None  # bound of the discriminator's weights
    spectral: bool = False  # its layers are divided by their spectral norm
    lr: float = 1e-4
    b1: float = 0.0
    b2: float = 0.9
    dtype: str = "float32"  # in which networks compute
    seeds: int = 1  # trained at once


def _mlp(work: Work) -> tuple[nn.Module, nn.Module]:
    out = jnp.tanh if len(work.shape) == 3 else jax.nn.identity
    return mlp.Generator(work.shape, out=out, **work.sizes), mlp.Critic(**work.sizes, spectral=work.spectral)


def _dcgan(work: Work) -> tuple[nn.Module, nn.Module]:
    """Batch norm in the generator alone."""
    size, _, channels = work.shape
    return dcgan.Generator(size, channels, **work.sizes), dcgan.Discriminator(
        norm=False, spectral=work.spectral, **work.sizes
    )


def _resnet(work: Work) -> tuple[nn.Module, nn.Module]:
    wide = 2 * work.sizes["width"]
    critic = resnet.Critic((work.sizes["width"],) * 4, spectral=work.spectral)
    return resnet.Generator(work.shape[-1], (wide,) * 3, wide), critic


def _r3gan(work: Work) -> tuple[nn.Module, nn.Module]:
    sizes = {"widths": (work.sizes["width"],) * 4, "blocks": work.sizes["blocks"], "groups": work.sizes["groups"]}
    return r3gan.Generator(work.shape[-1], **sizes), r3gan.Discriminator(**sizes)


FAMILIES: Mapping[str, Callable[[Work], tuple[nn.Module, nn.Module]]] = {
    "mlp": _mlp,
    "dcgan": _dcgan,
    "resnet": _resnet,
    "r3gan": _r3gan,
}

PENALTIES: Mapping[str, Penalty | None] = {
    "none": None,
    "gp": penalties.gradient_penalty,
    "dragan": lambda critic, real, fake, key: penalties.dragan(critic, real, key),
    "r1": lambda critic, real, fake, key: penalties.r1(critic, real),
    "r2": lambda critic, real, fake, key: penalties.r2(critic, fake),
    "r1_r2": lambda critic, real, fake, key: penalties.r1(critic, real) + penalties.r2(critic, fake),
}

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}

PLANE = {"family": "mlp", "shape": (2,), "latent": 2, "loss": "wasserstein", "penalty": "gp", "weight": 0.1, "b1": 0.5}
SMALL = {**PLANE, "sizes": {"width": 32, "depth": 2}, "batch": 64}
DCGAN = {"family": "dcgan", "sizes": {"width": 64}, "shape": (32, 32, 3), "batch": 64, "latent": 128, "b1": 0.5}
IMAGES = {"shape": (32, 32, 3), "batch": 16, "latent": 128}

ALL = (
    Work("ring_mlp_128", sizes={"width": 128, "depth": 2}, batch=256, **PLANE),
    Work("ring_mlp_32", **SMALL),
    Work("ring_mlp_32_seeds_8", seeds=8, **SMALL),
    Work("mnist_mlp", "mlp", {"width": 256, "depth": 2}, (28, 28, 1), 128, 100, "non_saturating", b1=0.5),
    Work("dcgan_wgan_gp", loss="wasserstein", penalty="gp", weight=10.0, **DCGAN),
    Work("dcgan_r1", loss="non_saturating", penalty="r1", weight=10.0, **DCGAN),
    Work("dcgan_none", loss="non_saturating", **DCGAN),
    Work("sngan_resnet_hinge", "resnet", {"width": 128}, loss="hinge", spectral=True, **IMAGES),
    Work(
        "r3gan_r1_r2",
        "r3gan",
        {"width": 96, "blocks": 1, "groups": 12},
        loss="relativistic",
        penalty="r1_r2",
        weight=0.05,
        **IMAGES,
    ),
)


# On an accelerator: the papers' sizes, and batches that fill it.
LARGE = {
    "dcgan": {"sizes": {"width": 128}, "batch": 256},
    "resnet": {"sizes": {"width": 128}, "batch": 64},
    "r3gan": {"sizes": {"width": 768, "blocks": 2, "groups": 96}, "batch": 64},
}


def here(work: Work) -> list[Work]:
    """The work as it is on the CPU, in larger sizes and in both precisions if convolutions run on an accelerator."""
    if jax.default_backend() == "cpu" or work.family not in LARGE:
        return [work]
    return [dataclasses.replace(work, dtype=dtype, **LARGE[work.family]) for dtype in DTYPES]


def modules(work: Work) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator."""
    return FAMILIES[work.family](work)


def tiny(work: Work) -> Work:
    """The same with few examples and few channels; images keep their sides, which the networks are made for."""
    few = {"width": 8, "groups": 2}
    sizes = {name: min(n, few.get(name, n)) for name, n in work.sizes.items()}
    return dataclasses.replace(work, sizes=sizes, batch=4, latent=4)


def game(work: Work, latent: Latent | None = None, penalty_key: Any = None) -> Game:
    """Return this project's game; with `latent` or `penalty_key`, on given noise in place of the step's own."""
    made = PENALTIES[work.penalty]
    adam = optax.adam(work.lr, work.b1, work.b2)
    clipped = adam if work.clip is None else optax.chain(adam, optim.clip_weights(work.clip))
    network = lambda name, module, first: Network(name, module, (first,), DTYPES[work.dtype])

    def penalty(critic, real, fake, key):
        return work.weight * made(critic, real, fake, key if penalty_key is None else penalty_key)

    return two_player(
        network("generator", modules(work)[0], spec(work.latent)),
        network("discriminator", modules(work)[1], spec(*work.shape)),
        getattr(losses, work.loss),
        latent or (lambda keys: latents.normal(keys, work.latent)),
        g_optimizer=adam,
        d_optimizer=clipped,
        penalty=None if made is None else penalty,
    )


def source(work: Work) -> Source:
    """Points on the ring, or images of noise: what an image shows costs nothing."""
    if len(work.shape) == 1:
        return density(synthetic.ring().draw)
    return images(lambda: Dataset("noise", pixels(work)), work.batch)


def pixels(work: Work) -> np.ndarray:
    """Images of noise, uint8 [N, H, W, C]."""
    return np.random.default_rng(0).integers(0, 256, (4_096, *work.shape), np.uint8)
