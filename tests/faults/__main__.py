"""The command line of the campaign."""

import dataclasses
import json
import sys
from pathlib import Path

import tyro

from .campaign import campaign


@dataclasses.dataclass(frozen=True)
class Options:
    """Kill trainers, damage runs, fill disks and give bad commands, and count what is lost, silent or a traceback."""

    minutes: float = 1.0  # how long
    seed: int = 0  # of everything that is drawn
    json: Path | None = None  # file for the counts
    most: tuple[tuple[str, int], ...] = ()  # at most so many of a kind, such as `kills 500 damages 1000`

    def run(self) -> None:
        """Runs the campaign and prints its counts. Exits with code 1 if anything went wrong."""
        result = campaign(self.minutes, self.seed, dict(self.most))
        text = json.dumps(result, indent=2)
        print(text)
        if self.json:
            self.json.write_text(text + "\n")
        sys.exit(1 if result["failures"] else 0)


if __name__ == "__main__":
    tyro.cli(Options, prog="python -m tests.faults").run()
