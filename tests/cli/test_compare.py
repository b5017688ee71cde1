"""``clearprop compare`` and ``clearprop report``: what they print, write and refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clearprop.cli import main
from clearprop.train import History


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the digits."""
    folder = tmp_path_factory.mktemp("runs")
    for name, hidden in (("small", "4"), ("large", "32")):
        arguments = ["--epochs", "3", "--hidden", hidden, "--quiet", "--output", str(folder / name)]
        assert main(["train", "digits", *arguments]) == 0
    return [folder / "small", folder / "large"]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What a command says on stderr when it refuses."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def accuracy(folder: Path) -> str:
    evaluation = History.read(folder).evaluation
    assert evaluation is not None
    return f"{100 * evaluation.metrics['accuracy']:.2f} %"


def test_the_table(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", *map(str, runs)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[:4] == ["A  small", "B  large", "", f"B (large) has the highest test accuracy: {accuracy(runs[1])}."]
    table = {" ".join(line.split()) for line in lines}
    assert f"test accuracy {accuracy(runs[0])} {accuracy(runs[1])} *" in table
    assert {"hidden [4] [32]", "epochs 3 3", "* the best of its row"} <= table
    assert "\x1b" not in out
    columns = {line.rindex("%") for line in lines if line.startswith("  accuracy, last")}
    assert len(columns) == 1


def test_the_page(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    for _ in range(2):  # a page may be written over
        assert main(["compare", *map(str, runs), "-o", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"written: {page}\n")
    text = page.read_text()
    assert "<h1>2 runs</h1>" in text
    assert "clearprop train digits --epochs 3 --hidden 32 --seed 0" in text


def test_a_narrow_terminal_gets_the_runs_one_after_the_other(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [runs[0], *(shutil.copytree(runs[1], tmp_path / f"copy{number}") for number in range(6))]
    monkeypatch.setenv("COLUMNS", "60")
    capsys.readouterr()
    assert main(["compare", *map(str, folders)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert out.count("accuracy, last epoch") > 2
    assert out.count("* the best of its row") == 1


def test_a_run_that_is_still_going_on(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (runs[0] / "history.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    capsys.readouterr()
    assert main(["compare", str(tmp_path), str(runs[1])]) == 0
    out, err = capsys.readouterr()
    assert err == (
        f"note: the last line of {tmp_path}/history.jsonl is torn and was left out: "
        "the run was writing it, or was killed\n"
    )
    assert "  epochs" in out
    assert main(["report", str(tmp_path)]) == 0
    assert "Trained for 2 epochs" in (tmp_path / "report.html").read_text()


def test_a_report_is_written_again(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (runs[1] / "report.html").read_text()
    assert "The worst mistakes" in whole
    assert main(["report", str(runs[1]), "-o", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text() == whole
    (runs[1] / "report.html").unlink()
    assert main(["report", str(runs[1] / "history.jsonl")]) == 0
    assert (runs[1] / "report.html").read_text() == whole
    assert capsys.readouterr().out.endswith(f"written: {runs[1] / 'report.html'}\n")


def test_bad_input(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, large = runs
    (tmp_path / "empty").mkdir()
    for command in ("compare", "report"):
        assert "is not the folder of a run: it has no history.jsonl" in complaint(capsys, command, tmp_path / "empty")
        assert "No such file" in complaint(capsys, command, tmp_path / "nowhere")
    assert "was given twice" in complaint(capsys, "compare", small, large, small)
    (tmp_path / "history.jsonl").write_text('{"clearprop_history": 2}\n')
    assert "has no epoch that is done" in complaint(capsys, "compare", small, tmp_path)
    (tmp_path / "history.jsonl").write_text("rubbish\nrubbish\n")
    assert "line 1 is no JSON object" in complaint(capsys, "compare", small, tmp_path)
    record = small / "history.jsonl"
    before = record.read_bytes()
    assert "is no HTML page, and is not written over" in complaint(capsys, "compare", "-o", record, large)
    assert "is no HTML page, and is not written over" in complaint(capsys, "report", large, "-o", record)
    assert record.read_bytes() == before
    assert "its folder does not exist" in complaint(capsys, "compare", small, "-o", tmp_path / "no" / "page.html")
    assert "it is not a regular file" in complaint(capsys, "compare", small, "-o", tmp_path)


@pytest.mark.parametrize("command", ["compare", "report"])
def test_help_and_no_run_at_all(command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C", "PYTHONUTF8": "0"}
    call = [sys.executable, "-m", "clearprop", command]
    done = subprocess.run([*call, "--help"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0
    assert f"usage: clearprop {command}" in done.stdout
    done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "the following arguments are required" in done.stderr
