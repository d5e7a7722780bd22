"""Properties of every registered experiment: updates, devices, resuming, accelerators, settings."""

import dataclasses
import functools
import json
import sys

import chex
import jax
import numpy as np
import pytest
from helpers import (
    NAMES,
    first_window_data,
    is_prepared,
    max_difference,
    one_of_each_structure,
    short_run,
    train_steps,
    with_sgd,
)

import jaxgan
from benchmarks import gpu_check
from jaxgan.core.game import init_state
from jaxgan.core.update import make_update
from jaxgan.runs import registry
from jaxgan.runs.run import train_entry
from jaxgan.training import monitor, sampling, trainer
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import config_hash
from jaxgan.training.loop import LoopInputs, LoopState, build_loop, run_key

TESTBEDS = ("dirac", "ring", "grid", "swiss_roll", "digits", "digits_conv")
METHODS = ("minimax", "non_saturating", "wgan", "wgan_gp", "r3gan")
# Files that register many methods by one build function. One method stands for all; test_terms.py tests their terms.
REPRESENTATIVES = {
    "experiments.conditionings": "reacgan/digits",
    "experiments.regularisers": "lecam/digits",
    "experiments.energy": "began/digits",
    "experiments.several": "cogan/digits",
    "experiments.vae": "vaegan/digits",
    "experiments.bigan": "bigan/digits",
}
SAME_ON_OTHER_DATA = ("fashion_mnist",)  # has the networks and settings of MNIST


def is_represented(name: str) -> bool:
    """Returns whether another method with the same build function is tested in place of this one."""
    build = registry.get(name).build
    while isinstance(build, functools.partial):
        build = build.func
    method, data = name.split("/")
    if data == "own":
        return method != "dcgan"
    if data in SAME_ON_OTHER_DATA:
        return True
    return name != REPRESENTATIVES.get(build.__module__, name)


TESTED = [n for n in NAMES if not is_represented(n)]
LARGE_DATA = ("mnist", "mnist_inverted", "cifar10", "stacked_mnist", "own", "facades", "facades128", "facades256")
LARGE_DATA += ("fashion_mnist", "horse2zebra", "text", "moving_digits")
LARGE = [n for n in NAMES if n.split("/")[1] in LARGE_DATA]
SMALL = [n for n in TESTED if n not in LARGE]
# Networks of the papers that take minutes to trace; only their shapes are checked.
FULL_SIZE = ("pix2pix/facades128", "pix2pix/facades256", "cyclegan/horse2zebra", "srgan/own", "esrgan/own")
# Every method and every testbed at least once.
EACH_METHOD = [n for n in SMALL if n.split("/")[0] not in METHODS[:-1] or n.endswith("/ring")]
EACH_STRUCTURE = one_of_each_structure(SMALL)
REPRESENTED = [n for n in NAMES if is_represented(n) and n not in LARGE]


def always(names: list[str], tested: list[str]) -> list:
    """Returns names as parameters of a test, of which those not in `tested` are marked as similar to these."""
    return [n if n in tested else pytest.param(n, marks=pytest.mark.similar) for n in names]


def is_convolutional(name: str) -> bool:
    """Returns whether a network of the experiment contains convolutions, which take long to compile."""
    entry = registry.get(name)
    return any(network.convolutional for network in entry.build(entry.config).game.networks)


# One structure with convolutions and some without, for tests that compile in several processes.
QUICK_STRUCTURES = ["sngan/digits", *(n for n in EACH_STRUCTURE if not is_convolutional(n))]
MNIST = [
    pytest.param(n, marks=pytest.mark.skipif(not is_prepared("mnist"), reason="MNIST is not in $JAXGAN_DATA_DIR"))
    for n in ("cgan/mnist", "pacgan/stacked_mnist")
]


def test_each_method_is_registered_on_each_testbed():
    assert {f"{method}/{testbed}" for method in METHODS for testbed in TESTBEDS} <= set(NAMES)


