"""Tests of language models, roll-outs and the policy gradient, against sums over all sequences."""

import dataclasses
import itertools
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import short_run
from numpy.testing import assert_allclose

from experiments import seqgan
from jaxgan.core.game import init_state
from jaxgan.networks import sequences
from jaxgan.networks.sequences import LstmStep, SequenceClassifier

V, T = 3, 3
MODEL = LstmStep(V, embedding=2, hidden=4, param_init=jax.nn.initializers.normal(1.0))
ALL = jnp.array(list(itertools.product(range(V), repeat=T)), jnp.int32)  # [27, 3]
REWARD = np.random.default_rng(0).uniform(size=len(ALL)).astype(np.float32)  # of each sequence


@pytest.fixture(scope="module")
def params():
    return MODEL.init(jax.random.key(1), *MODEL.start(1))["params"]


def bind(params):
    return lambda *inputs: MODEL.apply({"params": params}, *inputs)


def index(tokens):
    """Returns the positions in ALL of sequences [..., T]."""
    return tokens @ jnp.array([V**2, V, 1])


def probabilities(params):
    return jnp.exp(sequences.log_likelihood(bind(params), MODEL.start(len(ALL)), ALL).sum(1))


def draw_sequences(params, count, seed=0):
    uniforms = jax.random.uniform(jax.random.key(seed), (count, T))
    return sequences.sample(bind(params), MODEL.start(count), uniforms)


def test_the_probabilities_of_all_sequences_add_up_to_one(params):
    assert_allclose(probabilities(params).sum(), 1, rtol=1e-5)


def test_samples_have_the_probabilities_of_the_likelihood(params):
    counts = np.bincount(index(draw_sequences(params, 20_000)), minlength=len(ALL))
    p = np.asarray(probabilities(params))
    assert np.abs(counts / 20_000 - p).max() < 4 * np.sqrt(p.max() / 20_000)


@pytest.mark.parametrize("length", [4, 5])
def test_roll_outs_keep_what_is_given_and_draw_the_rest(params, length):
    model, draw, (b, n) = jax.jit(bind(params)), jax.jit(sequences.draw), (4, 2)
    tokens = jax.random.randint(jax.random.key(0), (b, length), 0, V)
    uniforms = jax.random.uniform(jax.random.key(1), (b, length - 1, n, length))
    completed = sequences.roll_outs(model, MODEL.start(b), tokens, uniforms)
    for t in range(1, length):
        for i in range(n):
            h, c, last = MODEL.start(b)
            for s in range(length):
                h, c, logits = model(h, c, last)
                last = tokens[:, s] if s < t else draw(logits, uniforms[:, t - 1, i, s])
                assert (completed[:, t - 1, i, s] == last).all()


def test_draws_stay_in_the_vocabulary():
    logits = jnp.log(jnp.array([[0.2, 0.3, 0.5]]))
    for u, token in ((0.0, 0), (0.199, 0), (0.201, 1), (0.501, 2), (0.9999999, 2)):
        assert sequences.draw(logits, jnp.array([u])).tolist() == [token]


def test_draws_invert_the_cumulative_distribution(key):
    logits, u = 3 * jax.random.normal(key, (200, 23)), jax.random.uniform(jax.random.key(1), (200,))
    cumulative = np.cumsum(np.float64(jax.nn.softmax(logits)), 1)
    expected = [np.searchsorted(row, x, side="right") for row, x in zip(cumulative, np.asarray(u), strict=True)]
    assert sequences.draw(logits, u).tolist() == expected


def test_gumbel_softmax_is_one_hot_with_the_gradient_of_the_softmax(key):
    logits, noise = jnp.array([[0.5, -0.2, 0.1]]), jax.random.gumbel(key, (1, 1, 3))
    step = lambda logits: lambda h, c, token: (h, c, logits)
    value = lambda logits: sequences.gumbel_softmax(step(logits), MODEL.start(1), noise, 0.7)
    assert value(logits)[0, 0].tolist() == np.eye(3)[np.argmax(logits + noise[0])].tolist()
    weights = jnp.array([[[1.0, 2.0, 4.0]]])
    gradient = jax.grad(lambda logits: (value(logits) * weights).sum())(logits)
    expected = jax.grad(lambda logits: (jax.nn.softmax((logits + noise[0]) / 0.7) * weights[0]).sum())(logits)
    assert_allclose(gradient, expected, rtol=1e-5)


