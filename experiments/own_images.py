"""A user's images as a testbed: a folder, or any data set of TFDS."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Literal

from experiments.defaults import Config, ImageConfig, ImageSet
from experiments.testbeds import PERIODS, Build, image_set
from jaxgan.data import datasets
from jaxgan.data.folders import MAX_SIZE, find_folder, load_folder
from jaxgan.errors import UserError
from jaxgan.runs import registry
from jaxgan.training.experiment import Experiment, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnImages(ImageConfig):
    """Settings of experiments on a user's images."""

    data: str = setting("cifar10", "a folder of images, or the name of a TFDS data set")
    size: int = setting(32, "side of the square that images are cropped and resized to, in pixels", high=MAX_SIZE)
    channels: Literal[1, 3] = setting(3, "channels of the images")


def own_images(data: str, size: int, channels: int) -> ImageSet:
    """Returns the testbed of a user's images.

    Args:
        data: A folder of images, or the name of a TFDS data set.
        size: Side of the square that images are cropped and resized to.
        channels: 1 or 3.
    """
    if size % 2 or size < 8:
        nearest = " or ".join(str(n) for n in (size - size % 2, size + size % 2) if n >= 8) or "8"
        raise UserError(f"size {size} must be an even number of at least 8, because DCGAN halves it; use {nearest}")
    base = size
    while base % 2 == 0 and base >= 8:
        base //= 2

    def load_split(split: str) -> datasets.ImageData:
        folder = find_folder(data)
        if folder is None:
            try:
                datasets.prepared_folder(data)
            except UserError as error:
                raise UserError(f"there is no folder {data}, and {error}") from error
            return datasets.open_tfds(data, split, size=size)
        images, notes = load_folder(folder, size, channels)
        for sentence in notes.sentences() if split == "train" else ():
            warnings.warn(f"{folder}: {sentence}", stacklevel=2)
        return images

    return image_set(
        name="own",
        dataset="a folder of images, or any data set of TFDS",
        load_split=load_split,
        shape=(size, size, channels),
        base=base,
        hardware="1 GPU",
        classes=0,
        metrics=("fid_or_fd_random",),
        minutes=None,
        defaults=PERIODS,
    )


def register_own(method: str, config: Config, *, paper: str, shows: str) -> Callable[[Build], Build]:
    """Returns a decorator that registers `build(testbed, config)` as `method/own`, on a user's images.

    `config` has the defaults. Its class gets the settings of `OwnImages`, if it does not have them.
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if not isinstance(config, OwnImages):
        own_class = dataclasses.make_dataclass(
            "OwnConfig", [], bases=(type(config), OwnImages), frozen=True, kw_only=True
        )
        own_class.__doc__ = type(config).__doc__
        config = own_class(**fields)

    def add(build: Build) -> Build:
        @functools.wraps(build)  # `docs/generate.py` lists the experiment under the file of `build`.
        def build_own(config: OwnImages) -> Experiment:
            return build(own_images(config.data, config.size, config.channels), config)

        registry.register(
            f"{method}/own",
            config,
            paper=paper,
            dataset="a folder of images, or any data set of TFDS",
            shows=shows,
            task="images",
            minutes=None,
            hardware="1 GPU",
        )(build_own)
        return build

    return add
