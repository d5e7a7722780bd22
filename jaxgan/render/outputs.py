"""Kinds of output: images, points, videos, audio, text and tokens.

A kind of output determines the type of an experiment's samples and writes them to files. Reports and TensorBoard show
such files by their suffix, see `html.media_tag` and `training.metric_log.MetricLog.add_preview`.
"""

import abc
import dataclasses
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.io import atomic
from jaxgan.render import pictures

Samples = np.ndarray | list[str]
Writer = Callable[[Samples, Path], None]
Draw = Callable[[np.ndarray], Image.Image]


class Output(abc.ABC):
    """A kind of output.

    Attributes:
        name: Plural noun, for messages.
        preview_suffixes: Suffixes of the files of a preview. The first is the default format of `jaxgan sample`.
    """

    name: ClassVar[str]
    preview_suffixes: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def writers(self) -> dict[str, Writer]:
        """Returns the functions (samples, path) that write files, by suffix. All kinds can also write .npz."""

    def postprocess(self, samples: np.ndarray) -> Samples:
        """Returns samples in their natural type, from arrays [N, ...] of `Experiment.sample`; by default unchanged."""
        return samples

    def check_suffix(self, path: Path) -> None:
        """Raises UserError if samples of this kind cannot be written to a file of that name."""
        suffixes = [*self.writers(), ".npz"]
        if path.suffix not in suffixes:
            raise UserError(f"{path} must end in {', '.join(suffixes[:-1])} or {suffixes[-1]} to hold {self.name}")

    def write(self, samples: Samples, path: str | Path) -> None:
        """Writes samples atomically, in the format of the path's suffix. Missing folders are created.

        Args:
            samples: What `postprocess` returned.
            path: The file. Its suffix is .npz, for the array `samples`, or one of `writers()`.

        Raises UserError for another suffix.
        """
        path = Path(path)
        self.check_suffix(path)
        write = {**self.writers(), ".npz": lambda samples, path: np.savez(path, samples=samples)}[path.suffix]
        with atomic.replacing(path) as temporary:
            write(samples, temporary)

    def write_preview(self, samples: Samples, folder: Path, name: str) -> list[Path]:
        """Writes the files `name` + suffix of a preview. Returns their paths."""
        paths = [folder / f"{name}{suffix}" for suffix in self.preview_suffixes]
        for path in paths:
            self.write(samples, path)
        return paths


@dataclasses.dataclass(frozen=True)
class Images(Output):
    """Images uint8 [N, H, W, C], from float [N, H, W, C] in [-1, 1].

    Attributes:
        draw: Lays them out in one picture.
        dequantised: Whether they were learned from dequantised images, see `to_uint8`.
    """

    draw: Draw = pictures.grid
    dequantised: bool = False
    name = "images"
    preview_suffixes = (".png",)

    def postprocess(self, samples: np.ndarray) -> np.ndarray:
        """Returns rounded values in [0, 255]."""
        return to_uint8(samples, self.dequantised)

    def writers(self) -> dict[str, Writer]:
        """Returns the writer of a picture of all samples."""
        return {".png": lambda samples, path: self.draw(samples).save(path)}


@dataclasses.dataclass(frozen=True)
class Points(Output):
    """Points float32 [N, D]. `draw` plots them in one picture."""

    draw: Draw
    name = "points"
    preview_suffixes = (".png",)

    def writers(self) -> dict[str, Writer]:
        """Returns the writer of a plot."""
        return {".png": lambda samples, path: self.draw(samples).save(path)}


