"""The data sets that experiments are tried on, each with networks of a suitable size.

A paper's file states its loss, optimizers and settings once and registers them as `method/testbed` on several testbeds.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from experiments.defaults import Config, DenseImageSet, ImageSet, Points, Testbed
from jaxgan.data import datasets, sources, synthetic
from jaxgan.data.digits import digits
from jaxgan.data.sources import Source
from jaxgan.evaluate.digits_svm import class_balance
from jaxgan.networks import dcgan, mlp
from jaxgan.runs import registry, targets
from jaxgan.training.experiment import Experiment


def image_set(
    name: str,
    dataset: str,
    load_split: Callable[[str], datasets.ImageData],
    shape: tuple[int, int, int],
    base: int,
    *,
    classes: int = 10,
    metrics: tuple[str, ...] = ("fd", "prdc", "balance"),
    transform: Callable[[Source], Source] = lambda source: source,
    **fields: Any,
) -> ImageSet:
    """Returns an `ImageSet`; `fields` are its further attributes."""
    target = targets.images(load_split, shape, classes=classes, metrics=metrics, transform=transform)
    return ImageSet(name=name, dataset=dataset, target=target, base=base, **fields)


def plane(name: str, density: synthetic.Density, dataset: str, **defaults: Any) -> Points:
    """Returns the testbed of a density in the plane."""
    return Points(name=name, dataset=dataset, target=targets.density(density), defaults=defaults)


RING = plane("ring", synthetic.ring(), "8 Gaussians on a ring")
GRID = plane("grid", synthetic.grid(), "25 Gaussians on a grid")
SWISS_ROLL = plane("swiss_roll", synthetic.swiss_roll(), "Swiss roll in the plane")
SMALL_DIGITS = targets.images(lambda split: digits(), (8, 8, 1), classes=10, evaluate=class_balance)
DIGITS_MLP = Testbed(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    target=SMALL_DIGITS,
    networks=lambda config, _: (
        mlp.Generator((8, 8, 1), config.width, depth=2, out=jnp.tanh),
        mlp.Critic(config.width, depth=2),
    ),
    defaults={"steps": 15_000, "batch_size": 64, "latent": 32, "width": 256},
)
DIGITS_CONV = Testbed(
    name="digits_conv",
    dataset="1,797 handwritten digits, 8x8",
    target=SMALL_DIGITS,
    networks=lambda config, batch_norm: (
        dcgan.Generator(8, width=config.width, base=2),
        dcgan.Discriminator(config.width, base=2, norm=batch_norm),
    ),
    defaults={
        "steps": 5_000,
        "sample_every": 1_000,
        "evaluate_every": 1_000,
        "save_every": 1_000,
        "batch_size": 64,
        "latent": 32,
        "width": 32,
    },
    convolutional=True,
)
SMALL = (RING, GRID, SWISS_ROLL, DIGITS_MLP, DIGITS_CONV)

PERIODS = {"log_every": 100, "sample_every": 500, "evaluate_every": 500, "save_every": 500}

DIGITS = image_set(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    load_split=lambda split: digits(),
    shape=(8, 8, 1),
    base=2,
    defaults={**PERIODS, "steps": 3_000, "batch_size": 64, "latent": 32, "width": 32},
)
DENSE_DIGITS = DenseImageSet(
    name="digits",
    dataset="1,797 handwritten digits, 8x8",
    target=DIGITS.target,
    base=2,
    defaults={
        "steps": 10_000,
        **dict.fromkeys(("sample_every", "evaluate_every", "save_every"), 5_000),
        "batch_size": 64,
        "latent": 32,
        "width": 128,
    },
)
MNIST = image_set(
    name="mnist",
    dataset="60,000 handwritten digits, 28x28",
    load_split=functools.partial(datasets.load_tfds, "mnist"),
    shape=(28, 28, 1),
    base=7,
    minutes=20,
    defaults={**PERIODS, "steps": 2_500},
)
FASHION_MNIST = image_set(
    name="fashion_mnist",
    dataset="60,000 pictures of clothes, 28x28",
    load_split=functools.partial(datasets.load_tfds, "fashion_mnist"),
    shape=(28, 28, 1),
    base=7,
    minutes=None,
    defaults=MNIST.defaults,
)
STACKED_MNIST = image_set(
    name="stacked_mnist",
    dataset="three digits as the colours of one image, 1,000 modes",
    load_split=functools.partial(datasets.load_tfds, "mnist"),
    shape=(28, 28, 3),
    base=7,
    minutes=None,
    classes=1_000,
    metrics=("modes",),
    transform=sources.stack_channels,
    defaults=MNIST.defaults,
)
CIFAR10 = image_set(
    name="cifar10",
    dataset="50,000 colour images, 32x32",
    load_split=functools.partial(datasets.load_tfds, "cifar10"),
    shape=(32, 32, 3),
    base=4,
    minutes=None,
    hardware="1 GPU",
    defaults={**{name: 10 * steps for name, steps in PERIODS.items()}, "steps": 100_000, "width": 128},
)


Build = Callable[[Any, Any], Experiment]  # (testbed, config) -> experiment


def register_on(
    method: str,
    configs: Mapping[Testbed, Config],
    *,
    paper: str,
    shows: str,
    task: str | None = None,
    minutes: Mapping[Testbed, float | None] | None = None,
    test_settings: Mapping[str, Any] | None = None,
) -> Callable[[Build], Build]:
    """Returns a decorator that registers `build(testbed, config)` as `method/testbed` for each testbed and config.

    What is registered on MNIST is also registered on Fashion-MNIST, with the same settings. `minutes` are training
    times that differ from the testbed's own; None where they were not measured.
    """
    fashion = {FASHION_MNIST: configs[MNIST]} if MNIST in configs else {}

    def add(build: Build) -> Build:
        for testbed, config in {**configs, **fashion}.items():
            registry.register(
                f"{method}/{testbed.name}",
                config,
                paper=paper,
                dataset=testbed.dataset,
                shows=shows,
                task=task or testbed.task,
                minutes=(minutes or {}).get(testbed, testbed.minutes),
                hardware=testbed.hardware,
                test_settings=test_settings,
            )(functools.partial(build, testbed))
        return build

    return add


def on_small(config: type[Config], plane: Mapping[str, Any] | None = None) -> dict[Testbed, Config]:
    """Returns the config of each small testbed: its defaults, and in the plane also the settings in `plane`."""
    extra = lambda testbed: plane or {} if testbed.task == "2-D" else {}
    return {testbed: config(**{**testbed.defaults, **extra(testbed)}) for testbed in SMALL}


def on_images(config: type[Config], digits: Mapping[str, Any] | None = None) -> dict[Testbed, Config]:
    """Returns the config of the digits with dense networks, of MNIST and of CIFAR-10; `digits` are settings for these.

    On the digits the networks are fully connected, on the others DCGAN's.
    """
    return {
        DENSE_DIGITS: config(**{**DENSE_DIGITS.defaults, **(digits or {})}),
        **{testbed: config(**testbed.defaults) for testbed in (MNIST, CIFAR10)},
    }
