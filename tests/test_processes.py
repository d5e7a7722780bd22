"""Two processes with two devices each train as one process with one device does."""

import os
import socket
import sys

import chex
import jax
import pytest
from helpers import short_run, train_steps, with_sgd

from jaxgan.runs.run import load_newest
from jaxgan.training.devices import Devices

WORKER = """
import sys, pathlib
sys.path.insert(0, "tests")
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from helpers import short_run, with_sgd
from jaxgan.data import datasets, streams
from jaxgan.runs.run import train_entry
from jaxgan.training.devices import Devices
if sys.argv[6] == "streamed":
    datasets.MAX_IN_MEMORY_BYTES, streams.WINDOW_BYTES = 0, 7_000  # six steps of digits
assert jax.device_count() == 4 and jax.local_device_count() == 2
for steps in (5, 10):  # The second call resumes what both saved.
    entry, config = short_run(sys.argv[5], steps=steps)
    train_entry(with_sgd(entry), config, pathlib.Path(sys.argv[3]), Devices.all(mode=sys.argv[4]))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "parallel", "data"),
    [
        ("wgan_gp/digits_conv", "shard_map", "held"),
        ("r3gan/ring", "pmap", "held"),
        ("minimax/digits", "shard_map", "streamed"),
    ],
)
def test_two_processes_equal_one(tmp_path, name, parallel, data, start_process):
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=2")
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    address = f"127.0.0.1:{free_port()}"
    words = [[sys.executable, "-c", WORKER, address, str(i), str(tmp_path), parallel, name, data] for i in range(2)]
    workers = [start_process(w, env=env) for w in words]
    errors = [worker.communicate(timeout=1_200)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    entry, config = short_run(name)
    entry = with_sgd(entry)
    one = train_steps(entry.build(config), config, Devices.all(1), 10)
    loaded = load_newest(tmp_path, entry, config)  # Both processes saved, one restores.
    assert loaded.step == 10
    chex.assert_trees_all_close(jax.device_get(loaded.state.params), one.params, rtol=0, atol=1e-5)
