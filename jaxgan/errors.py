"""What a user can mend: each error is one sentence, and the command line prints that and no traceback."""


class Problem(Exception):
    """A request that cannot be met as it stands."""

    exit_code = 2


class Diverged(Problem):
    """A loss that is not finite any more."""

    exit_code = 3


class Failed(Problem):
    """The machine would not do what was right to ask: a full disk, no readable checkpoint."""

    exit_code = 1


class Stopped(Problem):
    """A signal asked the run to stop; what it had done is saved."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class Unmet(Problem):
    """A figure whose claims do not all hold."""

    exit_code = 4
