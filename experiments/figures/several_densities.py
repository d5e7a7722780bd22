"""One run that trains independent GANs of one kind side by side, each on its own density.

A figure that compares methods on several densities needs one run, and one compiled program, for each method.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core.game import Batch, Buffers, Network, Params, Phase, Scalars, TrainState
from jaxgan.data.sources import Source
from jaxgan.data.streams import WindowData
from jaxgan.data.synthetic import Density
from jaxgan.render import outputs, pictures
from jaxgan.runs.run import Run
from jaxgan.training.experiment import Evaluation, Experiment


@dataclasses.dataclass(frozen=True)
class CopiedNetwork(Network):
    """A network whose parameters and buffers have a leading axis of `copies`, each initialised from its own key."""

    copies: int = 1

    def init(self, key: Array) -> tuple[Params, Buffers]:
        """Returns the parameters and the other collections of all copies."""
        return jax.vmap(super().init)(jax.random.split(key, self.copies))


def side_by_side(build: Callable[[Density], Experiment], densities: Sequence[Density]) -> Experiment:
    """Returns the experiment that plays the game of `build` once for each density, with independent networks.

    Samples are [N, n, D] for n densities. All copies use the same latents and batch positions. The optimizers must
    treat each parameter alone, as Adam and RMSProp do, and the game may have no buffers of its own.
    """
    experiments = [build(density) for density in densities]
    single = experiments[0]

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        batches = [experiment.source.batch(data, key, step, index) for experiment in experiments]
        return {**batches[0], "real": jnp.stack([batch["real"] for batch in batches], axis=1)}

    def play_all(phase: Phase) -> Phase:
        def loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
            def play(params: dict[str, Params], buffers: dict[str, Buffers], real: Array):
                copy = TrainState(state.step, params, buffers, opt_state={}, ema={})
                value, (after, scalars) = phase.loss(copy, {**batch, "real": real}, key)
                return value, after.buffers, scalars

            # The batch is the leading axis of the examples [B, n, D], as in all batches.
            play_each = jax.vmap(play, in_axes=(0, 0, 1))
            values, buffers, scalars = play_each(state.params, state.buffers, batch["real"])
            # The gradient of the sum in one copy's parameters is that of its own loss.
            after = dataclasses.replace(state, buffers=buffers)
            return values.sum(), (after, {name: scalar.mean() for name, scalar in scalars.items()})

        return dataclasses.replace(phase, loss=loss)

    def copied(network: Network) -> CopiedNetwork:
        fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
        return CopiedNetwork(**fields, copies=len(densities))

    def sample(state: TrainState, keys: Array) -> Array:
        def of_copy(params: dict[str, Params], buffers: dict[str, Buffers]) -> Array:
            return single.sample(TrainState(state.step, params, buffers, opt_state={}, ema={}), keys)

        return jax.vmap(of_copy, out_axes=1)(state.params, state.buffers)

    game = dataclasses.replace(
        single.game,
        networks=tuple(copied(network) for network in single.game.networks),
        phases=tuple(play_all(phase) for phase in single.game.phases),
    )
    return Experiment(
        game,
        Source(single.source.windows, batch),
        sample=sample,
        evaluate=lambda samples, state: Evaluation({}),
        output=outputs.Points(lambda samples: pictures.scatter(samples[:, 0], samples[:, 0])),
        preview_count=1_000,
    )


def sample_each(run: Run, n: int) -> np.ndarray:
    """Returns n samples of each seed and copy of a `side_by_side` run: [seeds, copies, n, D]."""
    return np.stack([run.sample(n, member=member).swapaxes(0, 1) for member in range(run.config.seeds)])
