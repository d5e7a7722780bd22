"""Every value from outside is checked against its type and range before anything is computed."""

import dataclasses
import inspect
import itertools
import math
import socket
from typing import Literal

import jax
import numpy as np
import pytest
from helpers import first_window_data

import jaxgan
from jaxgan.cli import train
from jaxgan.cli.main import main
from jaxgan.core.game import Phase
from jaxgan.errors import UserError, did_you_mean
from jaxgan.runs import registry
from jaxgan.settings import Settings, check_values, setting
from jaxgan.training import memory
from jaxgan.training.devices import Devices
from jaxgan.training.loop import build_loop, distinct_due_sets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base(Settings):
    count: int = setting(5, "a count")
    rate: float = setting(0.5, "a rate", high=1)
    factor: float = setting(0.5, "a factor")
    limit: int | None = setting(None, "a limit", low=2)
    classes: tuple[int, ...] = setting((), "classes", low=0, high=9)
    channels: Literal[1, 3] = setting(3, "channels")
    name: str = setting("x", "a name")
    flip: bool = setting(False, "whether")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrower(Base):
    rate: float = setting(0.5, "another text")  # It inherits the range,
    limit: int | None = 7  # and here also the help.
    seed: int = setting(0, "a seed", low=0, high=2**32 - 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count 0 must be at least 1"),
        ({"count": 2**31}, "count 2147483648 must be at most 2,147,483,647"),
        ({"count": 10**400}, "must be at most"),
        ({"count": 2.5}, "count 2.5 must be a whole number"),
        ({"count": "5"}, "count '5' must be a whole number"),
        ({"count": True}, "count True must be a whole number"),
        ({"count": None}, "count None must be a whole number"),
        ({"rate": 1.5}, "rate 1.5 must be between 0 and 1"),
        ({"rate": -0.1}, "rate -0.1 must be between 0 and 1"),
        ({"rate": float("nan")}, "rate nan must be a finite number"),
        ({"factor": float("inf")}, "factor inf must be a finite number"),
        ({"factor": -1}, "factor -1 must be a finite number of at least 0"),
        ({"factor": [1.0]}, "factor [1.0] must be a number"),
        ({"limit": 1}, "limit 1 must be at least 2"),
        ({"classes": (1, 10)}, "classes 10 must be between 0 and 9"),
        ({"channels": 2}, "channels 2 must be 1 or 3"),
        ({"name": 3}, "name 3 must be text"),
        ({"name": "a\0b"}, "contains a NUL byte"),
        ({"flip": 1}, "flip 1 must be true or false"),
        ({"seed": 2**32}, "seed 4294967296 must be between 0 and 4,294,967,295"),
    ],
)
def test_a_value_of_another_type_or_range_is_refused_with_its_name(values, message):
    with pytest.raises(UserError) as error:
        Narrower(**values)
    assert message in str(error.value)
    with pytest.raises(UserError) as error:
        check_values(Narrower, **values)
    assert message in str(error.value)


def test_values_in_range_are_accepted_and_numpy_numbers_become_pythons():
    settings = Narrower(count=np.int64(3), factor=2, rate=np.float32(0.25), limit=None, classes=(0, 9), seed=2**32 - 1)
    assert (settings.count, settings.factor, settings.rate) == (3, 2, 0.25)
    assert type(settings.count) is int
    assert type(settings.rate) is float


