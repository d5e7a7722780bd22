"""What the benchmarks are timed against does the same work; skipped where there is no torch."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from benchmarks import equal, works
from jaxgan import game

torch = pytest.importorskip("torch", reason="the peer is written in PyTorch")

from benchmarks import peer  # noqa: E402
from benchmarks.peer import losses  # noqa: E402

WORKS = {work.family: works.tiny(work) for work in works.ALL}
WORKS["resnet_plain"] = dataclasses.replace(WORKS["resnet"], spectral=False)


@pytest.mark.parametrize(
    ("family", "penalty"),
    [
        *[("mlp", penalty) for penalty in works.PENALTIES],
        *[("dcgan", "gp"), ("dcgan", "r1"), ("resnet", "none"), ("resnet_plain", "gp"), ("r3gan", "r1_r2")],
    ],
)
def test_both_sides_have_the_same_losses_and_gradients(family, penalty):
    assert max(equal.check(dataclasses.replace(WORKS[family], penalty=penalty, weight=2.0)).values()) < 1e-9


@pytest.mark.parametrize("seeds", [1, 2])
def test_so_they_have_as_functions_of_stacked_parameters(seeds):
    work = dataclasses.replace(WORKS["mlp"], seeds=seeds, penalty="gp", weight=2.0)
    assert max(equal.check(work, "functional").values()) < 1e-9


def test_other_work_is_found_out(monkeypatch):
    monkeypatch.setitem(losses.LOSSES, "wasserstein", losses.LOSSES["hinge"])
    with pytest.raises(equal.Unequal, match="d_loss by"):
        equal.check(dataclasses.replace(WORKS["mlp"], loss="wasserstein"))


@pytest.mark.parametrize(("family", "variant"), [("mlp", "eager"), ("mlp", "functional"), ("dcgan", "channels_last")])
def test_a_step_moves_every_parameter_of_both_players_within_the_clip(family, variant):
    seeds = 2 if family == "mlp" else 1
    work = dataclasses.replace(WORKS[family], seeds=seeds, penalty="dragan", weight=1.0, clip=0.01)
    state = game.init(works.game(work), jax.random.key(0))
    if seeds > 1:
        state = jax.tree.map(lambda a: jnp.stack([a] * seeds), state)
    other = peer.Peer(work, *jax.device_get((state.params, state.buffers)), variant)

    def tensors(name):
        return {(n, i): t for i, player in enumerate(other.players) for n, t in getattr(player, name).items()}

    before = {name: {n: t.detach().clone() for n, t in tensors(name).items()} for name in ("d_params", "g_params")}
    other.step()
    for name, then in before.items():
        assert all(not torch.equal(t, then[n]) for n, t in tensors(name).items())
    assert all(t.abs().max() <= 0.01 for t in tensors("d_params").values())


def test_what_pytorch_cannot_run_is_refused_with_the_reason():
    resnet = dataclasses.replace(WORKS["resnet"], penalty="gp")
    for work, variant, why in [
        (resnet, "compile", "in place"),
        (WORKS["dcgan"], "functional", "running statistics"),
        (WORKS["mlp"], "eagre", "eagre"),
    ]:
        with pytest.raises(peer.Unsupported, match=why):
            peer.Peer(work, {}, {}, variant)
    assert peer.variants(resnet) == ["eager", "channels_last"]
