"""The PyTorch baseline of the benchmarks computes the same as jaxgan. Skipped without torch."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from benchmarks import equivalence, translation, workloads
from jaxgan.core.game import init_state

torch = pytest.importorskip("torch", reason="the peer is written in PyTorch")

from benchmarks import peer  # noqa: E402
from benchmarks.peer import losses  # noqa: E402

WORKLOADS = {w.family: workloads.tiny(w) for w in workloads.WORKLOADS}
WORKLOADS["resnet_plain"] = dataclasses.replace(WORKLOADS["resnet"], spectral=False)


@pytest.mark.parametrize(
    ("family", "penalty"),
    [
        *[("mlp", penalty) for penalty in workloads.PENALTIES],
        *[("dcgan", "gp"), ("dcgan", "r1"), ("resnet", "none"), ("resnet_plain", "gp"), ("r3gan", "r1_r2")],
    ],
)
def test_losses_and_gradients_are_equal(family, penalty):
    workload = dataclasses.replace(WORKLOADS[family], penalty=penalty, weight=2.0)
    assert max(equivalence.check(workload).values()) < 1e-9


@pytest.mark.parametrize("workload", translation.WORKLOADS, ids=lambda workload: workload.name)
def test_losses_and_gradients_of_translators_are_equal(workload):
    assert max(translation.check(translation.tiny(workload)).values()) < 1e-9


@pytest.mark.parametrize("seeds", [1, 2])
def test_losses_and_gradients_of_stacked_parameters_are_equal(seeds):
    workload = dataclasses.replace(WORKLOADS["mlp"], seeds=seeds, penalty="gp", weight=2.0)
    assert max(equivalence.check(workload, "functional").values()) < 1e-9


def test_different_losses_are_detected(monkeypatch):
    monkeypatch.setitem(losses.LOSSES, "wasserstein", losses.LOSSES["hinge"])
    with pytest.raises(equivalence.NotEquivalent, match="d_loss by"):
        equivalence.check(dataclasses.replace(WORKLOADS["mlp"], loss="wasserstein"))


@pytest.mark.parametrize(("family", "variant"), [("mlp", "eager"), ("mlp", "functional"), ("dcgan", "channels_last")])
def test_a_step_updates_every_parameter_and_clips_the_discriminator(family, variant):
    seeds = 2 if family == "mlp" else 1
    workload = dataclasses.replace(WORKLOADS[family], seeds=seeds, penalty="dragan", weight=1.0, clip=0.01)
    state = init_state(workloads.make_game(workload), jax.random.key(0))
    if seeds > 1:
        state = jax.tree.map(lambda a: jnp.stack([a] * seeds), state)
    baseline = peer.Peer(workload, *jax.device_get((state.params, state.buffers)), variant)

    def tensors(name):
        return {(n, i): t for i, trainer in enumerate(baseline.trainers) for n, t in getattr(trainer, name).items()}

    before = {name: {n: t.detach().clone() for n, t in tensors(name).items()} for name in ("d_params", "g_params")}
    baseline.step()
    for name, old in before.items():
        assert all(not torch.equal(t, old[n]) for n, t in tensors(name).items())
    assert all(t.abs().max() <= 0.01 for t in tensors("d_params").values())


def test_an_unsupported_variant_is_refused_with_the_reason():
    resnet = dataclasses.replace(WORKLOADS["resnet"], penalty="gp")
    for workload, variant, reason in [
        (resnet, "compile", "in place"),
        (WORKLOADS["dcgan"], "functional", "running statistics"),
        (WORKLOADS["mlp"], "eagre", "eagre"),
    ]:
        with pytest.raises(peer.UnsupportedVariant, match=reason):
            peer.Peer(workload, {}, {}, variant)
    assert peer.supported_variants(resnet) == ["eager", "channels_last"]
