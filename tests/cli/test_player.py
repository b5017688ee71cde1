"""``clearprop player``: pages of expressions and of scripts, and what is said when something is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clearprop.cli import main

TRAINING = """
import sys
import numpy as np
import clearprop as cp

w = cp.Parameter(1.0, name="w")
optimizer = cp.optim.SGD([w], lr=0.25)
for epoch in range(int(sys.argv[1])):
    optimizer.zero_grad()
    loss = (w - 3.0) ** 2
    loss.backward()
    optimizer.step()
print("w is", w.item())
if "--fail" in sys.argv:
    h = w * 2.0
    raise RuntimeError("on purpose")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAINING)
    return tmp_path


def data(path: Path) -> Any:
    """What the page plays."""
    found = re.search(r'id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def words(path: Path) -> list[str]:
    return [step["words"] for step in data(path)["steps"]]


def test_an_expression(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["player", "(x + y) * z", "x=-2", "y=5", "z=-4"]) == 0
    assert capsys.readouterr() == ("written: player.html\n", "")
    assert words(folder / "player.html")[-1] == "The gradients are complete: by x -4, by y -4, by z 3."
    assert {node["where"] for node in data(folder / "player.html")["nodes"]} == {""}  # the expression has no lines
    assert "<title>f = (x + y) * z</title>" in (folder / "player.html").read_text("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-x * y", "x=2", "y=3", "-o", "a.html"],
        ["-x * y", "-o", "a.html", "x=2", "y=3"],
        ["-o", "a.html", "-x * y", "x=2", "y=3"],
    ],
)
def test_options_may_stand_anywhere(arguments: list[str], folder: Path) -> None:
    assert main(["player", *arguments]) == 0
    assert words(folder / "a.html")[-1].endswith("by x -3, by y -2.")


def test_of_a_script_the_last_step_is_played(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["player", "train.py", "-o", "a.html", "--", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == "written: a.html\n"
    assert "w is 2.75" in err
    # w is 1, 2, 2.5 before the steps; the last has the gradient 2 (2.5 - 3)
    assert words(folder / "a.html")[0].startswith("Given: w = 2.5")
    assert words(folder / "a.html")[-1] == "The gradients are complete: by w -1."


def test_a_script_that_fails_is_played_up_to_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["player", "train.py", "-o", "a.html", "--", "1", "--fail"]) == 2
    out, err = capsys.readouterr()
    assert out == "written: a.html\n"
    assert "RuntimeError: on purpose" in err
    assert "train.py:16" in err
    assert "Traceback" not in err
    assert words(folder / "a.html")[1].startswith("h = w · 2")
    assert "on purpose" in data(folder / "a.html")["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["(x", "x=1"], "never closed"),
        (["x * y", "x=1"], "y has no value"),
        (["nowhere.py"], "cannot be read"),
        (["train.py"], "IndexError"),
        (["broken.py"], "broken.py:1 is no Python"),
        (["empty.py"], "computed nothing to which gradients flow"),
        (["x", "x=1", "-o", "nowhere/a.html"], "its folder does not exist"),
        (["x", "x=1", "-o", "train.py"], "is no HTML page"),
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text("x = (")
    (folder / "empty.py").write_text("x = 1")
    assert main(["player", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert (folder / "train.py").read_text() == TRAINING


@pytest.mark.parametrize("arguments", [[], ["x", "x=1", "-o"], ["x", "x=1", "--outpt", "a.html"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["player", *arguments])
    assert stop.value.code == 2
    assert "Try: clearprop player --help" in capsys.readouterr().err
