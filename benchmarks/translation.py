"""Whole training steps of pix2pix, CycleGAN and SRGAN, and `Run.translate`; also in PyTorch if it is installed.

Images have 64 x 64 pixels. The networks are those of the papers with half the width and, for SRGAN, fewer blocks.
"""

import dataclasses
import functools
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import steps
from benchmarks.equivalence import TOLERANCE, NotEquivalent
from benchmarks.timing import RunSteps
from experiments import cyclegan_images, pix2pix, srgan
from jaxgan.core.game import Batch, TrainState, init_state
from jaxgan.data.datasets import Dataset
from jaxgan.evaluate.classifier import RECIPE
from jaxgan.training.experiment import Config, Experiment
from jaxgan.training.sampling import make_translator

SIZE = 64  # pixels
IMAGES = 64  # images that are translated at once
Sizes = Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Workload:
    """A game of translation.

    Attributes:
        name: Its name on the command line and in rows.
        build: (sizes, batch) -> the experiment on images of noise.
        sizes: Arguments of the networks.
        batch: Examples per step, of each kind.
        factor: By which targets are larger than inputs.
    """

    name: str
    build: Callable[[Sizes, int], Experiment]
    sizes: Sizes
    batch: int
    factor: int = 1


def noise(size: int, count: int = 256, seed: int = 0) -> Dataset:
    """Returns images of noise of `size` x `size` pixels."""
    images = np.random.default_rng(seed).integers(0, 256, [count, size, size, 3], np.uint8)
    return Dataset("noise", images)


def _pix2pix(sizes: Sizes, batch: int) -> Experiment:
    config = pix2pix.Config(size=SIZE, batch_size=batch, **sizes)
    return pix2pix.build_on(lambda split, side: (noise(side), noise(side, seed=1)), config, (3, 3))


def _cyclegan(sizes: Sizes, batch: int) -> Experiment:
    config = cyclegan_images.Config(size=SIZE, batch_size=batch, **sizes)
    load = lambda split, side: noise(side)
    return cyclegan_images.build_on((load, load), config, 3, lambda translations, backward: {})


def _srgan(sizes: Sizes, batch: int) -> Experiment:
    """Returns the adversarial stage, with random features."""
    config = srgan.Config(size=SIZE, batch_size=batch, flip=False, pretrain=1, **sizes)
    experiment = srgan.build(lambda config, split: noise(SIZE), config)
    game = experiment.game
    features = dataclasses.replace(game.networks[2], pretrained=None)
    phases = tuple(dataclasses.replace(phase, start=0) for phase in game.phases if phase.name != "pretrain")
    game = dataclasses.replace(game, networks=(*game.networks[:2], features), phases=phases)
    return dataclasses.replace(experiment, game=game)


WORKLOADS = (
    Workload("pix2pix", _pix2pix, {"width": 32, "levels": 6, "dropouts": 3, "halvings": 3}, batch=16),
    Workload("cyclegan", _cyclegan, {"width": 32, "blocks": 6, "halvings": 3}, batch=1),
    Workload("srgan", _srgan, {"width": 32, "blocks": 4, "stages": 4, "units": 512}, batch=16, factor=4),
)


def tiny(workload: Workload) -> Workload:
    """Returns the workload with few channels, blocks and examples, and without dropout."""
    limits = {"width": 4, "blocks": 1, "dropouts": 0, "units": 8}
    sizes = {name: min(n, limits.get(name, n)) for name, n in workload.sizes.items()}
    return dataclasses.replace(workload, sizes=sizes, batch=2)


