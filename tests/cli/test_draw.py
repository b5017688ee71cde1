"""clearprop draw: pictures of expressions and of the last step of scripts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from clearprop.cli import main

_SCRIPT = """
import sys
import clearprop as cp
from clearprop import nn, optim

model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(8)))
optimizer = optim.SGD(model.parameters(), lr=0.1)
for _ in range(int(sys.argv[1])):
    optimizer.zero_grad()
    loss = (model(cp.ones((2, 4))) ** 2).mean()
    loss.backward()
    optimizer.step()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(path: Path) -> list[str]:
    return [
        element.text or "" for element in ET.fromstring(path.read_text("utf-8")).iter() if element.tag.endswith("text")
    ]


def test_expression(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "(x + y) * z", "x=-2", "y=5", "z=-4"]) == 0
    assert capsys.readouterr().out == "written: graph.svg\n"
    assert {"f = q · z", "-12", "× z = -4"} <= set(texts(folder / "graph.svg"))


def test_script(folder: Path) -> None:
    (folder / "train.py").write_text(_SCRIPT)
    assert main(["draw", "train.py", "-o", "train.svg", "--depth", "1", "--", "3"]) == 0
    assert {"0", "7", "Linear(4, 4)"} <= set(texts(folder / "train.svg"))
    assert main(["draw", "train.py", "-o", "train.html", "--depth", "1", "--unfold", "3", "--", "3"]) == 0
    assert "matmul" in (folder / "train.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x * y", "x=1"], "y has no value"),
        (["x * y", "x=1", "y=2", "-o", "a.png"], "draw writes .svg and .html"),
        (["nothing.py"], "nothing.py"),
        (["x * y", "x=1", "y=2", "--unfold", "encoder"], "no module 'encoder' ran"),
        (["x * y", "x=1", "y=2", "-o", "nowhere/a.svg"], "folder does not exist"),
    ],
)
def test_bad_input(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["draw", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Try: " in error
    assert "Traceback" not in error


def test_no_levels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["draw", "x * y", "x=1", "y=2", "--depth", "0"])
    assert ended.value.code == 2
    assert "not a number of levels" in capsys.readouterr().err


def test_a_script_that_fails_is_drawn_as_far_as_it_came(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.py").write_text(_SCRIPT + "raise ValueError('no')\n")
    assert main(["draw", "broken.py", "-o", "broken.svg", "--", "1"]) == 2
    assert "Linear(4, 4)" in texts(folder / "broken.svg")
    assert "the run ended with an error" in capsys.readouterr().err
