"""Figures: all of them can be made, and the claims of those that need no training hold."""

import dataclasses
import inspect
import json
import math

import jax
import numpy as np
import pytest
from helpers import is_prepared
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.evaluate import classifier
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, run_spec
from jaxgan.runs.run import Run
from jaxgan.training import trainer
from jaxgan.training.devices import Devices
from jaxgan.training.loop import LoopState

ALL = figures.entries()
EVALUATED = 256  # samples
NEEDED_DATA = {
    "mnist": (
        *("gan/table1", "gan/fig2", "cgan/table1", "cgan/fig2", "ttur/fig3", "cyclegan/table5"),
        *("infogan/fig1", "infogan/fig2", "improved/table1"),
    ),
    "cifar10": ("srgan/fig2",),
}


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory):
    """The folder of all figures of this file, so that they share their runs."""
    return tmp_path_factory.mktemp("figures")


def one_of_each_file():
    """Returns the figures without training, and of each file the one that trains the fewest runs."""
    number_of_runs = {id: len(entry.build().runs) for id, entry in ALL.items()}
    first = {}
    for id in sorted(ALL, key=number_of_runs.get):
        if number_of_runs[id]:
            first.setdefault(inspect.getfile(ALL[id].build), id)
    return {*first.values(), *(id for id in ALL if not number_of_runs[id])}


EACH_FILE = one_of_each_file()


@pytest.fixture
def trace_all_but_the_first_run(monkeypatch, request):
    """Without `--all`, trains one run of a figure. For the others nothing is compiled: their parameters only grow.

    The trainer traces all phases of each run before it starts.
    """
    make_dispatch = trainer.make_dispatch
    trained = []

    def grow(x):
        return x * x.dtype.type(1.01) if np.issubdtype(x.dtype, np.floating) else x

    def make(game, loop, windows, config, devices, announce):
        if not trained:
            trained.append(config)
            return make_dispatch(game, loop, windows, config, devices, announce)

        def dispatch(carry, step, end):
            state, accumulator = jax.device_get(carry)
            networks = jax.tree.map(grow, {"params": state.params, "ema": state.ema})
            state = dataclasses.replace(state, **networks, step=np.int32(end))
            accumulator = accumulator.update(step, accumulator.total)
            return devices.put_replicated(LoopState(state, accumulator)), end

        return dispatch

    if not request.config.getoption("--all"):
        monkeypatch.setattr(trainer, "make_dispatch", make)


@pytest.fixture
def small_evaluations(monkeypatch):
    """Runs are measured on few samples, by a small classifier that is barely trained."""
    evaluate = Run.evaluate
    few = lambda run, samples=EVALUATED, seed=0: evaluate(run, min(samples, EVALUATED), seed)
    monkeypatch.setattr(Run, "evaluate", few)
    monkeypatch.setattr(classifier, "RECIPE", dataclasses.replace(classifier.RECIPE, images=512, width=4))


