"""SIGTERM and SIGINT as requests to save and stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

StopSignal = Callable[[], signal.Signals | None]


@contextlib.contextmanager
def catch_stop_signals() -> Iterator[StopSignal]:
    """Records SIGTERM and SIGINT instead of dying. Yields a function that returns the first one, or None.

    All processes of a run get the same answer. A second SIGINT raises KeyboardInterrupt.
    """
    received: list[signal.Signals] = []

    def record(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(signal.Signals(number))

    def first() -> signal.Signals | None:
        number = received[0] if received else 0
        if jax.process_count() > 1:
            number = int(np.max(multihost_utils.process_allgather(np.int32(number))))
        return signal.Signals(number) if number else None

    if threading.current_thread() is not threading.main_thread():
        yield first
        return
    previous = {number: signal.signal(number, record) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield first
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