@pytest.mark.parametrize("name", always(NAMES, [n for n in NAMES if n.split("/")[1] not in SAME_ON_OTHER_DATA]))
def test_settings_have_help_and_convolutional_networks_are_declared(name):
    entry = registry.get(name)
    assert all(len(text) > 5 for text in registry.field_help(type(entry.config)).values())
    for network in entry.build(entry.config).game.networks:
        params, _ = jax.eval_shape(network.init, jax.random.key(0))
        kernels = [x for path, x in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == "kernel"]
        assert network.convolutional == any(kernel.ndim > 2 for kernel in kernels), network.name


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("r3gan/ring", "f05c812e"),
        ("dcgan/mnist", "da65c5e1"),
        ("cgan/mnist", "585a19fa"),
        ("cyclegan/plane", "76f9b82c"),
    ],
)
def test_the_hash_of_a_config_is_stable(name, digits):
    """A change of these hashes makes earlier results incomparable and the cached runs of figures useless."""
    assert config_hash(name, registry.get(name).config) == digits


@pytest.fixture
def noise_images():
    """Replaces the TFDS data sets by images of noise."""
    with gpu_check.noise_images(count=64):
        yield


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_translators_give_images_of_the_declared_size(name):
    entry = registry.get(name)
    experiment = entry.build(entry.config)
    given = sampling.given_shapes(experiment)
    sample = lambda key, *given: experiment.sample(init_state(experiment.game, key), key[None], *given)
    scale = 4 if "sr" in name else 1
    height, width, channels = experiment.inputs.shape
    assert jax.eval_shape(sample, jax.random.key(0), *given).shape == (1, scale * height, scale * width, channels)


# A method has the same networks on MNIST as on CIFAR-10, only smaller.
LOWERED = [n for n in TESTED if n.replace("/mnist", "/cifar10") not in set(NAMES) - {n}]


