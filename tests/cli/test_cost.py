"""``clearprop cost``, of expressions and of scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clearprop.cli import main

SCRIPT = """\
import sys
import clearprop as cp

w = cp.Parameter([1.0, 2.0, 3.0])

@cp.compile
def step(x):
    loss = cp.sum(cp.tanh(w * x) ** 2)
    loss.backward()
    w.assign(w - 0.1 * w.grad)
    w.grad = None
    return loss

for i in range(int(sys.argv[1])):
    print("loss", step(cp.ones(3)).item())
if len(sys.argv) > 2:
    raise RuntimeError(f"ended by {sys.argv[2]}")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return str(path)


def test_of_an_expression(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "-x * y + y", "x=2", "y=3", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert (cost["nodes"], cost["edges"], cost["depth"], cost["parameters"]) == (5, 5, 3, 2)
    assert cost["ways"][0] == {"name": "backpropagation", "multiplications": 5, "law": "L", "nbytes": 24}


def test_of_the_last_step_of_a_script(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Though it is compiled; what it prints does not get between the results."""
    assert main(["cost", script, "2", "--memory"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("loss") == 2
    assert not any(line.startswith("loss") for line in printed.out.splitlines())
    assert "3 numbers in 1 leaves" in printed.out
    assert "train.py:8 in step" in printed.out


def test_arguments_of_the_script_and_its_error(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind -- they may look like options. What was recorded until the error is counted."""
    assert main(["cost", script, "--width", "100", "--", "1", "--fast"]) == 0
    printed = capsys.readouterr()
    assert "RuntimeError: ended by --fast" in printed.err
    assert "train.py:17" in printed.err
    assert "backpropagation" in printed.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("x = (", "train.py:1 is no Python"),
        ("print(1)", "computed nothing to which gradients flow"),
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("undefined", "NameError: name 'undefined' is not defined"),
    ],
)
def test_scripts_that_record_nothing(
    text: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "train.py"
    if text is not None:
        path.write_text(text)
    assert main(["cost", str(path)]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert "Try: " in printed.err
    assert not printed.out
