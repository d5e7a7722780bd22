"""README.md and docs/: tables are up to date, commands and links exist, and all code runs."""

import dataclasses
import os
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from jaxgan.cli.main import VERBS
from jaxgan.cli.train import FLAGS
from jaxgan.reports import figures
from jaxgan.runs import registry

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:jaxgan|launch\.py) (\w+)((?: [^\s#]+)*)")
SECONDS = 450  # five times what the slowest script takes

# Trains mine/ring from the file that extending.md shows, and makes its figure from a few steps. The file is found
# because it is in the folder `experiments`.
RUN_EXAMPLE = """
import sys
from pathlib import Path
from launch import main
from jaxgan.reports import figures
from jaxgan.training.devices import Devices

assert main(["train", "mine/ring", "--steps", "20", "--workdir", "run"]) == 0
result = figures.make(figures.get("mine/modes"), Path("figures"), Devices.all(1), reduced=True)
assert len(result["numbers"]["covered"]) == 3
"""


def code_blocks(document: Path, language: str) -> list[str]:
    """Returns the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


def commands() -> list[tuple[str, list[str]]]:
    """Returns verb and words of every command in the shell blocks of the documents."""
    text = "\n".join(block for document in DOCUMENTS for block in code_blocks(document, "(?:bash|yaml)"))
    return [(verb, words.split()) for verb, words in COMMAND.findall(text.replace("\\\n", " "))]


def run_script(start_process, folder: Path, *words: str) -> None:
    """Runs Python on one CPU device in `folder`, and fails with its errors if it fails."""
    environment = os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    process = start_process([sys.executable, *words], cwd=folder, env=environment)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors


def test_generated_regions_are_up_to_date():
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    outdated = [path.name for path in generate["files"]() if generate["update"](path.read_text()) != path.read_text()]
    assert not outdated, "run `python docs/generate.py`"


def test_readme_is_short_and_documents_have_no_absolute_paths():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
    for document in DOCUMENTS:
        assert not re.search(r"(?<![\w.:/])/(root|home|tmp|usr|work|mnt)\b", document.read_text()), document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document):
    links = [link for link in re.findall(r"\]\(([^)]+)\)", document.read_text()) if "://" not in link]
    missing = [link for link in links if not (document.parent / link.partition("#")[0]).exists()]
    assert not missing


def test_files_that_are_named_exist():
    pattern = re.compile(r"`((?:jaxgan|experiments|tests|benchmarks|docs)/[\w/.]+)`")
    named = {name for document in DOCUMENTS for name in pattern.findall(document.read_text())}
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize(("verb", "words"), commands(), ids=lambda value: value if isinstance(value, str) else None)
def test_commands_exist(verb, words):
    assert verb in VERBS
    known = {field.name for field in dataclasses.fields(VERBS[verb])} | {"import", "help"}
    names = [word for word in words if not word.startswith("-")]
    if verb in ("train", "show") and names[0] not in ("NAME", "mine/ring"):
        known |= {field.name for field in dataclasses.fields(registry.get(names[0]).config)}
    known |= set(FLAGS.values()) if verb == "train" else set()
    if verb == "sample" and (name := names[0].removeprefix("runs/")) in registry.entries():
        options = registry.get(name).build(registry.get(name).config).sample_options
        known |= {field.name for field in dataclasses.fields(options)} if options else set()
    if "mine.py" in words:  # extending.md's own experiment; its flags are tested with its file.
        known |= {"gamma", "seeds"}
    if verb == "figure" and "mine/modes" not in words:
        assert {name for name in names if not name.isdigit()} <= figures.entries().keys() | {"all", "ID"}
    if verb != "bench":
        flags = {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
        assert flags <= known


def test_readme_python_runs(start_process, tmp_path):
    (code,) = code_blocks(ROOT / "README.md", "python")
    (tmp_path / "readme.py").write_text(re.sub(r"steps=[\d_]+", "steps=20", code))
    run_script(start_process, tmp_path, "readme.py")


def test_example_of_extending_runs(start_process, tmp_path):
    experiment, figure, *_ = code_blocks(ROOT / "docs" / "extending.md", "python")
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copy(ROOT / "launch.py", tmp_path)
    (tmp_path / "experiments" / "mine.py").write_text(f"{experiment}\n\n{figure}")
    run_script(start_process, tmp_path, "-c", RUN_EXAMPLE)


def test_other_python_blocks_are_valid():
    for document in DOCUMENTS:
        for code in code_blocks(document, "python"):
            compile(code, document.name, "exec")


def test_source_example_of_data_runs():
    for code in code_blocks(ROOT / "docs" / "data.md", "python"):
        exec(code, {})


def test_tutorial_runs(start_process, tmp_path):
    run_script(start_process, tmp_path, str(ROOT / "docs" / "tutorial.py"))
