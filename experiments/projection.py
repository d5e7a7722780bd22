"""cGANs with Projection Discriminator (Miyato & Koyama 2018, arXiv 1802.05637).

    python launch.py train projection/digits
    python launch.py train projection/mnist

The logit is a linear function of the features plus their inner product with a vector of the class:
ψ(φ(x)) + <v_y, φ(x)>. The generator receives the class through the scales and shifts of its batch norms. Networks,
hinge loss and optimizer are those of SN-GAN's residual experiment. On digits, as in SN-GAN, Adam has beta1 = 0.5 and
the critic takes one step per step of the generator. The learning rates on the 8x8 digits are 0.001: with 0.0002 samples
began to depend on their labels only after 1,500 steps.
"""

from experiments import sngan, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import losses
from jaxgan.training.experiment import Experiment

PAPER = "Miyato & Koyama 2018, arXiv 1802.05637"


@testbeds.register_on(
    "projection",
    {
        DIGITS: sngan.Config(**DIGITS.defaults | {"width": 16}, g_lr=1e-3, d_lr=1e-3),
        MNIST: sngan.Config(**MNIST.defaults | {"steps": 3_000, "width": 32}, batch_size=64),
        CIFAR10: sngan.Config(**sngan.RESIDUAL),
    },
    paper=PAPER,
    shows="the critic receives the class as an inner product with its features: samples of the requested class",
    task="conditional images",
)
def build(testbed: ImageSet, config: sngan.Config) -> Experiment:
    """Each fake is given to the critic with the label that it was generated for."""
    networks = testbed.resnets(config, classes=testbed.classes)
    return testbed.two_player(
        config,
        losses.hinge,
        *sngan.adam_pair(config),
        networks=networks,
        conditional=True,
        **sngan.schedule(config),
    )