@pytest.mark.usefixtures("trace_all_but_the_first_run", "small_evaluations")
@pytest.mark.parametrize("id", [id if id in EACH_FILE else pytest.param(id, marks=pytest.mark.similar) for id in ALL])
def test_every_figure_is_made(shared_root, id):
    """Figures that train nothing are made in full, others from runs of a few steps, whose claims mean nothing."""
    for dataset, ids in NEEDED_DATA.items():
        if id in ids and not is_prepared(dataset):
            pytest.skip(f"{dataset} is not prepared in $JAXGAN_DATA_DIR")
    trains = bool(ALL[id].build().runs)
    result = figures.make(ALL[id], shared_root, Devices.all(1), reduced=trains)
    assert result == json.loads((shared_root / id / "result.json").read_text())
    assert len(result["claims"]) == len(ALL[id].build().claims) > 0
    if not trains and not ALL[id].uses_classifier:  # The classifier is barely trained here.
        failed = [claim for claim in result["claims"] if not claim["holds"]]
        assert not failed
    assert (shared_root / id / "figure.pdf").stat().st_size > 5_000
    with Image.open(shared_root / id / "figure.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 300
    assert 0.005 < (pixels < 200).mean() < 0.9


@pytest.mark.parametrize(
    ("value", "least", "most", "holds"),
    [
        (1.0, 1.0, 2.0, True),
        (0.999, 1.0, 2.0, False),
        (2.001, 1.0, 2.0, False),
        (np.float32(1.5), 1.0, math.inf, True),
        (math.nan, -math.inf, math.inf, False),
        (math.inf, 1.0, math.inf, False),
        ({"median": 1.5, "low": 0, "high": 3, "seeds": [0, 1.5, 3]}, 1.0, 2.0, True),
    ],
)
def test_a_claim_is_checked_against_its_bounds(value, least, most, holds):
    checked = Claim("x", "x", least, most).check({"x": value})
    assert checked["holds"] is holds
    json.dumps(checked, allow_nan=False)


@pytest.fixture
def trained(tmp_path):
    """Returns a folder, the steps of each measurement, and a function that makes a figure of a run of the ring."""
    calls = []

    def measure(runs):
        calls.append([run.step for run in runs["ring"]])
        return {"x": [float(run.sample(4, member=1).mean()) for run in runs["ring"]], "y": 1.0, "z": np.ones(3)}

    def plot(numbers):
        fig, ((ax,),) = plots.subplots(1, 1)
        ax.plot(numbers["z"])
        return fig

    def build(*steps):
        ring = run_spec("r3gan/ring", *steps, seeds=2, batch_size=8, width=8)
        return Figure(measure=measure, plot=plot, claims=(Claim("y is 1", "y", 1, 1),), runs={"ring": ring})

    def make(*steps):
        entry = figures.FigureEntry("test/ring", lambda: build(*steps), "Test 2026", "nothing", 0.1)
        return figures.make(entry, tmp_path, Devices.all(1))

    return tmp_path, calls, make


def test_runs_are_trained_once_and_examined_at_the_given_steps(trained, monkeypatch):
    root, calls, make = trained
    monkeypatch.setattr("jaxgan.training.workdir.git_commit", lambda: "0123")
    first = make(0, 2, 4, 10, 12, 14, 16)
    assert calls == [[0, 2, 4, 10, 12, 14, 16]]
    assert len(set(first["numbers"]["x"])) == 7
    assert make(0, 2, 4, 10, 12, 14, 16) == first
    assert len(calls) == 1  # Nothing has changed, so nothing is measured.
    monkeypatch.setattr(figures, "train_entry", None)  # The cache has everything that the next one needs.
    assert make(2, 16)["numbers"]["x"] == [first["numbers"]["x"][i] for i in (1, 6)]
    assert (root / "test/ring/data.npz").exists()


def test_a_step_that_was_not_saved_is_reached_by_training_again(trained):
    _, _, make = trained
    first = make(2, 16)
    second = make(2, 6, 16)
    assert second["numbers"]["x"][::2] == first["numbers"]["x"]


def test_a_result_is_stale_once_the_settings_or_the_source_have_changed(tmp_path, monkeypatch):
    saturation = figures.get("gan/saturation")
    result = figures.make(saturation, tmp_path, Devices.all(1))
    assert {"git", "hardware", "runs", "code"} <= result["protocol"].keys()
    assert not figures.is_stale(saturation, result)
    run = {"x": run_spec("r3gan/ring", 2)}
    assert figures.is_stale(dataclasses.replace(saturation, build=lambda: Figure(None, (), None, run)), result)
    monkeypatch.setattr(figures, "source_digest", lambda build: "00000000")
    assert figures.is_stale(saturation, result)


@pytest.mark.parametrize("steps", [(30_000,), (0, 3_000, 6_000, 15_000), (7,), (2, 6), (0, 30_001)])
def test_a_run_reaches_its_steps_and_can_be_saved_often(steps):
    config = run_spec("r3gan/ring", *steps).resolve().config
    assert config.steps == max(steps)
    assert all(step % config.log_every == 0 for step in steps)
    assert config.steps // config.log_every >= (100 if config.log_every > 1 else 1)
    assert figures.config_hash("x", config) == figures.config_hash("x", figures.registry.get("r3gan/ring").config)


def test_an_unknown_figure_is_named(tmp_path):
    with pytest.raises(UserError, match="gan/saturation"):
        figures.get("gan/saturatoin")
