"""MoCoGAN's networks: images of one content along a path of motion (Tulyakov et al. 2018)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.core import prng
from jaxgan.networks import dcgan
from jaxgan.networks.layers import Conv, batch_norm, leaky_relu

BASE = 4  # side of a discriminator's last feature map in pixels


class Generator(nn.Module):
    """Maps latents [B, content + (1 + frames) * motion] to videos [B, frames, size, size, channels] in [-1, 1].

    The first `content` latents are the same in all frames. The next `motion` ones are the first state of a gated
    recurrent unit. The others are its inputs, from which it makes a path, one vector of `motion` numbers for each
    frame. DCGAN's generator draws each frame.
    """

    frames: int
    size: int
    channels: int = 3
    content: int = 50
    motion: int = 10
    width: int = 64  # channels at half the size; doubled each time the size is halved again

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        noise = z[:, self.content :].reshape(-1, 1 + self.frames, self.motion)
        path = nn.RNN(nn.GRUCell(self.motion))(noise[:, 1:], initial_carry=noise[:, 0])
        content = jnp.broadcast_to(z[:, None, : self.content], (len(z), self.frames, self.content))
        inputs = jnp.concatenate([content, path], -1).reshape(len(z) * self.frames, -1)
        images = dcgan.Generator(self.size, self.channels, self.width)(inputs, train=train)
        return images.reshape(len(z), self.frames, *images.shape[1:])


class Discriminator(nn.Module):
    """Maps images [B, H, H, C] or videos [B, T, H, H, C], and one PRNG key per example [B], to logits [B].

    Before each convolution normal noise is added, as in the authors' code. Convolutions of videos have no zeros before
    and after the frames, which would tell where a video begins.
    """

    width: int = 64  # channels at half the size; doubled each time the size is halved again
    noise: float = 0.2  # standard deviation

    @nn.compact
    def __call__(self, x: Array, keys: Array, train: bool = True) -> Array:
        time = (1,) * (x.ndim - 4)  # One axis for videos, none for images.
        padding = [*((0, 0) for _ in time), (1, 1), (1, 1)]
        for i in range(dcgan.num_halvings(x.shape[-2], BASE)):
            x = x + self.noise * prng.normal(prng.fold_in(keys, i), *x.shape[1:])
            options = {"padding": padding, "use_bias": i == 0, "kernel_init": dcgan.NORMAL}
            x = Conv(self.width << i, (4,) * len(padding), (*time, 2, 2), **options)(x)
            x = leaky_relu(batch_norm(train)(x) if i else x)
        return nn.Dense(1, kernel_init=dcgan.NORMAL)(x.reshape(len(x), -1))[:, 0]


def shortest_video(size: int) -> int:
    """Returns the number of frames that `Discriminator` needs: each convolution shortens a video by 3 frames."""
    return 3 * dcgan.num_halvings(size, BASE) + 1
