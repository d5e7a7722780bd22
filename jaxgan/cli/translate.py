"""The verb translate: images of a user through a run that translates images."""

import dataclasses
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from jaxgan.cli.output import check_writable
from jaxgan.data.datasets import first_line
from jaxgan.data.folders import SUFFIXES, read_pixels
from jaxgan.errors import SystemFailure, UserError
from jaxgan.render import pictures
from jaxgan.runs.run import Run, load
from jaxgan.training.sampling import chunk_size

MAX_ON_PAGE = 100  # images shown on the page


@dataclasses.dataclass(frozen=True)
class Translate:
    """Translate an image, or all images of a folder, by a run of pix2pix, CycleGAN or super-resolution."""

    kept: ClassVar[str] = "translations that were written are kept"

    workdir: tyro.conf.Positional[Path]
    input: tyro.conf.Positional[Path]  # an image, or a folder of images of any sizes
    out: tyro.conf.Positional[Path]  # an image, or a folder that gets files of the same names
    backward: bool = False  # translate in the other direction, which CycleGAN learns as well
    seed: int = 0  # seed of the noise, where the network has noise
    member: int = 0  # which of the seeds that were trained together, from 0
    page: bool = False  # write index.html into the folder, with inputs beside outputs
    truth: Path | None = None  # a folder of true translations of the same names, for the page

    def run(self) -> None:
        """Translates and writes the images."""
        files = self._files()
        check_writable(self._target(files[0]), "OUT")
        run = load(self.workdir)
        inputs = run.translating(self.backward).inputs
        channels = inputs.shape[-1]
        sizes = {file: _size(file) for file in files}
        if self.truth and not self.page:
            raise UserError("--truth shows true translations on the page; add --page")
        rows = []
        with tqdm(total=len(files), desc="translating", unit="image", disable=None) as bar:
            for batch in _batches(files, sizes):
                images = np.stack([read_pixels(file, channels) for file in batch])
                outputs = run.translate(images, self.seed, self.member, backward=self.backward)
                for file, image in zip(batch, outputs, strict=True):
                    self._save(image, self._target(file))
                if self.page and len(rows) < MAX_ON_PAGE:
                    rows += self._page_rows(run, batch, images, outputs)
                bar.update(len(batch))
        if self.page:
            rows.sort(key=lambda row: row["name"])
            self._write_page(run, rows[:MAX_ON_PAGE], len(files))
        target = self.out / "index.html" if self.page else self.out
        print(f"{target}: {len(files)} image(s) translated by {run.entry.name} at step {run.step}")

    def _files(self) -> list[Path]:
        """Returns the images to translate. Raises UserError if there are none, or if they would be overwritten."""
        if self.input.is_file():
            if self.page:
                raise UserError(f"--page shows a folder, and {self.input} is a file")
            files = [self.input]
        elif self.input.is_dir():
            files = sorted(p for p in self.input.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            raise UserError(f"{self.input} is not a file or folder")
        if not files:
            raise UserError(f"{self.input} has no images; their names end in {', '.join(SUFFIXES)}")
        for file in files:
            if self._target(file).resolve() == file.resolve():
                raise UserError(f"{file} would be overwritten; choose another folder for the translations")
        return files

    def _target(self, file: Path) -> Path:
        """Returns where the translation of a file is written."""
        if not self.input.is_file():
            return self.out / file.relative_to(self.input)
        return self.out if self.out.suffix.lower() in SUFFIXES else self.out / file.name

    def _save(self, image: np.ndarray, path: Path) -> None:
        try:
            pictures.save(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image), path)
        except OSError as error:
            raise SystemFailure(f"cannot write {path}: {error.strerror or first_line(error)}") from error

    def _page_rows(
        self, run: Run, batch: list[Path], images: np.ndarray, outputs: np.ndarray
    ) -> Iterator[dict[str, Any]]:
        """Yields names and columns of pictures for the page."""
        has_inverse = run.experiment.backward is not None
        back = run.translate(outputs, self.seed, self.member, backward=not self.backward) if has_inverse else None
        for n, file in enumerate(batch):
            columns = {"input": images[n], "output": outputs[n]}
            name = file.relative_to(self.input)
            if self.truth:
                if not (self.truth / name).is_file():
                    raise UserError(f"{self.truth} has no image {name}; it needs the names of {self.input}")
                columns["truth"] = read_pixels(self.truth / name, outputs.shape[-1])
            if back is not None:
                columns["way back"] = back[n]
            yield {"name": str(name), "columns": columns}

    def _write_page(self, run: Run, rows: list[dict[str, Any]], count: int) -> None:
        from jaxgan.render import html

        shown = [
            {**row, "columns": {name: html.image_tag(_png(image), name) for name, image in row["columns"].items()}}
            for row in rows
        ]
        title = f"jaxgan: translations by {run.entry.name}"
        html.write_page(self.out / "index.html", "translate.html.j2", title=title, run=run, rows=shown, count=count)


def _size(file: Path) -> tuple[int, int]:
    """Returns width and height of an image from its header. Raises UserError if it is not an image."""
    try:
        with Image.open(file) as image:
            return image.size
    except Exception as error:  # Pillow raises errors of many types on damaged data.
        raise UserError(f"{file} is damaged ({first_line(error)})") from error


def _batches(files: list[Path], sizes: dict[Path, tuple[int, int]]) -> Iterator[list[Path]]:
    """Yields files of equal size, as many as are translated at once."""
    by_size = sorted(files, key=lambda file: sizes[file])
    for (w, h), group in itertools.groupby(by_size, key=lambda file: sizes[file]):
        group = list(group)
        n = chunk_size((h, w))
        yield from (group[start : start + n] for start in range(0, len(group), n))


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()
