"""Images as they are on the disk: held in memory once they are decoded, or read one by one where they are too many."""

import dataclasses
import functools
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxgan import cache
from jaxgan.errors import Problem

HELD = 2**31  # bytes of images that are held in memory, on each device; what is larger is streamed
LAYOUT = 2  # of what is cached
FILTER = Image.Resampling.LANCZOS  # by which images are resized

Taken = tuple[np.ndarray, np.ndarray | None]  # images uint8 [n, H, W, C], labels int32 [n] where there are any


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images in memory, with labels where there are any."""

    name: str  # what, which version, which part
    images: np.ndarray  # uint8 [N, H, W, C], C 1 or 3
    labels: np.ndarray | None = None  # int32 [N]
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no data set."""
        if self.images.dtype != np.uint8:
            raise ValueError(f"images of {self.name} are {self.images.dtype}; they are held as uint8, 0 to 255")
        if self.labelled and len(self.labels) != len(self):
            raise ValueError(f"{self.name} has {len(self.labels)} labels for {len(self)} images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return self.images.shape[1:]

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def take(self, numbers: np.ndarray | slice) -> Taken:
        """The images of these numbers, and their labels."""
        return self.images[numbers], None if self.labels is None else self.labels[numbers]

    def whole(self) -> "Dataset":
        """All of it in memory, where it is."""
        return self


@dataclasses.dataclass(frozen=True)
class Records:
    """Images that stay on the disk, to be read by number: a data set that need not fit in memory."""

    name: str
    shape: tuple[int, ...]  # of one image
    classes: tuple[str, ...]
    length: int
    read: Callable[[np.ndarray], tuple[list[np.ndarray], list[int]]]  # numbers -> images of any size, labels or zeros
    whole: Callable[[], Dataset]  # all of it in memory

    def __len__(self) -> int:
        return self.length

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return bool(self.classes)

    def take(self, numbers: np.ndarray) -> Taken:
        """The images of these numbers, and their labels. Raises Problem for a damaged one, or one of another size."""
        images, labels = self.read(numbers)
        if odd := [image.shape for image in images if image.shape != self.shape]:
            raise Problem(f"{self.name} has images of several sizes, {self.shape}, {odd[0]}; say which `size` to take")
        return np.stack(images), np.array(labels, np.int32) if self.labelled else None


Images = Dataset | Records


def fits(*sets: Images) -> bool:
    """Whether the images are few enough to be held in memory."""
    return sum(len(data) * math.prod(data.shape) for data in sets) <= HELD


def statistics(data: Images) -> dict[str, Any]:
    """What a person wants to know before training on it."""
    low, high, total, counts = 255, 0, 0.0, np.zeros(len(data.classes), np.int64)
    for numbers in blocks(data, f"counting {data.name}"):
        images, labels = data.take(numbers)
        low, high = min(low, int(images.min())), max(high, int(images.max()))
        total += images.sum((0, 1, 2), dtype=np.float64)
        counts += 0 if labels is None else np.bincount(labels, minlength=len(counts))
    h, w, c = data.shape
    found = {
        "name": data.name,
        "images": len(data),
        "shape": f"{h} x {w} x {c}",
        "range": f"{low} to {high}",
        "mean": [round(float(x), 4) for x in total / (len(data) * h * w)],
    }
    return found | ({"classes": dict(zip(data.classes, counts.tolist(), strict=True))} if data.labelled else {})


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
        command = f"python launch.py data {name} --data-dir {directory}"
        raise Problem(
            f"{name} is not prepared in {directory}; `{command}` prepares it, or say by --data-dir where it is"
        )
    return max(versions, key=lambda path: [int(x) if x.isdigit() else 0 for x in path.name.split(".")])


def tfds(
    name: str, split: str = "train", *, size: int | None = None, feature: str = "image", directory: Path | None = None
) -> Dataset:
    """A part of a prepared TFDS data set, all of it in memory, decoded without TensorFlow.

    Args:
        name: `mnist`, `cifar10`, `cycle_gan/horse2zebra`: any with images.
        split: As TFDS writes it: `train`, `test`, `train[:1000]`.
        size: Side of the square that images are cropped and resized to; as they are if not given.
        feature: What TFDS calls the images, such as `input_image` and `target_image` where there are pairs.
        directory: Where it is prepared; `data_dir()` if not given.

    Raises Problem where it is missing, damaged, in the wrong format, or of unlike sizes while `size` is not given.
    """
    folder = prepared(name, directory)
    state = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir()) if p.is_file()]

    def read() -> tuple[Dataset, None]:
        found = records(name, split, size=size, feature=feature, directory=directory)
        parts = [found.take(numbers) for numbers in blocks(found, f"reading {found.name}")]
        images, labels = zip(*parts, strict=True)
        labels = np.concatenate(labels) if found.labelled else None
        return Dataset(found.name, np.concatenate(images), labels, found.classes), None

    return cached(_what(folder, name, split, feature), [state, size], read)[0]


