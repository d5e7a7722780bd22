"""Errors that a user can act on. Each message is one sentence; the command line prints it without a traceback."""

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """A request that cannot be carried out as given."""

    exit_code = 2


class TrainingDiverged(UserError):
    """A loss became NaN or infinite."""

    exit_code = 3


class SystemFailure(UserError):
    """The machine could not do what was asked, for example a full disk or no readable checkpoint."""

    exit_code = 1


class TrainingStopped(UserError):
    """A signal stopped the run after its state was saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class ClaimFailed(UserError):
    """At least one claim of a figure does not hold."""

    exit_code = 4


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a hint for an unknown `name`: the closest of `known`, at most three."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 3, 0.5)
    close = close or [k for k in known if name in k.split("/")][:3]
    if close:
        return f"did you mean {' or '.join(close)}?"
    nearest = difflib.get_close_matches(name, known, 3, 0.0)
    return f"the nearest are {', '.join(nearest)}" if nearest else "there are none"


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def command_name() -> str:
    """Returns how the user started the program, for commands in messages."""
    program = Path(sys.argv[0])
    if program.name == "launch.py":
        return "python launch.py"
    return "python -m jaxgan" if program.parts[-2:] == ("jaxgan", "__main__.py") else "jaxgan"
