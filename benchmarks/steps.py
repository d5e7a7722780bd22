"""Whole training steps of this project and, where torch is installed, of the same game in PyTorch, in turns."""

import contextlib
import dataclasses
import functools
import importlib.util
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from benchmarks import clock, works
from benchmarks.works import Work
from jaxgan import metrics, run
from jaxgan.data.source import Source
from jaxgan.game import Game
from jaxgan.networks import conv, trilinear
from jaxgan.parallel import Devices
from jaxgan.registry import Config
from jaxgan.rounds import Carry, Rounds, make_rounds, over_seeds
from jaxgan.train import make_dispatch
from jaxgan.update import make_update


def rows(work: Work, tiny: bool = False) -> Iterator[dict[str, Any]]:
    """One row: times, the ratio of the peer's to ours, and what part of the machine's peak our step reaches.

    Both sides are checked to compute the same first; the peer is the fastest of PyTorch's variants. Where that is one
    of torch.func's, the fastest by `nn.Module` and an optimizer, as PyTorch is mostly written, is timed as well.
    """
    work = works.tiny(work) if tiny else work
    config = Config(steps=10**9, batch_size=work.batch, seeds=work.seeds)
    started = time.perf_counter()
    sides = {"ours": player(works.game(work), works.source(work), config)}
    sides["ours"](1)
    row = {"name": work.name, "batch": work.batch, "dtype": work.dtype, "seeds": work.seeds, "sizes": dict(work.sizes)}
    row["first_step_s"] = round(time.perf_counter() - started, 2)
    limits = {"rounds": 1, "seconds": 0.0} if tiny else {}
    if importlib.util.find_spec("torch"):
        from benchmarks import equal

        row["equal_to"] = max(equal.check(works.tiny(work)).values())
        peers = _peers(work)
        tried = clock.in_turns(peers, rounds=1 if tiny else 2, seconds=0.0 if tiny else 0.5)
        row["tried_ms"] = {name: float(f"{min(taken):.4g}") for name, taken in tried.items()}
        row["peer"] = min(row["tried_ms"], key=row["tried_ms"].get)
        sides["peer"] = peers[row["peer"]]
        if "functional" in row["peer"]:
            row["module"] = min((v for v in row["tried_ms"] if "functional" not in v), key=row["tried_ms"].get)
            sides["module"] = peers[row["module"]]
    taken = clock.in_turns(sides, **limits)
    for name, times in taken.items():
        row |= clock.spread(f"{name}_ms", times)
    if "peer" in taken:
        row |= clock.ratios(taken["peer"], taken["ours"])
    if "module" in taken:
        row |= {f"module_{name}": n for name, n in clock.ratios(taken["module"], taken["ours"]).items()}
    row["flops"] = flops(work)
    row["flops_per_s"] = work.seeds * row["flops"] / statistics.median(taken["ours"]) * 1e3
    row["peak_flops_per_s"] = peak(work.dtype, 64 if tiny else None)
    yield row | {"part_of_peak": round(row["flops_per_s"] / row["peak_flops_per_s"], 3)}


peak = functools.cache(clock.peak)


def player(game: Game, source: Source, config: Config) -> clock.Play:
    """The game as training plays it, data and noise included, on one device."""
    rounds = make_rounds(game, source, config.batch_size)
    return dispatched(game, over_seeds(rounds) if config.seeds > 1 else rounds, source, config)


def dispatched(game: Game, rounds: Rounds, source: Source, config: Config, devices: int = 1) -> clock.Play:
    """Compiled rounds alone, without logs, pictures, evaluations or checkpoints."""
    place, step = Devices.take(devices), 0
    windows = source.windows(run.data_key(config), 0)
    first = next(windows)
    tally = place.put(metrics.Tally.empty(rounds.names(first.like), config.seeds))
    carry = place.carried(Carry(place.make(lambda: rounds.start(run.run_key(config))), tally))
    dispatch = make_dispatch(game, rounds, itertools.chain([first], windows), config, place)

    def play(n: int) -> None:
        nonlocal carry, step
        end = step + n
        while step < end:
            carry, step = dispatch(carry, step, end)

    return play


def _peers(work: Work) -> dict[str, clock.Play]:
    """PyTorch's variants, from our weights."""
    import torch

    from benchmarks.peer import Peer, variants

    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    config = Config(steps=1, batch_size=work.batch, seeds=work.seeds)
    rounds = make_rounds(works.game(work), works.source(work), work.batch)
    rounds = over_seeds(rounds) if work.seeds > 1 else rounds
    state = jax.device_get(rounds.start(run.run_key(config)))

    def played(variant: str) -> clock.Play:
        peer = Peer(work, state.params, state.buffers, variant, device)

        def play(n: int) -> None:
            for _ in range(n):
                peer.step()
            if device != "cpu":
                torch.cuda.synchronize()

        return play

    amp = work.dtype == "bfloat16"
    return {v: played(v) for v in variants(work, device) if v.endswith("+amp") == (amp and device != "cpu")}


def flops(work: Work) -> float:
    """Operations of one seed's step in the plain formulation, by XLA's count: none with padding's zeros, none twice."""
    with native():
        return lowered(dataclasses.replace(work, dtype="float32")).compile().cost_analysis()["flops"]


def lowered(work: Work) -> jax.stages.Lowered:
    """One seed's step, on given data and noise, before it is compiled."""
    game, source = works.game(work), works.source(work)
    rounds, key = make_rounds(game, source, work.batch), jax.random.key(0)
    arrays = next(source.windows(key, 0)).like
    state = jax.eval_shape(rounds.start, key)
    batch = jax.eval_shape(lambda a, k: source.batch(a, k, jnp.int32(0), jnp.arange(work.batch)), arrays, key)
    return jax.jit(functools.partial(make_update(game), game.phases)).lower(state, batch, key)


@contextlib.contextmanager
def native() -> Iterator[None]:
    """While inside, convolutions are `lax`'s."""
    with mock.patch.object(conv, "_trilinear", functools.partial(trilinear.upright, trilinear.native)):
        yield
