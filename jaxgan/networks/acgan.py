"""AC-GAN's discriminator for CIFAR-10, which also predicts the class of an image (Odena et al. 2016, appendix A).

It differs from the paper in two ways. Images get no noise. Weights are initialised from LeCun's normal distribution and
not from N(0, 0.02), with which SGD at a rate of 0.001 was unstable on the 8 x 8 digits: after ten steps, runs on one
device and on eight devices differed by 0.003.
"""

import flax.linen as nn
import jax
from jax import Array

from jaxgan.networks.dcgan import num_halvings
from jaxgan.networks.heads import Outputs
from jaxgan.networks.layers import Conv, batch_norm, dropout, leaky_relu


class Discriminator(nn.Module):
    """Maps images [B, H, H, C] and example keys [B], for dropout, to "logits" [B] and "class_logits" [B, classes].

    H must be `base` times a power of two.
    """

    classes: int
    width: int = 16  # channels of the first layer; each later layer has twice as many
    base: int = 4  # side of the last feature map in pixels
    keep_prob: float = 0.5  # probability that dropout keeps an activation

    @nn.compact
    def __call__(self, x: Array, keys: Array, train: bool = True) -> Outputs:
        for n in range(2 * num_halvings(x.shape[1], self.base)):
            strides = (1, 1) if n % 2 else (2, 2)
            x = Conv(self.width << n, (3, 3), strides, use_bias=n == 0)(x)
            x = leaky_relu(batch_norm(train)(x) if n else x)
            if train:
                x = dropout(x, jax.vmap(jax.random.fold_in, (0, None))(keys, n), self.keep_prob)
        x = x.reshape(len(x), -1)
        return {"logits": nn.Dense(1)(x)[:, 0], "class_logits": nn.Dense(self.classes)(x)}
