"""Generative Adversarial Networks (Goodfellow et al. 2014, arXiv 1406.2661).

    python launch.py train minimax/ring
    python launch.py train non_saturating/digits_conv
    python launch.py figure gan/fig1 gan/saturation

Both games share the discriminator's cross-entropy (Eq. 1). The generator of `minimax` maximises it, and its gradient
vanishes where the discriminator rejects fakes with certainty. The generator of `non_saturating` minimises the
cross-entropy with the label of reals instead (section 3). The optimizer is that of DCGAN (Radford et al. 2015).
"""

import dataclasses
import functools

import optax

from experiments import defaults, testbeds
from experiments.defaults import Testbed
from jaxgan.core import losses
from jaxgan.core.losses import AdversarialLoss
from jaxgan.training.experiment import Experiment, setting

PAPER = "Goodfellow et al. 2014, arXiv 1406.2661"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.Config):
    """The original GAN with Adam."""

    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.5, "beta1 of Adam")
    b2: float = setting(0.999, "beta2 of Adam")


def build(loss: AdversarialLoss, testbed: Testbed, config: Config) -> Experiment:
    """Returns the experiment of a loss without a penalty. Convolutional networks have batch norm."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return testbed.two_player(config, loss, adam(config.g_lr), adam(config.d_lr), batch_norm=True)


CONFIGS = testbeds.on_small(Config, plane={"g_lr": 1e-3, "d_lr": 1e-3})
for name, loss, shows in (
    ("minimax", losses.minimax, "the zero-sum game: the generator's gradient vanishes where D rejects with certainty"),
    ("non_saturating", losses.non_saturating, "the loss used in practice: strong gradients, but unstable modes"),
):
    testbeds.register_on(name, CONFIGS, paper=PAPER, shows=shows)(functools.partial(build, loss))