def rows(workload: Workload, is_tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields two rows, with the fields of `steps.rows`: a training step, and the translation of 64 images.

    Both sides are first checked to compute the same losses and gradients.
    """
    difference = max(check(tiny(workload)).values()) if importlib.util.find_spec("torch") else None
    workload = tiny(workload) if is_tiny else workload
    experiment = workload.build(workload.sizes, workload.batch)
    config = Config(steps=10**9, batch_size=workload.batch)
    started = time.perf_counter()
    ours = steps.make_runner(experiment.game, experiment.source, config)
    ours(1)
    about = {"dtype": "float32", "seeds": 1, "sizes": dict(workload.sizes)}
    about |= {} if difference is None else {"equal_to": difference}
    first_step_s = round(time.perf_counter() - started, 2)
    flops = steps.flops_of(experiment.game, experiment.source, workload.batch)
    row = {"name": workload.name, "batch": workload.batch, **about, "first_step_s": first_step_s}
    yield steps.compare(row, ours, lambda: _torch_steps(workload, experiment), flops, is_tiny)
    state = random_state(experiment)
    images = noise(SIZE // workload.factor, 2 if is_tiny else IMAGES).images
    row = {"name": f"translate/{workload.name}", "batch": len(images), **about}
    flops = steps.count_flops(lambda state, x: _network(experiment, state, x), state, jnp.float32(images))
    peers = lambda: _torch_translators(workload, state, images)
    yield steps.compare(row, _translator(experiment, state, images), peers, flops, is_tiny)


def random_state(experiment: Experiment) -> TrainState:
    """Returns a state with random parameters for timing, without compiling the initialisation."""
    shapes = jax.eval_shape(lambda: init_state(experiment.game, jax.random.key(0)))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: 0.02 * rng.standard_normal(a.shape, np.float32), shapes.params)
    buffers = jax.tree.map(lambda a: np.ones(a.shape, a.dtype), shapes.buffers)
    return TrainState(jnp.int32(0), params, buffers, {}, {})


def _network(experiment: Experiment, state: TrainState, x: jax.Array) -> jax.Array:
    return experiment.sample(state, jax.random.split(jax.random.key(0), len(x)), x)


def _translator(experiment: Experiment, state: TrainState, images: np.ndarray) -> RunSteps:
    """Returns a function that translates the images n times, as `Run.translate` does."""
    translate = make_translator(experiment)

    def run(n: int) -> None:
        for _ in range(n):
            translate(state, images, 0)

    return run


def _torch_translators(workload: Workload, state: TrainState, images: np.ndarray) -> dict[str, RunSteps]:
    """Returns PyTorch's forward pass, from and to uint8 images, by variant."""
    import torch

    def make(variant: str) -> RunSteps:
        module = next(iter(_make_peer(workload, state.params, variant).networks.values()))
        if workload.name != "pix2pix":  # Whose dropout stays on, and whose norms are those of the image.
            module.eval()

        @torch.inference_mode()
        def run(n: int) -> None:
            for _ in range(n):
                x = torch.from_numpy(images).movedim(-1, 1) / 127.5 - 1.0
                x = x.contiguous(memory_format=_memory_format(variant))
                module(x).add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).numpy()

        return run

    return {variant: make(variant) for variant in ("eager", "channels_last")}


