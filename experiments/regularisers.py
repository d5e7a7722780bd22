"""Regularisers and training techniques, each added to the same game with the hinge loss.

    python launch.py train lecam/digits
    python launch.py train bcr/mnist
    python launch.py benchmark digits

`hinge` is the game without additions: spectral norm in the discriminator, no penalty. `lgan` and `gngan` have no
spectral norm, because they bound the gradient themselves. The weight of `lgan` is that of its authors' code, and those
of `logan` and `icr` have the sources that `jaxgan.core.regularisers` names. Those of `srip` and `instance_noise` were
not checked against the papers. Networks, Adam and numbers of steps are not the papers'. Periods that the papers give in
epochs or images are shortened for small data sets. On the digits the networks are fully connected, on MNIST and
CIFAR-10 DCGAN's.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import optax

from experiments import testbeds
from experiments.conditionings import CONFIGS, Config
from experiments.defaults import ImageSet
from jaxgan.core import augment, losses, penalties, prng, regularisers
from jaxgan.core.games import Latent
from jaxgan.core.losses import AdversarialLoss
from jaxgan.core.terms import Term, penalised
from jaxgan.networks import heads
from jaxgan.training.experiment import Experiment

SALIMANS = "Salimans et al. 2016, arXiv 1606.03498"
SMOOTHED = losses.Adversarial(functools.partial(losses.non_saturating.d, smoothing=0.1), losses.non_saturating.g)


class Method(NamedTuple):
    """An addition to the game: its source, its terms for a config, and what else differs from `hinge`."""

    paper: str
    shows: str
    terms: Callable[[Config], tuple[Term, ...]] = lambda config: ()
    loss: Callable[[Config], AdversarialLoss | Term] = lambda config: losses.hinge
    latent: Callable[[int], Latent] = prng.normal_latent
    spectral: int = 1  # power iterations


METHODS = {
    "hinge": Method("Miyato et al. 2018, arXiv 1802.05957", "spectral norm and the hinge loss without additions"),
    "spectral5": Method(
        "Miyato et al. 2018, arXiv 1802.05957",
        "spectral norm by five power iterations in each step instead of one",
        spectral=5,
    ),
    "cr": Method(
        "Zhang et al. 2019, arXiv 1910.12027",
        "consistency: D changes little when a real image is shifted",
        lambda config: (regularisers.consistency(augment.translation),),
    ),
    "bcr": Method(
        "Zhao et al. 2020, arXiv 2002.04724",
        "balanced consistency: D changes little when a real or generated image is shifted",
        lambda config: (regularisers.consistency(augment.translation, 10.0, 10.0),),
    ),
    "icr": Method(
        "Zhao et al. 2020, arXiv 2002.04724",
        "balanced consistency, and consistency under small changes of z",
        lambda config: (regularisers.consistency(augment.translation, 10.0, 10.0), regularisers.latent_consistency()),
    ),
    "lecam": Method(
        "Tseng et al. 2021, arXiv 2104.03310",
        "moving anchors bound the logits of reals and fakes",
        lambda config: (regularisers.lecam(),),
    ),
    "orthogonal": Method(
        "Brock et al. 2018, arXiv 1809.11096",
        "orthogonal columns of the kernels of both networks",
        lambda config: (regularisers.orthogonal(),),
    ),
    "srip": Method(
        "Bansal et al. 2018, arXiv 1810.09102",
        "the largest singular value of W'W - I of the kernels of both networks",
        lambda config: (regularisers.orthogonal(1e-2, 1e-2, regularisers.spectral_isometry),),
    ),
    "historical": Method(
        SALIMANS,
        "historical averaging: parameters stay near their mean over time",
        lambda config: (regularisers.historical_averaging(),),
    ),
    "label_smoothing": Method(
        SALIMANS, "one-sided label smoothing of the cross-entropy, to 0.9", loss=lambda config: SMOOTHED
    ),
    "instance_noise": Method(
        "Sønderby et al. 2016, arXiv 1610.04490",
        "noise on all that D sees, which falls to 0 within 5,000 steps",
        lambda config: (regularisers.instance_noise(0.3, steps=5_000),),
    ),
    "topk": Method(
        "Sinha et al. 2020, arXiv 2002.06224",
        "the generator learns from the most realistic part of each batch",
        loss=lambda config: regularisers.top_k(losses.hinge, steps_per_epoch=100),
    ),
    "logan": Method(
        "Wu et al. 2019, arXiv 1912.00953",
        "latents take a natural gradient step towards higher logits before both players learn",
        lambda config: (regularisers.latent_optimisation(),),
        latent=prng.uniform_latent,
    ),
    "lgan": Method(
        "Zhou et al. 2019, arXiv 1902.05687",
        "a penalty on the largest gradient of the batch",
        lambda config: (penalised(penalties.max_gradient, 0.1),),
        spectral=0,
    ),
    "gngan": Method(
        "Wu et al. 2021, arXiv 2109.02235",
        "each logit is divided by the norm of its gradient plus its magnitude",
        lambda config: (regularisers.gradient_normalisation(),),
        spectral=0,
    ),
    "apa": Method(
        "Jiang et al. 2021, arXiv 2111.06849",
        "fakes are shown as reals with a probability that follows D's overfitting",
        lambda config: (regularisers.pseudo_augmentation(images=20_000),),
    ),
    "msgan": Method(
        "Mao et al. 2019, arXiv 1903.05628",
        "two latents of a batch give images as different as the latents",
        lambda config: (regularisers.mode_seeking(),),
    ),
    "feature_matching": Method(
        SALIMANS,
        "the generator matches the mean features of the discriminator",
        loss=lambda config: regularisers.feature_matching(losses.hinge),
    ),
}


def build(method: Method, images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment of one addition."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return images.two_player(
        config,
        method.loss(config),
        adam(config.g_lr),
        adam(config.d_lr),
        networks=images.with_head(config, heads.Linear(), spectral=method.spectral),
        latent=method.latent(config.latent),
        terms=method.terms(config),
    )


for _name, _method in METHODS.items():
    testbeds.register_on(_name, CONFIGS, paper=_method.paper, shows=_method.shows)(functools.partial(build, _method))
