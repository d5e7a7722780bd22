"""VGG-16 (Simonyan & Zisserman 2014, arXiv 1409.1556), whose features LPIPS and improved precision and recall compare.

Modules have the names of torchvision's weights, with "_" for ".".
"""

import flax.linen as nn
import jax
from jax import Array

SIZE = 224  # side of the input images in pixels
CONVOLUTIONS = (2, 2, 3, 3, 3)  # in each of five stages, each of which ends in max pooling
PRECISION = jax.lax.Precision.HIGHEST  # At lower precision a GPU rounds mantissas to 10 bits.


class VGG16Stages(nn.Module):
    """Maps images [B, H, W, 3] to the outputs of the five stages before pooling: [B, H / 2^i, W / 2^i, C]."""

    width: int = 64  # channels of the first stage; doubled in each of the next three

    @nn.compact
    def __call__(self, x: Array) -> list[Array]:
        outputs, index = [], 0  # of the layer in torchvision's network, where ReLU and pooling count
        for stage, layers in enumerate(CONVOLUTIONS):
            for _ in range(layers):
                width = self.width << min(stage, 3)
                x = nn.relu(nn.Conv(width, (3, 3), precision=PRECISION, name=f"features_{index}")(x))
                index += 2
            outputs.append(x)
            x = nn.max_pool(x, (2, 2), (2, 2))
            index += 1
        return outputs


class VGG16(nn.Module):
    """Maps images [B, 224, 224, 3] to the outputs [B, hidden] of the second fully connected layer, after its ReLU."""

    width: int = 64  # channels of the first stage; doubled in each of the next three
    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array) -> Array:
        stages = VGG16Stages(self.width)
        nn.share_scope(self, stages)
        x = nn.max_pool(stages(x)[-1], (2, 2), (2, 2))
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # PyTorch's order
        for name in ("classifier_0", "classifier_3"):
            x = nn.relu(nn.Dense(self.hidden, precision=PRECISION, name=name)(x))
        return x
