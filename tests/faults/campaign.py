"""Tries faults of all kinds in turn and counts what they lead to."""

import collections
import datetime
import math
import os
import random
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from jaxgan.runs import registry
from jaxgan.training.workdir import git_commit, hardware, versions

from .commands import BadCommands
from .damages import Damages
from .kills import FullDisks, Kills, Trainers
from .reference import ENTRY, NAME, Fault, make_reference

WEIGHTS = {"kills": 0.45, "damages": 0.3, "full disks": 0.1, "bad commands": 0.15}  # shares of the time


def campaign(minutes: float, seed: int = 0, most: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Tries faults for so many minutes, or until there were `most` of each kind. Returns counts and failures."""
    started, spent = time.monotonic(), dict.fromkeys(WEIGHTS, 0.0)
    tried, bad, failures = collections.Counter(), collections.Counter(), []
    limits = {kind: (most or {}).get(kind, math.inf) for kind in WEIGHTS}
    registry.entries()  # Finds all experiments.
    registered = mock.patch.dict(registry._register, {NAME: ENTRY})
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ), registered:
        root = Path(folder)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(root / "xla")  # Of the trainers, which compile the same.
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["PYTHONWARNINGS"] = "ignore::RuntimeWarning:runpy"
        reference, trainers = make_reference(root), Trainers()
        attempts = {
            "kills": Kills(reference, trainers, root),
            "damages": Damages(reference, root),
            "full disks": FullDisks(reference, trainers, root),
            "bad commands": BadCommands(root),
        }
        while time.monotonic() - started < 60 * minutes:
            open_kinds = [kind for kind in WEIGHTS if tried[kind] < limits[kind]]
            if not open_kinds:
                break
            kind = min(open_kinds, key=lambda kind: spent[kind] / WEIGHTS[kind])
            begun, case = time.monotonic(), f"{seed}/{kind}/{tried[kind]}"
            try:
                attempts[kind](random.Random(case))
            except Fault as fault:
                bad[fault.kind] += 1
                failures.append({"case": case, "kind": fault.kind, "what": str(fault)})
            except Exception:
                bad["traceback"] += 1
                failures.append({"case": case, "kind": "traceback", "what": traceback.format_exc(limit=-3)})
            tried[kind] += 1
            spent[kind] += time.monotonic() - begun
    return {
        **{kind: tried[kind] for kind in WEIGHTS},
        **{kind: bad[kind] for kind in ("lost", "silent", "traceback")},
        "failures": failures,
        "seed": seed,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "command": f"python -m tests.faults --minutes {minutes:g} --seed {seed}",
        "hardware": hardware(),
        "versions": versions(),
        "git": git_commit(),
        "date": datetime.date.today().isoformat(),
    }
