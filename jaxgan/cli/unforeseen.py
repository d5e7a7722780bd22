"""What the command line says about an error that nobody foresaw, and the file that keeps its traceback."""

import os
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxgan.errors import first_line
from jaxgan.io import atomic
from jaxgan.io.cache import cache_dir
from jaxgan.training.workdir import versions

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h: an error inside the program
MACHINE_EXIT_CODE = 1  # as of `SystemFailure`


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Prints a sentence about the error and writes its traceback to a file. Returns the exit code.

    The code is 1 if the operating system or the device refused something, and otherwise 70.
    """
    sentence, code = _describe(error)
    print(f"{sentence}; {_write_log(error, arguments)}", file=sys.stderr)
    return code


def _describe(error: Exception) -> tuple[str, int]:
    if isinstance(error, OSError) and error.strerror:
        name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return f"{name}{error.strerror}", MACHINE_EXIT_CODE
    out_of_memory = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    if out_of_memory or isinstance(error, MemoryError):
        reason = first_line(error).removesuffix(".")
        return f"out of memory ({reason}): choose a smaller batch_size or smaller networks", MACHINE_EXIT_CODE
    return f"an error in the program: {type(error).__name__}: {first_line(error)}", EXIT_CODE


def _write_log(error: Exception, arguments: Sequence[str]) -> str:
    """Writes the traceback to the cache, or else to the folder of temporary files. Returns a sentence part about it."""
    text = "\n".join(
        [
            f"command: {shlex.join([sys.argv[0], *arguments])}",
            f"versions: {versions()}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (cache_dir("errors"), Path(tempfile.gettempdir()) / "jaxgan-errors"):
        try:
            atomic.write_text(folder / name, text)
        except OSError:
            continue
        return f"the traceback is in {folder / name}"
    return "the traceback could not be written anywhere"
