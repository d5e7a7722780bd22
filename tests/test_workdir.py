"""A work directory that was tampered with is refused or mended, and a start that failed does not claim one."""

import json
import shutil
import subprocess
import sys

import pytest
from helpers import short_run

import jaxgan
from jaxgan.cli.main import main
from jaxgan.errors import UserError
from jaxgan.runs.run import train_entry
from jaxgan.training.metric_log import read_log


def train(workdir, **settings):
    return train_entry(*short_run("r3gan/ring", **{"width": 8, **settings}), workdir, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The work directory of r3gan/ring at step 10, and of one with another weight of the penalty."""
    root = tmp_path_factory.mktemp("runs")
    train(root / "run")
    train(root / "other", gamma=2.0)
    return root


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of that run."""
    return shutil.copytree(trained / "run", tmp_path / "run")


def change_config(workdir, **changes):
    record = json.loads((workdir / "config.json").read_text())
    record["config"] |= changes
    (workdir / "config.json").write_text(json.dumps(record))


def test_a_damaged_line_of_the_log_does_not_block_a_run(workdir):
    log = workdir / "metrics.jsonl"
    first, second = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + b"\0garbage\xff\n" + second)
    with pytest.warns(UserWarning, match=r"left out 1 damaged line\(s\): 2"):
        train(workdir, steps=15)
    assert [record["step"] for record in read_log(log)] == [5, 10, 15]


def test_missing_checkpoints_beside_a_log_are_not_trained_again(workdir):
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(UserError, match="holds the log of a run but its checkpoints/ are missing; put them back"):
        train(workdir)


def test_checkpoints_without_config_are_refused(workdir):
    (workdir / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds a run but its config\.json is missing; put it back"):
        train(workdir)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\0\xff", "is damaged: "),
        (b"[" * 100_000, "is damaged: "),
        (b"[]", "does not hold an object"),
        (b'{"name": 3, "config": {}}', "has no experiment `name` with its `config`"),
    ],
)
def test_a_config_that_is_no_record_is_one_sentence(workdir, text, reason):
    (workdir / "config.json").write_bytes(text)
    for action in (train, jaxgan.load):
        with pytest.raises(UserError, match=rf"config\.json is damaged: .*{reason.removeprefix('is damaged: ')}"):
            action(workdir)
    assert (workdir / "config.json").read_bytes() == text


@pytest.mark.parametrize(
    "changes", [{"width": "8"}, {"width": True}, {"gamma": None}, {"width": 0}, {"seed": 1.5}, {"freeze": 3}]
)
def test_a_config_with_a_wrong_value_is_one_sentence(workdir, changes):
    change_config(workdir, **changes)
    with pytest.raises(UserError, match=rf"config\.json is damaged: {next(iter(changes))} "):
        jaxgan.load(workdir)


def test_a_changed_width_is_called_that_and_no_checkpoint_is_called_damaged(workdir):
    change_config(workdir, width=16)
    for action in (lambda: jaxgan.load(workdir), lambda: train(workdir, width=16)):
        with pytest.raises(UserError, match=r"do not belong to .*config.json: width is 8 there and 16 here"):
            action()
    assert not (workdir / "set_aside").exists()


def test_a_checkpoint_of_another_run_is_set_aside(workdir, trained):
    shutil.rmtree(workdir / "checkpoints" / "10")
    shutil.copytree(trained / "other" / "checkpoints" / "10", workdir / "checkpoints" / "10")
    with pytest.warns(UserWarning, match="10 does not belong here and was skipped: gamma is 2.0 there and 0.4 here"):
        run = train(workdir)
    assert run.step == 10
    assert [path.name.split("-")[0] for path in (workdir / "set_aside").iterdir()] == ["10"]
    assert jaxgan.load(workdir).step == 10


def test_a_run_of_an_older_version_without_identity_goes_on(workdir):
    record = json.loads((workdir / "config.json").read_text())
    for name in ("start_from", "start_step", "freeze"):
        del record["config"][name]
    (workdir / "config.json").write_text(json.dumps(record))
    for metadata in workdir.glob("checkpoints/*/meta/metadata"):
        leaves = json.loads(metadata.read_text())["leaves"]
        metadata.write_text(json.dumps({"checksums": {name: leaf[0] for name, leaf in leaves.items()}}))
    assert train(workdir, steps=15).step == 15


def test_a_start_that_failed_does_not_claim_the_directory(capsys, tmp_path):
    words = ["train", "dcgan/own", "--size=8", "--width=4", "--workdir", str(tmp_path / "run"), "--data"]
    (tmp_path / "empty").mkdir()
    for data in (tmp_path / "missing", tmp_path / "empty"):
        assert main([*words, str(data)]) == 2
        assert "Traceback" not in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def test_a_directory_without_a_step_is_free_but_not_that_of_another_program(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"name": "another program"}))
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        train(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"name": "dcgan/own", "config": {}}))
    assert train(tmp_path).step == 10


FULL_DISK = """
import resource, signal, sys
from jaxgan.cli.main import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_is_one_sentence_at_the_end(tmp_path):
    periods = [f"--{name}=5" for name in ("log-every", "save-every", "sample-every", "evaluate-every", "batch-size")]
    words = ["train", "r3gan/ring", "--width=512", "--steps=20", "--workdir", str(tmp_path), "--devices=1", *periods]
    command = [sys.executable, "-c", FULL_DISK, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("could not write the checkpoint of step 5: File too large; ")
    assert len(done.stderr.splitlines()) < 10