def test_tokens_and_their_one_hot_forms_are_classified_alike(key):
    D = SequenceClassifier(V, (1, 2), width=4, embedding=2)
    params = D.init(key, ALL)
    assert_allclose(D.apply(params, ALL), D.apply(params, jax.nn.one_hot(ALL, V)), rtol=1e-5, atol=1e-6)


def players_with_known_rewards(params):
    """Returns stand-ins for players: the model, and a discriminator with the probabilities REWARD."""
    D = lambda tokens: jax.scipy.special.logit(jnp.asarray(REWARD)[index(tokens)])
    bound = lambda function: SimpleNamespace(bind=lambda state: function)
    return SimpleNamespace(G=bound(bind(params)), D=bound(D), start=MODEL.start)


def test_roll_outs_estimate_the_expected_reward_after_each_token(params, key):
    tokens = ALL[5:7]
    keys = jax.random.split(key, 2)
    rewards = seqgan.roll_out_rewards(players_with_known_rewards(params), None, tokens, keys, 4_000)
    p = np.asarray(probabilities(params))
    for row, sequence in zip(rewards, np.asarray(tokens), strict=True):
        for t in range(1, T + 1):
            same = (np.asarray(ALL)[:, :t] == sequence[:t]).all(1)
            assert_allclose(row[t - 1], np.average(REWARD[same], weights=p[same]), atol=0.03)


def test_the_policy_gradient_is_that_of_the_expected_reward(params):
    count = 40_000
    tokens = draw_sequences(params, count)
    expected = jax.grad(lambda params: -(probabilities(params) * jnp.asarray(REWARD)).sum())(params)

    @jax.jit
    def loss(params):
        log_likelihood = sequences.log_likelihood(bind(params), MODEL.start(count), tokens)
        rewards = jnp.broadcast_to(jnp.asarray(REWARD)[index(tokens)][:, None], (count, T))
        return seqgan.policy_gradient(log_likelihood, rewards)

    flat = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
    estimate, exact = flat(jax.grad(loss)(params)), flat(expected)
    assert np.linalg.norm(estimate - exact) < 0.1 * np.linalg.norm(exact)


def test_the_oracle_stays_and_its_data_do_not_depend_on_the_generator():
    entry, config = short_run("seqgan/oracle", vocabulary=5, length=3, width=2, hidden=4, embedding=2)
    players = seqgan.make_players(config)
    experiment = entry.build(config)
    assert "oracle" not in {name for player in experiment.game.players.values() for name in player.networks}
    state = init_state(experiment.game, jax.random.key(0))
    first = players.example(state, jnp.arange(4))
    other = state.with_params(generator=jax.tree.map(jnp.zeros_like, state.params["generator"]))
    assert (players.example(other, jnp.arange(4)) == first).all()
    assert experiment.output.name == "tokens"


def test_phases_follow_each_other():
    entry, config = short_run("seqgan/oracle", mle_steps=3, d_steps=2, g_every=2)
    game = entry.build(dataclasses.replace(config)).game
    due = [[phase.name for phase in game.due_phases(step)] for step in range(8)]
    game_steps = [["d", "g", "roll_out"], ["d"], ["d", "g", "roll_out"]]
    assert due == [["mle"]] * 3 + [["d", "roll_out"], ["d"]] + game_steps


def test_the_roll_out_policy_follows_the_generator_by_a_fifth():
    entry, config = short_run("seqgan/oracle")
    game = entry.build(config).game
    state = init_state(game, jax.random.key(0))
    follow = next(phase.loss for phase in game.phases if phase.name == "roll_out")
    after = follow(follow(state, {}, None)[0], {}, None)[0]
    expected = jax.tree.map(lambda x: (1 - 0.8**2) * x, state.params["generator"])
    chex.assert_trees_all_close(after.buffers["roll_out_policy"], expected, rtol=1e-5)


def test_dropout_needs_keys_and_weight_decay_is_that_of_the_last_layer(key):
    D = SequenceClassifier(V, (1, 2), width=4, embedding=2)
    params = D.init(key, ALL)["params"]
    logits = lambda *keys: D.apply({"params": params}, ALL, *keys)
    keys, others = (jax.random.split(jax.random.key(i), len(ALL)) for i in range(2))
    assert (logits() == logits()).all()
    assert (logits(keys) != logits(others)).any()
    decayed = [path[0].key for path, leaf in jax.tree.leaves_with_path(seqgan.is_output(params)) if leaf]
    assert decayed == ["output", "output"]