@pytest.mark.parametrize("name", always([n for n in TESTED if n not in FULL_SIZE], LOWERED))
def test_the_loop_lowers_for_gpu_and_tpu(name, noise_images, monkeypatch):
    """The formulations for accelerators are traced at the default settings and lowered, but not compiled."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    entry = registry.get(name)
    experiment = entry.build(entry.config)
    loop, data, key = build_loop(experiment, entry.config), first_window_data(experiment.source), run_key(entry.config)
    trainer.check_shapes(experiment, entry.config, data)
    names = loop.scalar_names(data)
    assert {f"{phase.name}/loss" for phase in experiment.game.phases if phase.player} <= set(names)
    carry = LoopState(jax.eval_shape(loop.init, key), ScalarAccumulator.zeros(names, entry.config.seeds))
    traced = jax.jit(loop.run_steps).trace(carry, LoopInputs(data, key, np.int32(1)))
    traced.lower(lowering_platforms=("cuda", "tpu"))


@pytest.mark.parametrize("name", always([*EACH_METHOD, *REPRESENTED], EACH_METHOD))
def test_a_phase_changes_the_networks_of_its_player_alone(name):
    """Traced: what a phase must not change is the same variable before and after."""
    entry, config = short_run(name)
    experiment = entry.build(config)
    game, update, data = experiment.game, make_update(experiment.game), first_window_data(experiment.source)
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    for phase in game.phases:

        def step(state, phase=phase):
            batch = experiment.source.batch(data, jax.random.key(1), state.step, np.arange(config.batch_size))
            return update((phase,), state, batch, jax.random.key(2))[0]

        program = jax.make_jaxpr(step)(state).jaxpr
        before, after = (jax.tree.unflatten(jax.tree.structure(state), v) for v in (program.invars, program.outvars))
        unchanged = jax.tree.map(lambda a, b: a is b, before, after)
        for network in game.networks:
            trained = phase.player is not None and network.name in game.players[phase.player].networks
            assert set(jax.tree.leaves(unchanged.params[network.name])) == {not trained}, (phase.name, network.name)
        others = [opt_state for player, opt_state in unchanged.opt_state.items() if player != phase.player]
        assert all(jax.tree.leaves(others))


@pytest.mark.parametrize("name", always(SMALL, EACH_STRUCTURE))
def test_a_resumed_run_equals_one_that_was_never_stopped(tmp_path, name, share_programs, monkeypatch):
    monkeypatch.setattr(monitor.Monitor, "draw_preview", lambda *_: None)
    monkeypatch.setattr(sampling, "evaluate_state", lambda *_, **__: ({}, {}))
    periods = dict.fromkeys(("save_every", "sample_every", "evaluate_every", "log_every"), 4)
    entry, config = short_run(name, steps=8, **periods)
    entry = share_programs(entry)
    train_entry(entry, dataclasses.replace(config, steps=4), tmp_path / "resumed", 1)
    resumed, whole = (train_entry(entry, config, tmp_path / folder, 1) for folder in ("resumed", "whole"))
    chex.assert_trees_all_equal(resumed.state, whole.state, strict=True)


# The gradient of L1 is a sign, which jumps where the output meets the target. With the weight 100 it turns differences
# of rounding between numbers of devices, 1e-9, into 1e-4 within ten steps.
SETTINGS_OVER_DEVICES = {"pix2pix/shapes": {"l1": 1.0}}
OWN_SGD = ("cgan/mnist",)  # Its optimizer is SGD with momentum, at a rate that moves its small initial weights.


@pytest.mark.parametrize("name", [*always([*EACH_METHOD, *REPRESENTED], EACH_STRUCTURE), *MNIST])
@pytest.mark.usefixtures("share_programs")
def test_one_device_eight_devices_and_pmap_agree(name, request):
    width = {"width": 24} if name in LARGE else {}
    entry, config = short_run(name, **width, **SETTINGS_OVER_DEVICES.get(name, {}))
    experiment = (entry if name in OWN_SGD else with_sgd(entry)).build(config)
    with_pmap = EACH_STRUCTURE if request.config.getoption("--all") else QUICK_STRUCTURES
    modes = [(1, "shard_map"), (8, "shard_map"), (8, "pmap")][: 3 if name in with_pmap else 2]
    one, *others = (train_steps(experiment, config, Devices.all(*mode), steps=10) for mode in modes)
    start = train_steps(experiment, config, Devices.all(1), steps=0)
    assert max_difference(one.params, start.params) > 1e-4
    for other in others:
        chex.assert_trees_all_close(other, one, rtol=0, atol=1e-5)


RESUME = """
import sys, pathlib, warnings
warnings.simplefilter("error")
sys.path.insert(0, "tests")
from helpers import short_run
from jaxgan.runs.run import train_entry
from jaxgan.training import monitor
root, seeds, monitor.EVALUATION_SAMPLES = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for name in sys.argv[4:]:
    train_entry(*short_run(name, steps=10, seeds=seeds), root / name, 1)
"""


@pytest.mark.parametrize("dataset", sorted({name.split("/")[1] for name in QUICK_STRUCTURES}))
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_that_is_resumed_by_another_process_equals_one_that_was_never_stopped(
    tmp_path, dataset, seeds, start_process, share_programs
):
    names = [name for name in QUICK_STRUCTURES if name.endswith(f"/{dataset}")]
    names = names[:5] if seeds == 1 else names[-1:]
    entries = {name: share_programs(registry.get(name)) for name in names}

    def train(name, steps, folder):
        return train_entry(entries[name], short_run(name, steps=steps, seeds=seeds)[1], tmp_path / folder / name, 1)

    for name in names:
        train(name, 5, "resumed")
    arguments = [str(tmp_path / "resumed"), str(seeds), str(monitor.EVALUATION_SAMPLES), *names]
    process = start_process([sys.executable, "-c", RESUME, *arguments])
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    for name in names:
        whole = train(name, 10, "whole")
        resumed = jaxgan.load(tmp_path / "resumed" / name)
        assert resumed.step == 10
        chex.assert_trees_all_equal(resumed.state, whole.state)
        logs = [(tmp_path / half / name / "metrics.jsonl").read_text().splitlines() for half in ("resumed", "whole")]
        a, b = ([json.loads(line) | {"seconds": 0} for line in log] for log in logs)
        assert a == b
