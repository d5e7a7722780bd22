"""Image data sets: `Dataset` holds decoded images in memory, `DiskDataset` reads them from disk by index."""

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

from jaxgan.errors import UserError, command_name, first_line
from jaxgan.io import cache

MAX_IN_MEMORY_BYTES = 2**31  # bytes of images that are copied to each device; larger data sets are streamed
CACHE_VERSION = 3  # to be raised if the contents of cached data sets change
RESIZE_FILTER = Image.Resampling.LANCZOS

# Images uint8 [n, H, W, C], and labels int32 [n] or None.
ImagesAndLabels = tuple[np.ndarray, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images in memory, with labels if there are any.

    Attributes:
        name: Data set, version and split, such as "mnist:3.0.1:train".
        images: uint8 [N, H, W, C], C 1 or 3.
        labels: int32 [N], or None.
        classes: Names of the classes.

    Raises ValueError if images are not uint8, or not as many as labels.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8:
            raise ValueError(f"images of {self.name} are {self.images.dtype}; they must be uint8, 0 to 255")
        if self.labelled and len(self.labels) != len(self):
            raise ValueError(f"{self.name} has {len(self.labels)} labels for {len(self)} images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape [H, W, C] of one image."""
        return self.images.shape[1:]

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def read(self, indices: np.ndarray | slice) -> ImagesAndLabels:
        """Returns the images and labels at the given indices."""
        return self.images[indices], None if self.labels is None else self.labels[indices]

    def in_memory(self) -> "Dataset":
        """Returns itself."""
        return self


@dataclasses.dataclass(frozen=True)
class DiskDataset:
    """Images that are read from disk by index, for data sets that may not fit in memory.

    Attributes:
        name: Data set, version and split, such as "mnist:3.0.1:train".
        shape: Shape [H, W, C] of one image.
        classes: Names of the classes, empty for unlabelled data.
        length: Number of images.
        read_records: indices [n] -> (images of any size, labels, which are zeros for unlabelled data).
        in_memory: Returns the same images as a `Dataset`.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    length: int
    read_records: Callable[[np.ndarray], tuple[list[np.ndarray], list[int]]]
    in_memory: Callable[[], Dataset]

    def __len__(self) -> int:
        return self.length

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return bool(self.classes)

    def read(self, indices: np.ndarray) -> ImagesAndLabels:
        """Returns the images and labels at the given indices.

        Raises UserError if a record is damaged or an image has another shape than the first one.
        """
        images, labels = self.read_records(indices)
        if other_shapes := [image.shape for image in images if image.shape != self.shape]:
            raise UserError(
                f"{self.name} has images of several sizes, {self.shape}, {other_shapes[0]}; "
                "give the `size` to which they are cropped and resized"
            )
        return np.stack(images), np.array(labels, np.int32) if self.labelled else None


ImageData = Dataset | DiskDataset


def fits_in_memory(*datasets: ImageData) -> bool:
    """Returns whether the images of all given data sets take at most `MAX_IN_MEMORY_BYTES` together."""
    return images_fit_in_memory(sum(len(data) * math.prod(data.shape) for data in datasets))


def images_fit_in_memory(count: int, *shape: int) -> bool:
    """Returns whether so many images uint8 of a shape take at most `MAX_IN_MEMORY_BYTES`."""
    return count * math.prod(shape) <= MAX_IN_MEMORY_BYTES


def map_images(data: ImageData, name: str, f: Callable[[np.ndarray], np.ndarray]) -> ImageData:
    """Returns the data set, called `name`, of the images f(image uint8 [H, W, C]) -> uint8, with the same labels.

    Images in memory are mapped at once, and those on disk when they are read.
    """
    if isinstance(data, Dataset):
        return Dataset(name, np.stack([f(image) for image in data.images]), data.labels, data.classes)

    def read_records(indices: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
        images, labels = data.read_records(indices)
        return [f(image) for image in images], labels

    shape = f(np.zeros(data.shape, np.uint8)).shape
    in_memory = lambda: map_images(data.in_memory(), name, f)
    return DiskDataset(name, shape, data.classes, len(data), read_records, in_memory)


def describe(data: ImageData) -> dict[str, Any]:
    """Returns a summary by name: number, shape, range and channel means of the images, and examples per class."""
    low, high, total, counts = 255, 0, 0.0, np.zeros(len(data.classes), np.int64)
    for indices in index_blocks(data, f"counting {data.name}"):
        images, labels = data.read(indices)
        low, high = min(low, int(images.min())), max(high, int(images.max()))
        total += images.sum((0, 1, 2), dtype=np.float64)
        counts += 0 if labels is None else np.bincount(labels, minlength=len(counts))
    h, w, c = data.shape
    summary = {
        "name": data.name,
        "images": len(data),
        "shape": f"{h} x {w} x {c}",
        "range": f"{low} to {high}",
        "mean": [round(float(x), 4) for x in total / (len(data) * h * w)],
    }
    return summary | ({"classes": dict(zip(data.classes, counts.tolist(), strict=True))} if data.labelled else {})


def data_dir() -> Path:
    """Returns the folder of all TFDS data sets: $JAXGAN_DATA_DIR, or TFDS's default ~/tensorflow_datasets."""
    return Path(os.environ.get("JAXGAN_DATA_DIR") or Path.home() / "tensorflow_datasets")


def prepared_folder(name: str, directory: Path | None = None) -> Path:
    """Returns the folder of the newest prepared version of a TFDS data set.

    Args:
        name: TFDS name, `name` or `name/config`.
        directory: Folder of all TFDS data sets; `data_dir()` if not given.

    Raises UserError, with the command that prepares the data set, if no version is prepared.
    """
    directory = directory or data_dir()
    versions = [path.parent for path in (directory / name).glob("*/dataset_info.json")]
    if not versions:
        command = f"{command_name()} data {name} --data-dir {directory}"
        raise UserError(
            f"{name} is not prepared in {directory}; `{command}` prepares it, or give its folder by --data-dir"
        )
    return max(versions, key=lambda path: [int(x) if x.isdigit() else 0 for x in path.name.split(".")])


def load_tfds(
    name: str, split: str = "train", *, size: int | None = None, feature: str = "image", directory: Path | None = None
) -> Dataset:
    """Returns a split of a prepared TFDS data set in memory. It is decoded without TensorFlow and cached on disk.

    Args:
        name: TFDS name of a data set with images, such as `mnist`, `cifar10` or `cycle_gan/horse2zebra`.
        split: Split in the notation of TFDS: `train`, `test`, `train[:1000]`.
        size: Side of the square that images are cropped and resized to. By default they keep their size.
        feature: TFDS feature that holds the images, such as `input_image` or `target_image` in paired data.
        directory: Folder of all TFDS data sets; `data_dir()` if not given.

    Raises UserError if the data set is missing, damaged, not in the format array_record, or has images of several sizes
    while `size` is not given.
    """
    folder = prepared_folder(name, directory)
    files = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir()) if p.is_file()]

    def read_all() -> tuple[Dataset, None]:
        records = open_tfds(name, split, size=size, feature=feature, directory=directory)
        blocks = [records.read(indices) for indices in index_blocks(records, f"reading {records.name}")]
        images, labels = zip(*blocks, strict=True)
        labels = np.concatenate(labels) if records.labelled else None
        return Dataset(records.name, np.concatenate(images), labels, records.classes), None

    return cached_dataset(_full_name(folder, name, split, feature), [files, size], read_all)[0]


