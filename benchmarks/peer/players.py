"""How the peer plays a step: by modules, one seed at a time, or as functions of all seeds' parameters at once."""

import contextlib
import functools
from typing import Any

import jax
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from benchmarks.peer import networks
from benchmarks.peer.losses import d_loss, g_loss, slopes, traced_slopes
from benchmarks.peer.weights import tensors
from benchmarks.works import Work, pixels
from jaxgan.data import synthetic

Gradients = tuple[Tensor, dict[str, Tensor]]  # a loss, and by parameter


class Data:
    """Batches and noise on the device, [*lead, B, ...] and without a wait for it."""

    def __init__(
        self, work: Work, device: torch.device, dtype: torch.dtype, channels_last: bool, lead: tuple[int, ...]
    ):
        self.work, self.channels_last, self.lead = work, channels_last, lead
        self.options = {"device": device, "dtype": dtype}
        self.ring = synthetic.ring() if len(work.shape) == 1 else None
        self.held = torch.tensor(pixels(work) if self.ring is None else self.ring.modes, device=device)

    def real(self) -> Tensor:
        """Points of the ring, or images."""
        which = torch.randint(len(self.held), (*self.lead, self.work.batch), device=self.held.device)
        x = self.held[which].to(self.options["dtype"])
        if self.ring:
            return x + self.ring.std * torch.randn_like(x)
        x = (x / 127.5 - 1.0).movedim(-1, -3)
        return x if self.channels_last else x.contiguous()

    def z(self) -> Tensor:
        """Latents."""
        return torch.randn(*self.lead, self.work.batch, self.work.latent, **self.options)

    def noise(self) -> Tensor | None:
        """What the penalty draws."""
        to = (*self.lead, self.work.batch)
        if self.work.penalty == "gp":
            return torch.rand(*to, *[1] * len(self.work.shape), **self.options)
        channels_first = networks.channels_first(self.work.shape)
        return torch.randn(*to, *channels_first, **self.options) if self.work.penalty == "dragan" else None


