"""Compares our networks with statements of the same papers in PyTorch (`benchmarks.peer.papers`). Needs torch."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.equivalence import TOLERANCE, NotEquivalent
from benchmarks.peer import papers
from benchmarks.peer.weights import to_torch
from jaxgan.networks import dcgan, maxout, r3gan, resnet, sngan


class PaperNetwork(NamedTuple):
    """A network of a paper, built by us and in PyTorch.

    Attributes:
        ours: width -> module.
        theirs: width -> the same network in PyTorch, with the authors' initial weights.
        shape: Shape of one input: [Z] for latents, [H, W, C] for images.
        width: The paper's.
        classes: Number of classes, if labels are the second input.
        dropout: Whether the last input is a key of dropout. Such a network is compared without dropout.
    """

    ours: Callable[[int], nn.Module]
    theirs: Callable[[int], torch.nn.Module]
    shape: tuple[int, ...]
    width: int
    classes: int = 0
    dropout: bool = False

    def extra_inputs(self, batch: int) -> list[np.ndarray]:
        """Returns the labels, if the network takes them."""
        return [np.arange(batch) % self.classes] if self.classes else []

    def init(self, key: jax.Array, width: int) -> Any:
        """Returns the initial variables of our network."""
        keys = [jax.random.split(key, 1)] if self.dropout else []
        labels = [jnp.int32(labels) for labels in self.extra_inputs(1)]
        return self.ours(width).init(key, jnp.zeros((1, *self.shape)), *labels, *keys, train=False)


def _r3gan(network: type[nn.Module], width: int) -> nn.Module:
    return network(widths=(width,) * 4, groups=width // 8, classes=10)


NETWORKS: Mapping[str, PaperNetwork] = {
    "dcgan generator": PaperNetwork(lambda width: dcgan.Generator(64, 3, width), papers.dcgan_generator, (100,), 64),
    "dcgan discriminator": PaperNetwork(dcgan.Discriminator, papers.dcgan_discriminator, (64, 64, 3), 64),
    "sngan cnn generator": PaperNetwork(
        lambda width: sngan.Generator(32, 3, width), papers.sngan_cnn_generator, (128,), 64
    ),
    "sngan cnn critic": PaperNetwork(sngan.Critic, papers.sngan_cnn_critic, (32, 32, 3), 64),
    "sngan resnet generator": PaperNetwork(
        lambda width: resnet.Generator(3, (width,) * 3, width), papers.sngan_resnet_generator, (128,), 256
    ),
    "sngan resnet critic": PaperNetwork(
        lambda width: resnet.Critic((width,) * 4), papers.sngan_resnet_critic, (32, 32, 3), 128
    ),
    "sngan resnet critic, 48 pixels": PaperNetwork(
        lambda width: resnet.Critic(tuple(width << n for n in range(5)), downs=4),
        papers.sngan_resnet_critic_48,
        (48, 48, 3),
        64,
    ),
    "sagan attention": PaperNetwork(lambda width: resnet.SelfAttention(), papers.SelfAttention, (8, 8, 64), 64),
    "r3gan generator": PaperNetwork(
        lambda width: _r3gan(r3gan.Generator, width),
        lambda width: papers.R3GANGenerator(width, width // 8),
        (64,),
        768,
        classes=10,
    ),
    "r3gan discriminator": PaperNetwork(
        lambda width: _r3gan(r3gan.Discriminator, width),
        lambda width: papers.R3GANDiscriminator(width, width // 8),
        (32, 32, 3),
        768,
        classes=10,
    ),
    "maxout gan generator": PaperNetwork(
        lambda width: maxout.Generator((28, 28, 1), width), papers.maxout_generator, (100,), 1_200
    ),
    "maxout gan discriminator": PaperNetwork(
        maxout.Discriminator, papers.maxout_discriminator, (28, 28, 1), 240, dropout=True
    ),
}


def small_width(network: PaperNetwork) -> int:
    """Returns a width at which the network is compared: that of the paper if it cannot be chosen, or at most 16."""
    return network.shape[-1] if network.theirs is papers.SelfAttention else min(16, network.width)


def differences(network: PaperNetwork, batch: int = 4) -> dict[str, float]:
    """Returns the largest differences of outputs and input gradients in float64, relative to the largest value.

    Both sides have the same weights, which are not the initial ones: some layers begin at 0 and hide others. Batch norm
    uses the statistics of the batch, and spectral norm makes one power iteration.
    """
    width, rng = small_width(network), np.random.default_rng(0)
    variables = jax.device_get(jax.jit(lambda key: network.init(key, width))(jax.random.key(0)))
    params = jax.tree.map(lambda a: np.float64(a) + 0.05 * rng.standard_normal(a.shape), variables.pop("params"))
    buffers = jax.tree.map(np.float64, variables)
    module = network.theirs(width).double().train(not network.dropout)
    _copy_weights(module, to_torch(module, params, buffers))
    x = rng.uniform(-1.0, 1.0, (batch, *network.shape))
    labels = network.extra_inputs(batch)
    keys = [jax.random.split(jax.random.key(0), batch)] if network.dropout else []

    @jax.jit
    def ours(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the gradient of half the squared norm of the output in x, and the output."""

        def loss(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            apply = functools.partial(network.ours(width).apply, train=not network.dropout, mutable=list(buffers))
            out, _ = apply({"params": params, **buffers}, x, *labels, *keys)
            return 0.5 * (out**2).sum(), out

        return jax.grad(loss, has_aux=True)(x)

    with jax.enable_x64(True):
        our_gradient, our_out = map(_channels_first, jax.device_get(ours(x)))
    their_x = torch.tensor(_channels_first(x), requires_grad=True)
    out = module(their_x, *map(torch.tensor, labels))
    (gradient,) = torch.autograd.grad(0.5 * out.square().sum(), their_x)
    relative = lambda a, b: float(np.abs(a - b).max() / np.abs(b).max())
    return {
        "output": relative(our_out, out.detach().numpy()),
        "input_gradient": relative(our_gradient, gradient.numpy()),
    }


def initial_weights(network: PaperNetwork, width: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields the name and the initial values of each tensor, of our network and of the authors'."""
    torch.manual_seed(0)
    module = network.theirs(width)
    params = jax.device_get(jax.jit(lambda key: network.init(key, width))(jax.random.key(0)))["params"]
    theirs = module.state_dict()
    for name, ours in to_torch(module, params).items():
        yield name, ours.numpy(), theirs[name].numpy()


def numbers_of_parameters(network: PaperNetwork) -> tuple[int, int]:
    """Returns how many parameters our network and the authors' have at the paper's width."""
    params = jax.eval_shape(lambda key: network.init(key, network.width), jax.random.key(0))["params"]
    with torch.device("meta"):
        module = network.theirs(network.width)
    return sum(x.size for x in jax.tree.leaves(params)), sum(x.numel() for x in module.parameters())


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row per network: its parameters, and the differences of outputs and gradients, relative.

    Raises NotEquivalent if a difference is above `equivalence.TOLERANCE` or the numbers of parameters differ.
    """
    for name, network in NETWORKS.items():
        ours, theirs = numbers_of_parameters(network)
        row = differences(network)
        if ours != theirs or not max(row.values()) <= TOLERANCE:
            raise NotEquivalent(f"{name}: {ours} parameters here and {theirs} in PyTorch; relative differences {row}")
        yield {"name": f"networks/{name}", "parameters": ours, **row}


def _copy_weights(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Sets all parameters, and the vectors u of spectral norm. Raises NotEquivalent if the names differ."""
    own = dict(module.named_parameters()) | {n: b for n, b in module.named_buffers() if n.endswith("weight_u")}
    if different := sorted(own.keys() ^ weights.keys()):
        raise NotEquivalent(f"only one side has the tensors {', '.join(different)}")
    for name, tensor in own.items():
        tensor.data.copy_(weights[name])


def _channels_first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1).copy() if x.ndim == 4 else x
