"""A tour of jaxgan in ten cells, from installing to a new loss. Run it as a script, or cell by cell in an editor.

python docs/tutorial.py
"""

# %% 1. Install: in a checkout, `pip install -e .`. This imports jaxgan and lists its experiments.
import jaxgan

for name, entry in jaxgan.experiments().items():
    print(f"{name:28}{entry.dataset:55}{entry.cost}")

# %% 2. Train a GAN on eight Gaussians on a ring. Settings are keyword arguments; the run is written to its workdir.
settings = {"batch_size": 128, "width": 64, "g_lr": 3e-3, "d_lr": 3e-3, "ema_half_life": 5_000.0}
run = jaxgan.train("r3gan/ring", workdir="runs/tutorial/ring", steps=2_000, **settings)
print(run.step, run.evaluate(samples=2_000)["eval/covered"], "of 8 modes")

# %% 3. Draw samples: sample i depends on the seed and i alone. Points are float32 [N, 2], images uint8 [N, H, W, C].
points = run.sample(2_000, seed=0)
run.experiment.output.write(points, "runs/tutorial/samples.png")

# %% 4. Read the log: arrays by name, one entry per line of metrics.jsonl.
log = run.metrics()
print(log["step"], log["d/loss"])

# %% 5. Look into the game: its networks, who trains them, and when.
game = run.experiment.game
for phase in game.phases:
    print(phase.name, phase.player, game.players[phase.player].networks, f"every {phase.every} step(s)")

# %% 6. Use a network as a function. The discriminator returns logits; its gradient points towards the data.
import jax  # noqa: E402

discriminator = run.network("discriminator")
gradient = jax.grad(lambda x: discriminator(x).sum())(points[:5])
print(discriminator(points[:5]), gradient)

# %% 7. Continue the run: the same settings with more steps. The result is that of an uninterrupted run, to the bit.
run = jaxgan.train("r3gan/ring", workdir="runs/tutorial/ring", steps=3_000, **settings)
print(run.step, jaxgan.load("runs/tutorial/ring").step)

# %% 8. Train several seeds in one program. Metrics are medians and quartiles, and the values of each seed.
seeds = jaxgan.train("r3gan/ring", workdir="runs/tutorial/seeds", steps=1_000, seeds=3, **settings)
print(seeds.evaluate(samples=1_000)["eval/covered"])

# %% 9. Write a loss: two functions of logits that return what is minimised. This is the squared hinge.
from jaxgan.core.losses import Adversarial  # noqa: E402

squared_hinge = Adversarial(
    d=lambda real, fake: (jax.nn.relu(1 - real) ** 2).mean() + (jax.nn.relu(1 + fake) ** 2).mean(),
    g=lambda fake: -fake.mean(),
)

# %% 10. Make an experiment of it: data, networks, optimizers and a penalty. docs/extending.md registers one by name.
import optax  # noqa: E402

from jaxgan.core import optim, penalties, prng  # noqa: E402
from jaxgan.data import synthetic  # noqa: E402
from jaxgan.networks import mlp  # noqa: E402
from jaxgan.runs import targets  # noqa: E402
from jaxgan.runs.registry import Entry  # noqa: E402
from jaxgan.runs.run import train_entry  # noqa: E402
from jaxgan.training.experiment import Config, Experiment  # noqa: E402


def build(config: Config) -> Experiment:
    """The squared hinge loss with R1 on the ring."""
    adam = optax.adam(1e-3, b1=0.5)
    return targets.density(synthetic.ring()).two_player(
        config,
        mlp.Generator((2,), width=64, depth=2),
        mlp.Critic(width=64, depth=2),
        squared_hinge,
        prng.normal_latent(2),
        g_optimizer=adam,
        d_optimizer=adam,
        penalty=penalties.r1,
        penalty_weight=0.1,
        ema=optim.ema_decay(half_life=20_000, batch_size=config.batch_size),
    )


config = Config(steps=2_000, batch_size=128)
mine = train_entry(Entry("mine/ring", config, build), config, "runs/tutorial/mine")
print(mine.evaluate(samples=2_000)["eval/covered"], "of 8 modes")
