"""The verb that makes figures."""

import dataclasses
import json
import re

from helpers import call_cli

from jaxgan.errors import TrainingDiverged
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim


def test_figures_are_listed_made_and_reported(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call_cli(capsys, "figure")
    assert code == 0
    assert all(id in out for id in figures.entries())
    assert "claims hold" not in out
    code, out, _ = call_cli(capsys, "figure", "gan/saturation")
    assert code == 0
    assert out.count("  holds  ") == 3
    assert "3 of 3 claims hold" in call_cli(capsys, "figure")[1]
    rows = json.loads(call_cli(capsys, "figure", "--json")[1])
    assert [row["id"] for row in rows if row["last"]] == ["gan/saturation"]
    (result,) = json.loads(call_cli(capsys, "figure", "gan/saturation", "--json")[1])
    assert result["holds"] is True
    assert {"seconds", "hardware", "versions", "git", "date", "runs"} <= set(result["protocol"])
    assert call_cli(capsys, "report", "--out", "page")[0] == 0
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
    code, out, err = call_cli(capsys, "figure", "test/fails", "--workdir", tmp_path)
    assert code == 4
    assert "FAILS  the slopes are alike: 2.2" in out
    assert "claims fail in 1 of 1 figures: test/fails" in err
    code, out, err = call_cli(capsys, "figure", "test/breaks", "gan/saturation", "--workdir", tmp_path)
    assert code == 3
    assert "test/breaks: d/loss is not finite" in err
    assert out.count("  holds  ") == 3
    assert call_cli(capsys, "report", tmp_path)[0] == 0
    assert "✗ fails" in (tmp_path / "report.html").read_text()


def test_figures_are_made_side_by_side(capsys, tmp_path):
    ids = ["gan/saturation", "lsgan/fig1"]
    code, out, _ = call_cli(capsys, "figure", *ids, "--jobs", 2, "--workdir", tmp_path, "--json")
    assert code == 0
    assert {result["id"] for result in json.loads(out)} == set(ids)
    (tmp_path / ids[0] / "result.json").write_text("[")
    code, _, err = call_cli(capsys, "figure", *ids, "--jobs", 2, "--workdir", tmp_path)
    assert code == 2
    assert "gan/saturation: " in err
    assert "is damaged" in err
    assert "1 of 2 figures could not be made" in err


def test_long_figures_are_left_out_unless_asked_for(capsys, tmp_path, monkeypatch):
    short = figures.get("gan/saturation")
    register = {"a/short": short, "a/long": dataclasses.replace(figures.get("lsgan/fig1"), id="a/long", minutes=16)}
    monkeypatch.setattr(figures, "entries", lambda: register)
    code, out, err = call_cli(capsys, "figure", "all", "--workdir", tmp_path, "--json")
    assert (code, [result["id"] for result in json.loads(out)]) == (0, ["gan/saturation"])
    assert "left out, because they take over 15 min each: a/long" in err
    assert "1 of 1 figures made" in err
    code, out, err = call_cli(capsys, "figure", "all", "--long", "--workdir", tmp_path, "--json")
    assert (code, len(json.loads(out))) == (0, 2)
    assert "left out" not in err
    assert "2 of 2 figures made" in err
