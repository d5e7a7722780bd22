"""Videos: moving shapes with their masks, moving digits, folders of GIFs or of numbered frames, and TFDS data sets."""

import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image, ImageSequence

from jaxgan.data.datasets import Dataset, DiskDataset, crop_and_resize, first_line, index_blocks
from jaxgan.data.tfds_records import open_records
from jaxgan.errors import UserError

ANIMATIONS = (".gif", ".webp")
FRAMES = (".png", ".jpg", ".jpeg")


class Clip(NamedTuple):
    """A synthetic video and the truth about it."""

    video: Array  # float32 [T, H, W, 3] in [-1, 1]
    mask: Array  # float32 [T, H, W], the share of each pixel that the shape covers
    colour: Array  # float32 [3], of the shape
    centres: Array  # float32 [T, 2], of the shape in pixels (row, column)


def shapes(frames: int, size: int) -> Callable[[Array], Clip]:
    """Returns the function that draws a clip from a key: a disc or a square on a curve over a background that rests.

    Shape, size, colour, curve and background are drawn for each clip. The curve is a cubic Bezier curve within the
    frame. The background is dark and smooth; the colours of shapes are bright.
    """
    rows, columns = (x.astype(jnp.float32) for x in jnp.meshgrid(jnp.arange(size), jnp.arange(size), indexing="ij"))

    def sample(key: Array) -> Clip:
        form_key, radius_key, hue_key, curve_key, background_key = jax.random.split(key, 5)
        radius = size * jax.random.uniform(radius_key, minval=0.12, maxval=0.2)
        colour = hue(jax.random.uniform(hue_key))
        points = jax.random.uniform(curve_key, (4, 2), minval=radius, maxval=size - 1 - radius)
        centres = bezier(points, jnp.linspace(0.0, 1.0, frames))
        offset = jnp.abs(jnp.stack([rows, columns], -1)[None] - centres[:, None, None])
        distance = jnp.where(jax.random.bernoulli(form_key), jnp.sqrt((offset**2).sum(-1)), offset.max(-1))
        mask = jnp.clip(radius + 0.5 - distance, 0.0, 1.0)  # Pixels at the edge are covered in part.
        background = jax.image.resize(
            jax.random.uniform(background_key, (3, 3, 3), minval=-1.0, maxval=-0.5), (size, size, 3), "linear"
        )
        video = mask[..., None] * colour[None, None, None] + (1.0 - mask[..., None]) * background[None]
        return Clip(video, mask, colour, centres)

    return sample


def hue(position: Array) -> Array:
    """Returns the bright colour [3] in [-1, 1] at a position in [0, 1] of the colour circle."""
    angles = 2 * math.pi * (position - jnp.array([0.0, 1 / 3, 2 / 3]))
    return jnp.clip(0.5 + jnp.cos(angles), 0.0, 1.0) * 2.0 - 1.0


def bezier(points: Array, t: Array) -> Array:
    """Returns the points [T, 2] at parameters t [T] in [0, 1] of the cubic Bezier curve with control points [4, 2]."""
    weights = jnp.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    return weights @ points


def moving_digits(images: np.ndarray, frames: int, size: int) -> Callable[[Array], Array]:
    """Returns the function that draws a video float32 [T, size, size, C] in [-1, 1] of an image that moves on a curve.

    Args:
        images: uint8 [N, h, w, C], at most `size` in height and width, on a background of 0.
        frames: Frames of a video.
        size: Side of a frame in pixels.
    """
    images = jnp.asarray(images)
    _, h, w, channels = images.shape

    def sample(key: Array) -> Array:
        image_key, curve_key = jax.random.split(key)
        image = images[jax.random.randint(image_key, (), 0, len(images))]
        points = jax.random.uniform(curve_key, (4, 2)) * jnp.array([[size - h, size - w]], jnp.float32)
        corners = jnp.rint(bezier(points, jnp.linspace(0.0, 1.0, frames))).astype(jnp.int32)
        empty = jnp.zeros((size, size, channels), jnp.uint8)
        place = lambda corner: jax.lax.dynamic_update_slice(empty, image, (corner[0], corner[1], 0))
        return jax.vmap(place)(corners).astype(jnp.float32) / 127.5 - 1.0

    return sample


