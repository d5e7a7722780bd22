"""Data sets from a folder of image files, with a subfolder for each class."""

import dataclasses
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image
from tqdm import tqdm

from jaxgan.data import datasets
from jaxgan.data.datasets import Dataset, DiskDataset, ImageData, cached_dataset, crop_and_resize
from jaxgan.errors import UserError, first_line
from jaxgan.io import cache
from jaxgan.settings import Settings, check_values, setting

# Suffixes by Pillow's names of formats. MPO is what cameras write: a JPEG followed by previews or a second view.
FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "WEBP": (".webp",)}
SUFFIXES = tuple(dict.fromkeys(sum(FORMATS.values(), ())))
OTHER_IMAGES = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jxl", ".jp2", ".svg", ".raw", ".dng")
MODES_OF_8_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")
MAX_SIZE = 4_096  # pixels
BACKGROUND = (255, 255, 255)  # White: where images are transparent.
TFDS_NAME = re.compile(r"[a-z]\w*(/[\w.+-]+)?(:\d+\.\d+\.\d+)?")

# What brings an image upright, by its EXIF orientation. 1 is upright.
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

TURNED = "is turned as its EXIF orientation says"
TRANSPARENT = "is transparent in part and shown over white"
CMYK = "has CMYK colours, converted without a colour profile"
ANIMATED = "has several pictures, of which the first is taken"


class FileNotes(NamedTuple):
    """What happened to files, by their path relative to the folder.

    Attributes:
        left_out: The reason for each file that was not used.
        changed: The changes to each file that was not taken as it is, beside cropping and resizing.
    """

    left_out: dict[str, str]
    changed: dict[str, list[str]]

    def sentences(self) -> list[str]:
        """Returns a sentence for each change, and for the files that were left out, with the first files concerned."""
        reasons = sorted({reason for changes in self.changed.values() for reason in changes})
        groups = {reason: [name for name, changes in self.changed.items() if reason in changes] for reason in reasons}
        sentences = [f"{_count(names)} {reason}: {_first(names)}" for reason, names in groups.items()]
        if self.left_out:
            files = [f"{name} {reason}" for name, reason in self.left_out.items()]
            sentences.append(f"{_count(files)} left out: {_first(files)}")
        return sentences


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderSettings(Settings):
    """How the images of a folder are read."""

    size: int = setting(help="side of the square that images are cropped and resized to, in pixels", high=MAX_SIZE)
    channels: Literal[1, 3] = setting(3, "channels of the images, 1 (grey) or 3 (RGB)")


