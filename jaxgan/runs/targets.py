"""Targets: what a GAN learns to generate, and how its samples are shown and measured.

`density`, `images`, `text`, `audio` and `videos` make targets. A target turns a game into an `Experiment`:
`target.two_player` for a generator and a discriminator, `target.experiment` for any other game.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core import games, prng
from jaxgan.core.game import LABEL, NOISE_KEY, Game, Network, TrainState, input_spec
from jaxgan.core.games import Latent
from jaxgan.core.losses import AdversarialLoss
from jaxgan.data import sources
from jaxgan.data.datasets import ImageData
from jaxgan.data.sources import Source
from jaxgan.data.synthetic import Density
from jaxgan.evaluate import spectra
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.evaluate.ngrams import ngram_divergence
from jaxgan.evaluate.reference import subset_indices
from jaxgan.render import outputs, pictures
from jaxgan.render.outputs import Output, Samples
from jaxgan.training.experiment import Config, Evaluation, Experiment

Evaluate = Callable[[Samples], Evaluation]


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """Data to learn, and how samples of it are shown and measured.

    Attributes:
        shape: Shape of one example.
        source: batch_size, then keyword options -> batches. Images take `split`, `flip` and `dequantise`.
        evaluate: Measures samples; None if nothing is measured.
        output: The kind of the samples, see `Experiment`.
        preview_count: How many samples a preview shows.
        classes: Number of classes, or 0.
        evaluate_conditional: Measures samples of which sample i was requested as class i % classes.
        data: split name -> the real images, if there are any.
        decode: Converts examples as the networks see them to the arrays that `output` takes, for example probabilities
            to tokens.
    """

    shape: tuple[int, ...]
    source: Callable[..., Source]
    evaluate: Evaluate | None
    output: Output
    preview_count: int
    classes: int = 0
    evaluate_conditional: Evaluate | None = None
    data: Callable[[str], ImageData] | None = None
    decode: Callable[[Array], Array] = lambda examples: examples

    def two_player(
        self,
        config: Config,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        latent: Latent,
        *,
        conditional: bool = False,
        noise: bool = False,
        d_noise: bool = False,
        convolutional: bool = False,
        pack: int = 1,
        dtype: Any = None,
        source: Source | None = None,
        **options: Any,
    ) -> Experiment:
        """Returns the experiment of a generator and a discriminator on this target.

        Args:
            config: Supplies the batch size.
            generator: Latents [B, Z], and labels [B] if `conditional`, to examples [B, *shape].
            discriminator: Examples, and labels if `conditional`, to logits.
            loss: What the players minimise.
            latent: Draws z [B, Z] from example keys [B].
            conditional: Whether both networks receive the labels.
            noise: Whether the generator receives a PRNG key for each example, after the labels.
            d_noise: Whether the discriminator does.
            convolutional: Whether the networks contain convolutions, see `Network.convolutional`.
            pack: The discriminator's batch must be a multiple of this number.
            dtype: Computation dtype of both networks, see `Network.dtype`.
            source: Batches; by default those of the target without options.
            **options: Arguments of `games.two_player`, at least `g_optimizer` and `d_optimizer`.
        """
        labels = (LABEL,) if conditional else ()
        make = functools.partial(Network, convolutional=convolutional, dtype=dtype)
        extra_inputs = lambda noise: (*labels, NOISE_KEY) if noise else labels
        examples = jax.ShapeDtypeStruct((pack, *self.shape), jnp.float32)
        g_network = make("generator", generator, (latent_spec(latent),), extra_inputs(noise))
        d_network = make("discriminator", discriminator, (examples,), extra_inputs(d_noise))
        game = games.two_player(g_network, d_network, loss, latent, **options)
        return self.experiment(game, g_network, latent, source or self.source(config.batch_size))

    def experiment(
        self,
        game: Game,
        generator: Network,
        latent: Latent,
        source: Source,
        evaluate_state: Callable[[TrainState], Mapping[str, float]] | None = None,
    ) -> Experiment:
        """Returns the experiment of any game on this target.

        Args:
            game: The game, of which `generator` is one network.
            generator: Generates the samples, from `latent` and its extra inputs.
            latent: Draws the generator's first input from example keys.
            source: The game's batches.
            evaluate_state: state -> metrics of the state alone, for example a convergence measure.
        """
        conditional = LABEL in generator.extra_inputs
        measure = self.evaluate_conditional if conditional else self.evaluate

        def generate(state: TrainState, z: Array, keys: Array, *labels: Array) -> Array:
            noise = [keys] if NOISE_KEY in generator.extra_inputs else []
            return self.decode(generator.bind(state, train=False)(z, *labels, *noise))

        def sample(state: TrainState, keys: Array, *labels: Array) -> Array:
            return generate(state, latent(keys), keys, *labels)

        def interpolate(state: TrainState, keys: Array, other_keys: Array, t: Array, *labels: Array) -> Array:
            z = prng.spherical_interpolation(latent(keys), latent(other_keys), t)
            return generate(state, z, keys, *labels)

        def evaluate(samples: Samples, state: TrainState) -> Evaluation:
            result = measure(samples) if measure else Evaluation({})
            return result._replace(values={**result.values, **(evaluate_state(state) if evaluate_state else {})})

        return Experiment(
            game,
            source,
            sample,
            evaluate=evaluate if measure or evaluate_state else None,
            output=dataclasses.replace(self.output, dequantised=True) if source.dequantised else self.output,
            preview_count=self.preview_count,
            classes=self.classes if conditional else 0,
            data=self.data,
            latent=latent,
            interpolate=interpolate,
        )


def latent_spec(latent: Latent) -> jax.ShapeDtypeStruct:
    """Returns the `input_spec` of a latent."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    return input_spec(*jax.eval_shape(latent, keys).shape[1:])