class Player:
    """One seed, played by modules; its two losses compiled or not."""

    def __init__(self, work: Work, params: Any, buffers: Any, words: list[str], data: Data) -> None:
        device = data.held.device.type
        self.work, self.data = work, data
        amp = functools.partial(torch.autocast, device, torch.bfloat16)
        self.cast = amp if "amp" in words else contextlib.nullcontext
        # One pass costs fewer launches; for convolutions on a CPU two of half the size were as fast or up to a tenth
        # faster. With spectral norm each pass also moves the vectors on, as ours do.
        self.joined = work.family == "mlp" or (device == "cuda" and not work.spectral)
        self.slopes = traced_slopes if {"compile", "functional"} & set(words) else slopes
        self._networks(params, buffers, "channels_last" in words)
        adam = lambda tensors: torch.optim.Adam(tensors.values(), work.lr, (work.b1, work.b2), fused=True)
        self.g_adam, self.d_adam = adam(self.g_params), adam(self.d_params)
        if "compile" in words:
            self._d, self._g, self._fake = (torch.compile(f) for f in (self._d, self._g, self._fake))

    def _networks(self, params: Any, buffers: Any, channels_last: bool) -> None:
        self.generator, self.discriminator = (
            network.to(**self.data.options, memory_format=torch.channels_last if channels_last else None)
            for network in networks.modules(self.work)
        )
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            held = tensors(network, params[name], buffers[name])
            network.load_state_dict(network.state_dict() | held)  # in place: type, place and layout stay
        self.g_params, self.d_params = (dict(n.named_parameters()) for n in (self.generator, self.discriminator))

    def step(self) -> None:
        """Play one training step."""
        real = self.data.real()
        self.d_backward(real, self.data.z(), self.data.noise())
        self.d_adam.step()
        if self.work.clip is not None:
            with torch.no_grad():
                for p in self.d_params.values():
                    p.clamp_(-self.work.clip, self.work.clip)
        self.g_backward(real, self.data.z())
        self.g_adam.step()

    def d_backward(self, real: Tensor, z: Tensor, noise: Tensor | None) -> Tensor:
        """Return the discriminator's loss, with the gradients at its parameters."""
        self.d_adam.zero_grad(set_to_none=True)
        with self.cast():
            loss = self._d(real, self._fake(z), noise)
        loss.backward(inputs=list(self.d_params.values()))  # and not of what a penalty asked the gradient in
        return loss.detach()

    def g_backward(self, real: Tensor, z: Tensor) -> Tensor:
        """Return the generator's loss, with the gradients at its parameters."""
        self.g_adam.zero_grad(set_to_none=True)
        _learn(self.d_params, False)
        with self.cast():
            loss = self._g(real, z)
        loss.backward()
        _learn(self.d_params, True)
        return loss.detach()

    @torch.no_grad()
    def _fake(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def _d(self, real: Tensor, fake: Tensor, noise: Tensor | None) -> Tensor:
        return d_loss(self.work, self.discriminator, real, fake, noise, self.slopes, self.joined)

    def _g(self, real: Tensor, z: Tensor) -> Tensor:
        return g_loss(self.work, self.discriminator, real, self.generator(z))

    def gradients(self, real: Tensor, z_d: Tensor, z_g: Tensor, noise: Tensor | None) -> dict[str, Gradients]:
        """Of each phase the loss and its gradients, by the names of the discriminator's or generator's parameters."""
        d, g = self.d_backward(real, z_d, noise), self.g_backward(real, z_g)
        of = lambda params: {name: p.grad for name, p in params.items()}
        return {"d": (d, of(self.d_params)), "g": (g, of(self.g_params))}


class Functional(Player):
    """All seeds at once, as functions of stacked parameters; for networks without norms, whose calls write nothing."""

    def _networks(self, params: Any, buffers: Any, channels_last: bool) -> None:
        self.generator, self.discriminator = (n.to(**self.data.options) for n in networks.modules(self.work))
        lead = self.data.lead

        def stack(network: nn.Module, name: str) -> dict[str, Tensor]:
            member = lambda i: tensors(network, jax.tree.map(lambda a: a[i], params[name]))
            made = (
                jax.tree.map(lambda *t: torch.stack(t), *map(member, range(*lead)))
                if lead
                else tensors(network, params[name])
            )
            return {name: t.to(**self.data.options) for name, t in made.items()}

        self.g_params, self.d_params = stack(self.generator, "generator"), stack(self.discriminator, "discriminator")

    def d_backward(self, real: Tensor, z: Tensor, noise: Tensor | None) -> Tensor:
        """Return the discriminator's losses, with the gradients at its parameters."""
        noise = z if noise is None else noise  # `vmap` has no place for None.
        with self.cast():
            grads, loss = self._d(self.d_params, self.g_params, real, z, noise)
        return _hold(self.d_params, grads, loss)

    def g_backward(self, real: Tensor, z: Tensor) -> Tensor:
        """Return the generator's losses, with the gradients at its parameters."""
        with self.cast():
            grads, loss = self._g(self.g_params, self.d_params, real, z)
        return _hold(self.g_params, grads, loss)

    def _d(self, *args: Any) -> Any:
        def one(d_params, g_params, real, z, noise):
            fake = functional_call(self.generator, g_params, (z,))
            critic = lambda params: lambda x: functional_call(self.discriminator, params, (x,))
            loss = lambda params: d_loss(self.work, critic(params), real, fake, noise, self.slopes, self.joined)
            return grad_and_value(loss)(d_params)

        return (vmap(one) if self.data.lead else one)(*args)

    def _g(self, *args: Any) -> Any:
        def one(g_params, d_params, real, z):
            critic = lambda x: functional_call(self.discriminator, d_params, (x,))
            loss = lambda params: g_loss(self.work, critic, real, functional_call(self.generator, params, (z,)))
            return grad_and_value(loss)(g_params)

        return (vmap(one) if self.data.lead else one)(*args)

    def gradients(self, *given: Tensor | None) -> dict[str, Gradients]:
        """As of one seed: all seeds are given the same, and the first is shown."""
        found = super().gradients(*(None if x is None else x.expand(*self.data.lead, *x.shape) for x in given))
        return jax.tree.map(lambda x: x[0], found) if self.data.lead else found


def _learn(params: dict[str, Tensor], whether: bool) -> None:
    for p in params.values():
        p.requires_grad_(whether)


def _hold(params: dict[str, Tensor], grads: dict[str, Tensor], loss: Tensor) -> Tensor:
    for name, p in params.items():
        p.grad = grads[name]
    return loss
