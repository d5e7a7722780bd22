"""InfoGAN on images (Chen et al. 2016, arXiv 1606.03657, section 7.2).

    python launch.py train infogan/digits
    python launch.py train infogan/mnist

The generator's input is noise, a code of one of ten classes, and two codes from U(-1, 1). Q shares all layers but the
last with the discriminator, as in the authors' code, and is trained in the discriminator's phase. The bound of the
mutual information of the continuous codes is that of a Gaussian with standard deviation 1, without its constants.
With `--info 0` Q is trained as well, but the generator ignores it: the paper's baseline. On MNIST the settings are the
paper's, but the networks are DCGAN's with spectral norm; the digits have fully connected networks.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import conditionings, testbeds
from experiments.defaults import ImageSet
from experiments.infogan import PAPER, information_bound
from experiments.testbeds import MNIST
from jaxgan.core import losses, prng
from jaxgan.core.terms import Pass, Term
from jaxgan.networks import heads
from jaxgan.training.experiment import Experiment, setting

CLASSES, CONTINUOUS = 10, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(conditionings.Config):
    """InfoGAN, appendix C.1."""

    batch_size: int = 128
    latent: int = setting(62, "dimensions of the noise, besides 12 of the codes")
    g_lr: float = 1e-3
    info: float = setting(1.0, "weight of the information in the generator's loss")


def draw(keys: Array, noise: int) -> Array:
    """Returns noise, one-hot class and continuous codes, [B, noise + CLASSES + CONTINUOUS]."""
    uniform = prng.uniform(keys, noise + CONTINUOUS, minval=-1.0)
    classes = jax.vmap(lambda key: jax.random.randint(key, (), 0, CLASSES))(prng.fold_in(keys, 1))
    return jnp.concatenate([uniform[:, :noise], jax.nn.one_hot(classes, CLASSES), uniform[:, noise:]], axis=1)


def information(g_weight: float) -> Term:
    """Returns minus the information about the codes of the fakes, for the discriminator with weight 1 (Eq. 6).

    Head: `Linear` with "code_logits" and "code_means".
    """

    def bound(p: Pass) -> Array:
        one_hot, continuous = jnp.split(p.z[:, -CLASSES - CONTINUOUS :], [CLASSES], axis=1)
        error = 0.5 * ((p.fake_out["code_means"] - continuous) ** 2).sum(1).mean()
        return information_bound(p.fake_out["code_logits"], one_hot.argmax(1)) - error

    return Term("minus_information", d=lambda p: -bound(p), g=lambda p: -g_weight * bound(p))


@testbeds.register_on(
    "infogan",
    testbeds.on_images(Config) | {MNIST: Config(**MNIST.defaults | {"steps": 5_000})},
    paper=PAPER,
    shows="codes that can be predicted from the sample: classes, and continuous factors such as slant, without labels",
)
def build(images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment with Q as a head of the discriminator."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    head = heads.Linear((("code_logits", CLASSES), ("code_means", CONTINUOUS)))
    return images.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=images.with_head(config, head),
        latent=lambda keys: draw(keys, config.latent),
        terms=(information(config.info),),
    )
