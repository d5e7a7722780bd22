"""Steps a second, taken together, of several seeds in one program."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from benchmarks import clock, steps
from jaxgan import registry

SEEDS = (1, 4, 16)


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """A row for each experiment: the seeds' steps a second, and how many times those of one seed."""
    for name in ("r3gan/ring", "wgan_gp/ring", "r3gan/digits"):
        entry = registry.get(name)
        configs = [dataclasses.replace(entry.config, seeds=seeds, steps=10**9) for seeds in SEEDS]
        made = [(config, entry.build(config)) for config in configs]
        sides = {str(c.seeds): steps.player(e.game, e.source, c) for c, e in made}
        taken = clock.in_turns(sides, **({"rounds": 1, "seconds": 0.0} if tiny else {}))
        for seeds in SEEDS:
            one, all_of_them = taken["1"], [ms / seeds for ms in taken[str(seeds)]]
            times = {"steps_per_s": round(1e3 * len(all_of_them) / sum(all_of_them), 1)}
            yield {"name": f"seeds/{name}/{seeds}", "seeds": seeds} | times | clock.ratios(one, all_of_them)
