"""``clearprop explain``, and what is common to all commands: help, version, exit codes, encodings, pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import clearprop
from clearprop.cli import main

LECTURE = ["explain", "(x + y) * z", "x=-2", "y=5", "z=-4"]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def clearprop_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    source = str(Path(clearprop.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "clearprop", *arguments],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": source, "PYTHONUTF8": "1", **environment},
    )


def test_the_example_of_the_lecture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(LECTURE) == 0
    out, err = capsys.readouterr()
    assert "  1. f = q · z   multiplication switches" in out
    assert "     f → q            1   ∂f/∂q = z = -4                 -4" in out
    assert out.endswith("  ∂f/∂x = -4\n  ∂f/∂y = -4\n  ∂f/∂z = 3\n")
    assert err == ""


@pytest.mark.parametrize("columns", [60, 80])
def test_it_fits_the_width(columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["explain", "-log(sigmoid(w1*x1 + w2*x2))", "w1=2", "x1=-1", "w2=-3", "x2=-2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LECTURE, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["gradients"] == {"x": -4, "y": -4, "z": 3}


@pytest.mark.parametrize("expression", ["-log(x)", "-x", "--x", "-x**2 + 1"])
def test_an_expression_may_begin_with_a_minus(expression: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", expression, "x=2"]) == 0
    assert capsys.readouterr().out.startswith(f"f = {expression} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["(x + y) * z", "x=1", "y=2"], "z has no value"),
        (["x", "x=abc"], "'abc' is not a number"),
        (["x", "x="], "'' is not a number"),
        (["x", "x"], "'x' is not of the form NAME=NUMBER"),
        (["x", "2=3"], "not of the form"),
        (["x", "x=1", "x=2"], "x has two values"),
        (["(x", "x=1"], "never closed"),
        (["", "x=1"], "empty"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("clearprop explain: ")
    assert message in err
    assert len(err.splitlines()) <= 24
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["explain"], ["explain", "x", "x=1", "--jsn"], ["explain", "x", "--width", "5"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "Try: clearprop" in capsys.readouterr().err


def test_infinity_and_nan_are_answers_with_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "x / y", "x=1", "y=0"]) == 0
    assert "division by zero gives infinity" in capsys.readouterr().out
    assert main(["explain", "log(x) + 1", "x=-1"]) == 0
    assert "q = log x = log(-1) is NaN" in capsys.readouterr().out


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["explain", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"clearprop {clearprop.__version__}" in out
    assert 'clearprop explain "(x + y) * z" x=-2 y=5 z=-4' in out
    assert main([]) == 2
    assert "explain" in capsys.readouterr().err


def test_a_pipe_gets_no_control_characters() -> None:
    done = clearprop_process(*LECTURE, FORCE_COLOR="1")
    assert done.returncode == 0
    assert not any(byte < 32 and byte != 10 for byte in done.stdout)


def test_an_encoding_without_the_signs_gets_them_spelled() -> None:
    done = clearprop_process("explain", "σ(λ) * x", "λ=2", "x=1", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert b"f -> q" in done.stdout
    assert b"q * (1 - q)" in done.stdout
    wrong = clearprop_process("explain", "λ", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes of this kind are POSIX's")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m clearprop explain '{'+'.join(['x'] * 90)}' x=1 | head -n 1"
    source = str(Path(clearprop.__file__).parents[1])
    done = subprocess.run(
        command, shell=True, capture_output=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": source}
    )
    assert done.stdout.startswith(b"f = x+x")
    assert b"Broken" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_it_wants_none(environment: dict[str, str], coloured: bool) -> None:
    import pty

    ours, theirs = pty.openpty()
    source = str(Path(clearprop.__file__).parents[1])
    variables = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    variables |= {"PYTHONPATH": source, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment}
    command = [sys.executable, "-m", "clearprop", *LECTURE]
    with os.fdopen(ours, "rb", buffering=0) as reader:
        process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=variables)
        os.close(theirs)
        written = b""
        with suppress(OSError):  # on Linux the end of a pseudo-terminal is an input/output error
            while block := reader.read(4096):
                written += block
        assert process.wait(timeout=60) == 0
    assert (b"\x1b[36m" in written) == coloured
    assert b"multiplication switches" in written
