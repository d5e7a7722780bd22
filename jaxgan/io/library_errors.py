"""Errors of background threads of libraries, which print tracebacks in addition to our error message."""

import functools
import logging
import sys
from typing import Any


@functools.cache
def silence_background_errors() -> None:
    """Keeps tracebacks of Orbax and TensorStore off stderr that say again what they have raised.

    Orbax logs each failed write three times. TensorStore then still calls the event loop that Orbax has closed.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    previous = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        error = unraisable.exc_value
        if not (isinstance(error, RuntimeError) and "Event loop is closed" in str(error)):
            previous(unraisable)

    sys.unraisablehook = hook
