"""The command line: its verbs, their output and their errors."""

import dataclasses
import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import NAMES
from PIL import Image

import jaxgan
from jaxgan.cli import explore, measure, train
from jaxgan.cli.explore import List
from jaxgan.cli.main import main
from jaxgan.errors import TrainingDiverged, UserError, command_name
from jaxgan.io import atomic
from jaxgan.reports import figures, run_report
from jaxgan.reports.figures import Claim
from jaxgan.runs import registry
from jaxgan.runs.run import Run
from jaxgan.training import memory
from jaxgan.training.experiment import PERIOD_FIELDS
from jaxgan.training.loop import build_loop, run_key


def run(capsys, *words):
    """Returns exit code, stdout and stderr of a call."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    quick = ["--steps=10", *(f"--{name.replace('_', '-')}=5" for name in ("log_every", *PERIOD_FIELDS))]
    assert main(["train", "r3gan/digits", "--workdir", str(path), "--batch-size=16", *quick]) == 0
    return path


def test_list(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert all(name in out for name in NAMES)
    rows = json.loads(run(capsys, "list", "--json")[1])
    assert [row["name"] for row in rows] == NAMES
    assert all(row[field] for row in rows for field in ("task", "paper", "dataset", "shows", "hardware"))


@pytest.mark.parametrize("name", {name.split("/")[0]: name for name in NAMES}.values())
def test_show(capsys, name):
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    assert all(word in out for word in ("config", "networks", "generator", "players", "phases"))
    about = json.loads(run(capsys, "show", name, "--json")[1])
    assert all(row["meaning"] for row in about["config"])
    assert all(row["parameters"] > 0 for row in about["networks"])
    assert any(row["player"] for row in about["networks"])  # A frozen network has none.


def test_list_is_filtered(capsys):
    _, out, _ = run(capsys, "list", "--task", "translation")
    assert "TRANSLATION" in out
    assert "cyclegan/plane" in out
    assert "r3gan" not in out
    names = lambda *options: {row["name"] for row in json.loads(run(capsys, "list", "--json", *options)[1])}
    gulrajani = {n for n in NAMES if n.startswith("wgan_gp/") and n != "wgan_gp/dirac"} | {"wgan/text"}
    assert names("--paper", "1704.00028") == gulrajani
    assert "dcgan/mnist" not in names("--max-minutes", "5")
    code, _, err = run(capsys, "list", "--task", "translatoin")
    assert code == 2
    assert "did you mean translation" in err


OWN_EXPERIMENT = """
from jaxgan.core import losses, prng
from jaxgan.data import synthetic
from jaxgan.networks import mlp
from jaxgan.runs import registry, targets
from jaxgan.training.experiment import Config
import optax

@registry.register(
    "mine/ring", Config(), paper="Mine 2026", dataset="a ring", shows="a file of my own", task="2-D", minutes=1
)
def build(config):
    networks = mlp.Generator((2,), 16, depth=1), mlp.Critic(16, depth=1)
    adam = optax.adam(1e-3)
    target = targets.density(synthetic.ring())
    return target.two_player(
        config, *networks, losses.hinge, prng.normal_latent(2), g_optimizer=adam, d_optimizer=adam
    )