@pytest.mark.parametrize("name", ["r3gan/ring", "dcgan/own"])
def test_python_callers_are_checked_like_the_command_line(name, tmp_path):
    for settings, message in (
        ({"steps": 10**10}, "steps"),
        ({"width": "wide"}, "width 'wide' must be"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(UserError, match=message):
            jaxgan.train(name, workdir=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


RING = "train r3gan/ring"
OWN = "train dcgan/own"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (f"{RING} --ema-half-life -1", "ema_half_life -1.0 must be a finite number of at least 0"),
        (f"{RING} --batch-size 2147483648", "batch_size 2147483648 must be between 1 and 1,048,576"),
        (f"{RING} --steps 1000000000000000000", "steps 1000000000000000000 must be between"),
        (f"{RING} --seed 2147483647 --seeds 2", "goes beyond the last seed"),
        (f"{RING} --seed 1099511627776", "seed 1099511627776 must be at most"),
        (f"{RING} --seeds 5000", "seeds 5000 must be between"),
        (f"{RING} --every 0", "every 0 must be at least 1"),
        (f"{RING} --width 1000000", "training needs at least"),
        (f"{RING} --latent 1000000000", "training needs at least"),
        (f"{RING} --devices 0", "devices 0 must be at least 1"),
        (f"{RING} --process 0", "--process need --coordinator HOST:PORT"),
        (f"{RING} --processes 2 --coordinator auto", "--processes need --coordinator HOST:PORT"),
        (f"{RING} --process 2 --processes 2 --coordinator localhost:1", "process 2 must be less than processes 2"),
        (f"{RING} --process -1 --coordinator localhost:1", "process -1 must be at least 0"),
        (f"{RING} --coordinator nonsense", "--coordinator nonsense must be HOST:PORT"),
        (f"{RING} --coordinator localhost:99999", "must be HOST:PORT, the port from 1 to 65535"),
        (f"{RING} --coordinator no.such.host.invalid:1234", "no host no.such.host.invalid is known"),
        (f"{OWN} --size 0", "size 0 must be between 1 and 4,096"),
        (f"{OWN} --size 2", "size 2 must be an even number of at least 8, because DCGAN halves it; use 8"),
        (f"{OWN} --size 17", "use 16 or 18"),
        (f"{OWN} --channels 2", "invalid choice '2'"),
        ("evaluate run --samples 0", "samples 0 must be between 2 and 10,000,000"),
        ("evaluate run --samples -5", "samples -5 must be between"),
        ("evaluate run --samples 1", "samples 1 must be between"),
        ("evaluate run --reals 1", "reals 1 must be between 2 and"),
        ("evaluate run --seed -1", "seed -1 must be between 0 and 4,294,967,295"),
        ("evaluate run --seed 1099511627776", "seed 1099511627776 must be between"),
        ("sample run --n 10000000000000", "n 10000000000000 must be between 1 and 10,000,000"),
        ("sample run --seed 1180591620717411303424", "seed 1180591620717411303424 must be between"),
        ("sample run --member -1", "member -1 must be at least 0"),
        ("sample run --classes -1", "classes -1 must be at least 0"),
        ("figure --jobs 0", "jobs 0 must be between 1 and 1,000"),
        ("figure --devices 0", "devices 0 must be at least 1"),
        ("data . --size 0", "size 0 must be between 1 and 4,096"),
        ("data /no/where --size 8", "the folder /no/where does not exist"),
        ("list --max-minutes nan", "max_minutes nan must be a finite number"),
        ("evaluate a\0b", "contains a NUL byte"),
        ("sample " + "x" * 300, "a name of more than 255 bytes"),
        ("report nowhere", "nowhere does not exist or is not a folder"),
        ("bench nothing_like_it", "no benchmark 'nothing_like_it'"),
        ("bench loop --tiny --json /proc/none/x.json", "cannot be written"),
    ],
)
def test_a_bad_command_line_is_answered_before_anything_is_computed_or_written(
    capsys, tmp_path, monkeypatch, command, sentence
):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(command.split(" "))
    except SystemExit as error:  # tyro's own errors
        code = error.code
    text = " ".join("".join(capsys.readouterr()).split())
    assert code == 2
    assert sentence in text
    assert len(text) < 600  # A sentence, or tyro's frame around one.
    assert not list(tmp_path.iterdir())


def test_settings_that_do_not_go_together_are_refused_before_compiling():
    entry = registry.get("pacgan/grid")
    config = dataclasses.replace(entry.config, pack=3)
    experiment = entry.make(config)
    loop = build_loop(experiment, config)
    with pytest.raises(UserError, match="cannot be computed with these settings: pack size 3 does not divide the 200"):
        loop.scalar_names(first_window_data(experiment.source))


def test_a_process_0_that_does_not_answer_is_a_sentence(capsys, monkeypatch):
    with socket.socket() as unused:  # Bound, so that no one else listens there.
        unused.bind(("localhost", 0))
        port = unused.getsockname()[1]
        monkeypatch.setattr(train, "CONNECT_SECONDS", 0)
        words = ["--coordinator", f"localhost:{port}", "--processes", "2", "--process", "1"]
        assert main(["train", "r3gan/ring", *words]) == 1
    err = capsys.readouterr().err
    assert f"process 0 did not answer at localhost:{port} for 0 seconds" in err
    assert "start it, or correct --coordinator" in err


def test_an_unknown_name_is_answered_with_the_nearest_and_never_with_all():
    known = [f"method{i}/ring" for i in range(50)]
    assert did_you_mean("method7/rnig", known).startswith("did you mean method7/ring or ")
    for name in ("ring", "zzz", ""):
        assert did_you_mean(name, known).count("/ring") <= 3
    assert did_you_mean("x", []) == "there are none"


class Phases:
    """The part of a game that says which phases are due."""

    def __init__(self, *phases):
        self.phases = tuple(Phase(f"p{i}", None, None, *timing) for i, timing in enumerate(phases))

    def due_phases(self, step):
        return tuple(phase for phase in self.phases if phase.is_due(step))


def test_a_default_is_that_of_the_first_base_that_declares_it():
    """Of two bases, a dataclass takes what the first one merely inherits over what the second one declares."""
    configs = {base for entry in registry.entries().values() for base in type(entry.config).__mro__[:-1]}
    for config in configs:
        for field in dataclasses.fields(config):
            declaring = next(base for base in config.__mro__ if field.name in inspect.get_annotations(base))
            declared = declaring.__dataclass_fields__[field.name].default
            assert field.default == declared, (
                f"{config.__qualname__}.{field.name}, declared by {declaring.__qualname__}"
            )


def test_distinct_due_sets_are_those_of_all_steps():
    rng, never = np.random.default_rng(0), Phase.stop
    for _ in range(100):
        every, start, stop = ([1, 1, 2, 3, 4, 6], [0, 0, 1, 3, 7], [never, never, 2, 5, 20])
        timings = [tuple(int(rng.choice(x)) for x in (every, start, stop)) for _ in range(rng.integers(1, 5))]
        game = Phases(*timings)
        enumerated = {game.due_phases(step) for step in range(20 + 7 + 12)}
        due_sets = distinct_due_sets(game)
        assert set(due_sets) == enumerated, timings
        assert len(due_sets) == len(enumerated)


def test_long_periods_are_not_enumerated():
    primes = (999_983, 999_979, 1_000_003)
    every = (1, *primes)
    due_sets = distinct_due_sets(Phases(*((n,) for n in every)))
    # All three are due together at step 0 alone, because their product exceeds int32; each pair is due again.
    names = {"".join(phase.name for phase in due) for due in due_sets}
    pairs = [a for a in itertools.combinations(range(3), 2) if math.prod(primes[i] for i in a) < Phase.stop]
    assert names == {"p0", "p0p1", "p0p2", "p0p3", "p0p1p2p3"} | {f"p0p{a + 1}p{b + 1}" for a, b in pairs}


def test_memory_is_counted_and_compared(monkeypatch):
    entry = registry.get("r3gan/ring")
    experiment, devices = entry.build(entry.config), Devices.all(2)
    params = sum(
        memory.num_bytes(jax.eval_shape(network.init, jax.random.key(0))[0]) for network in experiment.game.networks
    )
    # On each of two devices: parameters, two moments of Adam, and for the generator an average; all of this twice.
    least = 2 * 2 * 3 * params
    monkeypatch.setattr(memory, "host_memory", lambda: least)
    with pytest.raises(UserError, match=f"training needs at least .* there are {memory.format_bytes(least)}"):
        memory.check_training_memory(experiment, entry.config, devices)
    monkeypatch.setattr(memory, "host_memory", lambda: 10**9)
    memory.check_training_memory(experiment, entry.config, devices)
    assert memory.format_bytes(1.5e9) == "1.5 GB"
    assert memory.format_bytes(0) == "0 B"