def load_folder(path: Path, frames: int, size: int) -> np.ndarray:
    """Returns the videos below a folder as uint8 [N, frames, size, size, 3]: the first frames of each.

    A video is a GIF or WebP animation, or a folder of PNG or JPEG files whose names end in numbers. Frames are cropped
    to a centred square and resized.

    Raises UserError if there is no video, for one that is shorter than `frames`, and for a damaged file.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder")
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*ANIMATIONS, *FRAMES))
    animations = [p for p in files if p.suffix.lower() in ANIMATIONS]
    folders = sorted({p.parent for p in files if p.suffix.lower() in FRAMES})
    videos = [_read_animation(p, frames) for p in animations]
    videos += [[_read_image(p) for p in _numbered(folder, frames)] for folder in folders]
    if not videos:
        raise UserError(f"{path} has no GIF, no WebP animation, and no folder of numbered PNG or JPEG files")
    return np.stack([np.stack([crop_and_resize(frame, size) for frame in video]) for video in videos])


def open_tfds(name: str, split: str, frames: int, size: int, directory: Path | None = None) -> DiskDataset:
    """Returns the videos of a split of a prepared TFDS data set, read from disk by index: the first frames of each.

    Frames are cropped to a centred square, resized, and grey ones become RGB.

    Args:
        name: TFDS name of a data set with a feature of kind `Video`, such as `moving_mnist`.
        split: Name of a split.
        frames: Frames of a clip.
        size: Side of a frame in pixels.
        directory: Folder of all TFDS data sets; `datasets.data_dir()` if not given.

    Raises UserError as `tfds_records.open_records` does, if there is no such feature, and for videos of fewer frames.
    """
    records = open_records(name, split, directory)
    feature = records.feature_of_kind("Video")

    def read_records(indices: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
        videos = []
        for index, record in zip(indices, records.read(indices), strict=True):
            encoded = record[feature].bytes_list.value
            _check_length(f"video {index} of {records.name}", len(encoded), frames)
            images = [_read_image(io.BytesIO(frame)) for frame in encoded[:frames]]
            videos.append(np.stack([crop_and_resize(image, size) for image in images]))
        return videos, [0] * len(videos)

    def in_memory() -> Dataset:
        blocks = [data.read(indices)[0] for indices in index_blocks(data, f"reading {records.name}")]
        return Dataset(records.name, np.concatenate(blocks))

    data = DiskDataset(records.name, (frames, size, size, 3), (), records.length, read_records, in_memory)
    return data


def _read_animation(file: Path, frames: int) -> list[np.ndarray]:
    try:
        with Image.open(file) as image:
            count = getattr(image, "n_frames", 1)
            _check_length(file, count, frames)
            return [
                np.asarray(f.convert("RGB")) for f, _ in zip(ImageSequence.Iterator(image), range(frames), strict=False)
            ]
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} is damaged ({first_line(error)})") from error


def _read_image(file: Path | BinaryIO) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} is damaged ({first_line(error)})") from error


def _numbered(folder: Path, frames: int) -> list[Path]:
    """Returns the first frames of a folder in the order of the numbers at the end of their names."""
    files = [p for p in folder.iterdir() if p.suffix.lower() in FRAMES]
    if unnumbered := sorted(p.name for p in files if not re.search(r"\d+$", p.stem)):
        raise UserError(f"{folder / unnumbered[0]} has no number at the end of its name, such as frame_012.png")
    _check_length(folder, len(files), frames)
    return sorted(files, key=lambda p: int(re.search(r"\d+$", p.stem)[0]))[:frames]


def _check_length(video: Path | str, count: int, frames: int) -> None:
    if count < frames:
        raise UserError(f"{video} has {count} frames, fewer than the {frames} of a clip; use --frames {count} or less")
