"""Data sets from a folder of image files, with a subfolder for each class."""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxgan.data.datasets import Dataset, cached_dataset, crop_and_resize, first_line
from jaxgan.errors import UserError

FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",)}  # suffixes by Pillow's names
SUFFIXES = sum(FORMATS.values(), ())


def load_folder(path: Path, size: int, channels: int = 3, strict: bool = False) -> tuple[Dataset, dict[str, str]]:
    """Returns the images below a folder, cropped and resized to size x size. The result is cached on disk.

    Files that are not images, damaged, named with the suffix of another format or smaller than `size` are left out.

    Args:
        path: A folder. If it has several subfolders with images, these are the classes, in alphabetical order.
        size: Side of the images: the largest centred square, resized by a Lanczos filter.
        channels: 1 (grey) or 3 (RGB).
        strict: Raise UserError if any file would be left out.

    Returns:
        The data set, and the reason for each file that was left out, by its path relative to the folder.

    Raises UserError if there is no usable image, or if some images are in subfolders and others are not.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder")
    if channels not in (1, 3):
        raise UserError(f"channels {channels} must be 1 or 3")
    paths = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    files = [(str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    name = f"{path.name}:{size}x{size}"

    def read_all() -> tuple[Dataset, dict[str, str]]:
        images, labels, left_out = [], [], {}
        for file in tqdm(paths, desc=f"reading {path}", disable=None):
            image = _read(file, size, channels)
            if isinstance(image, str):
                left_out[str(file.relative_to(path))] = image
                continue
            images.append(image)
            labels.append(file.relative_to(path).parts[0] if file.parent != path else "")
        if not images:
            raise UserError(f"{path} has no usable image{_summary(left_out)}")
        classes = tuple(sorted(set(labels)))
        class_indices = np.array([classes.index(x) for x in labels], np.int32) if len(classes) > 1 else None
        if class_indices is not None and "" in classes:
            raise UserError(
                f"{path} has images both in subfolders and outside of them; move all of them into subfolders"
            )
        return Dataset(name, np.stack(images), class_indices, classes if class_indices is not None else ()), left_out

    dataset, left_out = cached_dataset(f"{name}x{channels}", [str(path.resolve()), files], read_all)
    if left_out and strict:
        raise UserError(f"{len(left_out)} files of {path} are not usable{_summary(left_out)}")
    return dataset, left_out


def _read(file: Path, size: int, channels: int) -> np.ndarray | str:
    """Returns an image uint8 [size, size, channels], or the reason why the file is not usable."""
    if file.suffix.lower() not in SUFFIXES:
        return "is not named as an image"
    try:
        with Image.open(file) as image:
            if file.suffix.lower() not in FORMATS.get(image.format or "", ()):
                return f"is a {image.format} in spite of its suffix"
            if min(image.size) < size:
                return f"is {image.width} x {image.height}, too small"
            pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    except Exception as error:  # Pillow raises errors of many types on damaged data.
        return f"is damaged ({first_line(error)})"
    return crop_and_resize(pixels if pixels.ndim == 3 else pixels[..., None], size)


def _summary(left_out: dict[str, str]) -> str:
    shown = [f"{name} {reason}" for name, reason in list(left_out.items())[:5]]
    more = [f"and {len(left_out) - 5} more"] if len(left_out) > 5 else []
    return ": " + "; ".join(shown + more) if left_out else ""
