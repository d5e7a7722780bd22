"""Steps of StyleGAN2 and of the experiments on videos, sounds and sequences, interleaved with PyTorch's.

In one step every player updates once. Where phases are due less often, the time is the mean over a round, after which
all phases repeat: 16 steps of StyleGAN2 have 16 updates of each player, 1 with R1 and 4 with the path length. Networks
and batches are the registered experiments' defaults. Images, videos and sounds are noise, because their content does
not change the time. Without torch only our steps are timed.
"""

import dataclasses
import importlib
import importlib.util
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import steps, timing
from benchmarks.timing import RunSteps
from experiments import seqgan
from jaxgan.core import prng
from jaxgan.core.game import Batch, TrainState, init_state
from jaxgan.data import sources
from jaxgan.data.sources import Source
from jaxgan.networks import stylegan2
from jaxgan.networks.sequences import SequenceClassifier
from jaxgan.runs import registry
from jaxgan.training.experiment import Config, Experiment
from jaxgan.training.loop import run_key

EXAMPLES = 1_024  # videos or sounds that batches are drawn from
SEED = 1  # of the noise with which both sides are compared
Noise = Mapping[str, Array]


class Comparison(NamedTuple):
    """An experiment and its statement in PyTorch.

    Attributes:
        name: Its name on the command line and in rows.
        experiment: Its registered name.
        settings: Changed settings, with which each step updates every player.
        peer: Module of `benchmarks.peer` and name of a class, a `MediaPeer`.
        noise: (config, phase, key, index) -> what the phase draws, by the names that the peer's loss knows.
        real: (config, state, index) -> the examples that the peer receives, if the experiment has its own source.
        warm_up: Steps of earlier phases.
        round_steps: Steps after which the phases repeat.
    """

    name: str
    experiment: str
    settings: Mapping[str, Any]
    peer: tuple[str, str]
    noise: Callable[[Config, str, Array, Array], Noise]
    real: Callable[[Config, TrainState, Array], Array] | None = None
    warm_up: int = 0
    round_steps: int = 1

    def build(self, tiny: bool) -> tuple[Config, Experiment, Source]:
        """Returns the config, the experiment and the source of its batches."""
        entry = registry.get(self.experiment)
        small = {**entry.test_settings, "batch_size": 4} if tiny else {}
        config = dataclasses.replace(entry.config, **{**small, **self.settings})
        experiment = entry.build(config)
        if self.real is not None:
            return config, experiment, experiment.source
        # An example is the largest input of a network.
        shape = max((network.inputs[0].shape[1:] for network in experiment.game.networks), key=math.prod)
        noise = np.random.default_rng(0).integers(0, 256, (EXAMPLES, *shape), np.uint8)
        return config, experiment, sources.arrays(lambda: {"real": noise}, config.batch_size)

    def peer_class(self) -> type:
        """Returns the class of the statement in PyTorch. Needs torch."""
        module, name = self.peer
        return getattr(importlib.import_module(f"benchmarks.peer.{module}"), name)

    def examples(self, config: Config, source: Source, state: TrainState, index: Array) -> tuple[Batch, Array]:
        """Returns a batch of ours, and the examples that the peer receives in its place."""
        if self.real is not None:
            return {"example": index, "index": index}, self.real(config, state, index)
        windows = next(source.windows(jax.random.key(SEED), 0))
        batch = {"real": jnp.asarray(windows.replicated["real"][: len(index)]) / 127.5 - 1.0, "index": index}
        return batch, batch["real"]


def _mocogan_noise(config: Config, phase: str, key: Array, index: Array) -> Noise:
    z_keys, frame_keys, *noise_keys = (prng.example_keys(k, index) for k in jax.random.split(key, 4))
    levels = round(np.log2(config.size / 4))

    def layers(name: str, keys: Array, frames: tuple[int, ...] = ()) -> Noise:
        """Returns the noise before each convolution of a discriminator, of images or of videos."""
        size = lambda i: (*(n - 3 * i for n in frames), config.size >> i, config.size >> i)
        channels = [3, *(config.width << i for i in range(levels - 1))]
        normal = lambda i: prng.normal(prng.fold_in(keys, i), *size(i), channels[i])
        return {f"{name}_{i}": normal(i) for i in range(levels)}

    image, video = (), (config.frames,)
    names = ("image_noise", "video_noise") if phase == "g" else ("real_noise", "fake_noise")
    shapes = {"d_image": (image, image), "d_video": (video, video), "g": (image, video)}[phase]
    noise = [layers(*arguments) for arguments in zip(names, noise_keys, shapes, strict=True)]
    return {
        "z": prng.normal_latent(config.content + (1 + config.frames) * config.motion)(z_keys),
        "frame": jax.vmap(lambda key: jax.random.randint(key, (), 0, config.frames))(frame_keys),
        **noise[0],
        **noise[1],
    }


