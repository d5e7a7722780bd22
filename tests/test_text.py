"""Tests of text: tokens, windows, bad files, the divergence of n-grams, and characters by WGAN-GP."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import jensenshannon

from jaxgan.data import text
from jaxgan.data.streams import WindowData
from jaxgan.errors import UserError
from jaxgan.evaluate.ngrams import ngram_divergence
from jaxgan.networks import char_resnet
from jaxgan.runs import registry
from jaxgan.training import sampling
from jaxgan.training.loop import build_loop, run_key


def decode(tokens, alphabet=text.ALPHABET):
    return "".join(text.vocabulary(alphabet)[t] for t in tokens)


def test_unknown_characters_become_one_token():
    assert decode(text.encode("naïve €5")) == "na\N{REPLACEMENT CHARACTER}ve \N{REPLACEMENT CHARACTER}5"
    assert text.encode("ab?", "ab").tolist() == [0, 1, 2]


def test_windows_begin_with_words_and_the_held_out_part_is_disjoint():
    words = " ".join(f"w{i:04d}" for i in range(500))
    train, held_out = text.windows(words, 11)
    train, held_out = ([decode(row) for row in part] for part in (train, held_out))
    assert train[0] == "w0000 w0001"
    assert train[-1].split()[1] < held_out[1].split()[0]
    assert all(row[0] == "w" for row in train)


def test_the_text_of_pythons_help_has_windows():
    train, held_out = text.windows(text.read_text(), 32)
    assert train.shape[1:] == held_out.shape[1:] == (32,)
    assert len(train) > 10_000
    assert len(held_out) > 1_000


def test_bad_files_are_explained(tmp_path):
    latin, empty, short = (tmp_path / name for name in ("latin.txt", "empty.txt", "short.txt"))
    latin.write_bytes("Müller".encode("latin-1"))
    empty.write_text(" \n")
    short.write_text("too short")
    with pytest.raises(UserError, match="not UTF-8 text at byte 1"):
        text.read_text(latin)
    with pytest.raises(UserError, match="has no text"):
        text.read_text(empty)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        text.read_text(tmp_path / "missing.txt")
    with pytest.raises(UserError, match="too short for windows of 32; use at least 640"):
        text.windows(text.read_text(short), 32)
    with pytest.raises(UserError, match="'a' more than once"):
        text.vocabulary("aba")
    with pytest.raises(UserError, match="is empty"):
        text.vocabulary("")


def test_the_divergence_of_ngrams():
    assert ngram_divergence(["abab"], ["baba"], 1) == 0
    assert ngram_divergence(["aa"], ["bb"], 2) == 1
    # Bigrams of the first: ab 2, ba 1; of the second: ab 1, bb 1.
    expected = jensenshannon([2 / 3, 1 / 3, 0], [1 / 2, 0, 1 / 2], base=2) ** 2
    assert_allclose(ngram_divergence(["abab"], [(*"abb",)], 2), expected)
    with pytest.raises(ValueError, match="no sequence has 3"):
        ngram_divergence(["ab"], ["abc"], 3)


def test_the_characters_networks(key):
    generator, critic = char_resnet.Generator(6, 5, width=4, blocks=1), char_resnet.Critic(width=4, blocks=1)
    z = jax.random.normal(key, [3, 2])
    probabilities = generator.apply(generator.init(key, z), z)
    assert probabilities.shape == (3, 6, 5)
    assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    logits = critic.apply(critic.init(key, probabilities), probabilities)
    assert logits.shape == (3,)


def test_a_residual_block_adds_three_tenths_of_its_convolutions(key):
    x = jax.random.normal(key, [1, 7, 2])
    block = char_resnet.ResidualBlock()
    params = block.init(key, x)["params"]
    convolve = lambda x, p: jnp.stack(
        [jnp.einsum("kc,kco->o", jnp.pad(x, ((2, 2), (0, 0)))[t : t + 5], p["kernel"]) for t in range(7)]
    )
    inner = jax.nn.relu(convolve(jax.nn.relu(x[0]), params["Conv_0"]))
    expected = x[0] + 0.3 * convolve(inner, params["Conv_1"])
    assert_allclose(block.apply({"params": params}, x)[0], expected, rtol=1e-5, atol=1e-6)


def test_batches_are_one_hot_and_samples_are_strings_of_the_length(tmp_path):
    (tmp_path / "own.txt").write_text("to be or not to be, that is the question: " * 20)
    entry = registry.get("wgan_gp/text")
    settings = {"data": str(tmp_path / "own.txt"), "length": 8, "width": 4, "blocks": 1, "alphabet": "tobe "}
    config = dataclasses.replace(entry.config, **settings)
    experiment = entry.build(config)
    data = next(experiment.source.windows(jax.random.key(0), 0)).replicated
    batch = experiment.source.batch(WindowData(data), jax.random.key(0), jnp.int32(0), jnp.arange(4))
    assert batch["real"].shape == (4, 8, 6)
    assert np.unique(batch["real"]).tolist() == [0, 1]
    state = build_loop(experiment, config).init(run_key(config))
    samples = sampling.make_sampler(experiment)(state, 3, 0)
    assert [len(s) for s in samples] == [8] * 3
    assert set("".join(samples)) <= set(text.vocabulary("tobe "))
    values = experiment.evaluate(samples, state).values
    assert set(values) == {"js1", "js2", "js3", "js4", "js4_floor"}
    assert all(0 <= value <= 1 for value in values.values())
