"""The registered experiments: one file per paper. Importing this package puts them on the register."""

from experiments import (
    cgan,
    cyclegan,
    dirac,
    dragan,
    gan,
    improved,
    infogan,
    lsgan,
    mescheder,
    pacgan,
    r3gan,
    sngan,
    ttur,
    unrolled,
    wgan,
    wgan_gp,
)

__all__ = [
    "cgan",
    "cyclegan",
    "dirac",
    "dragan",
    "gan",
    "improved",
    "infogan",
    "lsgan",
    "mescheder",
    "pacgan",
    "r3gan",
    "sngan",
    "ttur",
    "unrolled",
    "wgan",
    "wgan_gp",
]
