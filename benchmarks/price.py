"""The cost of a penalty: the time of a step with it, relative to a step without."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from benchmarks import steps, timing, workloads
from benchmarks.workloads import Workload
from jaxgan.training.experiment import Config

BARE = {
    "mlp": Workload("mlp", "mlp", {"width": 128, "depth": 2}, (2,), 256, 2, "non_saturating"),
    "dcgan": Workload("dcgan", loss="non_saturating", **workloads.DCGAN),
    "resnet": Workload("resnet", "resnet", {"width": 64}, loss="non_saturating", **workloads.IMAGES),
}
CHANGES = {
    "none": {},
    "clipping": {"clip": 0.01},
    **{name: {"penalty": name, "weight": 1.0} for name in ("gp", "dragan", "r1", "r2", "r1_r2")},
    "spectral": {"spectral": True},
}


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row per penalty and family: milliseconds per step, and their ratio to a step without penalty."""
    for family, bare in BARE.items():
        changes = dict(itertools.islice(CHANGES.items(), 3 if tiny else None))
        variants = {name: dataclasses.replace(bare, **change) for name, change in changes.items()}
        variants = {name: workloads.tiny(w) if tiny else w for name, w in variants.items()}
        config = Config(steps=10**9, batch_size=variants["none"].batch)
        runners = {
            name: steps.make_runner(workloads.make_game(w), workloads.make_source(w), config)
            for name, w in variants.items()
        }
        times = timing.interleaved_times(runners, rounds=1 if tiny else 5, seconds=0.0 if tiny else 0.5)
        for name, values in times.items():
            row = {
                "name": f"price/{family}/{name}",
                "batch": variants[name].batch,
                "sizes": dict(variants[name].sizes),
            }
            yield row | timing.summarise_times("ms", values) | timing.summarise_ratios(values, times["none"])
