"""Runs the named benchmarks, or all of them, prints their rows, and writes them as JSON."""

import dataclasses
import datetime
import functools
import importlib.metadata
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tyro

from benchmarks import averages, compile, loop, media, memory, price, seeds, start, steps, translation, workloads
from benchmarks.workloads import Workload
from jaxgan.cli.output import check_writable
from jaxgan.cpu.malloc import run_on_calling_thread
from jaxgan.errors import UserError, did_you_mean
from jaxgan.io import atomic
from jaxgan.training.workdir import hardware, versions

Rows = Callable[[bool], Iterator[dict[str, Any]]]  # (tiny) -> rows


def network_rows(tiny: bool) -> Iterator[dict[str, Any]]:
    """Yields the comparisons of `paper_networks.rows`, or one row that says that torch is missing."""
    if not importlib.util.find_spec("torch"):
        yield {"name": "networks", "skipped": "torch is not installed"}
        return
    from benchmarks import paper_networks

    yield from paper_networks.rows(tiny)


# Benchmarks of this project alone, without PyTorch.
OWN: Mapping[str, Rows] = {
    "price": price.rows,
    "loop": loop.rows,
    "seeds": seeds.rows,
    "start": start.rows,
    "compile": compile.rows,
    "memory": memory.rows,
    "networks": network_rows,
    "averages": averages.rows,
}


def entries() -> Mapping[str, Rows]:
    """Returns all benchmarks by name: whole steps of workloads and of experiments, then those of this project alone."""

    def step_rows(workload: Workload, tiny: bool) -> Iterator[dict[str, Any]]:
        for sized in workloads.for_this_backend(workload):
            yield from steps.rows(sized, tiny)

    translations = {w.name: functools.partial(translation.rows, w) for w in translation.WORKLOADS}
    sequences = {c.name: functools.partial(media.rows, c) for c in media.COMPARISONS}
    return {w.name: functools.partial(step_rows, w) for w in workloads.WORKLOADS} | translations | sequences | OWN


@dataclasses.dataclass(frozen=True)
class Options:
    """Time whole training steps and parts of this project.

    Whole training steps, compared with PyTorch if torch is installed: ring_mlp_128, ring_mlp_32, ring_mlp_32_seeds_8,
    mnist_mlp, dcgan_wgan_gp, dcgan_r1, dcgan_none, sngan_resnet_hinge, r3gan_r1_r2; pix2pix, cyclegan and srgan, with
    the translation of images; stylegan2; mocogan (videos), wavegan (sounds) and seqgan (sequences). Of this project
    alone: price (cost of penalties), loop (`train` against its bare compiled loop), seeds, start, compile (with our
    convolutions and with those of lax), memory, networks (equality with PyTorch statements of the papers' networks),
    averages (statistics of batch norm in averaged generators).
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()  # all if none is given
    json: Path | None = None  # file to which the rows are written, after each one
    tiny: bool = False  # run everything once on small inputs, to test that it runs; the numbers mean nothing

    @property
    def kept(self) -> str:
        """What Ctrl-C leaves."""
        return f"finished rows are in {self.json}" if self.json else "finished rows are printed above"

    def run(self) -> None:
        """Runs the benchmarks and prints each row as a line of JSON. Raises UserError for an unknown name."""
        known, rows = entries(), []
        for name in self.names:
            if name not in known:
                raise UserError(f"no benchmark {name!r}; {did_you_mean(name, known)}")
        if self.json:
            check_writable(self.json, "--json")
        run_on_calling_thread()  # As the command line does.
        environment = {
            "hardware": hardware(),
            "versions": versions() | _torch_version(),
            "date": datetime.date.today().isoformat(),
        }
        for name in self.names or known:
            for row in known[name](self.tiny):
                print(json.dumps(row), flush=True)
                rows.append(row | environment)
                if self.json:
                    atomic.write_text(self.json, json.dumps(rows, indent=2) + "\n")


def _torch_version() -> dict[str, str]:
    try:
        return {"torch": importlib.metadata.version("torch")}
    except importlib.metadata.PackageNotFoundError:
        return {}


if __name__ == "__main__":
    tyro.cli(Options, prog="python -m benchmarks").run()
