"""metrics.jsonl, the log of a run: one JSON object per line. TensorBoard gets its numbers too, and the previews."""

import contextlib
import json
import math
import os
import sys
import time
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxgan.io import atomic, json_files

FLUSH_SECONDS = 10.0  # between writes of TensorBoard's events to the disk


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
            self.board = EventFile(directory, step)
        except ImportError:
            self.board = None

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes one record: `step`, `images`, `seconds`, and values from `summarise_seeds` by name."""
        self.file.write(json.dumps(record) + "\n")
        if self.board is not None:
            names = record.keys() - {"step", "images", "seconds"}
            values = {name: median_over_seeds(record[name]) for name in sorted(names)}
            scalars = {name: value for name, value in values.items() if value is not None}
            self.board.write(record["step"], _scalar_summary(scalars))

    def add_preview(self, path: Path, step: int) -> None:
        """Copies a picture, GIF, WAV or text file to TensorBoard, under the name `samples` and the rest after the step.

        Args:
            path: A file whose name begins with the step in eight digits.
            step: The step.
        """
        if self.board is not None:
            tag = "samples" + path.name.removeprefix(f"{step:08d}")
            self.board.write(step, _preview_summary(tag, path))

    def close(self) -> None:
        """Closes the files."""
        self.file.close()
        if self.board is not None:
            self.board.close()


def _scalar_summary(scalars: Mapping[str, float]) -> Any:
    """Returns TensorBoard's record of numbers by name."""
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()])


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


class EventFile:
    """A file of TensorBoard's events.

    It is written by the caller: the writer thread of tensorboardX dies if the disk is full, and its queue then blocks
    the trainer for ever.
    """

    def __init__(self, directory: Path, step: int) -> None:
        """Opens a new file, which hides events after `step` in older ones. Raises ImportError without tensorboardX."""
        with blocked_import("torch"):
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto import event_pb2
        self.make_event = event_pb2.Event
        self.writer = EventsWriter(str(directory / "events"), f".{os.getpid()}")
        self.flushed = time.perf_counter()
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.writer.write_event(self.make_event(wall_time=time.time(), step=step + 1, session_log=start))

    def write(self, step: int, summary: Any) -> None:
        """Writes TensorBoard's record of one step."""
        self.writer.write_event(self.make_event(wall_time=time.time(), step=step, summary=summary))
        if time.perf_counter() - self.flushed > FLUSH_SECONDS:
            self.writer.flush()
            self.flushed = time.perf_counter()

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self.writer.close()


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
    """Returns the records of metrics.jsonl. Damaged ones are left out with a warning, see `json_files.read_lines`."""
    return json_files.read_lines(path, _is_record)


def _is_record(record: Mapping[str, Any]) -> bool:
    counts = [record.get(name) for name in ("step", "images")]
    values = [value for name, value in record.items() if name not in ("step", "images")]
    return (
        all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts)
        and isinstance(record.get("seconds"), int | float)
        and all(_is_value(value) for value in values)
    )


def _is_value(value: Any) -> bool:
    """Returns whether a value is what `summarise_seeds` returns."""
    if isinstance(value, Mapping):
        numbers = [value.get(name) for name in ("median", "low", "high")]
        return isinstance(value.get("seeds"), list) and all(_is_value(x) for x in [*numbers, *value["seeds"]])
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
