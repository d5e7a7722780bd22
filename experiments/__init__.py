"""The registered experiments: one file per paper. Importing this package puts them on the register."""

from experiments import dirac, gan, r3gan, wgan, wgan_gp

__all__ = ["dirac", "gan", "r3gan", "wgan", "wgan_gp"]
