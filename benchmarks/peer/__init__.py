"""The same training steps in PyTorch, written as an expert would, as the baseline of the benchmarks.

Losses, penalties and networks are those of `workloads.make_game`, which `benchmarks.equivalence` checks. This package
needs torch, which jaxgan does not, so import it only where it is used.
"""

from typing import Any

import jax
import torch
from torch import Tensor

from benchmarks.peer.trainers import FunctionalTrainer, LossAndGradients, ModuleTrainer, RandomBatches
from benchmarks.workloads import Workload
from jaxgan.errors import UserError

OPTIONS = {"eager", "channels_last", "compile", "functional", "amp"}


class UnsupportedVariant(UserError):
    """PyTorch cannot run the workload in this variant."""


class Peer:
    """A workload in one variant of PyTorch."""

    def __init__(
        self,
        workload: Workload,
        params: Any,
        buffers: Any,
        variant: str = "eager",
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Builds the step.

        Args:
            workload: What to train.
            params: Initial parameters of our networks by name, with a leading axis if there are several seeds.
            buffers: Initial buffers, likewise.
            variant: Some of `OPTIONS`, joined by "+".
            device: "cpu" or "cuda".
            dtype: Of parameters and data.

        Raises UnsupportedVariant.
        """
        options, device = variant.split("+"), torch.device(device)
        if reason := _unsupported_reason(workload, options):
            raise UnsupportedVariant(f"{workload.name}: {reason}")
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")  # TF32, as in cuDNN's convolutions and in JAX.
        functional = "functional" in options
        seeds_axis = (workload.seeds,) if functional and workload.seeds > 1 else ()
        data = RandomBatches(workload, device, dtype, "channels_last" in options, seeds_axis)
        if functional:
            self.trainers = [FunctionalTrainer(workload, params, buffers, options, data)]
        else:
            variables = (params, buffers)
            seed = lambda i: variables if workload.seeds == 1 else jax.tree.map(lambda a: a[i], variables)
            self.trainers = [ModuleTrainer(workload, *seed(i), options, data) for i in range(workload.seeds)]

    def step(self) -> None:
        """Takes one training step of every seed, on fresh data and noise. Does not wait for the device."""
        for trainer in self.trainers:
            trainer.step()

    def gradients(self, real: Tensor, z_d: Tensor, z_g: Tensor, noise: Tensor | None) -> dict[str, LossAndGradients]:
        """Returns the first seed's losses and gradients by phase, d and g. Parameters stay as they are."""
        return self.trainers[0].gradients(real, z_d, z_g, noise)


def supported_variants(workload: Workload, device: str = "cpu") -> list[str]:
    """Returns the variants that are tried to find the fastest."""
    if workload.family == "mlp":
        candidates = ["eager", "compile", "functional+compile"] + ["functional"] * (workload.seeds > 1)
    else:
        candidates = ["eager", "channels_last", "compile", "channels_last+compile"]
    supported = [variant for variant in candidates if not _unsupported_reason(workload, variant.split("+"))]
    return supported + [f"{variant}+amp" for variant in supported] * (device != "cpu")


def _unsupported_reason(workload: Workload, options: list[str]) -> str | None:
    """Returns why PyTorch cannot run a variant, or None if it can."""
    if unknown := sorted(set(options) - OPTIONS):
        return f"unknown variant {unknown[0]}; combine {', '.join(sorted(OPTIONS))} with +"
    if "functional" in options and workload.family != "mlp":
        return "torch.func does not support modules that write running statistics; leave out functional"
    if "compile" in options and workload.spectral and workload.penalty != "none":
        return "torch.func cannot trace spectral_norm, which writes its vectors in place; leave out compile"
    return None
