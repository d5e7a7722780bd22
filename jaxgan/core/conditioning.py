"""How a discriminator uses class labels: terms of a two-player game, see `jaxgan.core.terms`.

The discriminator ends in a head of `jaxgan.networks.heads`, whose outputs the terms read: "class_logits" [B, K] and
"embedding" [B, D]. The generator receives the labels as an input. Fakes have the labels of the batch.
"""

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.nn import relu

from jaxgan.core import axis
from jaxgan.core.terms import Pass, Term


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Returns the mean cross-entropy in nats, CE(C, y) = log Σ_j exp(C_j) - C_y, of logits [B, K] and labels [B]."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def auxiliary_classifier(weight: float = 1.0, d_fakes: bool = False) -> Term:
    """Returns the classification error as a term of both losses.

    D minimises weight * CE(C(x), y), plus weight * CE(C(G(z, y)), y) if `d_fakes`; G minimises the latter. With
    `d_fakes` it is minus L_C of AC-GAN, which both maximise (Odena et al. 2016, arXiv 1610.09585). Without, and with
    the hinge loss, it is the AC-GAN-mod of PyTorch-StudioGAN. Head: `Linear` with K "class_logits".
    """

    def d(p: Pass) -> Array:
        value = cross_entropy(p.real_out["class_logits"], p.label)
        return weight * (value + cross_entropy(p.fake_out["class_logits"], p.label) if d_fakes else value)

    return Term("class", d=d, g=lambda p: weight * cross_entropy(p.fake_out["class_logits"], p.label))


def twin_classifiers(weight: float = 1.0) -> Term:
    """Returns the two classifiers of TAC-GAN (Gong et al. 2019, arXiv 1907.02690).

    D minimises CE(C(x), y) + CE(C'(G(z, y)), y): C learns the classes of reals, C' those of fakes. G minimises
    CE(C(G(z, y)), y) - CE(C'(G(z, y)), y), which removes AC-GAN's reward for easily classified samples. Both have the
    weight. Head: `Linear` with K "class_logits" and K "twin_logits".
    """
    on_fakes = lambda p, name: cross_entropy(p.fake_out[name], p.label)
    return Term(
        "class",
        d=lambda p: weight * (cross_entropy(p.real_out["class_logits"], p.label) + on_fakes(p, "twin_logits")),
        g=lambda p: weight * (on_fakes(p, "class_logits") - on_fakes(p, "twin_logits")),
    )


def discriminative_classifier(weight: float = 1.0) -> Term:
    """Returns the classifier of ADC-GAN with 2 K classes (Hou et al. 2021, arXiv 2107.10060).

    Classes 0 to K - 1 are reals, K to 2 K - 1 fakes. D minimises -log p(y, real | x) - log p(y, fake | G(z, y)), G
    minimises -log p(y, real | G(z, y)) + log p(y, fake | G(z, y)), both with the weight. The authors' code
    (houliangict/adcgan) numbers the classes 2 y and 2 y + 1. Head: `Linear` with 2 K "class_logits".
    """
    fake_label = lambda p: p.label + p.fake_out["class_logits"].shape[1] // 2
    on_fakes = lambda p, label: cross_entropy(p.fake_out["class_logits"], label)
    return Term(
        "class",
        d=lambda p: weight * (cross_entropy(p.real_out["class_logits"], p.label) + on_fakes(p, fake_label(p))),
        g=lambda p: weight * (on_fakes(p, p.label) - on_fakes(p, fake_label(p))),
    )


def crammer_singer(logits: Array, labels: Array) -> Array:
    """Returns the mean of max(0, 1 - C_y + max_{j != y} C_j) for logits C [B, K] and labels int32 [B]."""
    own = jax.nn.one_hot(labels, logits.shape[1], dtype=bool)
    largest_other = jnp.where(own, -jnp.inf, logits).max(1)
    return relu(1.0 + largest_other - jnp.where(own, logits, 0.0).sum(1)).mean()


