"""MoCoGAN's generator: images of one content along a path of motion (Tulyakov et al. 2018)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks import dcgan


class Generator(nn.Module):
    """Maps latents [B, content + frames * motion] to videos [B, frames, size, size, channels] in [-1, 1].

    The first `content` latents are the same in all frames. The others are noise [frames, motion], from which a gated
    recurrent unit makes a path, one vector of `motion` numbers for each frame. DCGAN's generator draws each frame.
    """

    frames: int
    size: int
    channels: int = 3
    content: int = 50
    motion: int = 10
    width: int = 64  # channels at half the size; doubled each time the size is halved again

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        noise = z[:, self.content :].reshape(-1, self.frames, self.motion)
        path = nn.RNN(nn.GRUCell(self.motion))(noise, initial_carry=jnp.zeros((len(z), self.motion), z.dtype))
        content = jnp.broadcast_to(z[:, None, : self.content], (len(z), self.frames, self.content))
        inputs = jnp.concatenate([content, path], -1).reshape(len(z) * self.frames, -1)
        images = dcgan.Generator(self.size, self.channels, self.width)(inputs, train=train)
        return images.reshape(len(z), self.frames, *images.shape[1:])
