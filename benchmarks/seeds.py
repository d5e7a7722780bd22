"""What several seeds in one program cost, against one."""

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.loop import ROUNDS, bare
from jaxgan import registry


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of 1 and of 8 seeds, in turn, and how many times one the eight cost."""
    for name, steps in (("r3gan/ring", 600), ("wgan_gp/ring", 600), ("r3gan/digits", 600)):
        entry = registry.get(name)
        config = dataclasses.replace(entry.config, steps=20 if tiny else steps)
        both = (config, dataclasses.replace(config, seeds=8))
        pairs = [tuple(bare(entry, c) for c in both) for _ in range(1 if tiny else ROUNDS)]
        yield {
            "name": f"seeds/{name}",
            "one_ms": round(statistics.median(one for one, _ in pairs), 4),
            "eight_ms": round(statistics.median(eight for _, eight in pairs), 4),
            "ratio": round(statistics.median(eight / one for one, eight in pairs), 2),
        }