def multi_hinge() -> Term:
    """Returns the loss of MHinge-GAN (Kavalerov et al. 2019, arXiv 1912.04216), in place of another loss.

    K + 1 logits, of which the last stands for fakes. With H(C, y) = max(0, 1 - C_y + max_{j != y} C_j), D minimises
    H(C(x), y) + H(C(G(z, y)), K) and G minimises H(C(G(z, y)), y). The hinge is that of the authors' code
    (ilyakava/BigGAN-PyTorch). Head: `Linear` with K + 1 "class_logits".
    """

    def d(p: Pass) -> Array:
        last = jnp.full_like(p.label, p.fake_out["class_logits"].shape[1] - 1)
        real = crammer_singer(p.real_out["class_logits"], p.label)
        return real + crammer_singer(p.fake_out["class_logits"], last)

    return Term("multi_hinge", d=d, g=lambda p: crammer_singer(p.fake_out["class_logits"], p.label))


def _cosines(outputs: dict[str, Array], p: Pass) -> tuple[Array, Array, Array, Array]:
    """Returns the cosines of the b examples i of this device with their proxies and with all B examples k.

    In order: ⟨l_i, e_y⟩ [b, 1]; ⟨l_i, l_k⟩ [b, B]; whether y_k = y_i [b, B]; whether k is not i [b, B].
    """
    proxy = jnp.take_along_axis(outputs["class_logits"], p.label[:, None], axis=1)
    embedding, index = outputs["embedding"], p.batch["index"]
    others = embedding @ axis.all_gather(embedding).T
    same = p.label[:, None] == axis.all_gather(p.label)[None]
    return proxy, others, same, index[:, None] != axis.all_gather(index)[None]


def _log_sum(proxy: Array, others: Array, chosen: Array) -> Array:
    """Returns log(exp(proxy) + sum of exp(others) where `chosen`), [b]."""
    terms = jnp.concatenate([proxy, jnp.where(chosen, others, -jnp.inf)], axis=1)
    return jax.nn.logsumexp(terms, axis=1)


def contrastive_loss(outputs: dict[str, Array], p: Pass, temperature: float) -> Array:
    """Returns ContraGAN's 2C loss (Kang & Park 2020, arXiv 2006.12681).

    The mean over examples i of -log [e(⟨l_i, e_y⟩) + Σ_{k != i, y_k = y_i} e(⟨l_i, l_k⟩)] /
    [e(⟨l_i, e_y⟩) + Σ_{k != i} e(⟨l_i, l_k⟩)], with e(s) = exp(s / temperature), as in the authors' code
    (PyTorch-StudioGAN). l_i is the "embedding" and e_y the proxy of its class, both of norm 1.
    """
    proxy, others, same, distinct = _cosines(outputs, p)
    log_sum = lambda chosen: _log_sum(proxy / temperature, others / temperature, chosen)
    return (log_sum(distinct) - log_sum(same & distinct)).mean()


def data_to_data_loss(outputs: dict[str, Array], p: Pass, temperature: float, margin: float) -> Array:
    """Returns ReACGAN's D2D-CE loss (Kang et al. 2021, arXiv 2111.01118, Eq. 6).

    The mean over examples i of -log a / (a + Σ_{k: y_k != y_i} exp([⟨l_i, l_k⟩ - m_n]_+ / t)) with
    a = exp([⟨l_i, e_y⟩ - m_p]_- / t), [s]_- = min(0, s) and t the temperature. As in the authors' code
    (PyTorch-StudioGAN), m_p is `margin` and m_n is 1 - `margin`. That code also divides the sum over k by
    exp(max_{k != i} (⟨l_i, l_k⟩ - m_n) / t); here the equation is followed.
    """
    proxy, others, same, _ = _cosines(outputs, p)
    easy = -relu(margin - proxy) / temperature
    hard = relu(others - (1.0 - margin)) / temperature
    return (_log_sum(easy, hard, ~same) - easy[:, 0]).mean()


def contrastive(weight: float = 1.0, temperature: float = 1.0) -> Term:
    """Returns `contrastive_loss` of reals for D and of fakes for G. Head: `Cosine`."""
    return Term(
        "contrastive",
        d=lambda p: weight * contrastive_loss(p.real_out, p, temperature),
        g=lambda p: weight * contrastive_loss(p.fake_out, p, temperature),
    )


def data_to_data(weight: float = 0.5, temperature: float = 0.5, margin: float = 0.98) -> Term:
    """Returns `data_to_data_loss` of reals for D and of fakes for G, with StudioGAN's settings. Head: `Cosine`."""
    return Term(
        "data_to_data",
        d=lambda p: weight * data_to_data_loss(p.real_out, p, temperature, margin),
        g=lambda p: weight * data_to_data_loss(p.fake_out, p, temperature, margin),
    )
