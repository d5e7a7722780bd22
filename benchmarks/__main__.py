"""Run the benchmarks named, or all, print their rows, and write them as JSON."""

import dataclasses
import datetime
import json
from pathlib import Path

import tyro

from benchmarks import loop, seeds, start
from jaxgan.workdir import hardware, versions

ALL = {"start": start.rows, "loop": loop.rows, "seeds": seeds.rows}


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure."""

    names: tyro.conf.Positional[tuple[str, ...]] = tuple(ALL)
    json: Path | None = None  # the rows are written here
    tiny: bool = False  # run everything once, to see that it runs; the numbers mean nothing


def main(options: Options) -> None:
    """Measure and print."""
    rows = []
    for name in options.names:
        for row in ALL[name](options.tiny):
            print(json.dumps(row), flush=True)
            rows.append(row)
    where = {
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
    }
    if options.json:
        options.json.write_text(json.dumps([row | where for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