def load_folder(path: Path, size: int, channels: int = 3, strict: bool = False) -> tuple[ImageData, FileNotes]:
    """Returns the images below a folder, cropped and resized to size x size.

    Images are turned as their EXIF orientation says. Those of 16 bits are scaled to 8, transparent ones are shown over
    white, and of files with several pictures the first is taken. What is no file, no image, damaged, named with the
    suffix of another format, smaller than `size`, or of a type that cannot be converted faithfully is left out. Hidden
    files and folders are ignored.

    Images that fit in memory are cached on disk. Of others only the list of usable files is cached, for which each file
    is read once.

    Args:
        path: A folder. If it has several subfolders with images, these are the classes, in alphabetical order.
        size: Side of the images: the largest centred square, resized by a Lanczos filter.
        channels: 1 (grey) or 3 (RGB).
        strict: Raise UserError if any file would be left out.

    Returns:
        The data set, and what happened to files.

    Raises UserError if there is no usable image, or if some images are in subfolders and others are not.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder")
    check_values(FolderSettings, size=size, channels=channels)
    entries = sorted(_walk(path), key=lambda entry: Path(entry.file))
    files = [(entry.name, entry.reason, entry.size, entry.modified) for entry in entries]
    name, key = f"{path.name}:{size}x{size}", [str(path.resolve()), files]

    def read_all() -> tuple[Dataset, list[dict]]:
        images = []
        usable, notes = _find_usable(path, entries, size, channels, images.append)
        return Dataset(name, np.stack(images), usable.labels, usable.classes), list(notes)

    def in_memory() -> tuple[Dataset, list[dict]]:
        return cached_dataset(f"{name}x{channels}", key, read_all)

    if datasets.images_fit_in_memory(len(entries), size, size, channels):
        data, notes = in_memory()
    else:
        usable, notes = _cached_usable(f"{name}x{channels}:files", key, path, entries, size, channels)

        def read_records(indices: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
            rows = [entries[usable.rows[i]] for i in indices]
            images = [crop_and_resize(read_pixels(path / entry.file, channels), size) for entry in rows]
            return images, [0] * len(indices) if usable.labels is None else usable.labels[indices].tolist()

        shape, load = (size, size, channels), lambda: in_memory()[0]
        data = DiskDataset(name, shape, usable.classes, len(usable.rows), read_records, load)
    notes = FileNotes(*notes)
    if notes.left_out and strict:
        raise UserError(f"{len(notes.left_out)} files of {path} are not usable{_summary(notes)}")
    return data, notes


class _Usable(NamedTuple):
    """The usable files of a folder."""

    rows: np.ndarray  # int [N], their indices in the list of entries
    labels: np.ndarray | None  # int32 [N]
    classes: tuple[str, ...]


def _find_usable(
    path: Path, entries: list["_Entry"], size: int, channels: int, keep: Callable[[np.ndarray], None]
) -> tuple[_Usable, FileNotes]:
    """Reads all files, and calls `keep` with each usable image. Raises UserError as `load_folder` does."""
    rows, labels, notes = [], [], FileNotes({}, {})
    for row, entry in enumerate(tqdm(entries, desc=f"reading {path}", disable=None)):
        image, changes = (entry.reason, []) if entry.reason else _read(path / entry.file, size, channels)
        if isinstance(image, str):
            notes.left_out[entry.name] = image
            continue
        if changes:
            notes.changed[entry.name] = changes
        keep(image)
        rows.append(row)
        parts = Path(entry.name).parts
        labels.append(parts[0] if len(parts) > 1 else "")
    if not rows:
        raise UserError(f"{path} has no usable image{_summary(notes)}")
    classes = tuple(sorted(set(labels)))
    if len(classes) == 1:
        return _Usable(np.array(rows), None, ()), notes
    if "" in classes:
        raise UserError(f"{path} has images both in subfolders and outside of them; move all of them into subfolders")
    return _Usable(np.array(rows), np.array([classes.index(x) for x in labels], np.int32), classes), notes


def _cached_usable(
    name: str, key: list, path: Path, entries: list["_Entry"], size: int, channels: int
) -> tuple[_Usable, list[dict]]:
    """Memoises `_find_usable` on disk, without the images."""

    def make() -> tuple[dict[str, np.ndarray], list]:
        usable, notes = _find_usable(path, entries, size, channels, lambda image: None)
        labels = {} if usable.labels is None else {"labels": usable.labels}
        return {"rows": usable.rows, **labels}, [usable.classes, list(notes)]

    arrays, (classes, notes) = cache.memoise("data", name, key, make)
    return _Usable(arrays["rows"], arrays.get("labels"), tuple(classes)), notes


def find_folder(name: str) -> Path | None:
    """Returns the folder called `name`, or None if `name` is that of a TFDS data set, such as `mnist`.

    Raises UserError if it can be neither, because it is written as a path and no folder is there.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{path} is a file; give a folder of images, or the name of a TFDS data set")
    if not TFDS_NAME.fullmatch(name):
        raise UserError(f"the folder {path} does not exist")
    return None


class _Entry(NamedTuple):
    """A file below the folder, or something that is named as an image and is no file."""

    name: str  # relative to the folder, as text that can be printed
    file: str  # the same, as the operating system has it
    reason: str  # why it cannot be used, or empty
    size: int  # bytes
    modified: int  # ns


def _walk(root: Path) -> Iterator[_Entry]:
    """Yields the entries of a folder and of its subfolders, without hidden ones."""
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            found = list(os.scandir(root / folder))
        except OSError as error:
            yield _entry(folder, f"cannot be read ({error.strerror})")
            continue
        visible = [item for item in found if not item.name.startswith(".")]
        if folder.lower().endswith(SUFFIXES) and not visible:
            yield _entry(folder, "is an empty folder")
        for item in visible:
            file = os.path.join(folder, item.name)
            if item.is_dir(follow_symlinks=False):
                pending.append(file)
                continue
            try:
                status = item.stat()
            except OSError as error:
                reason = "is a link to nothing" if item.is_symlink() else f"cannot be read ({error.strerror})"
                yield _entry(file, reason)
                continue
            if stat.S_ISDIR(status.st_mode):
                yield _entry(file, "is a link to a folder, which is not followed")
            elif not stat.S_ISREG(status.st_mode):
                kind = "a named pipe" if stat.S_ISFIFO(status.st_mode) else "a socket or device"
                yield _entry(file, f"is {kind} and no file")
            else:
                yield _entry(file, "", status.st_size, status.st_mtime_ns)


