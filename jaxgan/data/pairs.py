"""Pairs of images from folders: two folders with files of the same name, or files with both images side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from jaxgan.data import datasets
from jaxgan.data.datasets import Dataset, DiskDataset, ImageData, cached_dataset, crop_and_resize
from jaxgan.data.folders import SUFFIXES, read_pixels
from jaxgan.errors import UserError
from jaxgan.io import cache

Direction = Literal["AtoB", "BtoA"]  # left to right, or right to left
Pair = tuple[np.ndarray, np.ndarray]
HOLD_OUT_EVERY = 10  # Every tenth image of data without a test split is held out,
MAX_HELD_OUT = 1_000  # but not more than this.


def load_paired_folders(x: Path, y: Path, size: int, channels: tuple[int, int] = (3, 3)) -> tuple[ImageData, ImageData]:
    """Returns the images of two folders as two data sets, in which equal indices are files of the same name.

    Names are compared without their suffixes and with their subfolders. All images are cropped to the largest centred
    square and resized to size x size. Images that fit in memory are cached on disk, and others stay in their files.

    Args:
        x: Folder of the inputs.
        y: Folder of the targets.
        size: Side of the images.
        channels: 1 (grey) or 3 (RGB), of x and of y.

    Raises UserError for a file without its pair, a damaged file, and a pair of unequal size.
    """
    files = _image_files(x), _image_files(y)
    for here, there in ((0, 1), (1, 0)):
        folder, other = (x, y)[here], (x, y)[there]
        if alone := sorted(files[here].keys() - files[there].keys()):
            raise UserError(
                f"{folder} has {len(files[here])} images and {other} has {len(files[there])}; {alone[0]} of {folder} "
                f"has no image of the same name in {other}"
            )
    names = sorted(files[0])

    def read(name: str) -> Pair:
        pair = tuple(read_pixels(by_name[name], c) for by_name, c in zip(files, channels, strict=True))
        if pair[0].shape[:2] != pair[1].shape[:2]:
            sizes = " and ".join(f"{image.shape[1]} x {image.shape[0]}" for image in pair)
            raise UserError(f"the images of the pair {name} have unequal sizes, {sizes}")
        return pair

    paths = [by_name[name] for by_name in files for name in names]
    return _load(f"{x.name}+{y.name}", paths, names, read, size, channels, [str(x.resolve()), str(y.resolve())])


def load_side_by_side(
    folder: Path, size: int, direction: Direction = "AtoB", channels: tuple[int, int] = (3, 3)
) -> tuple[ImageData, ImageData]:
    """Returns the two halves of the images of a folder as two data sets, as pix2pix distributes its data.

    Args:
        folder: Its files hold image A on the left and image B, of the same size, on the right.
        size: Side of the squares that both halves are cropped and resized to.
        direction: Which half is the input: A for "AtoB".
        channels: 1 (grey) or 3 (RGB), of inputs and targets.

    Raises UserError for a damaged file, and for one of odd width.
    """
    files = _image_files(folder)

    def read(name: str) -> Pair:
        halves = []
        for side, c in zip((0, 1) if direction == "AtoB" else (1, 0), channels, strict=True):
            image = read_pixels(files[name], c)
            width = image.shape[1]
            if width % 2:
                raise UserError(f"{files[name]} is {width} pixels wide; two images side by side have an even width")
            halves.append(image[:, side * width // 2 : (side + 1) * width // 2])
        return halves[0], halves[1]

    key = [str(folder.resolve()), direction]
    return _load(f"{folder.name}:{direction}", list(files.values()), sorted(files), read, size, channels, key)


def hold_out(data: ImageData, split: str) -> ImageData:
    """Returns every tenth image of a data set as its split "test", at most 1,000, and the others as "train".

    Raises UserError if there are fewer than two images.
    """
    n = len(data)
    if n < 2:
        raise UserError(f"{data.name} has {n} image(s), and one of them is held out; it needs at least 2")
    held_out = np.arange(n) % max(HOLD_OUT_EVERY, -(-n // MAX_HELD_OUT)) == 0
    rows = np.flatnonzero(held_out if split == "test" else ~held_out)
    name = f"{data.name}:{split}"

    def read_all() -> Dataset:
        return Dataset(name, *data.read(rows), data.classes)

    if isinstance(data, Dataset):
        return read_all()
    read_records = lambda indices: data.read_records(rows[indices])
    return DiskDataset(name, data.shape, data.classes, len(rows), read_records, read_all)


def _image_files(folder: Path) -> dict[str, Path]:
    """Returns the image files below a folder by their relative path without suffix."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    paths = [p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES and p.name[0] != "."]
    if not paths:
        raise UserError(f"{folder} has no images; their names end in {', '.join(SUFFIXES)}")
    by_name = {str(p.relative_to(folder).with_suffix("")): p for p in paths}
    if len(by_name) < len(paths):
        twice = next(p for p in paths if by_name[str(p.relative_to(folder).with_suffix(""))] != p)
        raise UserError(f"{folder} has two images called {twice.stem}; pairs are found by name without suffix")
    return by_name


def _load(
    name: str,
    paths: list[Path],
    names: list[str],
    read: Callable[[str], Pair],
    size: int,
    channels: tuple[int, int],
    key: list,
) -> tuple[ImageData, ImageData]:
    """Returns two data sets of the pairs that `read` returns for `names`, resized.

    Images that fit in memory are cached on disk. Others are only read once, to check them.
    """
    name = f"{name}:{size}x{size}"
    files = [[(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths], key, *channels]
    progress = lambda: tqdm(names, desc=f"reading {name}", disable=None)

    def side(n: int) -> ImageData:
        own_name = f"{name}:{'xy'[n]}"
        read_one = lambda pair: crop_and_resize(read(pair)[n], size)

        def read_all() -> tuple[Dataset, None]:
            return Dataset(own_name, np.stack([read_one(pair) for pair in progress()])), None

        in_memory = lambda: cached_dataset(own_name, files, read_all)[0]
        if fits:
            return in_memory()
        read_records = lambda indices: ([read_one(names[i]) for i in indices], [0] * len(indices))
        return DiskDataset(own_name, (size, size, channels[n]), (), len(names), read_records, in_memory)

    def check_all() -> tuple[dict[str, np.ndarray], None]:
        for pair in progress():
            read(pair)
        return {}, None

    fits = datasets.images_fit_in_memory(len(names), size, size, sum(channels))
    if not fits:
        cache.memoise("data", f"{name}:checked", files, check_all)
    return side(0), side(1)
