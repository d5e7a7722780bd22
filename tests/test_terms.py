"""Terms of two-player games: closed forms, isolation of the players, and equality over devices."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec
from numpy.testing import assert_allclose

from experiments import energy
from jaxgan.core import axis, conditioning, games, losses, penalties, prng, regularisers
from jaxgan.core.game import LABEL, Network, TrainState, init_state, input_spec
from jaxgan.core.terms import Forward, Pass, Term, compose_forward, for_term, penalised
from jaxgan.core.update import make_update
from jaxgan.networks import heads, mlp
from jaxgan.training.devices import Devices

A, B = np.float32([1.0, -2.0]), np.float32([[0.5, 1.0], [-1.0, 2.0]])  # D(x) = A x, G(z) = z B
X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
Z = np.random.default_rng(1).uniform(-1, 1, (6, 2)).astype(np.float32)
LABELS = np.int32([0, 1, 2, 0, 1, 0])
LINEAR = Forward(
    draw=lambda state, batch, key: prng.uniform(prng.example_keys(key, batch["index"]), 2, minval=-1.0),
    generate=lambda state, z, batch, key: (z @ B, state),
    real=lambda state, batch, key: batch["real"],
    discriminate=lambda state, x, batch, key: (x @ A, state),
)


def linear_pass(term=None, step=0, buffer=None, params=None, **changes):
    """Returns the pass of a linear generator and a linear discriminator, as `term` sees it."""
    state = TrainState(jnp.int32(step), params or {}, {term.name: buffer} if term else {}, {}, {})
    batch = {"real": jnp.array(X), "label": jnp.array(LABELS), "index": jnp.arange(len(X))}
    forward = compose_forward((term,) if term else (), LINEAR)
    p = Pass(state, batch, jax.random.key(0), jnp.array(Z), batch["real"], Z @ B, X @ A, Z @ B @ A, forward)
    p = dataclasses.replace(p, **changes)
    return for_term(p, 0, term) if term else p


def test_consistency_is_the_squared_change_of_the_logits():
    shift = lambda x, keys: x + jnp.float32([[0.3, 0.1]])
    assert_allclose(regularisers.consistency(shift).d(linear_pass()), 10 * 0.1**2, rtol=1e-4)
    assert_allclose(regularisers.consistency(shift, 10.0, 5.0).d(linear_pass()), 15 * 0.1**2, rtol=1e-4)


def test_latent_consistency_of_linear_networks():
    term = regularisers.latent_consistency(0.1, d_weight=5.0, g_weight=0.5)
    p = linear_pass(term)
    delta = 0.1 * np.asarray(prng.normal(p.example_keys(), 2))
    assert_allclose(term.d(p), 5 * ((delta @ B @ A) ** 2).mean(), rtol=1e-3)
    assert_allclose(term.g(p), -0.5 * ((delta @ B) ** 2).mean(), rtol=1e-3)


def test_lecam_anchors_follow_the_logits_and_only_excesses_cost():
    term = regularisers.lecam(0.3, decay=0.9, start=10)
    real, fake = np.float32([2, 4]), np.float32([-1, 1])
    early = linear_pass(term, 9, {"real": 7.0, "fake": 7.0}, real_out=real, fake_out=fake)
    assert term.d(early) == 0
    assert_allclose([term.update(early)[name] for name in ("real", "fake")], [3, 0])
    p = linear_pass(term, 10, {"real": 1.0, "fake": 3.0}, real_out=real, fake_out=fake)
    at_real, at_fake = 0.9 * 1 + 0.1 * 3, 0.9 * 3 + 0.1 * 0
    assert_allclose([term.update(p)[name] for name in ("real", "fake")], [at_real, at_fake], rtol=1e-6)
    expected = (max(2 - at_fake, 0) ** 2 + max(4 - at_fake, 0) ** 2) / 2
    expected += (max(at_real + 1, 0) ** 2 + max(at_real - 1, 0) ** 2) / 2
    assert_allclose(term.d(p), 0.3 * expected, rtol=1e-5)
    slope = jax.grad(lambda c: term.d(linear_pass(term, 10, p.buffer, real_out=c * real, fake_out=fake)))(1.0)
    assert_allclose(slope, 0.3 * max(4 - at_fake, 0) * 4, rtol=1e-5)  # The anchors have no gradient.


def test_deviations_from_orthogonality():
    w = np.random.default_rng(0).normal(size=(1, 1, 5, 3)).astype(np.float32)
    params = {"a": {"kernel": jnp.array(w), "bias": jnp.ones(3)}}
    gram = w.reshape(5, 3).T @ w.reshape(5, 3)
    off = (gram**2).sum() - (np.diag(gram) ** 2).sum()
    assert_allclose(regularisers.orthogonality(params), off, rtol=1e-5)
    identity = regularisers.orthogonality(params, regularisers.distance_to_identity)
    assert_allclose(identity, np.linalg.norm(gram - np.eye(3)) ** 2, rtol=1e-5)
    isometry = regularisers.orthogonality(params, regularisers.spectral_isometry)
    assert_allclose(isometry, np.linalg.norm(gram - np.eye(3), 2), rtol=1e-5)


def test_historical_averaging_is_the_distance_to_the_mean_of_all_steps():
    term, path, mean = regularisers.historical_averaging(2.0), np.float32([3, 5, 10]), np.float32(0)
    networks = lambda theta: {"discriminator": {"w": theta}, "generator": {"w": -theta}}
    for step, theta in enumerate(path):
        p = linear_pass(term, step, networks(mean), networks(theta))
        mean = term.update(p)["discriminator"]["w"]
        assert_allclose(mean, path[: step + 1].mean(), rtol=1e-6)
        of_generator = term.g(linear_pass(term, step, networks(mean), networks(theta)))
        assert_allclose([term.d(p), of_generator], 2 * (theta - path[: step + 1].mean()) ** 2, atol=1e-6)


@pytest.mark.parametrize(("step", "k"), [(0, 6), (10, 5), (50, 3)])
def test_top_k_averages_the_highest_logits(step, k):
    """The share is 1, then 0.8 after one epoch, and never below a half."""
    term = regularisers.top_k(losses.non_saturating, steps_per_epoch=10, decay=0.8)
    logits = np.float32([0.3, -1, 2, 5, -4, 1])
    expected = losses.non_saturating.g(np.sort(logits)[-k:])
    assert_allclose(term.g(linear_pass(term, step, fake_out=logits)), expected, rtol=1e-5)


def test_latent_optimisation_of_linear_networks_and_its_gradient():
    term = regularisers.latent_optimisation(0.9, 5.0, limit=10.0)
    p, key = linear_pass(term), jax.random.key(3)
    z, slope = np.asarray(LINEAR.draw(p.state, p.batch, key)), B @ A
    assert_allclose(p.forward.draw(p.state, p.batch, key), z + 0.9 * slope / (5 + slope @ slope), rtol=1e-5)
    moved = linear_pass(regularisers.latent_optimisation(weight=3.0), z=p.z + jnp.float32([[3, -4]]), drawn=p.z)
    penalised_step = regularisers.latent_optimisation(weight=3.0)
    assert_allclose([penalised_step.d(moved), penalised_step.g(moved)], 3 * 25, rtol=1e-5)
    clipped = linear_pass(regularisers.latent_optimisation(90.0)).forward.draw(p.state, p.batch, key)
    assert_allclose(clipped, np.broadcast_to(np.sign(slope), (6, 2)))

    def mean_z(scale):  # D(G(z)) = scale * A z B has the slope scale * B A.
        scaled = LINEAR._replace(discriminate=lambda state, x, batch, key: (scale * (x @ A), state))
        return term.forward(scaled).draw(p.state, p.batch, key).mean()

    finite = (mean_z(1.01) - mean_z(0.99)) / 0.02
    assert_allclose(jax.grad(mean_z)(1.0), finite, rtol=1e-2)


def test_gradient_normalisation_bounds_slopes_of_piecewise_linear_functions():
    term = regularisers.gradient_normalisation()
    p = linear_pass(term)
    assert_allclose(p.critic(p.real), X @ A / (np.linalg.norm(A) + np.abs(X @ A)), rtol=1e-5)
    v, w = (np.random.default_rng(seed).normal(size=shape).astype(np.float32) for seed, shape in enumerate([(2, 9), 9]))
    steep = LINEAR._replace(discriminate=lambda state, x, batch, key: (20 * jax.nn.relu(x @ v) @ w, state))
    normed = term.forward(steep).discriminate
    critic = jax.jit(lambda x: normed(p.state, x, p.batch, p.key)[0])
    x = np.random.default_rng(2).normal(size=(2_000, 2)).astype(np.float32)
    assert np.abs(critic(x)).max() < 1
    slopes = (critic(x + np.float32([1e-3, 0])) - critic(x)) / 1e-3
    assert np.quantile(np.abs(slopes), 0.99) <= 1.0 + 1e-2  # The others straddle a kink.


def test_instance_noise_falls_linearly_to_nothing():
    term = regularisers.instance_noise(0.5, steps=100)
    keys = jax.random.split(jax.random.key(0), 500)
    for step, std in ((0, 0.5), (60, 0.2), (200, 0.0)):
        p = linear_pass(term, step)
        noise = jax.vmap(lambda key, p=p: p.forward.discriminate(p.state, p.real, p.batch, key)[0] - p.real_out)(keys)
        assert_allclose(np.std(noise), std * np.linalg.norm(A), rtol=0.05, atol=1e-6)


def test_pseudo_augmentation_replaces_a_share_and_moves_it_by_the_sign_of_overfitting():
    term = regularisers.pseudo_augmentation(images=60, target=0.6)
    for share, real_logits, expected in ((0.3, [1] * 6, 0.4), (0.3, [1, -1] * 3, 0.2), (0.0, [-1] * 6, 0.0)):
        p = linear_pass(term, 0, {"p": np.float32(share)}, real_out=np.float32(real_logits))
        assert_allclose(term.update(p)["p"], expected, rtol=1e-5)
        keys = jax.random.split(jax.random.key(0), 300)
        shown = jax.vmap(lambda key, p=p: p.forward.real(p.state, p.batch, key))(keys)
        assert_allclose((np.asarray(shown) != X).any(-1).mean(), share, atol=0.05)


def test_mode_seeking_is_the_inverse_ratio_of_distances():
    term = regularisers.mode_seeking(2.0)
    p = linear_pass(term)
    z = p.forward.draw(p.state, p.batch, p.key)
    ratio = np.abs((z - Z) @ B).mean() / np.abs(z - Z).mean()
    assert_allclose(term.g(p), 2 / (ratio + 1e-5), rtol=1e-4)


def test_the_largest_gradient_is_taken_over_the_batch(key):
    quadratic = lambda x: 0.5 * (x**2).sum(1)
    far = jnp.concatenate([jnp.array(X), jnp.full([1, 2], 3.0)])
    assert_allclose(penalties.max_gradient(quadratic, far, far, key), 18.0, rtol=1e-5)


def outputs(classes, seed=0):
    rng = np.random.default_rng(seed)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    embedding, proxies = unit(rng.normal(size=(6, 4))), unit(rng.normal(size=(classes, 4)))
    values = {"class_logits": rng.normal(size=(6, classes)), "twin_logits": rng.normal(size=(6, classes))}
    values |= {"embedding": embedding, "cosines": embedding @ proxies.T, "logits": rng.normal(size=6)}
    return {name: np.float32(x) for name, x in values.items()}


def cross_entropy(logits, labels):
    logits = np.float64(logits)
    return np.mean([np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, labels, strict=True)])


def test_classifiers_on_reals_and_fakes():
    real, fake = outputs(3), outputs(3, 1)
    p = linear_pass(real_out=real, fake_out=fake)
    on_real, on_fake = (cross_entropy(x["class_logits"], LABELS) for x in (real, fake))
    twin = cross_entropy(fake["twin_logits"], LABELS)
    modified, original = conditioning.auxiliary_classifier(2.0), conditioning.auxiliary_classifier(2.0, d_fakes=True)
    assert_allclose([modified.d(p), original.d(p)], [2 * on_real, 2 * (on_real + on_fake)], rtol=1e-5)
    assert_allclose([modified.g(p), original.g(p)], 2 * on_fake, rtol=1e-5)
    term = conditioning.twin_classifiers(2.0)
    assert_allclose([term.d(p), term.g(p)], [2 * (on_real + twin), 2 * (on_fake - twin)], rtol=1e-5)


def test_the_discriminative_classifier_has_a_class_of_fakes_for_each_class():
    real, fake = outputs(6), outputs(6, 1)
    p, term = linear_pass(real_out=real, fake_out=fake), conditioning.discriminative_classifier()
    as_real, as_fake = (cross_entropy(fake["class_logits"], LABELS + shift) for shift in (0, 3))
    assert_allclose(term.d(p), cross_entropy(real["class_logits"], LABELS) + as_fake, rtol=1e-5)
    assert_allclose(term.g(p), as_real - as_fake, rtol=1e-4)


def test_multi_hinge_is_that_of_crammer_and_singer():
    real, fake = outputs(4), outputs(4, 1)

    def hinge(logits, labels):
        rows = zip(logits, labels, strict=True)
        return np.mean([max(0, 1 - row[y] + max(np.delete(row, y))) for row, y in rows])

    p, term = linear_pass(real_out=real, fake_out=fake), conditioning.multi_hinge()
    on_fakes = hinge(fake["class_logits"], [3] * 6)
    assert_allclose(term.d(p), hinge(real["class_logits"], LABELS) + on_fakes, rtol=1e-5)
    assert_allclose(term.g(p), hinge(fake["class_logits"], LABELS), rtol=1e-5)


def test_contrastive_losses_equal_their_sums():
    out = outputs(3)
    out["class_logits"] = out.pop("cosines")
    p, (t, margin) = linear_pass(), (0.7, 0.98)
    similarity, contrast, data_to_data = np.float64(out["embedding"] @ out["embedding"].T), [], []
    for i, y in enumerate(LABELS):
        proxy, rest = out["class_logits"][i, y], [k for k in range(6) if k != i]
        same = [k for k in rest if LABELS[k] == y]
        e = lambda ks, i=i: np.exp(similarity[i, ks] / t).sum()
        contrast.append(-np.log((np.exp(proxy / t) + e(same)) / (np.exp(proxy / t) + e(rest))))
        easy = np.exp(min(proxy - margin, 0) / t)
        hard = np.exp(np.maximum(similarity[i, [k for k in rest if LABELS[k] != y]] - (1 - margin), 0) / t).sum()
        data_to_data.append(-np.log(easy / (easy + hard)))
    assert_allclose(conditioning.contrastive_loss(out, p, t), np.mean(contrast), rtol=1e-5)
    assert_allclose(conditioning.data_to_data_loss(out, p, t, margin), np.mean(data_to_data), rtol=1e-5)


def test_projection_heads_depend_on_the_class_as_inner_products(key):
    features, labels = jax.random.normal(key, [3, 5]), jnp.array([0, 1, 1])
    module = heads.Projection(2)
    variables = module.init(key, features, labels)
    params = variables["params"]
    embedding = params["embedding"]["kernel"][labels]
    expected = features @ params["logits"]["kernel"][:, 0] + (features * embedding).sum(1)
    assert_allclose(module.apply(variables, features, labels)["logits"], expected, rtol=1e-5)
    mapped = heads.MappedProjection(2, dims=4)
    variables = mapped.init(key, features, labels)
    logits = lambda scale: mapped.apply(variables, scale * features, labels)["logits"]
    assert_allclose(logits(2.0), 2 * logits(1.0), rtol=1e-5)


def everything():
    """Returns a game in which all terms that fit together are combined."""
    jitter = lambda x, keys: x + 0.1 * prng.normal(keys, *x.shape[1:])
    combined = (
        regularisers.consistency(jitter, 10.0, 10.0),
        regularisers.latent_consistency(),
        regularisers.lecam(start=0),
        regularisers.orthogonal(),
        regularisers.historical_averaging(),
        regularisers.latent_optimisation(weight=0.1),
        regularisers.gradient_normalisation(),
        regularisers.instance_noise(0.1, 100),
        regularisers.pseudo_augmentation(images=100),
        regularisers.mode_seeking(),
        conditioning.data_to_data(),
        penalised(penalties.r1, 0.1, "r1"),
        penalised(penalties.max_gradient, 0.1, "max_gradient"),
    )
    return games.two_player(
        Network("generator", mlp.Generator((2,), 4, 1, classes=3), (input_spec(2),), (LABEL,)),
        Network("discriminator", mlp.Critic(4, 1, head=heads.Cosine(3, 4)), (input_spec(2),), (LABEL,)),
        regularisers.top_k(losses.hinge, steps_per_epoch=1, decay=0.9),
        prng.uniform_latent(2),
        terms=combined,
        g_optimizer=optax.sgd(0.01),
        d_optimizer=optax.sgd(0.01),
        ema=lambda step: jnp.float32(0.9),
    )


def all_classifiers():
    """Returns a game in which all classifiers, and methods that need features or codes, are combined."""
    combined = (
        conditioning.auxiliary_classifier(d_fakes=True),
        conditioning.twin_classifiers(),
        conditioning.discriminative_classifier(),
        conditioning.multi_hinge(),
        energy.repelling(0.1),
        regularisers.orthogonal(1e-2, 1e-2, regularisers.spectral_isometry),
    )
    head = heads.Linear((("class_logits", 6), ("twin_logits", 3), ("code", 3)))
    return games.two_player(
        Network("generator", mlp.Generator((2,), 4, 1, classes=3), (input_spec(2),), (LABEL,)),
        Network("discriminator", mlp.Critic(4, 1, head=head), (input_spec(2),), (LABEL,)),
        regularisers.feature_matching(losses.hinge),
        prng.normal_latent(2),
        terms=[dataclasses.replace(term, name=f"term{n}") for n, term in enumerate(combined)],
        g_optimizer=optax.sgd(0.01),
        d_optimizer=optax.sgd(0.01),
    )


SCALARS = {
    everything: {f"{player}/{name}" for player in "dg" for name in ("data_to_data", "orthogonal", "historical")}
    | {"d/lecam_real", "d/pseudo_p", "d/r1", "g/mode_seeking"},
    all_classifiers: {f"g/term{n}" for n in range(6)},
}


def batch_of(n, key):
    return {"real": jax.random.normal(key, [n, 2]), "label": jnp.arange(n) % 3, "index": jnp.arange(n)}


@pytest.mark.parametrize("make_game", [everything, pytest.param(all_classifiers, marks=pytest.mark.similar)])
def test_combined_terms_agree_over_devices_and_keep_players_apart(key, make_game):
    game, batch = make_game(), batch_of(16, key)
    update, start = make_update(game), jax.jit(lambda: init_state(game, key))()

    def steps(state, batch):
        return jax.lax.scan(lambda state, _: update(game.phases, state, batch, key), state, length=2)

    sharded = jax.shard_map(
        steps,
        mesh=Devices.all(8).mesh,
        in_specs=(PartitionSpec(), PartitionSpec(axis.AXIS_NAME)),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    (one, scalars), (eight, _) = jax.jit(steps)(start, batch), jax.jit(sharded)(start, batch)
    chex.assert_trees_all_close(eight, one, rtol=0, atol=2e-5)
    assert SCALARS[make_game] <= set(scalars)
    for phase, trained in zip(game.phases, ("discriminator", "generator"), strict=True):
        program = jax.make_jaxpr(lambda state, phase=phase: update((phase,), state, batch, key)[0])(start).jaxpr
        before, after = (jax.tree.unflatten(jax.tree.structure(start), v) for v in (program.invars, program.outvars))
        for name, params in before.params.items():
            same = jax.tree.leaves(jax.tree.map(lambda a, b: a is b, params, after.params[name]))
            assert set(same) == {name != trained}


def test_terms_of_the_same_name_are_refused():
    generator = Network("generator", mlp.Generator((2,), 4, 1), (input_spec(2),))
    critic = Network("discriminator", mlp.Critic(4, 1), (input_spec(2),))
    options = {"g_optimizer": optax.sgd(0.1), "d_optimizer": optax.sgd(0.1), "terms": [Term("r1"), Term("r1")]}
    with pytest.raises(ValueError, match="two terms have the name 'r1'"):
        games.two_player(generator, critic, losses.hinge, prng.normal_latent(2), **options)
