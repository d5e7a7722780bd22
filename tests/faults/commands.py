"""Command lines with mistakes."""

import contextlib
import io
import random
import signal
from pathlib import Path

from jaxgan.cli.main import VERBS, main
from jaxgan.runs import registry

from .reference import Fault

EXIT_CODES = {0, 1, 2, 3, 4, 128 + signal.SIGINT, 128 + signal.SIGTERM}
ODD_PATHS = ("nowhere", "file", "folder", "folder/empty.json", "bad_config", "a\0b", "", "x" * 300, "💥", "/dev/null")
ODD_VALUES = ("", "-1", "0", "nan", "inf", "-inf", "1e400", "ten", "0x10", "\0", "💥", "--", "None", "1.5", "9" * 30)


class BadCommands:
    """Runs command lines with one or more mistakes in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root / "commands"
        (self.root / "folder").mkdir(parents=True)
        (self.root / "bad_config").mkdir()
        for path in ("file", "folder/empty.json"):
            (self.root / path).touch()
        (self.root / "bad_config" / "config.json").write_text('{"name": "r3gan/ring", "config": {"steps": "x"}}')

    def __call__(self, draw: random.Random) -> None:
        """Runs one command line. Raises Fault."""
        words = draw.choice(COMMANDS)(draw)
        output = io.StringIO()
        with contextlib.chdir(self.root), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                code = main(words)
            except SystemExit as error:
                code = error.code
            except Exception as error:
                raise Fault("traceback", f"{words}: {type(error).__name__}: {error}") from error
        if code not in EXIT_CODES or "Traceback" in output.getvalue():
            raise Fault("traceback", f"{words}: exit code {code}")
        if code and not output.getvalue().strip():
            raise Fault("silent", f"{words}: exit code {code} without a word")


def misspelt(draw: random.Random, word: str) -> str:
    """Returns a word with a letter left out, doubled or exchanged."""
    if not word:
        return "x"
    i = draw.randrange(len(word))
    return word[:i] + draw.choice(("", word[i] * 2, "x")) + word[i + 1 :]


def bad_verb(draw: random.Random) -> list[str]:
    """A verb that does not exist."""
    return [draw.choice((misspelt(draw, draw.choice(list(VERBS))), *ODD_VALUES)), "r3gan/ring"]


def bad_name(draw: random.Random) -> list[str]:
    """An experiment or figure that does not exist."""
    name = draw.choice((misspelt(draw, "r3gan/ring"), misspelt(draw, "gan/saturation"), *ODD_VALUES))
    return [draw.choice(("train", "show", "figure")), f"{name}-", "--workdir", "folder"][: draw.choice((2, 4))]


def bad_setting(draw: random.Random) -> list[str]:
    """A setting with an odd value or name. The work directory is below a file, so that nothing is trained."""
    name = draw.choice(list(vars(registry.get("r3gan/ring").config))).replace("_", "-")
    flag = draw.choice((name, name, name, misspelt(draw, name)))
    return ["train", "r3gan/ring", "--workdir", "file/run", f"--{flag}", draw.choice(ODD_VALUES)]


def bad_option(draw: random.Random) -> list[str]:
    """An option of a verb with an odd value."""
    verb, flags = draw.choice(sorted(OPTIONS.items()))
    flag = draw.choice(flags)
    name = ["r3gan/ring", "--workdir", "file/run"] if verb == "train" else [draw.choice(ODD_PATHS)]
    return [verb, *name, draw.choice((flag, flag, misspelt(draw, flag))), draw.choice((*ODD_VALUES, *ODD_PATHS))]


def bad_path(draw: random.Random) -> list[str]:
    """A work directory, data set or file that is none."""
    verb = draw.choice(("evaluate", "sample", "report", "data", "list", "train"))
    path = draw.choice(ODD_PATHS)
    if verb == "list":
        return ["list", "--import", path]
    if verb == "train":
        return ["train", "dcgan/own", "--size", "8", "--width", "4", "--workdir", "file/run", "--data", path]
    return [verb, path]


OPTIONS = {
    "evaluate": ("--samples", "--reals", "--metrics", "--seed", "--inception-weights", "--data-dir"),
    "sample": ("--n", "--seed", "--member", "--classes", "--out"),
    "data": ("--size", "--channels", "--split", "--feature", "--data-dir"),
    "report": ("--out",),
    "list": ("--task", "--paper", "--max-minutes"),
    "train": ("--devices", "--parallel", "--from", "--step", "--freeze", "--workdir"),
}
COMMANDS = (bad_verb, bad_name, bad_setting, bad_setting, bad_option, bad_option, bad_path)
