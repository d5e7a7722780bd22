"""What the README says can be typed, can be typed."""

import dataclasses
import re
from pathlib import Path

from helpers import small

import jaxgan
from jaxgan import registry
from jaxgan.parallel import Devices
from jaxgan.train import train

README = Path(__file__).parent.parent / "README.md"


def test_the_example_of_a_new_gan_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_register", dict(registry.entries()))
    example = next(
        code for code in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "@register" in code
    )
    exec(example, {"__name__": "example"})
    train(*small("hinge/ring"), tmp_path, Devices.take(1))
    assert jaxgan.load(tmp_path).sample(5).shape == (5, 2)


def test_every_experiment_and_setting_in_it_exists():
    for name, flags in re.findall(r"launch.py (?:train|show) (\w+/\w+)([^#\n]*)", README.read_text()):
        fields = {field.name for field in dataclasses.fields(registry.get(name).config)}
        known = fields | {"workdir", "parallel", "devices", "coordinator", "processes", "process"}
        assert {flag.replace("-", "_") for flag in re.findall(r"--([\w-]+)", flags)} <= known