@dataclasses.dataclass(frozen=True)
class Videos(Output):
    """Videos uint8 [N, T, H, W, C], from float [N, T, H, W, C] in [-1, 1]."""

    frames_per_second: float = 8.0
    name = "videos"
    preview_suffixes = (".gif", ".png")

    def postprocess(self, samples: np.ndarray) -> np.ndarray:
        """Returns rounded values in [0, 255]."""
        return to_uint8(samples)

    def writers(self) -> dict[str, Writer]:
        """Returns writers of an animated grid, and of a picture with one row for each video."""
        return {".gif": self._write_animation, ".webp": self._write_animation, ".png": self._write_rows}

    def _write_animation(self, samples: np.ndarray, path: Path) -> None:
        first, *others = (pictures.grid(frames) for frames in samples.swapaxes(0, 1))
        options = {"lossless": True} if path.suffix == ".webp" else {}
        milliseconds = round(1000 / self.frames_per_second)
        first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0, **options)

    def _write_rows(self, samples: np.ndarray, path: Path) -> None:
        pictures.grid(samples.reshape(-1, *samples.shape[2:]), columns=samples.shape[1]).save(path)


@dataclasses.dataclass(frozen=True)
class Audio(Output):
    """Mono audio float32 [N, T] in [-1, 1], with `rate` values per second."""

    rate: int
    name = "audio"
    preview_suffixes = (".wav", ".png")

    def writers(self) -> dict[str, Writer]:
        """Returns writers of all samples one after another, and of their spectrograms."""
        return {".wav": self._write_wav, ".png": self._write_spectrograms}

    def _write_wav(self, samples: np.ndarray, path: Path) -> None:
        """Writes 16-bit PCM, with a silence of 0.25 s after each sample."""
        sequence = np.pad(samples, [(0, 0), (0, self.rate // 4)]).ravel()
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, self.rate, len(sequence), "NONE", "not compressed"))
            file.writeframes(np.rint(32767 * np.clip(sequence, -1, 1)).astype("<i2").tobytes())

    def _write_spectrograms(self, samples: np.ndarray, path: Path) -> None:
        pictures.grid(pictures.spectrograms(samples)).save(path)


class Lines(Output):
    """Samples that are shown as lines of text, in files and on the terminal."""

    preview_suffixes = (".txt",)

    @abc.abstractmethod
    def lines(self, samples: Samples) -> list[str]:
        """Returns one line for each sample."""

    def writers(self) -> dict[str, Writer]:
        """Returns the writer of one sample per line, in UTF-8."""
        text = lambda samples: "".join(f"{line}\n" for line in self.lines(samples))
        return {".txt": lambda samples, path: path.write_text(text(samples), encoding="utf-8")}


@dataclasses.dataclass(frozen=True)
class Text(Lines):
    """Strings, from tokens int [N, T]: `separator` stands between the vocabulary's entries for the tokens."""

    vocabulary: Sequence[str]
    separator: str = ""
    name = "text"

    def postprocess(self, samples: np.ndarray) -> list[str]:
        """Returns N strings."""
        return [self.separator.join(self.vocabulary[token] for token in row) for row in samples]

    def lines(self, samples: Samples) -> list[str]:
        r"""Returns the samples, with a line break inside a sample as \n."""
        return [sample.replace("\n", r"\n") for sample in samples]


@dataclasses.dataclass(frozen=True)
class Tokens(Lines):
    """Tokens int32 [N, T] without a text."""

    name = "tokens"

    def lines(self, samples: Samples) -> list[str]:
        """Returns the tokens of each sample as numbers."""
        return [" ".join(map(str, row)) for row in samples]


def to_uint8(samples: np.ndarray, dequantised: bool = False) -> np.ndarray:
    """Converts values in [-1, 1] to uint8 in [0, 255].

    Args:
        samples: Pixels.
        dequantised: Whether the training images are dequantised (`data.sources.Source.dequantised`). Their grey level k
            is the interval [k, k + 1) / 128 - 1, so samples are rounded down, as in the code of WGAN-GP, and not to the
            nearest level.
    """
    levels = np.floor((samples + 1.0) * 128.0) if dequantised else np.rint((samples + 1.0) * 127.5)
    return np.clip(levels, 0, 255).astype(np.uint8)
