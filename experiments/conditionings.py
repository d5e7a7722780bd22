"""How the discriminator of a conditional GAN uses the classes: seven answers on the same networks.

    python launch.py train reacgan/digits
    python launch.py train contragan/mnist

All have the hinge loss, spectral norm in the discriminator, and a generator that receives the class next to z. They
differ in the discriminator's head and in one term of the losses (`jaxgan.core.conditioning`). Networks, Adam and the
numbers of steps are not the papers'. On the digits the networks are fully connected, on MNIST and CIFAR-10 DCGAN's.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import optax

from experiments import defaults, testbeds
from experiments.defaults import ImageSet
from jaxgan.core import conditioning, losses
from jaxgan.core.losses import AdversarialLoss
from jaxgan.core.terms import Term
from jaxgan.networks import heads
from jaxgan.training.experiment import Experiment, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """A conditional GAN."""

    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.5, "beta1 of Adam")
    b2: float = setting(0.999, "beta2 of Adam")


class Method(NamedTuple):
    """A conditioning: its source, the discriminator's head for a number of classes, and what it adds to the losses."""

    paper: str
    shows: str
    head: Callable[[int], nn.Module]
    terms: tuple[Term, ...] = ()
    loss: AdversarialLoss | Term = losses.hinge


METHODS = {
    "acgan_mod": Method(
        "Kang et al. 2022, arXiv 2206.09479",
        "AC-GAN with the hinge loss, whose discriminator learns the classes of reals alone",
        lambda classes: heads.Linear((("class_logits", classes),)),
        (conditioning.auxiliary_classifier(),),
    ),
    "tacgan": Method(
        "Gong et al. 2019, arXiv 1907.02690",
        "a second classifier of the fakes cancels AC-GAN's reward for easily classified samples",
        lambda classes: heads.Linear((("class_logits", classes), ("twin_logits", classes))),
        (conditioning.twin_classifiers(),),
    ),
    "adcgan": Method(
        "Hou et al. 2021, arXiv 2107.10060",
        "a classifier that tells real and fake examples of each class apart",
        lambda classes: heads.Linear((("class_logits", 2 * classes),)),
        (conditioning.discriminative_classifier(),),
    ),
    "mhgan": Method(
        "Kavalerov et al. 2019, arXiv 1912.04216",
        "one multi-class hinge loss, with fakes as a further class",
        lambda classes: heads.Linear((("class_logits", classes + 1),)),
        loss=conditioning.multi_hinge(),
    ),
    "contragan": Method(
        "Kang & Park 2020, arXiv 2006.12681",
        "a contrastive loss pulls examples of a class together, to each other and to a class vector",
        lambda classes: heads.Cosine(classes),
        (conditioning.contrastive(),),
    ),
    "reacgan": Method(
        "Kang et al. 2021, arXiv 2111.01118",
        "a classifier of normalised features with margins, whose negatives are examples of other classes",
        lambda classes: heads.Cosine(classes),
        (conditioning.data_to_data(),),
    ),
    "mapped_projection": Method(
        "Karras et al. 2020, arXiv 2006.06676",
        "the critic's logit is the inner product of its features with a learned map of the class",
        lambda classes: heads.MappedProjection(classes),
    ),
}


def build(method: Method, images: ImageSet, config: Config) -> Experiment:
    """Each fake has the label that it was generated for."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return images.two_player(
        config,
        method.loss,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=images.with_head(config, method.head(images.classes), images.classes),
        terms=method.terms,
        conditional=True,
    )


CONFIGS = testbeds.on_images(Config, digits={"g_lr": 1e-3, "d_lr": 1e-3})
for _name, _method in METHODS.items():
    testbeds.register_on(_name, CONFIGS, paper=_method.paper, shows=_method.shows, task="conditional images")(
        functools.partial(build, _method)
    )