def load_or_open_tfds(name: str, split: str = "train", **options: Any) -> ImageData:
    """Returns a split in memory if it fits, as by `load_tfds`, and otherwise on disk, as by `open_tfds`.

    Takes the arguments of both.
    """
    data = open_tfds(name, split, **options)
    return data.in_memory() if fits_in_memory(data) else data


def open_tfds(
    name: str, split: str = "train", *, size: int | None = None, feature: str = "image", directory: Path | None = None
) -> DiskDataset:
    """Returns a split of a prepared TFDS data set that is read from disk by index.

    Takes the arguments of `load_tfds`. Raises UserError in the same cases, for images of several sizes and for damaged
    records only when they are read.
    """
    import tensorflow_datasets  # Takes half a second to import, and does not import TensorFlow.

    logging.getLogger("absl").setLevel(logging.ERROR)  # It recommends OpenCV.
    folder = prepared_folder(name, directory)
    full_name = _full_name(folder, name, split, feature)
    try:
        builder = tensorflow_datasets.builder_from_directory(folder)
        features = builder.info.features
        other_images = [
            key
            for key, kind in features.items()
            if isinstance(kind, tensorflow_datasets.features.Image) and key != feature
        ]
        skip = {key: tensorflow_datasets.decode.SkipDecoding() for key in other_images}
        records = builder.as_data_source(split, decoders=skip)
    except NotImplementedError as error:
        raise UserError(
            f"{folder} is not in the format array_record; prepare it with file_format='array_record'"
        ) from error
    except Exception as error:
        raise UserError(f"{full_name} cannot be opened: {first_line(error)}") from error
    if feature not in features:
        raise UserError(
            f'{full_name} has no feature "{feature}"; choose a `feature` from {", ".join(sorted(features))}'
        )
    if not len(records):
        raise UserError(f"{full_name} has no images; choose another `split`")
    classes = tuple(getattr(features["label"], "names", None) or ()) if "label" in features else ()

    def read_one(index: int) -> Any:
        try:
            return records[index]
        except Exception as error:
            raise UserError(
                f"record {index} of {full_name} is damaged: {first_line(error)}; delete {folder} and prepare it again"
            ) from error

    def read_records(indices: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
        try:
            rows = records.__getitems__(indices.tolist())
        except Exception:  # Read them one by one, so that the error names the damaged record.
            rows = [read_one(index) for index in indices.tolist()]
        images = [np.asarray(row[feature]) for row in rows]
        return [crop_and_resize(x, size) if size else x for x in images], [
            row["label"] if classes else 0 for row in rows
        ]

    (first,), _ = read_records(np.array([0]))
    if first.dtype != np.uint8 or first.shape[-1] not in (1, 3):
        raise UserError(
            f"{full_name} has images of {first.shape[-1]} channels of {first.dtype}; they must be 1 or 3 of uint8"
        )
    in_memory = functools.partial(load_tfds, name, split, size=size, feature=feature, directory=directory)
    return DiskDataset(full_name, first.shape, classes, len(records), read_records, in_memory)


def _full_name(folder: Path, name: str, split: str, feature: str) -> str:
    return f"{name}:{folder.name}:{split}" + ("" if feature == "image" else f":{feature}")


def index_blocks(data: ImageData, desc: str) -> Iterator[np.ndarray]:
    """Yields all indices of a data set in order, in blocks of at most 128, with a progress bar labelled `desc`."""
    blocks = np.array_split(np.arange(len(data)), -(-len(data) // 128))
    with tqdm(total=len(data), desc=desc, disable=None) as bar:
        for indices in blocks:
            yield indices
            bar.update(len(indices))


def crop_and_resize(image: np.ndarray, size: int) -> np.ndarray:
    """Returns the largest centred square of an image uint8 [H, W, C], Lanczos-resized to [size, size, C]."""
    h, w, c = image.shape
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return square
    resized = Image.fromarray(square[..., 0] if c == 1 else square).resize((size, size), RESIZE_FILTER)
    return np.asarray(resized).reshape(size, size, c)


def cached_dataset(name: str, files: Any, read: Callable[[], tuple[Dataset, Any]]) -> tuple[Dataset, Any]:
    """Memoises `read()` on disk for as long as `name` and `files` stay the same.

    Args:
        name: Start of the name of the cache file, and part of its key.
        files: JSON-serialisable state of the files that `read` reads (names, sizes, modification times), and options.
        read: Returns a data set and JSON-serialisable information about it.

    Returns:
        What `read()` returned.
    """

    def make() -> tuple[dict[str, np.ndarray], Any]:
        data, info = read()
        arrays = {"images": data.images} | ({} if data.labels is None else {"labels": data.labels})
        return arrays, [data.name, data.classes, info]

    arrays, (full_name, classes, info) = cache.memoise("data", name, [CACHE_VERSION, files], make)
    return Dataset(full_name, arrays["images"], arrays.get("labels"), tuple(classes)), info
