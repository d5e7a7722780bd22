"""How the process keeps its memory."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # parameters of glibc's mallopt


def keep_freed() -> None:
    """Have glibc keep memory that is freed. Elsewhere it does nothing.

    The temporaries of a dispatch are one piece of memory, which glibc would give back at its end, and take again page
    by page, which large steps, one a dispatch, wait for. Not for small steps: in the single arena that this takes, each
    of their many small pieces is searched for among all that compiling left.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for parameter, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (ARENA_MAX, 1)):
            libc.mallopt(parameter, value)