def _wavegan_noise(config: Config, phase: str, key: Array, index: Array) -> Noise:
    layers = round(np.log(config.length / 16) / np.log(4))
    shift = lambda key: jax.random.randint(key, (), 0, 2 * config.shuffle + 1)

    def shifts(key: Array, n: int) -> Array:
        # The keys that `games.two_player` and `wavegan.Critic` derive.
        for number in (n, 0):
            key = jax.random.fold_in(key, np.uint32(2**32 - 1 - number))
        keys = prng.example_keys(key, index)
        return jnp.stack([jax.vmap(shift)(prng.fold_in(keys, i)) for i in range(layers - 1)], 1)

    latent = prng.uniform_latent(config.latent)
    if phase == "g":
        return {"z": latent(prng.example_keys(key, index)), "fake_shifts": shifts(key, 2)}
    z_key, penalty_key = jax.random.split(key)
    return {
        "z": latent(prng.example_keys(z_key, index)),
        "real_shifts": shifts(key, 0),
        "fake_shifts": shifts(key, 1),
        "penalty_shifts": shifts(penalty_key, 0),
        "position": prng.uniform(prng.example_keys(penalty_key, index), 1),
    }


def _seqgan_noise(config: Config, phase: str, key: Array, index: Array) -> Noise:
    if phase == "g":
        keys, roll_out_keys = (prng.example_keys(k, index) for k in jax.random.split(key))
        shape = (config.length - 1, config.roll_outs, config.length)
        return {"uniforms": prng.uniform(keys, config.length), "roll_outs": prng.uniform(roll_out_keys, *shape)}
    keys, *mask_keys = (prng.example_keys(k, index) for k in jax.random.split(key, 3))
    features = config.width * sum(k <= config.length for k in SequenceClassifier.lengths)
    keep = SequenceClassifier.keep_prob
    mask = lambda keys: jax.vmap(lambda key: jax.random.bernoulli(key, keep, (features,)))(keys) / keep
    masks = {name: mask(k) for name, k in zip(("real_mask", "fake_mask"), mask_keys, strict=True)}
    return {"uniforms": prng.uniform(keys, config.length), **masks}


def _stylegan2_noise(config: Config, phase: str, key: Array, index: Array) -> Noise:
    if phase == "d_penalty":
        return {}
    if phase == "path":
        index = index[::2]
        z_key, noise_key, y_key = jax.random.split(key, 3)
        y = {"y": prng.normal(prng.example_keys(y_key, index), 28, 28, 1)}
    else:
        z_key = jax.random.split(key)[0] if phase == "d" else key
        noise_key, y = jax.random.fold_in(z_key, np.uint32(2**32 - 1)), {}  # that of `games.two_player`
    keys = lambda key: prng.example_keys(key, index)
    widths = stylegan2.widths_by_size(28, 4, config.width, config.max_width)
    noise = stylegan2.Synthesis(1, widths).draw_noise(keys(noise_key))
    return {f"noise_{n}": x for n, x in enumerate(noise)} | y | {"z": prng.normal(keys(z_key), config.latent)}


def _oracle_sequences(config: Config, state: TrainState, index: Array) -> Array:
    return seqgan.make_players(config).example(state, index)


COMPARISONS = (
    Comparison("mocogan", "mocogan/videos", {}, ("videos", "MoCoGan"), _mocogan_noise),
    Comparison("wavegan", "wavegan/sounds", {"ema_half_life": 0.0}, ("sounds", "WaveGan"), _wavegan_noise),
    Comparison(
        "stylegan2",
        "stylegan2/mnist",
        {"mixing": 0.0, "path_weight": 2.0},
        ("stylegan2", "StyleGan2"),
        _stylegan2_noise,
        round_steps=16,
    ),
    Comparison(
        "seqgan",
        "seqgan/oracle",
        {"mle_steps": 1, "d_steps": 1, "g_every": 1},
        ("sequences", "SeqGan"),
        _seqgan_noise,
        _oracle_sequences,
        warm_up=2,
    ),
)


