"""Parses the command line, runs one verb, and turns errors into a sentence and an exit code."""

import argparse
import contextlib
import dataclasses
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, Union

import jax
import tyro

from jaxgan.cli import unforeseen
from jaxgan.cli.benchmark import Benchmark
from jaxgan.cli.explore import Data, List, Show
from jaxgan.cli.figure import Figure, Report
from jaxgan.cli.measure import Evaluate, Sample, sample_command
from jaxgan.cli.train import Train, train_command
from jaxgan.cli.translate import Translate
from jaxgan.cpu.malloc import run_on_calling_thread
from jaxgan.errors import UserError, command_name, did_you_mean
from jaxgan.io.cache import cache_dir
from jaxgan.runs import registry


class Command(Protocol):
    """A verb with its options.

    Attributes:
        kept: What Ctrl-C leaves, as a sentence part.
    """

    kept: str

    def run(self) -> None:
        """Carries out the verb."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """Time whole training steps, next to PyTorch where it is installed. Only in a checkout."""

    kept: ClassVar[str] = "the rows that were printed are finished"

    def run(self) -> None:
        """Never called: `bench` is parsed by the benchmarks."""


VERBS: dict[str, type] = {
    "list": List,
    "show": Show,
    "train": Train,
    "evaluate": Evaluate,
    "sample": Sample,
    "translate": Translate,
    "figure": Figure,
    "benchmark": Benchmark,
    "report": Report,
    "bench": Bench,
    "data": Data,
}


def main(arguments: Sequence[str]) -> int:
    """Runs the command line. Returns the exit code: 0, what `jaxgan.errors` says, or what `unforeseen.report` says."""
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    if not jax.config.jax_compilation_cache_dir:
        with contextlib.suppress(OSError):  # Without a folder that can be written nothing is cached.
            cache_dir("xla").mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(cache_dir("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    run_on_calling_thread()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Not every terminal can show every name and sign.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # As `launch.py` leaves it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    kept = "nothing was written"
    try:
        command = _parse(_import_files(_checked(arguments)))
        kept = command.kept
        command.run()
        sys.stdout.flush()  # An error in writing belongs here, not to the end of the interpreter.
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"stopped by Ctrl-C; {kept}", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # The reader of a pipe has seen enough.
        _discard_stdout()
    except Exception as error:
        code = unforeseen.report(error, arguments)
        try:
            sys.stdout.flush()
        except OSError:
            _discard_stdout()
        return code
    return 0


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _checked(arguments: Sequence[str]) -> Sequence[str]:
    """Returns the arguments. Raises UserError for a NUL byte, which no name of a file or an experiment contains."""
    for argument in arguments:
        if "\0" in argument:
            raise UserError(f"the argument {argument!r} contains a NUL byte; remove it")
    return arguments


def _import_files(arguments: Sequence[str]) -> list[str]:
    """Imports the files of `--import FILE`, which every verb accepts, and returns the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--import", dest="files", action="append", default=[], type=Path)
    parsed, rest = parser.parse_known_args(arguments)
    for file in parsed.files:
        registry.import_file(file)
    return rest


def _parse(arguments: list[str]) -> Command:
    program = command_name()
    verb = arguments[0] if arguments else "--help"
    if verb in VERBS:
        if verb == "bench":
            return _benchmarks(arguments[1:])
        options = (tyro.conf.OmitArgPrefixes,)
        if verb == "train" and arguments[1:] not in (["-h"], ["--help"]):
            command, *rest = train_command(arguments[1:]), *arguments[2:]
            return tyro.cli(command, args=rest, prog=f"{program} train {arguments[1]}", config=options)
        prog = f"{program} train NAME" if verb == "train" else f"{program} {verb}"
        kind = sample_command(arguments[1:]) if verb == "sample" else VERBS[verb]
        return tyro.cli(kind, args=arguments[1:], prog=prog, config=options)
    if not verb.startswith("-"):
        raise UserError(f"no verb {verb!r}; {did_you_mean(verb, VERBS)}")
    choices = tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in VERBS.items())
    description = "Train, sample and measure GANs by name. Every verb takes --import FILE, a file that registers more."
    return tyro.cli(Union[choices], args=arguments or ["--help"], prog=program, description=description)  # noqa: UP007


def _benchmarks(arguments: list[str]) -> Any:
    try:
        benchmarks = importlib.import_module("benchmarks.__main__")
    except ModuleNotFoundError as error:
        raise UserError("bench needs the repository: run it from a checkout of jaxgan") from error
    return tyro.cli(benchmarks.Options, args=arguments, prog=f"{command_name()} bench")


def console_script() -> None:
    """The entry point of the command `jaxgan`."""
    sys.exit(main(sys.argv[1:]))
