"""Training steps in PyTorch: with modules, one seed at a time, or with functions of all seeds' parameters at once."""

import contextlib
import functools
from typing import Any

import jax
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from benchmarks.peer import networks
from benchmarks.peer.losses import d_loss, g_loss, logits_and_gradient, traceable_logits_and_gradient
from benchmarks.peer.weights import to_torch
from benchmarks.workloads import Workload, noise_images
from jaxgan.data import synthetic

LossAndGradients = tuple[Tensor, dict[str, Tensor]]  # gradients by parameter name


class RandomBatches:
    """Draws batches and noise [*seeds_axis, B, ...] on the device, without waiting for it."""

    def __init__(
        self,
        workload: Workload,
        device: torch.device,
        dtype: torch.dtype,
        channels_last: bool,
        seeds_axis: tuple[int, ...],
    ) -> None:
        self.workload, self.channels_last, self.seeds_axis = workload, channels_last, seeds_axis
        self.options = {"device": device, "dtype": dtype}
        self.ring = synthetic.ring() if len(workload.shape) == 1 else None
        self.dataset = torch.tensor(noise_images(workload) if self.ring is None else self.ring.modes, device=device)

    def real(self) -> Tensor:
        """Draws points of the ring, or images."""
        size = (*self.seeds_axis, self.workload.batch)
        indices = torch.randint(len(self.dataset), size, device=self.dataset.device)
        x = self.dataset[indices].to(self.options["dtype"])
        if self.ring:
            return x + self.ring.std * torch.randn_like(x)
        x = (x / 127.5 - 1.0).movedim(-1, -3)
        return x if self.channels_last else x.contiguous()

    def z(self) -> Tensor:
        """Draws latents."""
        return torch.randn(*self.seeds_axis, self.workload.batch, self.workload.latent, **self.options)

    def noise(self) -> Tensor | None:
        """Draws the noise of the penalty, or returns None if it has none."""
        size = (*self.seeds_axis, self.workload.batch)
        if self.workload.penalty == "gp":
            return torch.rand(*size, *[1] * len(self.workload.shape), **self.options)
        if self.workload.penalty == "dragan":
            return torch.randn(*size, *networks.channels_first(self.workload.shape), **self.options)
        return None