def _entry(file: str, reason: str, size: int = 0, modified: int = 0) -> _Entry:
    return _Entry(os.fsencode(file).decode("utf-8", "replace"), file, reason, size, modified)


def read_pixels(file: Path, channels: int) -> np.ndarray:
    """Returns an image uint8 [H, W, channels] at its own size, turned and converted as by `load_folder`.

    Raises UserError if the file is not usable.
    """
    pixels, _ = _decode(file, channels)
    if isinstance(pixels, str):
        raise UserError(f"{file} {pixels}")
    return pixels


def _read(file: Path, size: int, channels: int) -> tuple[np.ndarray | str, list[str]]:
    """Returns an image uint8 [size, size, channels], or the reason why it is not usable, and what was changed."""
    pixels, changes = _decode(file, channels, min_side=size)
    return (pixels, []) if isinstance(pixels, str) else (crop_and_resize(pixels, size), changes)


def _decode(file: Path, channels: int, min_side: int = 1) -> tuple[np.ndarray | str, list[str]]:
    """Returns an image uint8 [H, W, channels], or the reason why it is not usable, and what was changed."""
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES).replace(".", "")
        return (f"is not one of {known}" if suffix in OTHER_IMAGES else "is not named as an image"), []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # On large photos, and on EXIF data that are not read here.
            with Image.open(file) as image:
                if suffix not in FORMATS.get(image.format or "", ()):
                    return f"is a {image.format} in spite of its suffix", []
                if min(image.size) < min_side:
                    return f"is {image.width} x {image.height}, too small", []
                changes = [ANIMATED] if getattr(image, "n_frames", 1) > 1 else []
                image.load()
                converted = _to_rgb_or_grey(image, changes)
                if converted is None:
                    return f"has pixels of type {image.mode}, which cannot be converted faithfully", []
                if (orientation := image.getexif().get(ExifTags.Base.Orientation)) in TRANSPOSES:
                    converted = converted.transpose(TRANSPOSES[orientation])
                    changes.append(TURNED)
                pixels = np.asarray(converted.convert("RGB" if channels == 3 else "L"))
    except Image.DecompressionBombError:
        return "has too many pixels", []
    except Exception as error:  # Pillow raises errors of many types on damaged data.
        return f"is damaged ({first_line(error)})", []
    return pixels if pixels.ndim == 3 else pixels[..., None], changes


def _to_rgb_or_grey(image: Image.Image, changes: list[str]) -> Image.Image | None:
    """Returns the image in the mode L or RGB, or None if that is not possible; appends what was changed to `changes`.

    Pillow itself reads colours of 16 bits as their upper 8 bits.
    """
    transparent = image.has_transparency_data
    if image.mode.startswith("I"):  # Grey of 16 bits, which Pillow would clip at 255.
        values = np.asarray(image)
        if transparent or values.min() < 0 or values.max() > 65_535:
            return None
        return Image.fromarray(np.rint(values / 257.0).astype(np.uint8))
    if image.mode not in MODES_OF_8_BITS:
        return None
    if image.mode == "CMYK":
        changes.append(CMYK)
    if not transparent:
        return image.convert("L" if image.mode in ("1", "L") else "RGB")
    image = image.convert("RGBA")
    if image.getextrema()[3][0] < 255:
        changes.append(TRANSPARENT)
    return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB")


def _summary(notes: FileNotes) -> str:
    files = [f"{name} {reason}" for name, reason in notes.left_out.items()]
    return f": {_first(files)}" if files else ""


def _count(names: list[str]) -> str:
    return "1 file" if len(names) == 1 else f"{len(names):,} files"


def _first(names: list[str], n: int = 5) -> str:
    more = [f"and {len(names) - n:,} more"] if len(names) > n else []
    return "; ".join(names[:n] + more)
