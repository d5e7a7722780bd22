"""What the README says can be typed, can be typed."""

import dataclasses
import re
import runpy
from pathlib import Path

from helpers import small

import jaxgan
from jaxgan.reports import figures
from jaxgan.runs import registry
from jaxgan.training.devices import Devices
from jaxgan.training.trainer import train

README = Path(__file__).parent.parent / "README.md"


def test_the_examples_of_a_new_gan_and_its_figure_run(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_register", dict(registry.entries()))
    monkeypatch.setattr(figures, "_register", dict(figures.entries()))
    examples = tmp_path / "examples.py"  # In a file, as a person would have them.
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    examples.write_text("\n".join(c for c in code if "register" in c))
    runpy.run_path(str(examples))
    train(*small("hinge/ring"), tmp_path / "run", Devices.take(1))
    assert jaxgan.load(tmp_path / "run").sample(5).shape == (5, 2)
    made = figures.make(figures.get("hinge/modes"), tmp_path / "figures", Devices.take(1), reduced=True)
    assert len(made["numbers"]["covered"]) == 3


def test_every_experiment_and_setting_in_it_exists():
    for name, flags in re.findall(r"launch.py (?:train|show) (\w+/\w+)([^#\n]*)", README.read_text()):
        fields = {field.name for field in dataclasses.fields(registry.get(name).config)}
        known = fields | {"workdir", "parallel", "devices", "profile", "coordinator", "processes", "process"}
        assert {flag.replace("-", "_") for flag in re.findall(r"--([\w-]+)", flags)} <= known
