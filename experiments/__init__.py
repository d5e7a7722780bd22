"""The registered experiments: one file per paper. Importing this package puts them on the register."""

from experiments import dirac, gan, lsgan, r3gan, wgan, wgan_gp

__all__ = ["dirac", "gan", "lsgan", "r3gan", "wgan", "wgan_gp"]
