"""The command line: what it lists, its help and its errors."""

import errno
import json
import subprocess
import sys
from unittest import mock

import pytest
from helpers import NAMES, call_cli
from PIL import Image

from jaxgan.cli.explore import List
from jaxgan.io import atomic


def test_list(capsys):
    code, out, _ = call_cli(capsys, "list")
    assert code == 0
    assert all(name in out for name in NAMES)
    rows = json.loads(call_cli(capsys, "list", "--json")[1])
    assert [row["name"] for row in rows] == NAMES
    assert all(row[field] for row in rows for field in ("task", "paper", "dataset", "shows", "hardware"))


@pytest.mark.parametrize("name", {name.split("/")[0]: name for name in NAMES}.values())
def test_show(capsys, name):
    code, out, _ = call_cli(capsys, "show", name)
    assert code == 0
    assert all(word in out for word in ("config", "networks", "generator", "players", "phases"))
    about = json.loads(call_cli(capsys, "show", name, "--json")[1])
    assert all(row["meaning"] for row in about["config"])
    assert all(row["parameters"] > 0 for row in about["networks"])
    assert any(row["player"] for row in about["networks"])  # A frozen network has none.


def test_list_is_filtered(capsys):
    _, out, _ = call_cli(capsys, "list", "--task", "translation")
    assert "TRANSLATION" in out
    assert "cyclegan/plane" in out
    assert "r3gan" not in out
    names = lambda *options: {row["name"] for row in json.loads(call_cli(capsys, "list", "--json", *options)[1])}
    gulrajani = {n for n in NAMES if n.startswith("wgan_gp/") and n != "wgan_gp/dirac"} | {"wgan/text"}
    assert names("--paper", "1704.00028") == gulrajani
    assert "dcgan/mnist" not in names("--max-minutes", "5")
    code, _, err = call_cli(capsys, "list", "--task", "translatoin")
    assert code == 2
    assert "did you mean translation" in err


def test_show_counts_parameters(capsys):
    networks = json.loads(call_cli(capsys, "show", "r3gan/ring", "--json")[1])["networks"]
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
    code, out, err = call_cli(capsys, *words)
    assert code == 2
    assert sentence in " ".join((out + err).split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["--help"], ["train", "r3gan/ring", "--help"], ["sample", "--help"]])
def test_help(capsys, words):
    code, out, _ = call_cli(capsys, *words)
    assert code == 0
    assert "usage" in out
    if "train" in words:
        assert "weight of half the mean squared gradient norms" in " ".join(out.replace("│", " ").split())


def test_an_error_that_nobody_foresaw_is_a_sentence_a_log_file_and_exit_code_70(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fail(error):
        def raise_it(*_):
            raise error

        monkeypatch.setattr(List, "run", raise_it)
        return call_cli(capsys, "list", "--task", "images")

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


def test_a_folder_of_images_is_described(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 30), (10, 20, 30)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "b.txt").write_text("")
    code, out, err = call_cli(capsys, "data", tmp_path / "photos", "--size", 16)
    assert code == 0
    assert "16 x 16 x 3" in out
    assert "10, 20, 30" in out
    assert "left out: b.txt is not named as an image" in err
    about = json.loads(call_cli(capsys, "data", tmp_path / "photos", "--size", 16, "--json")[1])
    assert about["images"] == 1
    assert about["left_out"] == {"b.txt": "is not named as an image"}
    code, _, err = call_cli(capsys, "data", tmp_path / "photos")
    assert code == 2
    assert "give the --size" in err
    assert call_cli(capsys, "data", tmp_path / "photos", "--size", 16, "--refuse")[0] == 2


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
    code, _, err = call_cli(
        capsys, "train", "dcgan/mnist", "--workdir", tmp_path / "run", "--data-dir", tmp_path / "data"
    )
    assert code == 2
    assert f"`jaxgan data mnist --data-dir {tmp_path / 'data'}` prepares it" in err