def records(
    name: str, split: str = "train", *, size: int | None = None, feature: str = "image", directory: Path | None = None
) -> Records:
    """The same, left on the disk: for data sets of any length. Raises Problem as `tfds` does."""
    import tensorflow_datasets  # Takes half a second to import, and does not import TensorFlow.

    logging.getLogger("absl").setLevel(logging.ERROR)  # It recommends OpenCV.
    folder = prepared(name, directory)
    what = _what(folder, name, split, feature)
    try:
        builder = tensorflow_datasets.builder_from_directory(folder)
        features = builder.info.features
        others = [
            name
            for name, of in features.items()
            if isinstance(of, tensorflow_datasets.features.Image) and name != feature
        ]
        skip = {name: tensorflow_datasets.decode.SkipDecoding() for name in others}
        source = builder.as_data_source(split, decoders=skip)
    except NotImplementedError as error:
        raise Problem(f"{folder} holds no array_record; prepare it with file_format='array_record'") from error
    except Exception as error:
        raise Problem(f"{what} cannot be opened: {line(error)}") from error
    if feature not in features:
        raise Problem(f'{what} has no feature "{feature}"; it has {", ".join(sorted(features))}: say which `feature`')
    if not len(source):
        raise Problem(f"{what} has no images")
    classes = tuple(getattr(features["label"], "names", None) or ()) if "label" in features else ()

    def one(n: int) -> Any:
        try:
            return source[n]
        except Exception as error:
            raise Problem(f"record {n} of {what} is damaged: {line(error)}") from error

    def read(numbers: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
        try:
            rows = source.__getitems__(numbers.tolist())
        except Exception:  # Which one is it?
            rows = [one(n) for n in numbers.tolist()]
        images = [np.asarray(row[feature]) for row in rows]
        return [fit(x, size) if size else x for x in images], [row["label"] if classes else 0 for row in rows]

    (first,), _ = read(np.array([0]))
    if first.dtype != np.uint8 or first.shape[-1] not in (1, 3):
        raise Problem(f"{what} has images of {first.shape[-1]} channels of {first.dtype}, not of 1 or 3 of uint8")
    whole = functools.partial(tfds, name, split, size=size, feature=feature, directory=directory)
    return Records(what, first.shape, classes, len(source), read, whole)


def _what(folder: Path, name: str, split: str, feature: str) -> str:
    return f"{name}:{folder.name}:{split}" + ("" if feature == "image" else f":{feature}")


def blocks(data: Images, desc: str) -> Iterator[np.ndarray]:
    """The numbers of all images, some at a time, with a progress bar."""
    numbers = np.array_split(np.arange(len(data)), -(-len(data) // 128))
    with tqdm(total=len(data), desc=desc, disable=None) as bar:
        for some in numbers:
            yield some
            bar.update(len(some))


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


def cached(what: str, state: Any, read: Callable[[], tuple[Dataset, Any]]) -> tuple[Dataset, Any]:
    """What `read` gives, a data set and what JSON can hold, kept for as long as the files it read stay as they are."""

    def make() -> tuple[dict[str, np.ndarray], Any]:
        data, more = read()
        arrays = {"images": data.images} | ({} if data.labels is None else {"labels": data.labels})
        return arrays, [data.name, data.classes, more]

    arrays, (name, classes, more) = cache.kept("data", what, [LAYOUT, state], make)
    return Dataset(name, arrays["images"], arrays.get("labels"), tuple(classes)), more


def line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
