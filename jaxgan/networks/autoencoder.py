"""A discriminator that is an autoencoder (EBGAN, BEGAN)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.heads import Outputs


class AutoencoderCritic(nn.Module):
    """Maps examples [B, ...] to "logits", minus the error of their reconstruction, and to "code" [B, D].

    The error is the mean over all values of |x - x'|^power.
    """

    encoder: nn.Module  # examples to codes
    decoder: nn.Module  # codes to examples
    power: int = 2  # 2 for squared errors (EBGAN), 1 for absolute ones (BEGAN)

    def __call__(self, x: Array, train: bool = True) -> Outputs:
        code = self.encoder(x, train=train)
        reconstruction = self.decoder(code, train=train)
        error = (jnp.abs(x - reconstruction) ** self.power).mean(range(1, x.ndim))
        return {"logits": -error, "code": code}
