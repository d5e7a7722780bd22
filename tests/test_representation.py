"""Losses and sources of the experiments that learn representations or have several generators or discriminators."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import first_window_data
from numpy.testing import assert_allclose
from scipy.special import log_softmax
from test_terms import linear_pass

from benchmarks import gpu_check
from experiments import bigan, energy, infogan_images, semi_supervised, several
from jaxgan.core import axis, prng
from jaxgan.core.game import init_state
from jaxgan.core.update import make_update
from jaxgan.networks import heads, mlp
from jaxgan.networks.autoencoder import AutoencoderCritic
from jaxgan.runs import registry
from jaxgan.training import trainer


def test_the_energy_of_an_autoencoder_is_its_error(key):
    x = jax.random.uniform(key, [3, 4, 4, 1], minval=-1.0)
    decoder = mlp.Generator((4, 4, 1), 8, 1, out=jnp.tanh)
    module = AutoencoderCritic(mlp.Critic(8, 1, head=heads.Code(2)), decoder, power=1)
    variables = module.init(key, x)
    zeros = jax.tree.map(jnp.zeros_like, variables)
    assert_allclose(module.apply(zeros, x)["logits"], -jnp.abs(x).mean((1, 2, 3)), rtol=1e-6)


def test_the_margin_loss_stops_at_the_margin():
    loss = energy.margin_loss(2.0)
    assert_allclose(loss.d(-jnp.array([1.0, 3.0]), -jnp.array([0.5, 5.0])), 2 + (1.5 + 0) / 2)
    assert_allclose(loss.g(-jnp.array([0.5, 5.0])), 2.75)


def test_repelling_is_the_mean_squared_cosine_of_pairs():
    codes = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    pairs = [(unit[i] @ unit[j]) ** 2 for i in range(6) for j in range(6) if i != j]
    assert_allclose(energy.repelling(0.1).g(linear_pass(fake_out={"code": codes})), 0.1 * np.mean(pairs), rtol=1e-4)


def test_the_balance_of_began():
    term = energy.balanced(0.5, 0.1)
    out = {"real_out": -np.float32([4, 8]), "fake_out": -np.float32([1, 1])}
    p = linear_pass(term, buffer={"k": np.float32(0.3), "measure": np.float32(0)}, **out)
    assert_allclose([term.d(p), term.g(p)], [6 - 0.3 * 1, 1], rtol=1e-6)
    update = term.update(p)
    assert_allclose([update["k"], update["measure"]], [0.3 + 0.1 * (3 - 1), 6 + 2], rtol=1e-6)
    full = linear_pass(term, buffer={"k": np.float32(0.95), "measure": np.float32(0)}, **out)
    assert term.update(full)["k"] == 1


def test_both_sides_of_bigan_exchange_the_targets():
    real, fake = jnp.array([0.3, -2.0]), jnp.array([1.0, 0.5])
    assert_allclose(bigan.BOTH_SIDES.g(real, fake), bigan.BOTH_SIDES.d(fake, real))


def test_the_loss_of_two_discriminators():
    term, softplus = several.dual(0.2, 0.1), lambda x: np.log1p(np.exp(x))
    real, fake = ({"logits": np.float32([a, -a]), "second": np.float32([b, 1])} for a, b in ((1, 2), (0.5, -1)))
    p = linear_pass(real_out=real, fake_out=fake)
    of_fakes = 0.1 * np.log(softplus(fake["second"])).mean() - softplus(fake["logits"]).mean()
    of_reals = 0.2 * np.log(softplus(real["logits"])).mean() - softplus(real["second"]).mean()
    assert_allclose([term.d(p), term.g(p)], [-of_reals - of_fakes, of_fakes], rtol=1e-5)


def test_the_index_of_the_generator_is_read_from_its_latents():
    z = np.zeros([2, several.GENERATORS, 3], np.float32)
    z[0, 3], z[1, 0] = [0.5, -2, 1], [-1, 0.1, 1]
    logits = np.random.default_rng(0).normal(size=(2, several.GENERATORS)).astype(np.float32)
    term = several.classified_generators(0.5, noise=2)
    p = linear_pass(z=jnp.array(z.reshape(2, -1)), fake_out={"generator_logits": logits})
    expected = -log_softmax(logits, axis=1)[[0, 1], [3, 0]].mean()
    assert_allclose([term.d(p), term.g(p)], [expected, expected / 2], rtol=1e-5)


def test_samples_of_pairs_are_correlated_if_one_is_the_negative_of_the_other():
    left = np.random.default_rng(0).integers(256, size=(5, 4, 4, 1), dtype=np.uint8)
    side_by_side = lambda right: np.concatenate([left, right], axis=2)
    assert_allclose(several.correlation(side_by_side(255 - left))["correlation"], 1)
    assert abs(several.correlation(side_by_side(np.roll(left, 1, axis=0)))["correlation"]) < 0.5


def test_codes_are_drawn_and_their_information_is_bounded(key):
    keys = prng.example_keys(key, jnp.arange(4_000))
    z = infogan_images.draw(keys, 3)
    one_hot, continuous = z[:, 3:13], z[:, 13:]
    assert_allclose(one_hot.mean(0), 0.1, atol=0.02)
    assert_allclose(np.corrcoef(continuous.T)[0, 1], 0, atol=0.05)
    outputs = {"code_logits": 100 * one_hot, "code_means": continuous + 0.1}
    term = infogan_images.information(0.5)
    p = linear_pass(z=z, fake_out=outputs)
    expected = np.log(10) - 0.5 * 2 * 0.1**2
    assert_allclose([-term.d(p), -term.g(p)], [expected, expected / 2], rtol=1e-3)


def test_labelled_examples_are_few_and_equally_many_of_each_class():
    entry = registry.get("semi_supervised/digits")
    experiment = entry.build(dataclasses.replace(entry.config, labels=20))
    data = first_window_data(experiment.source)
    assert sorted(data.replicated["labelled_label"]) == sorted(list(range(10)) * 2)
    batch = experiment.source.batch(data, jax.random.key(0), jnp.int32(3), jnp.arange(64))
    assert len(np.unique(batch["labelled"].reshape(64, -1), axis=0)) <= 20
    stored = np.float32(data.replicated["labelled"]) / 127.5 - 1
    for image, label in zip(np.asarray(batch["labelled"]), batch["labelled_label"], strict=True):
        at = np.abs(stored - image).sum((1, 2, 3)).argmin()
        assert data.replicated["labelled_label"][at] == label


def test_the_logit_of_a_classifier_is_that_of_any_class(key):
    features = jax.random.normal(key, [4, 5])
    module = semi_supervised.Classifier(3)
    out = module.apply(module.init(key, features), features)
    any_class = np.exp(out["class_logits"]).sum(1)
    assert_allclose(jax.nn.sigmoid(out["logits"]), any_class / (any_class + 1), rtol=1e-5)


def test_linear_heads_have_the_named_outputs(key):
    out, _ = heads.Linear((("a", 3),)).init_with_output(key, jnp.ones([2, 4]))
    assert {name: x.shape for name, x in out.items()} == {"logits": (2,), "features": (2, 4), "a": (2, 3)}


def test_logits_of_pairs_depend_on_both_parts(key):
    module = heads.Pair(8)
    features, code = jax.random.normal(key, [2, 5]), jnp.ones([2, 3])
    variables = module.init(key, features, code)
    slopes = jax.grad(lambda pair: module.apply(variables, *pair).sum())((features, code))
    assert all(jnp.abs(slope).min() > 0 for slope in slopes)


def test_coupled_networks_share_all_layers_but_one(key):
    """The two images have the channels of one generator, and are judged by one critic from other input channels."""
    generator = several.CoupledGenerator(mlp.Generator((4, 4, 2), 8, 1))
    z = jax.random.normal(key, [3, 2])
    variables = generator.init(key, z)
    both = generator.generator.apply({"params": variables["params"]["generator"]}, z)
    pairs = generator.apply(variables, z)
    assert_allclose(pairs, np.concatenate([both[..., :1], both[..., 1:]], axis=2))
    critic = several.CoupledCritic(mlp.Critic(8, 1))
    variables = critic.init(key, pairs)
    judge = lambda x: critic.critic.apply({"params": variables["params"]["critic"]}, x)
    left, right = np.pad(both[..., :1], [(0, 0)] * 3 + [(0, 1)]), np.pad(both[..., 1:], [(0, 0)] * 3 + [(1, 0)])
    assert_allclose(critic.apply(variables, pairs), np.concatenate([judge(left), judge(right)]), rtol=1e-5)


@pytest.mark.parametrize("name", ["bigan/digits", "aae/digits"])
def test_encoder_and_generator_are_one_player(name):
    players = registry.get(name).build(registry.get(name).config).game.players
    assert set(players["generator"].networks) == {"generator", "encoder"}


METHODS = ("aae", "began", "bigan", "cogan", "d2gan", "vaegan")


@pytest.mark.parametrize("name", [*(f"{method}/cifar10" for method in METHODS), "infogan/fashion_mnist"])
def test_convolutional_networks_fit_together(name):
    """Traced with narrow networks: every phase has a loss, and samples have the shape of the data."""
    entry = registry.get(name)
    config = dataclasses.replace(entry.config, width=4, batch_size=8)
    with gpu_check.noise_images(count=64):
        experiment = entry.build(config)
        game, data = experiment.game, first_window_data(experiment.source)
        trainer.check_shapes(experiment, config, data)
        batch = lambda: experiment.source.batch(data, jax.random.key(1), jnp.int32(0), axis.global_indices(8))
        step = lambda state: make_update(game)(game.phases, state, batch(), jax.random.key(2))
        _, scalars = jax.eval_shape(step, jax.eval_shape(lambda: init_state(game, jax.random.key(0))))
    assert {f"{phase.name}/loss" for phase in game.phases} <= set(scalars)
