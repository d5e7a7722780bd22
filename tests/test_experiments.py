"""What every registered experiment keeps: who moves, on how many devices, and a resume to the bit."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import NAMES, gap, held, play, same, sgd, small, there

import jaxgan
from jaxgan.core import axis
from jaxgan.core.game import init_state
from jaxgan.core.update import make_update
from jaxgan.runs import registry, run
from jaxgan.training.devices import Devices
from jaxgan.training.trainer import train

TESTBEDS = ("dirac", "ring", "grid", "swiss_roll", "digits", "digits_conv")
METHODS = ("minimax", "non_saturating", "wgan", "wgan_gp", "r3gan")
IMAGES = [n for n in NAMES if n.split("/")[1] in ("mnist", "cifar10", "stacked_mnist", "own")]
# What is like no other, on data that may not be there.
REAL = [
    pytest.param(n, marks=pytest.mark.skipif(not there("mnist"), reason="MNIST is not prepared in $JAXGAN_DATA_DIR"))
    for n in ("cgan/mnist", "pacgan/stacked_mnist")
]
PLAYED = [n for n in NAMES if n not in IMAGES]
# Every method and every testbed at least once, and whatever is not one of their pairs; for what compiles much.
SOME = [n for n in PLAYED if n.split("/")[0] not in METHODS[:-1] or n.endswith("/ring")]
# Games of every structure: of two, three and four networks, with labels, with buffers, with state in a network.
FEW = [n for n in SOME if n.split("/")[0] in ("r3gan", "cgan", "infogan", "cyclegan", "pacgan", "sngan")]


def test_each_method_is_registered_on_each_testbed():
    assert {f"{method}/{testbed}" for method in METHODS for testbed in TESTBEDS} <= set(NAMES)


@pytest.mark.parametrize("name", IMAGES)
def test_experiments_on_large_images_fit_together(name):
    """Traced, not run, and without the data."""
    entry = registry.get(name)
    experiment, rounds = run.build(entry, entry.config)
    shape = (*experiment.game.networks[1].inputs[0].shape[1:3], 3 if name.endswith(("cifar10", "own")) else 1)
    arrays = {
        "real": jax.ShapeDtypeStruct((60_000, *shape), np.uint8),
        "label": jax.ShapeDtypeStruct((60_000,), "int32"),
    }
    assert {f"{phase.name}/loss" for phase in experiment.game.phases} <= set(rounds.names(arrays))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    labels = [jax.ShapeDtypeStruct((4,), "int32")] if experiment.classes else []
    state = jax.eval_shape(rounds.start, jax.eval_shape(lambda: jax.random.key(0)))
    channels = 3 if not name.endswith("/mnist") else 1
    assert jax.eval_shape(experiment.sample, state, keys, *labels).shape == (4, *shape[:2], channels)


@pytest.mark.parametrize("name", SOME)
def test_only_the_phases_player_moves(name):
    entry, config = small(name)
    experiment = entry.build(config)
    game, update = experiment.game, make_update(experiment.game)
    state = jax.jit(lambda key: init_state(game, key))(jax.random.key(0))
    batch = experiment.source.batch(held(experiment.source), jax.random.key(1), state.step, axis.global_indices(16))
    for phase in game.phases:
        after, metrics = jax.jit(lambda state, batch: update((phase,), state, batch, jax.random.key(2)))(state, batch)
        assert all(np.isfinite(m) for m in metrics.values())
        for network in game.networks:
            if network.name in game.players[phase.player].networks:
                assert not same(after.params[network.name], state.params[network.name])
            else:
                assert same(after.params[network.name], state.params[network.name])
        others = {p: opt for p, opt in state.opt_state.items() if p != phase.player}
        assert same({p: after.opt_state[p] for p in others}, others)


@pytest.mark.parametrize("name", PLAYED + REAL)
def test_one_device_and_eight_agree(name):
    entry, config = small(name, **({"width": 24} if name in IMAGES else {}))
    experiment = sgd(entry).build(config)
    one, eight = (play(experiment, config, Devices.take(n), steps=10) for n in (1, 8))
    start = jax.jit(lambda key: init_state(experiment.game, key))(jax.random.key(0))
    assert gap(one.params, start.params) > 1e-4
    assert gap(eight, one) < 1e-5


@pytest.mark.parametrize("name", FEW)
def test_pmap_and_shard_map_agree(name):
    entry, config = small(name)
    experiment = sgd(entry).build(config)
    pmap, shard_map = (play(experiment, config, Devices.take(8, how), steps=10) for how in ("pmap", "shard_map"))
    assert gap(pmap, shard_map) < 1e-5


RESUME = """
import sys, pathlib, warnings
warnings.simplefilter("error")
sys.path.insert(0, "tests")
from helpers import small
from jaxgan.parallel import Devices
from jaxgan.train import train
root, seeds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for name in sys.argv[3:]:
    train(*small(name, steps=10, seeds=seeds), root / name, Devices.take(1))
"""


@pytest.mark.parametrize("dataset", sorted({name.split("/")[1] for name in FEW}))
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_resumed_run_is_equal_to_the_bit(tmp_path, dataset, seeds):
    names = [name for name in FEW if name.endswith(f"/{dataset}")][: None if seeds == 1 else 1]
    for name in names:
        train(*small(name, steps=5, seeds=seeds), tmp_path / "halves" / name, Devices.take(1))
    words = [sys.executable, "-c", RESUME, str(tmp_path / "halves"), str(seeds), *names]
    subprocess.run(words, check=True, timeout=600)
    for name in names:
        whole = train(*small(name, steps=10, seeds=seeds), tmp_path / "whole" / name, Devices.take(1))
        halves = jaxgan.load(tmp_path / "halves" / name)
        assert halves.step == 10
        assert same(halves.state, whole.state), name
        logs = [(tmp_path / half / name / "metrics.jsonl").read_text().splitlines() for half in ("halves", "whole")]
        a, b = ([json.loads(line) | {"seconds": 0} for line in log] for log in logs)
        assert a == b
