"""Where compiled programs get their memory: settings of the C library's allocator, and the thread that calls it."""

import ctypes
import sys

import jax

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # parameters of glibc's mallopt


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory for reuse. Does nothing with another C library.

    By default glibc returns the temporary buffer of a compiled step to the system when the step ends, and the next step
    waits for page faults while it gets the memory again. This is worthwhile for large steps that are dispatched one at
    a time. It slows down small steps: the setting needs a single arena, and each of their many small allocations then
    searches the free lists that compilation left behind.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for parameter, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (ARENA_MAX, 1)):
            libc.mallopt(parameter, value)


def run_on_calling_thread() -> None:
    """Makes JAX's CPU backend run programs on the thread that calls them. Must be called before JAX is first used.

    By default a thread of JAX's own runs them, and asks glibc for their temporary buffers. glibc gives such a thread
    an arena of its own and maps blocks of more than 64 MB anew for it each time, also after `keep_freed_memory`. The
    price is that a program's caller waits for it, which training does anyway.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