def _torch_steps(workload: Workload, experiment: Experiment) -> dict[str, RunSteps]:
    """Returns PyTorch's steps by variant, from our initial parameters and on batches like ours."""
    import torch

    params = random_state(experiment).params
    small, large = noise(SIZE // workload.factor).images, noise(SIZE, seed=1).images

    def make(variant: str) -> RunSteps:
        peer = _make_peer(workload, params, variant)
        data = {"x": torch.from_numpy(small), "y": torch.from_numpy(large)}

        def draw() -> dict[str, Any]:
            rows = torch.randint(len(small), [workload.batch])
            scale = lambda images: images[rows].movedim(-1, 1) / 127.5 - 1.0
            return {n: scale(images).contiguous(memory_format=_memory_format(variant)) for n, images in data.items()}

        def run(n: int) -> None:
            for _ in range(n):
                peer.step(draw())

        return run

    return {variant: make(variant) for variant in ("eager", "channels_last", "compile", "channels_last+compile")}


def _memory_format(variant: str) -> Any:
    import torch

    return torch.channels_last if "channels_last" in variant else torch.contiguous_format


def _make_peer(workload: Workload, params: Any, variant: str = "eager", dtype: Any = None) -> Any:
    """Returns the `peer.translators.Peer` of a workload, with the given parameters."""
    from benchmarks.peer import translators

    sizes = workload.sizes
    if workload.name == "pix2pix":
        networks = {
            "generator": translators.UNet(sizes["width"], sizes["levels"], sizes["dropouts"]),
            "discriminator": translators.patchgan(6, sizes["width"], sizes["halvings"], affine=True),
        }
        phases = translators.pix2pix_phases
    elif workload.name == "cyclegan":
        generator = functools.partial(translators.resnet_translator, sizes["width"], sizes["blocks"])
        critic = functools.partial(translators.patchgan, 3, sizes["width"], sizes["halvings"], affine=False)
        networks = {"forward": generator(), "backward": generator(), "critic_y": critic(), "critic_x": critic()}
        phases = translators.cyclegan_phases
    else:
        networks = {
            "generator": translators.SRResNet(sizes["width"], sizes["blocks"]),
            "discriminator": translators.srgan_discriminator(SIZE, sizes["width"], sizes["stages"], sizes["units"]),
            "features": translators.feature_maps(RECIPE.width, srgan.FEATURE_LAYERS),
        }
        phases = translators.srgan_phases
    memory_format = _memory_format(variant)
    networks = {name: module.to(dtype=dtype, memory_format=memory_format) for name, module in networks.items()}
    peer = translators.Peer(networks, phases, jax.device_get(params))
    if "compile" in variant:
        peer.compile()
    return peer


def check(workload: Workload) -> dict[str, float]:
    """Returns the relative differences of the losses and gradients of all phases in float64, by name. Needs torch.

    Raises NotEquivalent if a difference is above `equivalence.TOLERANCE`.
    """
    import torch

    from benchmarks.peer.weights import to_torch

    experiment = workload.build(workload.sizes, workload.batch)
    state = jax.device_get(jax.jit(lambda: init_state(experiment.game, jax.random.key(0)))())
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        # Away from initialisation, where some layers are 0 and hide others from the gradient.
        params = jax.tree.map(lambda a: np.float64(a) + 0.05 * rng.standard_normal(a.shape), state.params)
        to_double = lambda a: np.float64(a) if a.dtype == np.float32 else a
        state = TrainState(jnp.int32(0), params, jax.tree.map(to_double, state.buffers), {}, {})
        shapes = {"x": SIZE // workload.factor, "y": SIZE}
        batch = {name: rng.uniform(-1.0, 1.0, (workload.batch, side, side, 3)) for name, side in shapes.items()}
        batch["index"] = np.arange(workload.batch, dtype=np.int32)
        ours = _gradients(experiment, state, batch)
    peer = _make_peer(workload, params, dtype=torch.float64)
    theirs = {name: torch.from_numpy(np.moveaxis(batch[name], -1, 1).copy()) for name in shapes}
    norm = lambda tensors: sum(t.square().sum().item() for t in tensors.values()) ** 0.5
    differences = {}
    for phase in peer.phases:
        our_loss, our_grads = ours[phase.name]
        loss = peer.backward(phase, theirs)
        expected = {
            f"{name}.{key}": grad
            for name in phase.learners
            for key, grad in to_torch(peer.networks[name], our_grads[name]).items()
        }
        grads = {name: p.grad for name, p in peer.params[phase.name].items()}
        error = {name: expected[name] - grads[name] for name in expected | grads}
        differences[f"{phase.name}_loss"] = abs(loss.item() / our_loss - 1.0)
        differences[f"{phase.name}_gradient"] = norm(error) / norm(expected)
    if large := [f"{name} by {value:.1e}" for name, value in differences.items() if not value <= TOLERANCE]:
        raise NotEquivalent(f"{workload.name}: PyTorch differs from JAX in {', '.join(large)} (relative)")
    return differences


def _gradients(experiment: Experiment, state: TrainState, batch: Batch) -> dict[str, tuple[float, Any]]:
    """Returns this project's loss and gradients by phase."""
    results = {}
    for phase in experiment.game.phases:
        learners = experiment.game.players[phase.player].networks

        @jax.jit
        def loss_and_gradients(params, state, phase=phase):
            return jax.value_and_grad(lambda p: phase.loss(state.with_params(**p), batch, jax.random.key(0))[0])(params)

        learned = {name: state.params[name] for name in learners}
        results[phase.name] = jax.device_get(loss_and_gradients(learned, state))
    return results
