"""The verbs that measure, sample and report a run."""

import dataclasses
import errno
import json
import os
import tempfile
from unittest import mock

import jax
import numpy as np
import pytest
from helpers import call_cli
from PIL import Image

import jaxgan
from jaxgan.cli import explore, measure, train
from jaxgan.cli.main import main
from jaxgan.errors import UserError
from jaxgan.io import atomic
from jaxgan.reports import figures, run_report
from jaxgan.runs import registry
from jaxgan.runs.run import Run
from jaxgan.training import memory
from jaxgan.training.experiment import PERIOD_FIELDS
from jaxgan.training.loop import build_loop, run_key


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    quick = ["--steps=10", *(f"--{name.replace('_', '-')}=5" for name in ("log_every", *PERIOD_FIELDS))]
    assert main(["train", "r3gan/digits", "--workdir", str(path), "--batch-size=16", *quick]) == 0
    return path


def test_evaluate(capsys, workdir):
    code, out, _ = call_cli(capsys, "evaluate", workdir, "--samples", 200)
    assert code == 0
    assert "classes" in out
    record = json.loads(call_cli(capsys, "evaluate", workdir, "--samples", 200, "--json")[1])
    assert record["samples"] == 200
    assert {"eval/classes", "step", "hash", "versions", "sample_seed", "name"} <= set(record)
    assert len((workdir / "evaluations.jsonl").read_text().splitlines()) == 2


def test_evaluate_by_name(capsys, workdir):
    code, out, _ = call_cli(capsys, "evaluate", workdir, "--metrics", "balance", "--samples", 200)
    assert code == 0
    assert "class_kl" in out
    records = [json.loads(line) for line in (workdir / "evaluations.jsonl").read_text().splitlines()]
    assert {"classes", "smallest_class", "class_kl"} <= {record.get("metric") for record in records}


def test_a_run_is_reported(capsys, workdir):
    code, out, _ = call_cli(capsys, "report", workdir)
    assert code == 0
    assert f"{workdir / 'report.html'}: open it in a browser" in out
    assert "r3gan/digits" in (workdir / "report.html").read_text()


def test_interpolations(capsys, workdir, tmp_path):
    for name in ("frames.npz", "strip.png", "animation.gif"):
        code, _, err = call_cli(capsys, "sample", workdir, "--n", 3, "--interpolate", 4, "--out", tmp_path / name)
        assert code == 0, err
    frames = np.load(tmp_path / "frames.npz")["samples"]
    assert frames.shape == (3, 4, 8, 8, 1)
    call_cli(capsys, "sample", workdir, "--n", 3, "--out", tmp_path / "ends.npz")
    np.testing.assert_array_equal(frames[:, 0], np.load(tmp_path / "ends.npz")["samples"])
    with Image.open(tmp_path / "animation.gif") as animation:
        assert animation.n_frames == 4


def test_sample(capsys, workdir, tmp_path):
    assert call_cli(capsys, "sample", workdir, "--n", 9, "--out", tmp_path / "nine.npz")[0] == 0
    with np.load(tmp_path / "nine.npz") as file:
        assert file["samples"].shape == (9, 8, 8, 1)
    assert call_cli(capsys, "sample", workdir, "--n", 9, "--out", tmp_path / "nine.png")[0] == 0
    with Image.open(tmp_path / "nine.png") as picture:
        assert picture.width >= 256
    code, _, err = call_cli(capsys, "sample", workdir, "--out", tmp_path / "nine.gif")
    assert code == 2
    assert "nine.gif must end in .png or .npz" in err
    code, _, err = call_cli(capsys, "sample", workdir, "--n", 0)
    assert code == 2
    assert "n 0 must be between 1 and 10,000,000" in err
    code, _, err = call_cli(capsys, "sample", workdir, "--member", 1)
    assert code == 2
    assert "member 1 is not in" in err


