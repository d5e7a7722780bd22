"""The registered experiments: one file per paper. Importing this package puts them on the register."""

from experiments import dirac, gan, improved, lsgan, r3gan, ttur, wgan, wgan_gp

__all__ = ["dirac", "gan", "improved", "lsgan", "r3gan", "ttur", "wgan", "wgan_gp"]
