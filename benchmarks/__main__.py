"""Run the benchmarks named, or all, print their rows, and write them as JSON."""

import dataclasses
import datetime
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tyro

from benchmarks import compile, loop, memory, price, seeds, start, steps, works
from jaxgan.errors import Problem
from jaxgan.registry import nearest
from jaxgan.workdir import hardware, versions

Rows = Callable[[bool], Iterator[dict[str, Any]]]


def entries() -> Mapping[str, Rows]:
    """All there are, by name: each step that has a peer, and what is measured of this project alone."""

    def step(work: works.Work, tiny: bool) -> Iterator[dict[str, Any]]:
        for sized in works.here(work):
            yield from steps.rows(sized, tiny)

    apart = {m.__name__.rpartition(".")[2]: m.rows for m in (price, loop, seeds, start, compile, memory)}
    return {work.name: functools.partial(step, work) for work in works.ALL} | apart


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure.

    Whole steps beside PyTorch's where torch is installed: ring_mlp_128, ring_mlp_32, ring_mlp_32_seeds_8, mnist_mlp,
    dcgan_wgan_gp, dcgan_r1, dcgan_none, sngan_resnet_hinge, r3gan_r1_r2. Of this project alone: price (of penalties),
    loop (`train` against its rounds), seeds, start, compile (with our convolutions and with lax's), memory.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()  # all if none is given
    json: Path | None = None  # the rows are written here, after each one
    tiny: bool = False  # run everything once, to see that it runs; the numbers mean nothing


def main(options: Options) -> None:
    """Measure, print each row as a line of JSON, and keep them."""
    there, rows = entries(), []
    for name in options.names:
        if name not in there:
            raise Problem(f"no benchmark {name!r}; {nearest(name, there)}")
    where = {
        "hardware": hardware(),
        "versions": versions() | _torch(),
        "date": datetime.date.today().isoformat(),
    }
    for name in options.names or there:
        for row in there[name](options.tiny):
            print(json.dumps(row), flush=True)
            rows.append(row | where)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2) + "\n")


def _torch() -> dict[str, str]:
    from importlib import metadata

    try:
        return {"torch": metadata.version("torch")}
    except metadata.PackageNotFoundError:
        return {}


if __name__ == "__main__":
    main(tyro.cli(Options, prog="python -m benchmarks"))