def rows(comparison: Comparison, tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row: step times, and the ratio of PyTorch's to ours. Both are first checked to compute the same."""
    config, experiment, source = comparison.build(tiny)
    started = time.perf_counter()
    ours = steps.make_runner(experiment.game, source, dataclasses.replace(config, steps=10**9))
    ours(comparison.round_steps)
    row = {
        "name": comparison.name,
        "batch": config.batch_size,
        "dtype": "float32",
        "seeds": 1,
        "first_step_s": round(time.perf_counter() - started, 2),  # or the first round
    }
    ours(comparison.warm_up)
    alternatives = {"ours": ours}
    if importlib.util.find_spec("torch"):
        row |= {"equal_to": max(check(comparison).values()), "peer": "eager"}
        alternatives["peer"] = _torch_runner(comparison, config, experiment, source)
    n = comparison.round_steps
    rounds = {name: lambda count, run=run: run(count * n) for name, run in alternatives.items()}
    times = timing.interleaved_times(rounds, **({"rounds": 1, "seconds": 0.0} if tiny else {}))
    times = {name: [value / n for value in values] for name, values in times.items()}
    for name, values in times.items():
        row |= timing.summarise_times(f"{name}_ms", values)
    yield row | (timing.summarise_ratios(times["peer"], times["ours"]) if "peer" in times else {})


def _torch_runner(comparison: Comparison, config: Config, experiment: Experiment, source: Source) -> RunSteps:
    """Returns PyTorch's steps, from our initial parameters, on data in memory."""
    import torch

    state = jax.jit(lambda: init_state(experiment.game, run_key(config)))()
    peer = comparison.peer_class()(config, jax.device_get(state.params))
    _, examples = comparison.examples(config, source, state, jnp.arange(EXAMPLES, dtype=jnp.int32))
    data = torch.tensor(np.asarray(examples))
    if not data.is_floating_point():
        data = data.long()

    def run(n: int) -> None:
        for _ in range(n):
            peer.step(data[torch.randint(len(data), (config.batch_size,))])

    return run


def check(comparison: Comparison) -> dict[str, float]:
    """Returns the relative differences between both sides' losses and gradients by phase, in float64. Needs torch.

    Raises NotEquivalent if a difference is above `equivalence.TOLERANCE`.
    """
    import torch

    from benchmarks.equivalence import TOLERANCE, NotEquivalent

    config, experiment, source = comparison.build(tiny=True)
    state = jax.jit(lambda: init_state(experiment.game, jax.random.key(0)))()
    differences = {}
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        key = jax.random.key(SEED)
        # Away from initialisation, where some layers are 0 and hide others from the gradient.
        perturb = lambda a: np.float64(a) + 0.05 * rng.standard_normal(a.shape)
        params = jax.tree.map(perturb, state.params)
        buffers = jax.tree.map(np.float64, state.buffers)
        if "roll_out_policy" in buffers:
            buffers["roll_out_policy"] = params["generator"]
        state = TrainState(jnp.int32(0), params, buffers, {}, {})
        index = jnp.arange(config.batch_size, dtype=jnp.int32)
        batch, real = comparison.examples(config, source, state, index)
        peer = comparison.peer_class()(config, params, torch.float64)
        real = torch.tensor(np.asarray(real))
        real = real if real.is_floating_point() else real.long()
        for name in peer.trained:
            phase = next(phase for phase in experiment.game.phases if phase.name == name)
            network = peer.trained[name]
            loss = lambda p, phase=phase, network=network: phase.loss(state.with_params(**{network: p}), batch, key)[0]
            our_loss, our_gradient = jax.jit(jax.value_and_grad(loss))(params[network])
            noise = jax.device_get(comparison.noise(config, name, key, index))
            as_tensor = lambda a: torch.tensor(a if a.dtype.kind == "f" else np.int64(a))
            their_loss, theirs = peer.gradients(name, real, {k: as_tensor(np.asarray(a)) for k, a in noise.items()})
            expected = peer.convert(network, jax.device_get(our_gradient))
            norm = lambda tensors: sum(t.square().sum().item() for t in tensors) ** 0.5
            errors = [expected[k] - theirs[k] for k in theirs]
            differences[f"{name}_loss"] = abs(their_loss.item() / float(our_loss) - 1.0)
            differences[f"{name}_gradient"] = norm(errors) / norm(expected.values())
    if large := [f"{name} by {value:.1e}" for name, value in differences.items() if not value <= TOLERANCE]:
        raise NotEquivalent(
            f"{comparison.name}: PyTorch differs from JAX in {', '.join(large)}; correct benchmarks/peer"
        )
    return differences
