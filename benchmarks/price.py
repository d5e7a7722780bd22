"""The price of a penalty: a step with it, against one without."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from benchmarks import clock, steps, works
from benchmarks.works import Work
from jaxgan.registry import Config

BARE = {
    "mlp": Work("mlp", "mlp", {"width": 128, "depth": 2}, (2,), 256, 2, "non_saturating"),
    "dcgan": Work("dcgan", loss="non_saturating", **works.DCGAN),
    "resnet": Work("resnet", "resnet", {"width": 64}, loss="non_saturating", **works.IMAGES),
}
PRICED = {
    "none": {},
    "clipping": {"clip": 0.01},
    **{name: {"penalty": name, "weight": 1.0} for name in ("gp", "dragan", "r1", "r2", "r1_r2")},
    "spectral": {"spectral": True},
}


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """A row for each penalty and family of networks: milliseconds a step, as a multiple of one without any."""
    for family, bare in BARE.items():
        made = {name: dataclasses.replace(bare, **changed) for name, changed in PRICED.items()}
        made = {name: works.tiny(work) if tiny else work for name, work in made.items()}
        config = Config(steps=10**9, batch_size=made["none"].batch)
        sides = {name: steps.player(works.game(work), works.source(work), config) for name, work in made.items()}
        taken = clock.in_turns(sides, **({"rounds": 1, "seconds": 0.0} if tiny else {"rounds": 5, "seconds": 0.5}))
        for name, times in taken.items():
            times = clock.spread("ms", times) | clock.ratios(times, taken["none"])
            yield {"name": f"price/{family}/{name}", "batch": made[name].batch, "sizes": dict(made[name].sizes)} | times