def test_python_callers_of_a_run_are_checked(workdir, monkeypatch):
    run = jaxgan.load(workdir)
    for options, message in (
        ({"n": 0}, "n 0 must be between"),
        ({"n": 10**13}, "n 10000000000000 must be between"),
        ({"n": 4, "seed": -1}, "seed -1 must be between"),
        ({"n": 4, "seed": 2**70}, "seed 1180591620717411303424 must be between"),
        ({"n": 4, "member": -1}, "member -1 must be at least 0"),
        ({"n": 4, "member": 1}, "member 1 is not in"),
    ):
        with pytest.raises(UserError, match=message):
            run.sample(**options)
    for options in ({"samples": 0}, {"samples": 1}, {"samples": 1.5}, {"seed": -1}):
        with pytest.raises(UserError, match=next(iter(options))):
            run.evaluate(**options)
    assert run.sample(3, seed=2**32 - 1).shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(run.sample(130)[:70], run.sample(70))  # Chunks of 64 are put together in order.
    monkeypatch.setattr(memory, "host_memory", lambda: 1_000)
    with pytest.raises(UserError, match=r"20 samples need 5.12 kB of memory, and there are 1 kB; draw fewer"):
        run.sample(20)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_a_run_that_may_only_be_read_is_measured_sampled_and_reported(capsys, workdir, tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise OSError(error, os.strerror(error))

    before = sorted(workdir.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "append_text", refuse)
        code, out, err = call_cli(capsys, "evaluate", workdir, "--samples", 200)
        assert code == 0
        assert "class_kl" in out
        assert f"the numbers were not recorded: {workdir} cannot be written: {os.strerror(error)}" in err
        patch.setattr(tempfile, "TemporaryFile", refuse)
        for verb in ("sample", "report"):
            code, _, err = call_cli(capsys, verb, workdir)
            assert code == 2
            assert "cannot be written" in err
            assert "by --out" in err
    assert call_cli(capsys, "report", workdir, "--out", tmp_path / "page")[0] == 0
    assert call_cli(capsys, "sample", workdir, "--n", 4, "--out", tmp_path / "new" / "x.png")[0] == 0
    assert sorted(workdir.rglob("*")) == before


def test_numbers_are_printed_when_the_disk_is_full(capsys, workdir, monkeypatch):
    record = (workdir / "evaluations.jsonl").read_bytes() if (workdir / "evaluations.jsonl").exists() else None

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "append_text", full)
    code, out, err = call_cli(capsys, "evaluate", workdir, "--samples", 200)
    assert code == 1
    assert "class_kl" in out
    assert "the numbers were not recorded" in err
    assert "No space left on device" in err
    assert record == ((workdir / "evaluations.jsonl").read_bytes() if record is not None else None)


def test_a_folder_for_the_output_is_made_and_said(capsys, workdir, tmp_path):
    out = tmp_path / "new" / "folder" / "x.npz"
    code, _, err = call_cli(capsys, "sample", workdir, "--n", 4, "--out", out)
    assert code == 0
    assert f"the folder {out.parent} does not exist and will be made" in err
    assert [path.name for path in out.parent.iterdir()] == ["x.npz"]
    assert call_cli(capsys, "sample", workdir, "--out", tmp_path / "new" / "folder" / "x.npz" / "y.png")[0] == 2


@pytest.mark.parametrize(
    ("words", "function", "sentence"),
    [
        (["evaluate", "WORKDIR"], (measure, "load"), "nothing was recorded"),
        (["sample", "WORKDIR"], (measure, "load"), "no file was written"),
        (["report", "WORKDIR"], (run_report, "write"), "no page was written"),
        (["figure", "gan/saturation"], (figures, "make"), "finished figures and saved runs are kept in runs/figures"),
        (["train", "r3gan/ring"], (train, "train_entry"), "a state that was saved before is kept"),
        (["data", "mnist"], (explore, "prepare_tfds"), "finished downloads are kept"),
        (["show", "r3gan/ring"], (registry, "describe_experiment"), "nothing was changed"),
    ],
)
def test_ctrl_c_in_any_verb_says_what_was_kept(capsys, workdir, tmp_path, monkeypatch, words, function, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(*function, mock.Mock(side_effect=KeyboardInterrupt))
    code, _, err = call_cli(capsys, *(workdir if word == "WORKDIR" else word for word in words))
    assert code == 130
    assert err.startswith("stopped by Ctrl-C; ")
    assert sentence in err
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("default")
def test_a_run_on_a_folder_without_classes_is_measured_without_a_classifier(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 255, [40, 8, 8, 3], np.uint8)):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "notes.txt").touch()
    entry = registry.get("dcgan/own")
    config = dataclasses.replace(entry.config, data="photos", size=8, width=4, batch_size=8)
    experiment = entry.build(config)
    state = jax.jit(build_loop(experiment, config).init)(run_key(config))
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(measure, "load", lambda workdir: Run(workdir, entry, config, experiment, state))
    code, out, _ = call_cli(capsys, "evaluate", "own", "--samples", 30)
    assert code == 0
    assert "fd_random" in out
    code, out, err = call_cli(capsys, "evaluate", "own", "--samples", 30, "--metrics", "neighbours", "pixels")
    assert code == 0
    values = {line.split()[0]: float(line.split()[1]) for line in out.splitlines()[1:-1]}
    assert {"neighbour_ratio", "copied", "pixel_mean_error", "pixel_diversity"} <= set(values)
    assert (tmp_path / "own" / "neighbours.png").exists()
    assert err.count("warning: photos: 1 file left out: notes.txt is not named as an image") == 1
    code, _, err = call_cli(capsys, "evaluate", "own", "--samples", 30, "--metrics", "prdc")
    assert code == 2
    assert "photos:8x8 has no classes, which the feature classifier needs; measure `neighbours` or `pixels`" in err
