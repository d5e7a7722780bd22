"""How the process keeps its memory."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # parameters of glibc's mallopt


def keep_freed() -> None:
    """Have glibc keep memory that is freed; to be called before JAX starts its threads. Elsewhere it does nothing.

    On the CPU a step's temporaries are one piece of memory, which glibc would give back after each step, and take again
    page by page.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for parameter, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (ARENA_MAX, 1)):
            libc.mallopt(parameter, value)
