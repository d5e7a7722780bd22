"""Two processes with two devices each train as one process does."""

import os
import socket
import subprocess
import sys

import pytest
from helpers import gap, play, sgd, small

from jaxgan.runs.run import restore
from jaxgan.training.devices import Devices

WORKER = """
import sys, pathlib
sys.path.insert(0, "tests")
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from helpers import sgd, small
from jaxgan.data import datasets, stream
from jaxgan.parallel import Devices
from jaxgan.train import train
if sys.argv[6] == "streamed":
    datasets.HELD, stream.WINDOW = 0, 7_000  # six steps of digits
assert jax.device_count() == 4 and jax.local_device_count() == 2
for steps in (5, 10):  # The second call resumes what both saved.
    entry, config = small(sys.argv[5], steps=steps)
    train(sgd(entry), config, pathlib.Path(sys.argv[3]), Devices.take(parallel=sys.argv[4]))
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
def test_two_processes_equal_one(tmp_path, name, parallel, data):
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    address = f"127.0.0.1:{free_port()}"
    words = [[sys.executable, "-c", WORKER, address, str(i), str(tmp_path), parallel, name, data] for i in range(2)]
    workers = [subprocess.Popen(w, env=env, stderr=subprocess.PIPE, text=True) for w in words]
    try:
        said = [worker.communicate(timeout=240)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], said
    entry, config = small(name)
    entry = sgd(entry)
    one = play(entry.build(config), config, Devices.take(1), 10)
    loaded = restore(tmp_path, entry, config)  # Both saved, one restores.
    assert loaded.step == 10
    assert gap(loaded.state.params, one.params) < 1e-5
