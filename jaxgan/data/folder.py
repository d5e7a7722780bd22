"""A user's own images: a folder, with a subfolder for each class."""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxgan.data.datasets import Dataset, cached, fit, line
from jaxgan.errors import Problem

FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",)}
SUFFIXES = sum(FORMATS.values(), ())


def folder(path: Path, size: int, channels: int = 3, refuse: bool = False) -> tuple[Dataset, dict[str, str]]:
    """A user's own images below `path`, of which each subfolder is a class, cropped and resized to size x size.

    Files that cannot serve (no image, damaged, named as another format, smaller than `size`) are left out.

    Args:
        path: A folder; with images in subfolders these are the classes, in alphabetical order.
        size: Side of the images; the largest centred square, resized by a Lanczos filter.
        channels: 1 (grey) or 3 (RGB).
        refuse: Raise Problem where a file cannot serve, instead of leaving it out.

    Returns:
        The data set, and why each file that was left out was, by its name.
    """
    if not path.is_dir():
        raise Problem(f"{path} is not a folder")
    if channels not in (1, 3):
        raise Problem(f"channels {channels} must be 1 or 3")
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    state = [(str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    name = f"{path.name}:{size}x{size}"

    def read() -> tuple[Dataset, dict[str, str]]:
        images, labels, odd = [], [], {}
        for file in tqdm(files, desc=f"reading {path}", disable=None):
            found = _read(file, size, channels)
            if isinstance(found, str):
                odd[str(file.relative_to(path))] = found
                continue
            images.append(found)
            labels.append(file.relative_to(path).parts[0] if file.parent != path else "")
        if not images:
            raise Problem(f"{path} has no image to train on{_list(odd)}")
        classes = tuple(sorted(set(labels)))
        numbers = np.array([classes.index(x) for x in labels], np.int32) if len(classes) > 1 else None
        if numbers is not None and "" in classes:
            raise Problem(f"{path} has images beside the folders of its classes; move them into one")
        return Dataset(name, np.stack(images), numbers, classes if numbers is not None else ()), odd

    dataset, odd = cached(f"{name}x{channels}", [str(path.resolve()), state], read)
    if odd and refuse:
        raise Problem(f"{len(odd)} files of {path} cannot serve{_list(odd)}")
    return dataset, odd


def _read(file: Path, size: int, channels: int) -> np.ndarray | str:
    """An image uint8 [size, size, channels], or why the file is none."""
    if file.suffix.lower() not in SUFFIXES:
        return "is not named as an image"
    try:
        with Image.open(file) as image:
            if file.suffix.lower() not in FORMATS.get(image.format or "", ()):
                return f"is a {image.format} in truth"
            if min(image.size) < size:
                return f"is {image.width} x {image.height}, too small"
            pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    except Exception as error:  # Pillow raises what it likes on damaged data.
        return f"is damaged ({line(error)})"
    return fit(pixels if pixels.ndim == 3 else pixels[..., None], size)


def _list(odd: dict[str, str]) -> str:
    shown = [f"{name} {why}" for name, why in list(odd.items())[:5]]
    more = [f"and {len(odd) - 5} more"] if len(odd) > 5 else []
    return ": " + "; ".join(shown + more) if odd else ""
