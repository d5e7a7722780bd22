"""SeqGAN (Yu et al. 2017, arXiv 1609.05473) on sequences of an oracle, and the same game by Gumbel-softmax.

    python launch.py train seqgan/oracle
    python launch.py train gumbel_gan/oracle
    python launch.py figure seqgan/table1

The oracle is an LSTM with weights from N(0, 1) that nobody trains. Its sequences are the data, and it measures samples:
`nll_oracle` is its mean negative log-likelihood of a token in nats, which is lower for better samples. Three phases
follow each other: the generator learns by maximum likelihood, then the discriminator alone, then both. In the last one
a token's reward is the discriminator's mean probability of "real" over sequences that are completed from that token on
(Eq. 4), and the generator follows the policy gradient (Eq. 7) with the mean over the batch as baseline. The roll-out
policy, which completes sequences, is the generator of some updates ago: after each one it keeps 0.8 of itself.

`gumbel_gan/oracle` (Kusner & Hernández-Lobato 2016, arXiv 1611.04051) differentiates through the draw instead: samples
are one-hot, and their gradient is that of a softmax whose temperature falls during training.

The paper has a vocabulary of 5,000, sequences of 20 tokens and 16 roll-outs. The authors' code updates the
discriminator, with a learning rate of 1e-4, 46,800 times before the game and 4,680 times for each update of the
generator, which has no baseline. These defaults are smaller, for a CPU.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array

from jaxgan.core import axis, losses, prng
from jaxgan.core.game import NOISE_KEY, Batch, Game, Loss, Network, Params, Phase, Player, TrainState, input_spec
from jaxgan.data import sources
from jaxgan.networks import sequences
from jaxgan.networks.sequences import LstmStep, SequenceClassifier
from jaxgan.render import outputs
from jaxgan.runs import registry
from jaxgan.training import experiment
from jaxgan.training.experiment import Evaluation, Experiment, setting

PAPER = "Yu et al. 2017, arXiv 1609.05473"
GUMBEL_PAPER = "Kusner & Hernández-Lobato 2016, arXiv 1611.04051"
DATASET = "sequences of an LSTM with random weights"
TEST_SETTINGS = {
    "vocabulary": 8,
    "length": 4,
    "hidden": 4,
    "embedding": 4,
    "width": 4,
    "mle_steps": 3,
    "d_steps": 2,
}
HELD_OUT = 2_048  # sequences of the oracle that measure the generator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of both variants."""

    steps: int = 8_500
    batch_size: int = 64
    log_every: int = 100
    sample_every: int = 1_000
    evaluate_every: int = 500
    save_every: int = 1_000
    vocabulary: int = setting(200, "number of different tokens; the paper has 5,000")
    length: int = setting(10, "tokens of a sequence; the paper has 20")
    examples: int = setting(10_000, "sequences of the oracle that are trained on")
    embedding: int = setting(32, "dimensions of a token's embedding")
    hidden: int = setting(32, "units of the LSTMs")
    width: int = setting(32, "channels of the discriminator for each length of kernel")
    mle_steps: int = setting(3_000, "steps of maximum likelihood, which come first")
    d_steps: int = setting(1_500, "steps of the discriminator alone, which come second")
    g_every: int = setting(5, "discriminator updates per generator update after that")
    mle_lr: float = setting(1e-2, "learning rate of the generator by maximum likelihood")
    g_lr: float = setting(1e-3, "learning rate of the generator against the discriminator")
    d_lr: float = setting(1e-3, "learning rate of the discriminator")
    d_decay: float = setting(0.2, "weight of half the squared norm of the discriminator's last layer in its loss")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeqConfig(Config):
    """SeqGAN."""

    roll_outs: int = setting(8, "completions by which a token's reward is estimated; the paper has 16")
    roll_out_decay: float = setting(0.8, "part of the roll-out policy that an update of the generator keeps", high=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GumbelConfig(Config):
    """Gumbel-softmax."""

    first_temperature: float = setting(2.0, "temperature when the generator starts to play")
    last_temperature: float = setting(0.5, "temperature at the end of the fall")
    fall_steps: int = setting(2_500, "steps in which the temperature falls linearly")


@dataclasses.dataclass(frozen=True)
class Players:
    """The networks of a config, and the functions of a state that both variants use."""

    config: Config
    G: Network
    D: Network
    oracle: Network

    def start(self, count: int) -> sequences.Start:
        """Returns the first inputs of the generator and of the oracle for `count` sequences."""
        return self.G.module.start(count)

    def generate(self, state: TrainState, keys: Array) -> Array:
        """Returns the generator's sequences int32 [B, T], one for each key."""
        return sequences.sample(self.G.bind(state), self.start(len(keys)), prng.uniform(keys, self.config.length))

    def example(self, state: TrainState, index: Array) -> Array:
        """Returns the oracle's sequences int32 [B, T] with the numbers `index` int32 [B]."""
        uniforms = prng.uniform(prng.example_keys(jax.random.key(0), index), self.config.length)
        return sequences.sample(self.oracle.bind(state), self.start(len(index)), uniforms)

    def log_likelihood(self, network: Network, state: TrainState, tokens: Array) -> Array:
        """Returns the log-probability in nats of each token of int32 [B, T] by the generator or the oracle."""
        return sequences.log_likelihood(network.bind(state), self.start(len(tokens)), tokens)


def make_players(config: Config) -> Players:
    """Returns the networks: generator and oracle of one architecture, and the discriminator."""
    model = LstmStep(config.vocabulary, config.embedding, config.hidden)
    states = (input_spec(config.hidden), input_spec(config.hidden), input_spec(dtype=jnp.int32))
    kernels = tuple(k for k in SequenceClassifier.lengths if k <= config.length)
    classifier = SequenceClassifier(config.vocabulary, kernels, config.width, config.embedding)
    return Players(
        config,
        Network("generator", model, states),
        Network(
            "discriminator",
            classifier,
            (input_spec(config.length, dtype=jnp.int32),),
            (NOISE_KEY,),
            convolutional=True,
        ),
        Network("oracle", model.clone(param_init=nn.initializers.normal(1.0)), states),
    )


def is_output(params: Params) -> Params:
    """Returns whether each parameter [...] of the discriminator is one of its last layer."""
    return jax.tree.map_with_path(lambda path, _: any(getattr(part, "key", "") == "output" for part in path), params)


def policy_gradient(log_likelihood: Array, rewards: Array) -> Array:
    """Returns the loss whose gradient is the policy gradient (Eq. 7), from log-likelihoods and rewards [B, T].

    The baseline of a position is the mean reward over the batch, on all devices.
    """
    advantage = jax.lax.stop_gradient(rewards - axis.batch_mean(rewards)[None])
    return -(log_likelihood * advantage).sum(1).mean()


def roll_out_rewards(players: Players, state: TrainState, tokens: Array, keys: Array, count: int) -> Array:
    """Returns rewards [B, T]: the discriminator's mean probability of "real" over `count` completions after each token.

    The generator of `state` completes them. The last token completes its sequence, and its reward is that of the
    sequence itself (Eq. 4).
    """
    b, t = tokens.shape
    uniforms = prng.uniform(keys, t - 1, count, t)
    completed = sequences.roll_outs(players.G.bind(state), players.start(b), tokens, uniforms)
    D = players.D.bind(state)
    before_end = nn.sigmoid(D(completed.reshape(-1, t))).reshape(b, t - 1, count).mean(-1)
    return jnp.concatenate([before_end, nn.sigmoid(D(tokens))[:, None]], 1)


def make_evaluate(config: Config, players: Players) -> Callable[[np.ndarray, TrainState], Evaluation]:
    """Returns the function that measures negative log-likelihoods of samples and held-out data, in nats per token."""

    @jax.jit
    def measure(state: TrainState, samples: Array) -> dict[str, Array]:
        # Numbers from `examples` on are sequences that training does not see.
        held_out = players.example(state, config.examples + jnp.arange(HELD_OUT))
        nll = lambda network, tokens: -players.log_likelihood(network, state, tokens).mean()
        return {
            "nll_oracle": nll(players.oracle, samples),
            "nll_oracle_of_data": nll(players.oracle, held_out),
            "nll_of_data": nll(players.G, held_out),
        }

    def evaluate(samples: np.ndarray, state: TrainState) -> Evaluation:
        values = {name: float(value) for name, value in measure(state, samples).items()}
        protocol = {"n_fake": len(samples), "n_real": HELD_OUT}
        return Evaluation(values, dict.fromkeys(values, protocol))

    return evaluate


def oracle_experiment(
    config: Config,
    players: Players,
    g_loss: Loss,
    phases: tuple[Phase, ...] = (),
    buffers: Mapping[str, Any] = MappingProxyType({}),
) -> Experiment:
    """Returns the experiment of three phases; `g_loss` is the generator's in the last.

    Args:
        config: The settings.
        players: The networks.
        g_loss: The generator's loss in the last phase.
        phases: Further phases, after these three.
        buffers: Initial values of buffers.
    """

    def mle_loss(state: TrainState, batch: Batch, key: Array):
        real = players.example(state, batch["example"])
        return -players.log_likelihood(players.G, state, real).mean(), (state, {})

    def d_loss(state: TrainState, batch: Batch, key: Array):
        keys, *noise = (prng.example_keys(k, batch["index"]) for k in jax.random.split(key, 3))
        real, fake = players.example(state, batch["example"]), players.generate(state, keys)
        D = players.D.bind(state)
        real_logits, fake_logits = D(real, noise[0]), D(fake, noise[1])
        scalars = {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        return losses.non_saturating.d(real_logits, fake_logits), (state, scalars)

    clipped = lambda lr: optax.chain(optax.clip_by_global_norm(5.0), optax.adam(lr))
    decay = optax.masked(optax.add_decayed_weights(config.d_decay), is_output)
    game = Game(
        networks=(players.G, players.D, players.oracle),
        players={
            "likelihood": Player(("generator",), clipped(config.mle_lr)),
            "discriminator": Player(("discriminator",), optax.chain(decay, optax.adam(config.d_lr))),
            "generator": Player(("generator",), clipped(config.g_lr)),
        },
        phases=(
            Phase("mle", "likelihood", mle_loss, stop=config.mle_steps),
            Phase("d", "discriminator", d_loss, start=config.mle_steps),
            Phase("g", "generator", g_loss, every=config.g_every, start=config.mle_steps + config.d_steps),
            *phases,
        ),
        buffers=buffers,
    )

    return Experiment(
        game,
        sources.arrays(lambda: {"example": np.arange(config.examples, dtype=np.int32)}, config.batch_size),
        players.generate,
        evaluate=make_evaluate(config, players),
        output=outputs.Tokens(),
        preview_count=20,
    )


@registry.register(
    "seqgan/oracle",
    SeqConfig(),
    paper=PAPER,
    dataset=DATASET,
    shows="a generator of discrete tokens that learns from a discriminator by policy gradient",
    task="text",
    minutes=6,
    test_settings={**TEST_SETTINGS, "roll_outs": 2},
)
def seqgan(config: SeqConfig) -> Experiment:
    """The generator's reward for a token is estimated by roll-outs."""
    players = make_players(config)
    policy = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(players.G.init, jax.random.key(0))[0])

    def g_loss(state: TrainState, batch: Batch, key: Array):
        keys, roll_out_keys = (prng.example_keys(k, batch["index"]) for k in jax.random.split(key))
        tokens = players.generate(state, keys)
        roll_out_state = state.with_params(generator=state.buffers["roll_out_policy"])
        rewards = roll_out_rewards(players, roll_out_state, tokens, roll_out_keys, config.roll_outs)
        value = policy_gradient(players.log_likelihood(players.G, state, tokens), rewards)
        return value, (state, {"reward": rewards[:, -1].mean()})

    def follow(state: TrainState, batch: Batch, key: Array):
        old, new = state.buffers["roll_out_policy"], state.params["generator"]
        return state.with_buffers(roll_out_policy=optax.incremental_update(new, old, 1.0 - config.roll_out_decay)), {}

    # While the discriminator trains alone the policy comes close to the pretrained generator.
    phase = Phase("roll_out", None, follow, every=config.g_every, start=config.mle_steps)
    return oracle_experiment(config, players, g_loss, (phase,), {"roll_out_policy": policy})


@registry.register(
    "gumbel_gan/oracle",
    GumbelConfig(),
    paper=GUMBEL_PAPER,
    dataset=DATASET,
    shows="a generator of discrete tokens with gradients through a softmax of falling temperature",
    task="text",
    minutes=1,
    test_settings={**TEST_SETTINGS, "fall_steps": 3},
)
def gumbel_gan(config: GumbelConfig) -> Experiment:
    """The generator's gradient passes through the discriminator and the straight-through draws."""
    players = make_players(config)
    start = config.mle_steps + config.d_steps
    temperature = optax.linear_schedule(config.first_temperature, config.last_temperature, config.fall_steps, start)

    def g_loss(state: TrainState, batch: Batch, key: Array):
        keys = prng.example_keys(key, batch["index"])
        noise = jax.vmap(lambda key: jax.random.gumbel(key, (config.length, config.vocabulary)))(keys)
        tau = temperature(state.step)
        fake = sequences.gumbel_softmax(players.G.bind(state), players.start(len(keys)), noise, tau)
        return losses.non_saturating.g(players.D(state, fake)[0]), (state, {"temperature": tau})

    return oracle_experiment(config, players, g_loss)
