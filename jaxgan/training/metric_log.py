"""metrics.jsonl, the log of a run: one JSON object per line. TensorBoard gets its numbers too, and the previews."""

import contextlib
import json
import math
import sys
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxgan.io import atomic


def summarise_seeds(value: Any) -> Any:
    """Returns a number as it is logged: a float, or for K seeds a dict of their median, quartiles and values.

    NaN and infinities become None.
    """
    value = np.asarray(value, np.float64)
    if value.ndim == 0:
        return float(value) if math.isfinite(value) else None
    with np.errstate(invalid="ignore"):  # Quantiles next to an infinity are NaN.
        low, median, high = np.quantile(value, [0.25, 0.5, 0.75])
    summary = {"median": median, "low": low, "high": high}
    return {k: summarise_seeds(v) for k, v in summary.items()} | {"seeds": [summarise_seeds(v) for v in value]}


def median_over_seeds(value: Any) -> float | None:
    """Returns the number, or the median over seeds, of what `summarise_seeds` returned."""
    return value["median"] if isinstance(value, Mapping) else value


class MetricLog:
    """Appends records to metrics.jsonl, and to TensorBoard if tensorboardX is installed."""

    def __init__(self, directory: Path, step: int) -> None:
        """Opens the log of a run that continues at `step` and drops later lines: those steps will be taken again."""
        self.path = directory / "metrics.jsonl"
        kept = [record for record in read_log(self.path) if record["step"] <= step]
        self.seconds = kept[-1]["seconds"] if kept else 0.0  # spent before this start
        atomic.write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        self.file = self.path.open("a", buffering=1)
        try:
            with blocked_import("torch"):
                import tensorboardX
        except ImportError:
            self.board = None
        else:
            self.board = tensorboardX.SummaryWriter(str(directory), purge_step=step + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes one record: `step`, `images`, `seconds`, and values from `summarise_seeds` by name."""
        self.file.write(json.dumps(record) + "\n")
        if self.board is not None:
            for name in record.keys() - {"step", "images", "seconds"}:
                if (value := median_over_seeds(record[name])) is not None:
                    self.board.add_scalar(name, value, record["step"])

    def add_preview(self, path: Path, step: int) -> None:
        """Copies a picture, GIF, WAV or text file to TensorBoard, under the name `samples` and the rest after the step.

        Args:
            path: A file whose name begins with the step in eight digits.
            step: The step.
        """
        if self.board is not None:
            tag = "samples" + path.name.removeprefix(f"{step:08d}")
            self.board.file_writer.add_summary(_preview_summary(tag, path), step)

    def close(self) -> None:
        """Closes the files."""
        self.file.close()
        if self.board is not None:
            self.board.close()


def _preview_summary(tag: str, path: Path) -> Any:
    """Returns TensorBoard's record of a picture, GIF, WAV or text file. It holds the file's bytes."""
    from tensorboardX import summary
    from tensorboardX.proto.summary_pb2 import Summary

    if path.suffix == ".txt":  # Lines of four spaces are verbatim in Markdown.
        return summary.text(tag, "".join(f"    {line}\n" for line in path.read_text(encoding="utf-8").split("\n")))
    if path.suffix == ".wav":
        with wave.open(str(path)) as file:
            shape = {"sample_rate": file.getframerate(), "num_channels": 1, "length_frames": file.getnframes()}
        audio = Summary.Audio(**shape, encoded_audio_string=path.read_bytes(), content_type="audio/wav")
        return Summary(value=[Summary.Value(tag=tag, audio=audio)])
    with Image.open(path) as picture:
        shape = {"width": picture.width, "height": picture.height, "colorspace": len(picture.getbands())}
    image = Summary.Image(**shape, encoded_image_string=path.read_bytes())
    return Summary(value=[Summary.Value(tag=tag, image=image)])


@contextlib.contextmanager
def blocked_import(name: str) -> Iterator[None]:
    """Makes a module that is not imported yet appear missing. tensorboardX would spend seconds on importing torch."""
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Returns all complete lines of a JSON-lines file. A last line that was cut off by a kill is dropped."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
