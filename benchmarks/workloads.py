"""The training steps that are measured, as data from which this project and PyTorch each build the same step.

In one step both players update once with Adam. The sizes are those that two CPU cores train in seconds. On an
accelerator they are the papers'.
"""

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan.core import losses, optim, penalties, prng
from jaxgan.core.game import Game, Network, input_spec
from jaxgan.core.games import Latent, two_player
from jaxgan.core.penalties import Penalty
from jaxgan.data import sources, synthetic
from jaxgan.data.datasets import Dataset
from jaxgan.data.sources import Source
from jaxgan.networks import dcgan, mlp, r3gan, resnet

Modules = tuple[nn.Module, nn.Module]  # generator, discriminator


@dataclasses.dataclass(frozen=True)
class Workload:
    """A game of a generator and a discriminator.

    Attributes:
        name: Its name on the command line and in rows.
        family: Its networks, a key of `FAMILIES`.
        sizes: Sizes of the networks.
        shape: Shape of one example: (2,) for points, [H, W, C] for images.
        batch: Examples per step.
        latent: Dimensions of z.
        loss: A name in `jaxgan.core.losses`.
        penalty: A key of `PENALTIES`.
        weight: Weight of the penalty.
        clip: Bound of the discriminator's weights, or None.
        spectral: Whether the discriminator's layers have spectral norm.
        lr: Learning rate of both players.
        b1: Adam's beta1.
        b2: Adam's beta2.
        dtype: In which the networks compute, a key of `DTYPES`.
        seeds: How many are trained at once.
    """

    name: str
    family: str
    sizes: Mapping[str, int]
    shape: tuple[int, ...]
    batch: int
    latent: int
    loss: str
    penalty: str = "none"
    weight: float = 0.0
    clip: float | None = None
    spectral: bool = False
    lr: float = 1e-4
    b1: float = 0.0
    b2: float = 0.9
    dtype: str = "float32"
    seeds: int = 1


def _mlp(workload: Workload) -> Modules:
    out = jnp.tanh if len(workload.shape) == 3 else jax.nn.identity
    return (
        mlp.Generator(workload.shape, out=out, **workload.sizes),
        mlp.Critic(**workload.sizes, spectral=workload.spectral),
    )


def _dcgan(workload: Workload) -> Modules:
    """DCGAN with batch norm in the generator only."""
    size, _, channels = workload.shape
    return (
        dcgan.Generator(size, channels, **workload.sizes),
        dcgan.Discriminator(norm=False, spectral=workload.spectral, **workload.sizes),
    )


def _resnet(workload: Workload) -> Modules:
    g_width = 2 * workload.sizes["width"]
    critic = resnet.Critic((workload.sizes["width"],) * 4, spectral=workload.spectral)
    return resnet.Generator(workload.shape[-1], (g_width,) * 3, g_width), critic


def _r3gan(workload: Workload) -> Modules:
    sizes = workload.sizes
    options = {"widths": (sizes["width"],) * 4, "blocks": sizes["blocks"], "groups": sizes["groups"]}
    return r3gan.Generator(workload.shape[-1], **options), r3gan.Discriminator(**options)


FAMILIES: Mapping[str, Callable[[Workload], Modules]] = {
    "mlp": _mlp,
    "dcgan": _dcgan,
    "resnet": _resnet,
    "r3gan": _r3gan,
}

PENALTIES: Mapping[str, Penalty | None] = {
    "none": None,
    "gp": penalties.gradient_penalty,
    "dragan": penalties.dragan,
    "r1": penalties.r1,
    "r2": penalties.r2,
    "r1_r2": penalties.r1_r2,
}

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}

PLANE = {"family": "mlp", "shape": (2,), "latent": 2, "loss": "wasserstein", "penalty": "gp", "weight": 0.1, "b1": 0.5}
SMALL = {**PLANE, "sizes": {"width": 32, "depth": 2}, "batch": 64}
DCGAN = {"family": "dcgan", "sizes": {"width": 64}, "shape": (32, 32, 3), "batch": 64, "latent": 128, "b1": 0.5}
IMAGES = {"shape": (32, 32, 3), "batch": 16, "latent": 128}

WORKLOADS = (
    Workload("ring_mlp_128", sizes={"width": 128, "depth": 2}, batch=256, **PLANE),
    Workload("ring_mlp_32", **SMALL),
    Workload("ring_mlp_32_seeds_8", seeds=8, **SMALL),
    Workload("mnist_mlp", "mlp", {"width": 256, "depth": 2}, (28, 28, 1), 128, 100, "non_saturating", b1=0.5),
    Workload("dcgan_wgan_gp", loss="wasserstein", penalty="gp", weight=10.0, **DCGAN),
    Workload("dcgan_r1", loss="non_saturating", penalty="r1", weight=10.0, **DCGAN),
    Workload("dcgan_none", loss="non_saturating", **DCGAN),
    Workload("sngan_resnet_hinge", "resnet", {"width": 128}, loss="hinge", spectral=True, **IMAGES),
    Workload(
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


def for_this_backend(workload: Workload) -> list[Workload]:
    """Returns [workload] on the CPU; on accelerators, if it is convolutional, a large version in each precision."""
    if jax.default_backend() == "cpu" or workload.family not in LARGE:
        return [workload]
    return [dataclasses.replace(workload, dtype=dtype, **LARGE[workload.family]) for dtype in DTYPES]


def tiny(workload: Workload) -> Workload:
    """Returns the workload with few examples and channels. Images keep the size that the networks are made for."""
    limits = {"width": 8, "groups": 2}
    sizes = {name: min(n, limits.get(name, n)) for name, n in workload.sizes.items()}
    return dataclasses.replace(workload, sizes=sizes, batch=4, latent=4)


def make_game(workload: Workload, latent: Latent | None = None, penalty_key: jax.Array | None = None) -> Game:
    """Returns this project's game.

    Args:
        workload: What to build.
        latent: Draws z from example keys; N(0, 1) by default.
        penalty_key: The key of the penalty's noise at every step; by default each step has its own.
    """
    generator, discriminator = FAMILIES[workload.family](workload)
    options = {"convolutional": workload.family != "mlp", "dtype": DTYPES[workload.dtype]}
    adam = optax.adam(workload.lr, workload.b1, workload.b2)
    clipped = adam if workload.clip is None else optax.chain(adam, optim.clip_weights(workload.clip))
    penalty = PENALTIES[workload.penalty]
    return two_player(
        Network("generator", generator, (input_spec(workload.latent),), **options),
        Network("discriminator", discriminator, (input_spec(*workload.shape),), **options),
        getattr(losses, workload.loss),
        latent or prng.normal_latent(workload.latent),
        g_optimizer=adam,
        d_optimizer=clipped,
        penalty=penalty if penalty_key is None or penalty is None else _with_key(penalty, penalty_key),
        penalty_weight=workload.weight,
    )


def _with_key(penalty: Penalty, fixed_key: jax.Array) -> Penalty:
    return lambda critic, real, fake, key: penalty(critic, real, fake, fixed_key)


def make_source(workload: Workload) -> Source:
    """Returns batches of points on the ring, or of noise images: the content of an image does not change the time."""
    if len(workload.shape) == 1:
        return sources.density(synthetic.ring().sample)
    return sources.images(lambda: Dataset("noise", noise_images(workload)), workload.batch)


def noise_images(workload: Workload) -> np.ndarray:
    """Returns 4,096 images of noise, uint8 [N, H, W, C]."""
    return np.random.default_rng(0).integers(0, 256, (4_096, *workload.shape), np.uint8)
