"""Files of a finished run are damaged."""

import contextlib
import json
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxgan.errors import UserError
from jaxgan.training.metric_log import read_log
from jaxgan.training.workdir import saved_steps

from .reference import SAVE_EVERY, STEPS, Fault, Reference, check_state, without_seconds


class Damages:
    """Damages the files of a finished run."""

    def __init__(self, reference: Reference, root: Path) -> None:
        self.reference, self.workdir = reference, root / "damaged"

    def __call__(self, draw: random.Random) -> None:
        """Damages a copy of the run and reads it. Raises Fault."""
        shutil.rmtree(self.workdir, ignore_errors=True)
        shutil.copytree(self.reference.root / "run", self.workdir)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            draw.choice(DAMAGES)(draw, self.workdir, self.reference.root)
        check_state(self.reference, self.workdir, at_least=STEPS, may_warn=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                log = without_seconds(read_log(self.workdir / "metrics.jsonl"))
            except UserError:
                return
            except Exception as error:
                raise Fault("traceback", f"read_log: {type(error).__name__}: {error}") from error
        cut_off = log == self.reference.log[: len(log)]  # As after a kill.
        if any(record not in self.reference.log for record in log) or not (caught or cut_off):
            raise Fault("silent", "the log is wrong")


def files(folder: Path) -> list[Path]:
    """Returns all files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def any_file(draw: random.Random, workdir: Path) -> Path:
    """Returns a file of the checkpoints, of the newest one most of the time, or config.json."""
    newest = saved_steps(workdir / "checkpoints")[-1:]
    folder = workdir / "checkpoints" / str(*newest) if newest and draw.random() < 0.8 else workdir / "checkpoints"
    return draw.choice([*files(folder), workdir / "config.json"])


def edit(path: Path, change: Callable[[bytearray], Any]) -> None:
    """Changes the bytes of a file, if it is still there."""
    if path.is_file():
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)


def flip_bits(draw: random.Random, workdir: Path, _: Path) -> None:
    """Flips one to three bits."""

    def flip(data: bytearray) -> None:
        for _ in range(draw.randint(1, 3) if data else 0):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)

    edit(any_file(draw, workdir), flip)


def truncate(draw: random.Random, workdir: Path, _: Path) -> None:
    """Cuts a file off."""
    edit(any_file(draw, workdir), lambda data: data.__delitem__(slice(draw.randrange(len(data) + 1), None)))


def overwrite(draw: random.Random, workdir: Path, _: Path) -> None:
    """Overwrites a part of a file by zeros or noise."""

    def change(data: bytearray) -> None:
        start, length = draw.randrange(len(data) + 1), draw.randint(1, 512)
        new = bytes(length) if draw.random() < 0.5 else draw.randbytes(length)
        data[start : start + length] = new[: len(data) - start]

    edit(any_file(draw, workdir), change)


def append(draw: random.Random, workdir: Path, _: Path) -> None:
    """Appends noise to a file."""
    edit(any_file(draw, workdir), lambda data: data.extend(draw.randbytes(draw.randint(1, 100))))


def delete(draw: random.Random, workdir: Path, _: Path) -> None:
    """Deletes a file."""
    any_file(draw, workdir).unlink(missing_ok=True)


def swap(draw: random.Random, workdir: Path, _: Path) -> None:
    """Exchanges the contents of two files."""
    first, second = any_file(draw, workdir), any_file(draw, workdir)
    if first.is_file() and second.is_file():
        contents = first.read_bytes(), second.read_bytes()
        second.write_bytes(contents[0])
        first.write_bytes(contents[1])


def replace_checkpoint(draw: random.Random, workdir: Path, root: Path) -> None:
    """Puts another checkpoint, or one of another run, in the place of one, or beyond the newest."""
    source = draw.choice(sorted((draw.choice((root / "run", root / "other")) / "checkpoints").iterdir()))
    target = workdir / "checkpoints" / str(draw.choice([*saved_steps(workdir / "checkpoints"), STEPS + SAVE_EVERY]))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def change_setting(draw: random.Random, workdir: Path, _: Path) -> None:
    """Changes a value in config.json, to one of another type or to another number."""

    def change(data: bytearray) -> None:
        with contextlib.suppress(ValueError, KeyError, AttributeError):
            record = json.loads(bytes(data))
            fields = draw.choice((record, record["config"]))
            fields[draw.choice(sorted(fields))] = draw.choice((None, "x", -1, 3, 2**70, 1.5, [], {}, True, [[1]]))
            data[:] = json.dumps(record).encode()

    edit(workdir / "config.json", change)


def damage_log(draw: random.Random, workdir: Path, _: Path) -> None:
    """Damages the log so that lines are no records any more. Changed digits cannot be found, because it has no sums."""

    def change(data: bytearray) -> None:
        start = draw.randrange(len(data) + 1)
        kind = draw.choice(("cut", "zeros", "utf-8", "line"))
        if kind == "cut":
            del data[start:]
        elif kind == "zeros":
            data[start : start + 20] = bytes(len(data[start : start + 20]))
        elif kind == "utf-8":
            data[start:start] = b"\xff\xfe"
        else:
            line = draw.choice((b"[" * 10_000, b"{}", b'{"step": 3}', b"NaN", b'{"step": "1", "seconds": 1}', b"\0\0"))
            lines = data.split(b"\n")
            lines.insert(draw.randrange(len(lines)), line)
            data[:] = b"\n".join(lines)

    edit(workdir / "metrics.jsonl", change)


DAMAGES = (
    *(flip_bits, flip_bits, truncate, overwrite, append, delete, swap),
    *(replace_checkpoint, change_setting, damage_log),
)
