"""Eight simulated devices, no implicit broadcasts or promotions, bounded memory, and no stray processes."""

import contextlib
import dataclasses
import functools
import gc
import importlib.metadata
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests mostly compile. Without LLVM's optimisations, and with the older emitters of fusions, that takes a quarter of
# the time. Subprocesses inherit these flags; CI's smoke runs have those of users.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
if importlib.metadata.version("jaxlib").startswith("0.10."):  # Others may not know the flag, and XLA would abort.
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "jaxgan-tests-xla"))

import jax
import pytest

from jaxgan.runs.registry import Entry
from jaxgan.training import dispatch, in_memory, monitor, sampling, trainer
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import identity_fields

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
gc.set_threshold(50_000)  # Tracing allocates much and leaves few cycles. With the default, 700, it takes longer.
dispatch.keep_freed_memory = lambda: None  # With it steps are faster, but compiling takes a quarter longer.
monitor.EVALUATION_SAMPLES = 256  # Tests of quality call `Run.evaluate`, which takes as many as they ask for.

Start = Callable[..., subprocess.Popen]
GROWTH_BYTES = 2**29
LONG = ("resumed", "processes", "agree", "figure_is_made", "covered", "collapses")  # words in the names of long tests


@pytest.fixture
def key() -> jax.Array:
    """A PRNG key."""
    return jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def _free_after_module() -> Iterator[None]:
    """Frees what a test file compiled, so that a process does not hold the programs of all files."""
    yield
    free_compiled_programs()


@pytest.fixture(scope="session")
def size_when_freed() -> dict[str, int]:
    """The bytes that this process occupied when compiled programs were last freed because it had grown."""
    return {"bytes": 0}


@pytest.fixture(autouse=True)
def _free_after_growth(size_when_freed: dict[str, int]) -> Iterator[None]:
    """Frees compiled programs also within a file, whenever the process has grown by `GROWTH_BYTES`."""
    yield
    if resident_bytes() > size_when_freed["bytes"] + GROWTH_BYTES:
        free_compiled_programs()
        size_when_freed["bytes"] = resident_bytes()


def free_compiled_programs() -> None:
    """Drops all compiled programs and what keeps them alive."""
    sampling.make_sampler.cache_clear()
    jax.clear_caches()
    gc.collect()


def resident_bytes() -> int:
    """Returns the memory that this process occupies, or 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@pytest.fixture
def start_process() -> Iterator[Start]:
    """`subprocess.Popen` with pipes for text, in a process group that is killed when the test ends."""
    processes = []

    def start(command: list[str], **options) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, start_new_session=True, **{**pipes, **options}))
        return processes[-1]

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="module")
def share_programs() -> Iterator[Callable[[Entry], Entry]]:
    """A function that changes an entry so that its runs with equal settings share their compiled programs."""
    build_loop, compile_step = trainer.build_loop, Devices.compile_step

    def memoise(function, key_of):
        results = {}

        def memoised(*args, **kwargs):
            key = key_of(*args, **kwargs)
            if key not in results:
                results[key] = function(*args, **kwargs)
            return results[key]

        return memoised

    def shapes_key(data):
        return repr(jax.tree.map(lambda x: (x.shape, x.dtype), data))

    def build_shared_loop(experiment, config):
        loop = build_loop(experiment, config)
        scalar_names = memoise(loop.scalar_names, shapes_key)
        return loop._replace(part=functools.cache(loop.part), scalar_names=scalar_names)

    def share(entry: Entry) -> Entry:
        identity = lambda config: json.dumps(identity_fields(config), sort_keys=True)
        return dataclasses.replace(entry, build=memoise(entry.build, identity))

    with pytest.MonkeyPatch.context() as patch:
        loop_key = lambda experiment, config: (experiment, config.batch_size, config.seeds)
        check_key = lambda experiment, config, data: (experiment, config.batch_size, shapes_key(data))
        step_key = lambda devices, step, sharded=False, options=None: (devices, step, repr(options))
        build_shared_loop = memoise(build_shared_loop, loop_key)
        patch.setattr(trainer, "build_loop", build_shared_loop)
        patch.setattr(in_memory, "build_loop", build_shared_loop)
        patch.setattr(Devices, "compile_step", memoise(compile_step, step_key))
        patch.setattr(trainer, "check_shapes", memoise(trainer.check_shapes, check_key))
        yield share


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--all`."""
    parser.addoption("--all", action="store_true", help="also run the tests that are marked `similar`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects similar tests without `--all`. Starts with the longest, so that no worker has one alone at the end."""
    if not config.getoption("--all"):
        similar = [item for item in items if item.get_closest_marker("similar")]
        config.hook.pytest_deselected(items=similar)
        items[:] = [item for item in items if item not in set(similar)]
    items.sort(key=lambda item: not any(word in item.name for word in LONG))