class ModuleTrainer:
    """Trains one seed with modules and optimizers; its losses are compiled if the options say so."""

    def __init__(self, workload: Workload, params: Any, buffers: Any, options: list[str], data: RandomBatches) -> None:
        device = data.dataset.device.type
        self.workload, self.data = workload, data
        bfloat16 = functools.partial(torch.autocast, device, torch.bfloat16)
        self.autocast = bfloat16 if "amp" in options else contextlib.nullcontext
        # A joint pass over reals and fakes needs fewer launches. With convolutions on a CPU, two passes of half the
        # size were as fast or up to a tenth faster. With spectral norm each pass also updates the vectors, as in our
        # networks, so passes stay separate.
        self.joint = workload.family == "mlp" or (device == "cuda" and not workload.spectral)
        traced = {"compile", "functional"} & set(options)
        self.logits_and_gradient = traceable_logits_and_gradient if traced else logits_and_gradient
        self._load_networks(params, buffers, "channels_last" in options)
        betas = (workload.b1, workload.b2)
        adam = lambda params: torch.optim.Adam(params.values(), workload.lr, betas, fused=True)
        self.g_adam, self.d_adam = adam(self.g_params), adam(self.d_params)
        if "compile" in options:
            self._d, self._g, self._fake = (torch.compile(f) for f in (self._d, self._g, self._fake))

    def _load_networks(self, params: Any, buffers: Any, channels_last: bool) -> None:
        memory_format = torch.channels_last if channels_last else None
        self.generator, self.discriminator = (
            network.to(**self.data.options, memory_format=memory_format)
            for network in networks.build_modules(self.workload)
        )
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            weights = to_torch(network, params[name], buffers[name])
            network.load_state_dict(network.state_dict() | weights)  # Copies in place: dtype and layout stay.
        self.g_params, self.d_params = (dict(n.named_parameters()) for n in (self.generator, self.discriminator))

    def step(self) -> None:
        """Takes one training step."""
        real = self.data.real()
        self.d_backward(real, self.data.z(), self.data.noise())
        self.d_adam.step()
        if self.workload.clip is not None:
            with torch.no_grad():
                for p in self.d_params.values():
                    p.clamp_(-self.workload.clip, self.workload.clip)
        self.g_backward(real, self.data.z())
        self.g_adam.step()

    def d_backward(self, real: Tensor, z: Tensor, noise: Tensor | None) -> Tensor:
        """Returns the discriminator's loss and leaves the gradients in its parameters."""
        self.d_adam.zero_grad(set_to_none=True)
        with self.autocast():
            loss = self._d(real, self._fake(z), noise)
        loss.backward(inputs=list(self.d_params.values()))  # The inputs of a penalty's gradient need none.
        return loss.detach()

    def g_backward(self, real: Tensor, z: Tensor) -> Tensor:
        """Returns the generator's loss and leaves the gradients in its parameters."""
        self.g_adam.zero_grad(set_to_none=True)
        _set_requires_grad(self.d_params, False)
        with self.autocast():
            loss = self._g(real, z)
        loss.backward()
        _set_requires_grad(self.d_params, True)
        return loss.detach()

    @torch.no_grad()
    def _fake(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def _d(self, real: Tensor, fake: Tensor, noise: Tensor | None) -> Tensor:
        return d_loss(self.workload, self.discriminator, real, fake, noise, self.logits_and_gradient, self.joint)

    def _g(self, real: Tensor, z: Tensor) -> Tensor:
        return g_loss(self.workload, self.discriminator, real, self.generator(z))

    def gradients(self, real: Tensor, z_d: Tensor, z_g: Tensor, noise: Tensor | None) -> dict[str, LossAndGradients]:
        """Returns the loss of each phase, d and g, with its gradients in the player's parameters."""
        d, g = self.d_backward(real, z_d, noise), self.g_backward(real, z_g)
        grads = lambda params: {name: p.grad for name, p in params.items()}
        return {"d": (d, grads(self.d_params)), "g": (g, grads(self.g_params))}


class FunctionalTrainer(ModuleTrainer):
    """Trains all seeds at once with functions of stacked parameters, for networks whose calls write no buffers."""

    def _load_networks(self, params: Any, buffers: Any, channels_last: bool) -> None:
        self.generator, self.discriminator = (n.to(**self.data.options) for n in networks.build_modules(self.workload))

        def load(network: nn.Module, params: Any) -> dict[str, Tensor]:
            if self.data.seeds_axis:
                seeds = [to_torch(network, jax.tree.map(lambda a: a[i], params)) for i in range(*self.data.seeds_axis)]
                tensors = {name: torch.stack([seed[name] for seed in seeds]) for name in seeds[0]}
            else:
                tensors = to_torch(network, params)
            return {name: t.to(**self.data.options) for name, t in tensors.items()}

        self.g_params = load(self.generator, params["generator"])
        self.d_params = load(self.discriminator, params["discriminator"])

    def d_backward(self, real: Tensor, z: Tensor, noise: Tensor | None) -> Tensor:
        """Returns the discriminator's losses and leaves the gradients in its parameters."""
        noise = z if noise is None else noise  # `vmap` does not accept None.
        with self.autocast():
            grads, loss = self._d(self.d_params, self.g_params, real, z, noise)
        return _store_gradients(self.d_params, grads, loss)

    def g_backward(self, real: Tensor, z: Tensor) -> Tensor:
        """Returns the generator's losses and leaves the gradients in its parameters."""
        with self.autocast():
            grads, loss = self._g(self.g_params, self.d_params, real, z)
        return _store_gradients(self.g_params, grads, loss)

    def _d(self, *args: Any) -> Any:
        def single_seed(d_params, g_params, real, z, noise):
            fake = functional_call(self.generator, g_params, (z,))
            critic = lambda params: lambda x: functional_call(self.discriminator, params, (x,))
            options = (noise, self.logits_and_gradient, self.joint)
            loss = lambda params: d_loss(self.workload, critic(params), real, fake, *options)
            return grad_and_value(loss)(d_params)

        return (vmap(single_seed) if self.data.seeds_axis else single_seed)(*args)

    def _g(self, *args: Any) -> Any:
        def single_seed(g_params, d_params, real, z):
            critic = lambda x: functional_call(self.discriminator, d_params, (x,))
            loss = lambda params: g_loss(self.workload, critic, real, functional_call(self.generator, params, (z,)))
            return grad_and_value(loss)(g_params)

        return (vmap(single_seed) if self.data.seeds_axis else single_seed)(*args)

    def gradients(self, *inputs: Tensor | None) -> dict[str, LossAndGradients]:
        """Gives the same inputs to all seeds and returns the losses and gradients of the first."""
        expand = lambda x: None if x is None else x.expand(*self.data.seeds_axis, *x.shape)
        results = super().gradients(*map(expand, inputs))
        return jax.tree.map(lambda x: x[0], results) if self.data.seeds_axis else results


def _set_requires_grad(params: dict[str, Tensor], value: bool) -> None:
    for p in params.values():
        p.requires_grad_(value)


def _store_gradients(params: dict[str, Tensor], grads: dict[str, Tensor], loss: Tensor) -> Tensor:
    for name, p in params.items():
        p.grad = grads[name]
    return loss