def density(
    density: Density,
    evaluate: Callable[[np.ndarray], dict[str, float]] | None = None,
    limits: tuple[float, float] | None = None,
) -> Target:
    """Returns the target of points [D], D 1 or 2, from a density.

    Args:
        density: The density.
        evaluate: samples [N, D] -> metrics; `mode_coverage` by default.
        limits: Range of both axes of previews; around the data by default.
    """
    if evaluate is None:
        evaluate = lambda samples: mode_coverage(samples, density.modes, density.std, density.num_modes)

    @functools.cache
    def points() -> np.ndarray:
        return np.asarray(jax.vmap(density.sample)(jax.random.split(jax.random.key(0), 20_000)))

    shape = jax.eval_shape(lambda: density.sample(jax.random.key(0))).shape
    draw = pictures.line if shape == (1,) else pictures.scatter
    return Target(
        shape=shape,
        source=lambda batch_size: sources.density(density.sample),
        evaluate=lambda samples: Evaluation(evaluate(samples)),
        output=outputs.Points(lambda samples: draw(samples, points(), limits)),
        preview_count=2_000,
    )


def images(
    load_split: Callable[[str], ImageData],
    shape: tuple[int, int, int],
    *,
    classes: int = 0,
    metrics: Sequence[str] = (),
    evaluate: Callable[[np.ndarray], dict[str, float]] | None = None,
    transform: Callable[[Source], Source] = lambda source: source,
) -> Target:
    """Returns the target of a set of images.

    Args:
        load_split: split name -> images, such as `functools.partial(load_tfds, "mnist")`. Called when training begins.
        shape: [H, W, C] of one example.
        classes: Number of classes, or 0.
        metrics: Names of the metrics that are measured while training, keys of `jaxgan.evaluate.metrics.METRICS`.
        evaluate: samples -> metrics, instead of `metrics`.
        transform: Applied to the source of batches, such as `sources.stack_channels`.
    """

    def source(batch_size: int, split: str = "train", flip: bool = False, dequantise: bool = False) -> Source:
        return transform(sources.images(lambda: load_split(split), batch_size, flip, dequantise))

    if evaluate is not None:
        own = lambda samples: Evaluation(evaluate(samples))
    else:
        own = make_evaluator(metrics, load_split) if metrics else None
    return Target(
        shape=shape,
        source=source,
        evaluate=own,
        output=outputs.Images(),
        preview_count=100,
        classes=classes,
        evaluate_conditional=make_evaluator((*metrics, "agreement"), load_split, classes) if classes else None,
        data=load_split,
    )