"""


def test_an_experiment_in_a_file_outside_the_checkout(tmp_path):
    (tmp_path / "my_experiments.py").write_text(OWN_EXPERIMENT)
    periods = [f"--{name.replace('_', '-')}=5" for name in ("log_every", *PERIOD_FIELDS)]
    train = ["train", "mine/ring", "--steps=10", "--batch-size=16", *periods, "--import", "my_experiments.py"]
    sample = ["sample", "runs/mine/ring", "--n", "4", "--import", "my_experiments.py"]
    for words in (train, sample):
        command = [sys.executable, "-m", "jaxgan", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/mine/ring/samples.png").exists()
    assert (
        "python -m jaxgan report runs/mine/ring"
        in subprocess.run(
            [sys.executable, "-m", "jaxgan", *train],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        ).stdout
    )


def printed_commands(text):
    """Returns the words of every command of this program that a text contains, without the program itself."""
    start = re.escape(command_name())
    return [shlex.split(words) for words in re.findall(rf"{start} ([a-z]+ [^`\n]*)", text)]


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A file with experiments, to be imported from the current folder as if by a process of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_register", dict(registry.entries()))
    monkeypatch.setattr(registry, "_imported", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    again = "registry._register.pop('mine/ring', None)"
    (tmp_path / "my experiments.py").write_text(OWN_EXPERIMENT.replace("\n@", f"\n{again}\n@"))
    return ["--import", "my experiments.py"]


@pytest.mark.parametrize("name", ["r3gan/digits", "mine/ring"])
def test_every_command_that_is_printed_after_a_run_with_changed_settings_works(capsys, own_file, name):
    periods = [f"--{period.replace('_', '-')}=5" for period in ("log_every", *PERIOD_FIELDS)]
    changed = ["--width=8", "--gamma=2"] if name == "r3gan/digits" else []
    options = ["--steps=10", "--batch-size=16", "--seed=3", "--workdir", "a run", *changed, *periods, "--devices=1"]
    imports = own_file if name == "mine/ring" else []
    code, out, _ = run(capsys, "train", name, *options, *imports)
    assert code == 0
    commands = printed_commands(out)
    assert [words[0] for words in commands] == ["report", "evaluate", "sample", "train"]
    for words in commands:
        registry._imported.clear()
        code, out, err = run(capsys, *words)
        assert code == 0, err
    assert "is trained to step 20." in out
    code, _, err = run(capsys, "train", name, "--workdir", "a run", "--seed=4", *imports)
    assert code == 2
    assert "holds a run with another config: seed is 3 there and 4 here" in err


def test_the_command_that_is_printed_after_a_divergence_works(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    periods = [f"--{period.replace('_', '-')}=5" for period in ("log_every", *PERIOD_FIELDS)]
    options = ["--steps=20", "--batch-size=16", "--width=8", *periods, "--devices=1", "--workdir", "run"]
    entry = registry.get("r3gan/ring")

    def diverges(config):
        experiment = entry.build(config)
        d, g = experiment.game.phases

        def loss(state, batch, key):
            value, aux = g.loss(state, batch, key)
            return jnp.where(state.step >= stops[0], jnp.inf, value), aux

        return dataclasses.replace(
            experiment,
            game=dataclasses.replace(experiment.game, phases=(d, dataclasses.replace(g, loss=loss))),
        )

    for stop, command in ((12, "--from run --step 10"), (2, "--width 8")):
        stops = [stop]
        with monkeypatch.context() as patch:
            patch.setitem(registry._register, entry.name, dataclasses.replace(entry, build=diverges))
            code, _, err = run(capsys, "train", entry.name, *options)
        assert code == 3
        assert command in err
        (words,) = printed_commands(err)
        code, _, err = run(capsys, *words, "--steps=5")
        assert code == 0, err
        config = json.loads((tmp_path / "run-2/config.json").read_text())["config"]
        assert (config["width"], config["g_lr"]) == (8, entry.config.g_lr / 2)
        for folder in ("run", "run-2"):
            shutil.rmtree(folder)


@pytest.mark.parametrize("text", ["import nothing_of_that_name", None])
def test_a_file_that_cannot_be_imported_is_named(capsys, tmp_path, text):
    path = tmp_path / "broken.py"
    if text:
        path.write_text(text)
    code, _, err = run(capsys, "list", "--import", path)
    assert code == 2
    assert f"--import {path}" in err


def test_show_counts_parameters(capsys):
    networks = json.loads(run(capsys, "show", "r3gan/ring", "--json")[1])["networks"]
    by_hand = (2 * 128 + 128) + (128 * 128 + 128) + (128 * 2 + 2)
    assert networks[0]["parameters"] == by_hand
    assert networks[0]["outputs"] == [["B", 2]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian", "r3gan/ring"], "did you mean train"),
        (["train", "r3gan/rign"], "did you mean r3gan/ring"),
        (["train"], "train which experiment?"),
        (["show", "ring"], "/ring"),
        (["train", "r3gan/ring", "--gama", "3"], "--gamma"),
        (["train", "r3gan/ring", "--steps", "ten"], "invalid"),
        (["train", "r3gan/ring", "--steps", "0"], "steps 0 must be between 1 and 1,000,000,000"),
        (["train", "r3gan/ring", "--gamma", "-1"], "gamma -1.0 must be a finite number of at least 0"),
        (["train", "r3gan/ring", "--gamma", "nan"], "gamma nan must be a finite number"),
        (["train", "r3gan/ring", "--seeds", "0"], "seeds 0 must be between 1 and 4,096"),
        (["train", "r3gan/ring", "--save-every", "700"], "must be a multiple of log_every 500; use 500 or 1000"),
        (["train", "r3gan/ring", "--devices", "9"], "9 devices requested, but there are 8"),
        (["train", "r3gan/ring", "--parallel", "mpi"], "shard_map"),
        (["evaluate", "nowhere"], "nowhere does not exist; give the work directory of a run"),
        (["sample", "nowhere"], "nowhere does not exist; give the work directory of a run"),
        (["figure", "gan/saturatoin"], "no figure 'gan/saturatoin'; did you mean gan/saturation"),
        (["figure", "saturation"], "did you mean gan/saturation"),
        (["report"], "no figure was made in runs/figures yet"),
        (["evaluate", "nowhere", "--metrics", "fd", "prcd"], "no metric 'prcd'; did you mean prdc"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(capsys, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert code == 2
    assert sentence in " ".join((out + err).split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["--help"], ["train", "r3gan/ring", "--help"], ["sample", "--help"]])
def test_help(capsys, words):
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "usage" in out
    if "train" in words:
        assert "weight of half the mean squared gradient norms" in " ".join(out.replace("│", " ").split())


def test_evaluate(capsys, workdir):
    code, out, _ = run(capsys, "evaluate", workdir, "--samples", 200)
    assert code == 0
    assert "classes" in out
    record = json.loads(run(capsys, "evaluate", workdir, "--samples", 200, "--json")[1])
    assert record["samples"] == 200
    assert {"eval/classes", "step", "hash", "versions", "sample_seed", "name"} <= set(record)
    assert len((workdir / "evaluations.jsonl").read_text().splitlines()) == 2


def test_evaluate_by_name(capsys, workdir):
    code, out, _ = run(capsys, "evaluate", workdir, "--metrics", "balance", "--samples", 200)
    assert code == 0
    assert "class_kl" in out
    records = [json.loads(line) for line in (workdir / "evaluations.jsonl").read_text().splitlines()]
    assert {"classes", "smallest_class", "class_kl"} <= {record.get("metric") for record in records}


def test_a_run_is_reported(capsys, workdir):
    code, out, _ = run(capsys, "report", workdir)
    assert code == 0
    assert f"{workdir / 'report.html'}: open it in a browser" in out
    assert "r3gan/digits" in (workdir / "report.html").read_text()


def test_interpolations(capsys, workdir, tmp_path):
    for name in ("frames.npz", "strip.png", "animation.gif"):
        code, _, err = run(capsys, "sample", workdir, "--n", 3, "--interpolate", 4, "--out", tmp_path / name)
        assert code == 0, err
    frames = np.load(tmp_path / "frames.npz")["samples"]
    assert frames.shape == (3, 4, 8, 8, 1)
    run(capsys, "sample", workdir, "--n", 3, "--out", tmp_path / "ends.npz")
    np.testing.assert_array_equal(frames[:, 0], np.load(tmp_path / "ends.npz")["samples"])
    with Image.open(tmp_path / "animation.gif") as animation:
        assert animation.n_frames == 4


def test_sample(capsys, workdir, tmp_path):
    assert run(capsys, "sample", workdir, "--n", 9, "--out", tmp_path / "nine.npz")[0] == 0
    with np.load(tmp_path / "nine.npz") as file:
        assert file["samples"].shape == (9, 8, 8, 1)
    assert run(capsys, "sample", workdir, "--n", 9, "--out", tmp_path / "nine.png")[0] == 0
    with Image.open(tmp_path / "nine.png") as picture:
        assert picture.width >= 256
    code, _, err = run(capsys, "sample", workdir, "--out", tmp_path / "nine.gif")
    assert code == 2
    assert "nine.gif must end in .png or .npz" in err
    code, _, err = run(capsys, "sample", workdir, "--n", 0)
    assert code == 2
    assert "n 0 must be between 1 and 10,000,000" in err
    code, _, err = run(capsys, "sample", workdir, "--member", 1)
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
        code, out, err = run(capsys, "evaluate", workdir, "--samples", 200)
        assert code == 0
        assert "class_kl" in out
        assert f"the numbers were not recorded: {workdir} cannot be written: {os.strerror(error)}" in err
        patch.setattr(tempfile, "TemporaryFile", refuse)
        for verb in ("sample", "report"):
            code, _, err = run(capsys, verb, workdir)
            assert code == 2
            assert "cannot be written" in err
            assert "by --out" in err
    assert run(capsys, "report", workdir, "--out", tmp_path / "page")[0] == 0
    assert run(capsys, "sample", workdir, "--n", 4, "--out", tmp_path / "new" / "x.png")[0] == 0
    assert sorted(workdir.rglob("*")) == before


def test_numbers_are_printed_when_the_disk_is_full(capsys, workdir, monkeypatch):
    record = (workdir / "evaluations.jsonl").read_bytes() if (workdir / "evaluations.jsonl").exists() else None

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "append_text", full)
    code, out, err = run(capsys, "evaluate", workdir, "--samples", 200)
    assert code == 1
    assert "class_kl" in out
    assert "the numbers were not recorded" in err
    assert "No space left on device" in err
    assert record == ((workdir / "evaluations.jsonl").read_bytes() if record is not None else None)


def test_a_folder_for_the_output_is_made_and_said(capsys, workdir, tmp_path):
    out = tmp_path / "new" / "folder" / "x.npz"
    code, _, err = run(capsys, "sample", workdir, "--n", 4, "--out", out)
    assert code == 0
    assert f"the folder {out.parent} does not exist and will be made" in err
    assert [path.name for path in out.parent.iterdir()] == ["x.npz"]
    assert run(capsys, "sample", workdir, "--out", tmp_path / "new" / "folder" / "x.npz" / "y.png")[0] == 2


def test_an_error_that_nobody_foresaw_is_a_sentence_a_log_file_and_exit_code_70(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fail(error):
        def raise_it(*_):
            raise error

        monkeypatch.setattr(List, "run", raise_it)
        return run(capsys, "list", "--task", "images")

    code, _, err = fail(KeyError("lost"))
    assert code == 70
    assert err.count("\n") == 1
    (log,) = (tmp_path / "cache" / "jaxgan" / "errors").iterdir()
    assert f"an error in the program: KeyError: 'lost'; the traceback is in {log}" in err
    text = log.read_text()
    assert "raise_it" in text
    assert "list --task images" in text
    assert "'jax':" in text
    code, _, err = fail(OSError(errno.ENOSPC, "No space left on device", "there/file"))
    assert (code, err.split("; ")[0]) == (1, "there/file: No space left on device")
    code, _, err = fail(MemoryError())
    assert code == 1
    assert "choose a smaller batch_size" in err
    monkeypatch.setattr(atomic, "write_text", mock.Mock(side_effect=OSError))
    code, _, err = fail(RecursionError("too deep"))
    assert code == 70
    assert "the traceback could not be written anywhere" in err


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
    code, _, err = run(capsys, *(workdir if word == "WORKDIR" else word for word in words))
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
    code, out, _ = run(capsys, "evaluate", "own", "--samples", 30)
    assert code == 0
    assert "fd_random" in out
    code, out, err = run(capsys, "evaluate", "own", "--samples", 30, "--metrics", "neighbours", "pixels")
    assert code == 0
    values = {line.split()[0]: float(line.split()[1]) for line in out.splitlines()[1:-1]}
    assert {"neighbour_ratio", "copied", "pixel_mean_error", "pixel_diversity"} <= set(values)
    assert (tmp_path / "own" / "neighbours.png").exists()
    assert err.count("warning: photos: 1 file left out: notes.txt is not named as an image") == 1
    code, _, err = run(capsys, "evaluate", "own", "--samples", 30, "--metrics", "prdc")
    assert code == 2
    assert "photos:8x8 has no classes, which the feature classifier needs; measure `neighbours` or `pixels`" in err


def test_figures_are_listed_made_and_reported(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "figure")
    assert code == 0
    assert all(id in out for id in figures.entries())
    assert "claims hold" not in out
    code, out, _ = run(capsys, "figure", "gan/saturation")
    assert code == 0
    assert out.count("  holds  ") == 3
    assert "3 of 3 claims hold" in run(capsys, "figure")[1]
    rows = json.loads(run(capsys, "figure", "--json")[1])
    assert [row["id"] for row in rows if row["last"]] == ["gan/saturation"]
    (result,) = json.loads(run(capsys, "figure", "gan/saturation", "--json")[1])
    assert result["holds"] is True
    assert {"seconds", "hardware", "versions", "git", "date", "runs"} <= set(result["protocol"])
    assert run(capsys, "report", "--out", "page")[0] == 0
    page = (tmp_path / "page" / "report.html").read_text()
    assert "✓ holds" in page
    assert "jaxgan figure gan/saturation" in page
    assert "| `figure gan/saturation` |" in (tmp_path / "page" / "claims.md").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # It needs no other file.


def test_a_claim_that_fails_is_exit_code_4_and_a_figure_that_breaks_stops_no_other(capsys, tmp_path, monkeypatch):
    saturation = figures.get("gan/saturation")
    never = Claim("the slopes are alike", "ratio", most=1.0)

    def breaks(runs):
        raise TrainingDiverged("d/loss is not finite at step 3")

    made = {
        "test/fails": lambda: dataclasses.replace(saturation.build(), claims=(never,)),
        "test/breaks": lambda: dataclasses.replace(saturation.build(), measure=breaks),
    }
    register = {id: dataclasses.replace(saturation, id=id, build=build) for id, build in made.items()}
    monkeypatch.setattr(figures, "_register", {**figures.entries(), **register})
    code, out, err = run(capsys, "figure", "test/fails", "--workdir", tmp_path)
    assert code == 4
    assert "FAILS  the slopes are alike: 2.2" in out
    assert "claims fail in 1 of 1 figures: test/fails" in err
    code, out, err = run(capsys, "figure", "test/breaks", "gan/saturation", "--workdir", tmp_path)
    assert code == 3
    assert "test/breaks: d/loss is not finite" in err
    assert out.count("  holds  ") == 3
    assert run(capsys, "report", tmp_path)[0] == 0
    assert "✗ fails" in (tmp_path / "report.html").read_text()


def test_a_folder_of_images_is_described(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 30), (10, 20, 30)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "b.txt").write_text("")
    code, out, err = run(capsys, "data", tmp_path / "photos", "--size", 16)
    assert code == 0
    assert "16 x 16 x 3" in out
    assert "10, 20, 30" in out
    assert "left out: b.txt is not named as an image" in err
    about = json.loads(run(capsys, "data", tmp_path / "photos", "--size", 16, "--json")[1])
    assert about["images"] == 1
    assert about["left_out"] == {"b.txt": "is not named as an image"}
    code, _, err = run(capsys, "data", tmp_path / "photos")
    assert code == 2
    assert "give the --size" in err
    assert run(capsys, "data", tmp_path / "photos", "--size", 16, "--refuse")[0] == 2


def test_figures_are_made_side_by_side(capsys, tmp_path):
    ids = ["gan/saturation", "lsgan/fig1"]
    code, out, _ = run(capsys, "figure", *ids, "--jobs", 2, "--workdir", tmp_path, "--json")
    assert code == 0
    assert {result["id"] for result in json.loads(out)} == set(ids)
    (tmp_path / ids[0] / "result.json").write_text("[")
    code, _, err = run(capsys, "figure", *ids, "--jobs", 2, "--workdir", tmp_path)
    assert code == 2
    assert "gan/saturation: " in err
    assert "is damaged" in err
    assert "1 of 2 figures could not be made" in err


def test_long_figures_are_left_out_unless_asked_for(capsys, tmp_path, monkeypatch):
    short = figures.get("gan/saturation")
    register = {"a/short": short, "a/long": dataclasses.replace(figures.get("lsgan/fig1"), id="a/long", minutes=16)}
    monkeypatch.setattr(figures, "entries", lambda: register)
    code, out, err = run(capsys, "figure", "all", "--workdir", tmp_path, "--json")
    assert (code, [result["id"] for result in json.loads(out)]) == (0, ["gan/saturation"])
    assert "left out, because they take over 15 min each: a/long" in err
    assert "1 of 1 figures made" in err
    code, out, err = run(capsys, "figure", "all", "--long", "--workdir", tmp_path, "--json")
    assert (code, len(json.loads(out))) == (0, 2)
    assert "left out" not in err
    assert "2 of 2 figures made" in err


def test_the_package_imports_without_the_data_libraries_and_without_using_a_device():
    heavy = "tensorflow_datasets", "grain", "sklearn", "orbax", "matplotlib"
    text = (
        f"import sys, jaxgan, experiments, jax; print([m for m in {heavy} if m in sys.modules]);"
        # This fails after the first use of a device, as --coordinator does.
        "jax.config.update('jax_num_cpu_devices', 2)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_a_missing_data_set_is_answered_with_the_command_that_prepares_it(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_DATA_DIR", "")  # To be put back.
    code, _, err = run(capsys, "train", "dcgan/mnist", "--workdir", tmp_path / "run", "--data-dir", tmp_path / "data")
    assert code == 2
    assert f"`jaxgan data mnist --data-dir {tmp_path / 'data'}` prepares it" in err
