"""cGANs with Projection Discriminator (Miyato & Koyama 2018, arXiv 1802.05637).

    python launch.py train projection/digits
    python launch.py train projection/mnist

The logit is a product of features, plus their product with a vector of the class: ψ(φ(x)) + <v_y, φ(x)>. The
generator has the class in the scales and shifts of its batch norms. Networks, hinge loss and optimiser are the residual
ones of SN-GAN; on digits Adam has β1 = 0.5 and the critic one step to one of the generator, as there, and on the small
ones rates of 0.001: with 0.0002 the labels of samples had begun to count only after 1,500 steps.
"""

from experiments import imagesets, sngan
from jaxgan import losses
from jaxgan.registry import Experiment

PAPER = "Miyato & Koyama 2018, arXiv 1802.05637"


@imagesets.on(
    "projection",
    {
        imagesets.DIGITS: sngan.Config(**imagesets.DIGITS.defaults | {"width": 16}, g_lr=1e-3, d_lr=1e-3),
        imagesets.MNIST: sngan.Config(**imagesets.MNIST.defaults | {"steps": 3_000, "width": 32}, batch_size=64),
        imagesets.CIFAR10: sngan.Config(**sngan.RESIDUAL),
    },
    paper=PAPER,
    shows="the critic is told the class by a product with its features: samples of the class that is asked",
)
def build(images: imagesets.ImageSet, config: sngan.Config) -> Experiment:
    """A fake is judged by the label that it was made for."""
    networks = images.resnets(config, classes=images.classes)
    options = {"n_critic": config.n_critic, "conditional": True}
    return images.two_player(config, networks, losses.hinge, *sngan.adams(config), **options)