def text(load: Callable[[], tuple[np.ndarray, np.ndarray]], vocabulary: Sequence[str], length: int) -> Target:
    """Returns the target of text, of which an example is one-hot, float32 [length, len(vocabulary)].

    Samples are the most likely characters. They are measured by the divergence of their n-grams from those of held-out
    text, in bits: `js1` to `js4`. `js4_floor` is that of as many windows of the text that is trained on.

    Args:
        load: Returns tokens to train on and held-out tokens, int32 [N, length].
        vocabulary: The characters that tokens stand for.
        length: Characters of an example.
    """
    output = outputs.Text(vocabulary)
    load = functools.cache(load)

    def source(batch_size: int) -> Source:
        one_hot = lambda batch: batch | {"real": jax.nn.one_hot(batch["real"], len(vocabulary))}
        return sources.mapped(sources.arrays(lambda: {"real": load()[0]}, batch_size), one_hot)

    @functools.cache
    def divergence_of_train(n: int, count: int) -> float:
        train, held_out = load()
        return ngram_divergence(train[subset_indices(len(train), count)].tolist(), held_out.tolist(), n)

    def evaluate(samples: Samples) -> Evaluation:
        held_out = output.postprocess(load()[1])
        values = {f"js{n}": ngram_divergence(samples, held_out, n) for n in (1, 2, 3, 4)}
        values["js4_floor"] = divergence_of_train(4, len(samples))
        protocol = {"n_real": len(held_out), "n_fake": len(samples)}
        return Evaluation(values, dict.fromkeys(values, protocol))

    return Target(
        shape=(length, len(vocabulary)),
        source=source,
        evaluate=evaluate,
        output=output,
        preview_count=20,
        decode=lambda probabilities: probabilities.argmax(-1),
    )


def audio(
    source: Callable[[int], Source],
    length: int,
    rate: int,
    load_split: Callable[[str], ImageData],
    metrics: Sequence[str],
) -> Target:
    """Returns the target of mono sounds, of which an example is float32 [length] in [-1, 1].

    Args:
        source: batch_size -> batches.
        length: Values of a sound.
        rate: Values per second.
        load_split: split name -> pictures of real sounds, see `spectra.pictures_of`.
        metrics: Names of the metrics of the samples' pictures, keys of `jaxgan.evaluate.metrics.METRICS`.
    """
    evaluate_pictures = make_evaluator(metrics, load_split)
    evaluate = lambda sounds: evaluate_pictures(spectra.pictures_of(sounds))
    return Target(shape=(length,), source=source, evaluate=evaluate, output=outputs.Audio(rate), preview_count=16)


def videos(
    source: Callable[[int], Source],
    shape: tuple[int, int, int, int],
    evaluate: Callable[[np.ndarray], dict[str, float]] | None = None,
) -> Target:
    """Returns the target of videos, of which an example is float32 [T, H, W, C] in [-1, 1].

    Args:
        source: batch_size -> batches.
        shape: [T, H, W, C] of one example.
        evaluate: samples uint8 [N, T, H, W, C] -> metrics.
    """
    measure = None if evaluate is None else lambda samples: Evaluation(evaluate(samples))
    return Target(shape=shape, source=source, evaluate=measure, output=outputs.Videos(), preview_count=8)
