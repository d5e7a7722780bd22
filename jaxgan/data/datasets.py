"""Images that are read whole: data sets prepared by TFDS, and a user's own folders. Decoded once, then cached."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxgan.errors import Problem

FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",)}
SUFFIXES = sum(FORMATS.values(), ())
FILTER = Image.Resampling.LANCZOS  # by which images are resized


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images in memory, with labels where there are any."""

    name: str  # what, which version, which part
    images: np.ndarray  # uint8 [N, H, W, C], C 1 or 3
    labels: np.ndarray | None = None  # int32 [N]
    classes: tuple[str, ...] = ()

    def statistics(self) -> dict[str, Any]:
        """What a person wants to know before training on it."""
        n, h, w, c = self.images.shape
        found = {
            "name": self.name,
            "images": n,
            "shape": f"{h} x {w} x {c}",
            "range": f"{self.images.min()} to {self.images.max()}",
            "mean": [round(float(x), 4) for x in self.images.mean((0, 1, 2), dtype=np.float64)],
        }
        if self.labels is not None:
            counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
            found["classes"] = dict(zip(self.classes, counts, strict=True))
        return found


def data_dir() -> Path:
    """Where data sets are: $JAXGAN_DATA_DIR, or what TFDS takes."""
    return Path(os.environ.get("JAXGAN_DATA_DIR") or Path.home() / "tensorflow_datasets")


def prepared(name: str, directory: Path | None = None) -> Path:
    """The folder of the newest prepared version of a TFDS data set, `name` or `name/config`.

    Raises Problem, with the command that prepares it, if there is none.
    """
    directory = directory or data_dir()
    versions = [path.parent for path in (directory / name).glob("*/dataset_info.json")]
    if not versions:
        raise Problem(f"{name} is not prepared in {directory}; `python launch.py data {name}` prepares it")
    return max(versions, key=lambda path: [int(x) if x.isdigit() else 0 for x in path.name.split(".")])


def tfds(name: str, split: str = "train", *, size: int | None = None, directory: Path | None = None) -> Dataset:
    """A part of a prepared TFDS data set, decoded without TensorFlow.

    Args:
        name: `mnist`, `cifar10`, `cycle_gan/horse2zebra`: any with a feature "image".
        split: As TFDS writes it: `train`, `test`, `train[:1000]`.
        size: Side of the square that images are cropped and resized to; as they are if not given.
        directory: Where it is prepared; `data_dir()` if not given.

    Raises Problem where it is missing, damaged, in the wrong format, or of unlike sizes while `size` is not given.
    """
    folder = prepared(name, directory)
    what = f"{name}:{folder.name}:{split}"
    state = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir()) if p.is_file()]
    return _cached(what, [state, size], lambda: _decode(folder, what, split, size))


def _decode(folder: Path, what: str, split: str, size: int | None) -> Dataset:
    import tensorflow_datasets  # Takes half a second to import, and does not import TensorFlow.

    logging.getLogger("absl").setLevel(logging.ERROR)  # It recommends OpenCV.
    try:
        builder = tensorflow_datasets.builder_from_directory(folder)
        source = builder.as_data_source(split=split)
    except NotImplementedError as error:
        raise Problem(f"{folder} holds no array_record; prepare it with file_format='array_record'") from error
    except Exception as error:
        raise Problem(f"{what} cannot be opened: {_line(error)}") from error
    if "image" not in builder.info.features:
        raise Problem(f'{what} has no feature "image"; it has {", ".join(sorted(builder.info.features))}')
    features = builder.info.features
    classes = tuple(getattr(features["label"], "names", None) or ()) if "label" in features else ()
    images, labels = [], []
    for n in tqdm(range(len(source)), desc=f"reading {what}", disable=None):
        try:
            row = source[n]
            image = np.asarray(row["image"])
        except Exception as error:
            raise Problem(f"record {n} of {what} is damaged: {_line(error)}") from error
        images.append(fit(image, size) if size else image)
        labels.append(row["label"] if classes else 0)
    return Dataset(what, _stack(images, what), np.array(labels, np.int32) if classes else None, classes)


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
    odd: dict[str, str] = {}

    def read() -> Dataset:
        images, labels = [], []
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
        name = f"{path.name}:{size}x{size}"
        return Dataset(name, np.stack(images), numbers, classes if numbers is not None else ())

    dataset = _cached(f"{path.name}:{size}x{size}x{channels}", [str(path.resolve()), state], read, odd)
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
        return f"is damaged ({_line(error)})"
    return fit(pixels if pixels.ndim == 3 else pixels[..., None], size)


def fit(image: np.ndarray, size: int) -> np.ndarray:
    """The largest centred square of an image uint8 [H, W, C], resized to [size, size, C] by a Lanczos filter."""
    h, w, c = image.shape
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return square
    resized = Image.fromarray(square[..., 0] if c == 1 else square).resize((size, size), FILTER)
    return np.asarray(resized).reshape(size, size, c)


def _stack(images: list[np.ndarray], what: str) -> np.ndarray:
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise Problem(
            f"{what} has images of {len(shapes)} sizes, {shapes[0]} to {shapes[-1]}; say which `size` to take"
        )
    return np.stack(images)


def _cached(what: str, state: Any, read: Callable[[], Dataset], odd: dict[str, str] | None = None) -> Dataset:
    """What `read` gives, kept for as long as the files it read stay as they are."""
    digest = hashlib.sha256(json.dumps([what, state]).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / "data"
    path = cache / f"{''.join(c if c.isalnum() else '-' for c in what)}-{digest}.npz"
    unreadable = contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile)
    with unreadable, path.open("rb") as there, np.load(there) as file:  # Missing, or cut off: it is made again.
        about = json.loads(str(file["about"]))
        labels = file["labels"] if about["labelled"] else None
        if odd is not None:
            odd.update(about["odd"])
        return Dataset(about["name"], file["images"], labels, tuple(about["classes"]))
    found = read()
    about = {
        "name": found.name,
        "labelled": found.labels is not None,
        "classes": found.classes,
        "odd": odd or {},
    }
    labels = found.labels if found.labels is not None else np.zeros(0, np.int32)
    with contextlib.suppress(OSError):  # A cache that cannot be written costs time alone.
        cache.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        with fresh.open("wb") as file:
            np.savez(file, images=found.images, labels=labels, about=json.dumps(about))
        os.replace(fresh, path)
    return found


def _list(odd: dict[str, str]) -> str:
    shown = [f"{name} {why}" for name, why in list(odd.items())[:5]]
    more = [f"and {len(odd) - 5} more"] if len(odd) > 5 else []
    return ": " + "; ".join(shown + more) if odd else ""


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
