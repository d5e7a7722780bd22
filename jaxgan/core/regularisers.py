"""Regularisers and training techniques as terms of a two-player game, see `jaxgan.core.terms`.

Weights are arguments, and their defaults are the papers' where a docstring names no other source. Networks have the
names "generator" and "discriminator". D(x) is the logit of x, and E is the mean over the batch on all devices.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan.core import axis, losses, prng
from jaxgan.core.augment import Transform
from jaxgan.core.game import Batch, Params, TrainState
from jaxgan.core.losses import Adversarial, AdversarialLoss
from jaxgan.core.terms import Forward, Pass, Term, adversarial, logits_of


def consistency(transform: Transform, real_weight: float = 10.0, fake_weight: float = 0.0) -> Term:
    """Returns the consistency of D under a transformation T, which is drawn for each example.

    real_weight * E (D(x) - D(T(x)))^2 + fake_weight * E (D(G(z)) - D(T(G(z))))^2. The first term alone is CR-GAN
    (Zhang et al. 2019, arXiv 1910.12027); both, with weights of 10, are the balanced consistency regularisation bCR
    (Zhao et al. 2020, arXiv 2002.04724).
    """

    def d(p: Pass) -> Array:
        change = lambda x, logits, n: ((p.critic(transform(x, p.example_keys(n))) - logits) ** 2).mean()
        value = real_weight * change(p.real, p.real_logits, 0)
        return value + fake_weight * change(p.fake, p.fake_logits, 1) if fake_weight else value

    return Term("consistency", d=d)


def latent_consistency(std: float = 0.05, d_weight: float = 5.0, g_weight: float = 0.5) -> Term:
    """Returns zCR (Zhao et al. 2020, arXiv 2002.04724): D changes little, and G much, as z becomes z + δ.

    D: d_weight * E (D(G(z)) - D(G(z + δ)))^2. G: -g_weight * E ||G(z) - G(z + δ)||^2, here the mean over pixels as in
    PyTorch-StudioGAN, whose std of 0.05 is the default. δ has the distribution N(0, std^2 I).
    """
    moved = lambda p: p.generate(p.z + std * prng.normal(p.example_keys(), *p.z.shape[1:]))
    return Term(
        "latent_consistency",
        d=lambda p: d_weight * ((p.critic(moved(p)) - p.fake_logits) ** 2).mean(),
        g=lambda p: -g_weight * losses.l2(moved(p), p.fake),
    )


def lecam(weight: float = 0.3, decay: float = 0.99, start: int = 1_000) -> Term:
    """Returns the LeCam regulariser with moving anchors (Tseng et al. 2021, arXiv 2104.03310).

    weight * (E [D(x) - α_F]_+^2 + E [α_R - D(G(z))]_+^2), where α_R and α_F are moving averages of the logits of reals
    and of fakes, which include the present batch. [a]_+ = max(0, a) is that of the authors' code (google/lecam-gan); in
    the paper's equation negative differences count as well. The default weight is their code's for CIFAR-10. Until step
    `start` the weight is 0 and the anchors are the means of the batch.
    """

    def anchors(p: Pass) -> dict[str, Array]:
        rate = jnp.where(p.state.step < start, 1.0, 1.0 - decay)
        means = {"real": axis.batch_mean(p.real_logits), "fake": axis.batch_mean(p.fake_logits)}
        return jax.lax.stop_gradient(jax.tree.map(lambda old, new: old + rate * (new - old), p.buffer, means))

    def d(p: Pass) -> Array:
        at = anchors(p)
        positive_square = lambda x: (jax.nn.relu(x) ** 2).mean()
        value = positive_square(p.real_logits - at["fake"]) + positive_square(at["real"] - p.fake_logits)
        return jnp.where(p.state.step < start, 0.0, weight) * value

    return Term("lecam", d=d, buffer={"real": np.float32(0), "fake": np.float32(0)}, update=anchors)


def off_diagonal(gram: Array) -> Array:
    """Returns ||W'W ⊙ (1 - I)||_F^2 for gram = W'W [N, N] (BigGAN; Brock et al. 2018, arXiv 1809.11096)."""
    return ((gram * (1.0 - jnp.eye(len(gram)))) ** 2).sum()


def distance_to_identity(gram: Array) -> Array:
    """Returns ||W'W - I||_F^2 for gram = W'W [N, N] (Brock et al. 2016, arXiv 1609.07093)."""
    return ((gram - jnp.eye(len(gram))) ** 2).sum()


def spectral_isometry(gram: Array) -> Array:
    """Returns σ_max(W'W - I) for gram = W'W [N, N] (SRIP; Bansal et al. 2018, arXiv 1810.09102), without iterations."""
    return jnp.abs(jnp.linalg.eigvalsh(gram - jnp.eye(len(gram)))).max()


def orthogonality(params: Params, deviation: Callable[[Array], Array] = off_diagonal) -> Array:
    """Returns the sum over all kernels of `deviation`(W'W), where W has a column for each output."""
    kernels = [x for path, x in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == "kernel"]
    matrices = (kernel.reshape(-1, kernel.shape[-1]) for kernel in kernels)
    return sum((deviation(w.T @ w) for w in matrices), jnp.float32(0))


def orthogonal(
    g_weight: float = 1e-4, d_weight: float = 1e-4, deviation: Callable[[Array], Array] = off_diagonal
) -> Term:
    """Returns `orthogonality` of each player's kernels as a term of its loss, if its weight is not 0."""
    of = lambda name, weight: lambda p: weight * orthogonality(p.state.params[name], deviation)
    return Term(
        "orthogonal",
        d=of("discriminator", d_weight) if d_weight else None,
        g=of("generator", g_weight) if g_weight else None,
    )


def historical_averaging(weight: float = 1.0) -> Term:
    """Returns weight * ||θ - 1/t Σ_{i=1}^t θ[i]||^2 for the parameters θ of each player, θ[i] those of step i.

    Reference: Salimans et al. 2016, arXiv 1606.03498, section 3.3.
    """

    def updated_means(p: Pass) -> dict[str, Params]:
        follow = lambda old, new: old + (new - old) / (1.0 + p.state.step.astype(jnp.float32))
        current = {name: p.state.params[name] for name in p.buffer}
        return jax.lax.stop_gradient(jax.tree.map(follow, p.buffer, current))

    def distance(p: Pass, name: str, means: dict[str, Params]) -> Array:
        difference = jax.tree.map(jnp.subtract, p.state.params[name], means[name])
        return weight * optax.tree.norm(difference, squared=True)

    return Term(
        "historical",
        d=lambda p: distance(p, "discriminator", updated_means(p)),
        g=lambda p: distance(p, "generator", p.buffer),  # The discriminator's phase of this step has updated it.
        buffer=lambda zeros: zeros,
        update=updated_means,
    )


def top_k(loss: Adversarial, steps_per_epoch: int, decay: float = 0.99, smallest: float = 0.5) -> Term:
    """Returns a loss whose generator learns from the k fakes of the batch with the highest logits.

    In epoch n, k = ⌈B max(decay^n, smallest)⌉ for B fakes on all devices. The generator's loss must be a mean over
    examples. The discriminator learns from all. Reference: Sinha et al. 2020, arXiv 2002.06224.
    """

    def g(p: Pass) -> Array:
        logits = jnp.sort(axis.all_gather(p.fake_logits))
        epoch = (p.state.step // steps_per_epoch).astype(jnp.float32)
        k = jnp.ceil(len(logits) * jnp.maximum(decay**epoch, smallest))
        selected = p.fake_logits >= logits[len(logits) - k.astype(jnp.int32)]
        costs = jax.vmap(lambda logit: loss.g(logit[None]))(p.fake_logits)
        return jnp.where(selected, costs, 0.0).sum() * axis.num_shards() / k

    return Term("top_k", d=adversarial(loss).d, g=g)


def feature_matching(loss: AdversarialLoss) -> Term:
    """Returns a loss whose generator minimises ||E f(x) - E f(G(z))||^2, with f(x) the discriminator's "features".

    Reference: Salimans et al. 2016, arXiv 1606.03498, section 3.1.
    """
    match = lambda p: losses.feature_matching(p.real_out["features"], p.fake_out["features"])
    return Term("feature_matching", d=adversarial(loss).d, g=match)


def latent_optimisation(alpha: float = 0.9, beta: float = 5.0, limit: float = 1.0, weight: float = 0.1) -> Term:
    """Returns the latent step of LOGAN by natural gradient (Wu et al. 2019, arXiv 1912.00953).

    z' = z + α g / (β + ||g||^2) with g = ∂D(G(z)) / ∂z, clipped to [-limit, limit] (Algorithm 1), replaces z in the
    losses of both players, and their gradients pass through it. z must be drawn from that cube. Both losses gain the
    regulariser weight * E ||z' - z||^2 (Eq. 17), here after clipping.

    α = 0.9 and β = 5 are the paper's settings of BigGAN-deep on ImageNet. There half of the entries of z move, and the
    weight is 300, because deep networks have large Lipschitz constants. The default weight is PyTorch-StudioGAN's for
    a shallow network on CIFAR-10, where β is 0.1 and 80 % of the latents move. Here all latents move.
    """

    def change(forward: Forward) -> Forward:
        def draw(state: TrainState, batch: Batch, key: Array) -> Array:
            z = forward.draw(state, batch, key)

            def total_logit(z: Array) -> Array:
                fake, _ = forward.generate(state, z, batch, key)
                return logits_of(forward.discriminate(state, fake, batch, key)[0]).sum()

            g = jax.grad(total_logit)(z)
            return jnp.clip(z + alpha * g / (beta + (g**2).sum(1, keepdims=True)), -limit, limit)

        return forward._replace(draw=draw)

    step_size = lambda p: weight * ((p.z - p.drawn) ** 2).sum(1).mean()
    penalty = step_size if weight else None
    return Term("latent_optimisation", d=penalty, g=penalty, forward=change)


def gradient_normalisation() -> Term:
    """Returns the term that replaces each logit f(x) by f(x) / (||∇_x f(x)|| + |f(x)|), for both players (GN-GAN).

    Logits are then in (-1, 1), and the gradient of a piecewise linear discriminator has at most the norm 1 where it
    exists. Reference: Wu et al. 2021, arXiv 2109.02235, and the authors' code (basiclab/GNGAN-PyTorch).
    """

    def change(forward: Forward) -> Forward:
        def discriminate(state: TrainState, x: Array, batch: Batch, key: Array):
            total_logit = lambda x: logits_of(forward.discriminate(state, x, batch, key)[0]).sum()
            outputs, after = forward.discriminate(state, x, batch, key)
            grads = jax.grad(total_logit)(x)
            logits = logits_of(outputs)
            norm = jnp.sqrt((grads**2).sum(range(1, x.ndim)) + 1e-12)
            logits = logits / (norm + jnp.abs(logits))
            return outputs | {"logits": logits} if isinstance(outputs, dict) else logits, after

        return forward._replace(discriminate=discriminate)

    return Term("gradient_normalisation", forward=change)


def instance_noise(std: float, steps: int) -> Term:
    """Returns Gaussian noise on all that the discriminator sees, whose std falls linearly to 0 over `steps`.

    D(x + ε) replaces D(x), with ε from N(0, s^2 I) and s = std * max(0, 1 - step / steps). The noise is that of
    Sønderby et al. 2016, arXiv 1610.04490; the schedule is not from the paper.
    """

    def change(forward: Forward) -> Forward:
        def discriminate(state: TrainState, x: Array, batch: Batch, key: Array):
            scale = std * jnp.maximum(0.0, 1.0 - state.step.astype(jnp.float32) / steps)
            keys = prng.example_keys(jax.random.fold_in(key, 1), batch["index"])
            return forward.discriminate(state, x + scale * prng.normal(keys, *x.shape[1:]), batch, key)

        return forward._replace(discriminate=discriminate)

    return Term("instance_noise", forward=change)


def pseudo_augmentation(images: int = 500_000, target: float = 0.6) -> Term:
    """Returns adaptive pseudo augmentation, APA (Jiang et al. 2021, arXiv 2111.06849).

    With probability p a real is replaced by a fake, which the discriminator is then shown as real. Each step changes p
    by sign(E sign D(x) - target) * B / images, with x all that is shown as real in a batch of B, and p in [0, 1]. The
    target and `images` are the defaults of the authors' code (EndlessSora/DeceiveD), which changes p every fourth step
    by four times as much, has no upper bound of p, and shows the fakes of the generator's last update.
    """

    def change(forward: Forward) -> Forward:
        def real(state: TrainState, batch: Batch, key: Array) -> Array:
            z_key, choice_key = jax.random.split(key)
            x = forward.real(state, batch, key)
            fake, _ = forward.generate(state, forward.draw(state, batch, z_key), batch, z_key)
            draws = prng.uniform(prng.example_keys(choice_key, batch["index"]), *[1] * (x.ndim - 1))
            return jnp.where(draws < state.buffers["pseudo"]["p"], jax.lax.stop_gradient(fake), x)

        return forward._replace(real=real)

    def update(p: Pass) -> dict[str, Array]:
        overfitting = axis.batch_mean(jnp.sign(p.real_logits))
        step = len(p.real_logits) * axis.num_shards() / images
        return {"p": jnp.clip(p.buffer["p"] + step * jnp.sign(overfitting - target), 0.0, 1.0)}

    return Term("pseudo", buffer={"p": np.float32(0)}, update=update, forward=change)


def mode_seeking(weight: float = 1.0) -> Term:
    """Returns weight / (d(G(z), G(z')) / d(z, z')) for two latents of each example (MSGAN).

    d is the mean absolute difference over the whole batch. The paper maximises the ratio. Its code (HelenMao/MSGAN),
    which is followed here, minimises the inverse with weight 1, and 1e-5 added to the ratio. There the discriminator
    also judges G(z'), here G(z) alone. Reference: Mao et al. 2019, arXiv 1903.05628.
    """

    def g(p: Pass) -> Array:
        z = p.forward.draw(p.state, p.batch, p.key)
        distance = lambda a, b: axis.pmean(losses.l1(a, b))
        return weight / (distance(p.generate(z), p.fake) / distance(z, p.z) + 1e-5)

    return Term("mode_seeking", g=g)
