"""The GAN is dead; long live the GAN! (Huang et al. 2024, arXiv 2501.05441) on the small testbeds.

    python launch.py train r3gan/digits
    python launch.py figure r3gan/toy2d

A relativistic loss that pairs each real with a fake, and both zero-centred gradient penalties at every step. As in the
authors' code, each player's update draws reals of its own. According
to appendix E, lazily applied penalties fail on small problems. They do not in r3gan/toy2d, for which the paper gives no
settings.
"""

import dataclasses
from collections.abc import Callable

import optax

from experiments import defaults, testbeds
from experiments.defaults import Testbed
from jaxgan.core import losses, penalties
from jaxgan.training.experiment import Experiment, setting

PAPER = "Huang et al. 2024, arXiv 2501.05441"
Schedule = Callable[[float, float], optax.ScalarOrSchedule]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.Config):
    """RpGAN + R1 + R2."""

    b1: float = setting(0.0, "beta1 of Adam")
    b2: float = setting(0.99, "beta2 of Adam")
    gamma: float = setting(0.4, "weight of half the mean squared gradient norms at reals and at fakes")
    every: int = setting(
        1, "steps between penalties; above 1 they weigh that many times more, and the discriminator's Adam is slowed"
    )


@testbeds.register_on(
    "r3gan",
    testbeds.on_small(Config),
    paper=PAPER,
    shows="relativistic pairing with R1 and R2: converges locally and covers the modes",
)
def build(testbed: Testbed, config: Config, schedule: Schedule = lambda lr, updates_per_step: lr) -> Experiment:
    """No batch norm in the discriminator: the penalties are on gradients at single examples.

    `schedule(lr, updates per step)` returns a player's learning rate, or its values by the number of its updates.
    """
    # Lazy penalties add an update every `every` steps; Adam is slowed to match (Karras et al. 2020, appendix B).
    slowdown = 1.0 if config.every == 1 else config.every / (config.every + 1)
    return testbed.two_player(
        config,
        losses.relativistic,
        optax.adam(schedule(config.g_lr, 1.0), config.b1, config.b2),
        optax.adam(schedule(slowdown * config.d_lr, 1.0 / slowdown), config.b1**slowdown, config.b2**slowdown),
        penalty=penalties.r1_r2,
        penalty_weight=config.gamma,
        penalty_every=config.every,
        g_batches=(1,),
    )
