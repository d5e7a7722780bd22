"""Errors of background threads of libraries, which print tracebacks beside our own sentence."""

import functools
import logging
import sys
import threading
from types import TracebackType


@functools.cache
def silence_background_errors() -> None:
    """Keeps tracebacks of library threads off stderr. What such a thread fails to write is reported by its caller.

    Orbax logs failures that it also raises, and TensorStore calls a closed event loop after one.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    except_hook, thread_hook = sys.excepthook, threading.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (kind is RuntimeError and "Event loop is closed" in str(error)):
            except_hook(kind, error, trace)

    def hook_of_threads(args: threading.ExceptHookArgs) -> None:
        if not (args.exc_type is not None and issubclass(args.exc_type, OSError)):
            thread_hook(args)

    sys.excepthook, threading.excepthook = hook, hook_of_threads
