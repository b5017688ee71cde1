"""``clearprop train``, from the command line: what it makes, what it says, and what it does with bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearprop.cli import main
from clearprop.files import load, load_metadata
from clearprop.files.alone import alone_in
from clearprop.train import History

QUICK = ["--epochs", "2", "--hidden", "16"]


def clearprop(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "clearprop", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", **environment},
    )


def accuracy(folder: Path) -> float:
    evaluation = History.read(folder / "history.jsonl").evaluation
    assert evaluation is not None
    return evaluation.metrics["accuracy"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", *QUICK, "--quiet", "--output", str(folder)]) == 0
    return folder


def test_the_demo_reaches_97_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The main job of the package, as `make demo` runs it."""
    monkeypatch.chdir(tmp_path)
    done = clearprop("train", "digits")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"digits-\d{8}-\d{6}", folder.name)
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors", "history.jsonl", "report.html", "weights.safetensors",
    ]  # fmt: skip
    assert accuracy(folder) >= 0.97
    assert f"test accuracy  {100 * accuracy(folder):.2f} %, on 355 examples" in done.stdout
    assert f"report         {folder.relative_to(tmp_path)}/report.html" in done.stdout
    assert done.stderr.count("epoch ") == 40
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
def test_mnist_reaches_98_2_percent(data_folder: Path, tmp_path: Path) -> None:
    began = time.process_time(), time.perf_counter()
    assert main(["train", "mnist", "--quiet", "--data", str(data_folder), "--output", str(tmp_path / "run")]) == 0
    assert accuracy(tmp_path / "run") >= 0.982
    assert time.process_time() - began[0] <= 60


def test_what_a_run_leaves(run: Path) -> None:
    history = History.read(run / "history.jsonl")
    assert (history.name, history.seed, len(history.epochs)) == ("digits", 0, 2)
    assert history.command == "clearprop train digits --epochs 2 --hidden 16 --seed 0"
    assert history.config["hidden"] == [16]
    assert history.evaluation is not None
    assert history.evaluation.class_names == list("0123456789")
    assert "clearprop.model" in load_metadata(run / "weights.safetensors")
    assert load(run / "weights.safetensors")["linear1.weight"].shape == (64, 16)
    assert "<h1>digits</h1>" in (run / "report.html").read_text()


def test_equal_seeds_give_equal_weights(run: Path, tmp_path: Path) -> None:
    for name, seed in (("same", "0"), ("other", "1")):
        assert main(["train", "digits", *QUICK, "--quiet", "--seed", seed, "--output", str(tmp_path / name)]) == 0
    weights = (run / "weights.safetensors").read_bytes()
    assert (tmp_path / "same" / "weights.safetensors").read_bytes() == weights
    assert (tmp_path / "other" / "weights.safetensors").read_bytes() != weights


def test_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    settings = ["--epochs", "3", "--hidden", "0", "--lr", "0.1", "--batch-size", "100", "--optimizer", "sgd",
                "--dropout", "0", "--shift", "1", "--weight-decay", "0", "--patience", "1", "--no-compile",
                "--seed", "7"]  # fmt: skip
    assert main(["train", "digits", *settings, "--output", str(folder)]) == 0
    config = History.read(folder / "history.jsonl").config
    assert config == {
        "recipe": "digits", "epochs": 3, "batch_size": 100, "lr": 0.1, "hidden": [], "dropout": 0.0, "shift": 1,
        "optimizer": "sgd", "weight_decay": 0.0, "patience": 1, "validation": 0.1, "compile": False, "seed": 7,
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert "epoch 1/3" in err
    assert "test accuracy" in out


# Going on -------------------------------------------------------------------------------------------------------------


def test_ctrl_c_then_resume(tmp_path: Path) -> None:
    """Interrupted after some epochs, the run goes on; both ways the weights are the same."""
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    settings = ["--epochs", "60", "--hidden", "64", "--patience", "50"]
    assert clearprop("train", "digits", *settings, "--quiet", "--output", whole).returncode == 0
    command = [sys.executable, "-m", "clearprop", "train", "digits", *settings, "--output", str(interrupted)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        rest = process.communicate()[1]
    assert process.returncode == 130
    assert lines[4].startswith("epoch  5/60")
    assert re.search(
        r"stopped in epoch \d+ of 60, after step [\d,]+; the run is saved\nTo go on: clearprop train --resume", rest
    )
    assert "Traceback" not in rest
    done = clearprop("train", "--resume", interrupted)
    assert done.returncode == 0, done.stderr
    assert (interrupted / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    histories = [History.read(folder / "history.jsonl") for folder in (whole, interrupted)]
    assert histories[0].column("val_loss").tolist() == histories[1].column("val_loss").tolist()


def test_options_of_the_run_stand_before_or_behind_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--quiet", "-o", "{}", "digits", *QUICK], ["digits", "--quiet", *QUICK, "-o", "{}"]):
        folder = str(tmp_path / arguments[0].strip("-"))
        assert main(["train", *(one.format(folder) for one in arguments)]) == 0
        assert folder in capsys.readouterr().out


def test_resume_of_a_run_that_is_done(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = (run / "weights.safetensors").read_bytes()
    assert main(["train", "digits", "--resume", str(run), "--epochs", "2"]) == 0
    assert (run / "weights.safetensors").read_bytes() == weights
    assert "test accuracy" in capsys.readouterr().out


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "which recipe? digits, mnist"),
        (["train", "letters"], "invalid choice: 'letters'"),
        (["train", "digits", "--speed", "9"], "unrecognized arguments: --speed 9"),
        (["train", "digits", "--epochs", "0"], "--epochs: '0' is not a whole number from 1 on"),
        (["train", "digits", "--epochs", "many"], "'many' is not a whole number"),
        (["train", "digits", "--lr", "nan"], "--lr: 'nan' is not a number"),
        (["train", "digits", "--lr", "-1"], "--lr: '-1' is not a number from 0 on"),
        (["train", "digits", "--dropout", "1"], "'1' is not a number from 0 to below 1"),
        (["train", "digits", "--hidden", "16x16"], "are not widths"),
        (["train", "digits", "--optimizer", "magic"], "invalid choice: 'magic'"),
        (["train", "digits", "--validation", "1"], "'1' is not a number from 0 to below 1"),
        (["train", "digits", "--batch-size", "0"], "--batch-size: '0' is not a whole number"),
        (["train", "--resume", "nowhere"], "there is no folder nowhere"),
        (["train", "--resume", "."], "holds no checkpoint.safetensors"),
        (["train", "mnist", "--data", "nowhere"], "there is no folder nowhere"),
        (["train", "mnist", "--data", "."], "holds no MNIST file"),
        (["train", "digits", "--output", "/dev/null/run"], "is not a folder"),
        (["train", "digits", "--output", "/proc/run"], "cannot write /proc/run"),
    ],
)
def test_bad_input(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clearprop", *arguments],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 24
    assert done.stdout == ""


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What a command says on stderr when it refuses."""
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_run_is_not_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert "holds a run already" in complaint(capsys, "train", "digits", "--output", run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot hold a folder")
def test_a_folder_in_which_another_process_is_at_work(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with alone_in(run), alone_in(tmp_path):
        assert "another process is at work" in complaint(capsys, "train", "--resume", run)
        assert "another process is at work" in complaint(capsys, "train", "digits", "--output", tmp_path)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert not any(tmp_path.iterdir())
    assert main(["train", "--resume", str(run), "--quiet"]) == 0  # it has ended


def test_resume_as_another_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "was begun with hidden 16, not 32" in complaint(capsys, "train", "digits", "--resume", run, "--hidden", "32")
    assert "was begun with recipe digits, not mnist" in complaint(capsys, "train", "mnist", "--resume", run)
    assert "stays in its folder" in complaint(capsys, "train", "--resume", run, "--output", run.parent / "other")


@pytest.mark.parametrize("damage", ["truncated", "tampered", "weights"])
def test_a_damaged_checkpoint(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    path = tmp_path / "checkpoint.safetensors"
    content = bytearray((run / "checkpoint.safetensors").read_bytes())
    content[-10] ^= damage == "tampered"
    path.write_bytes(content[:1000] if damage == "truncated" else content)
    if damage == "weights":
        path.write_bytes((run / "weights.safetensors").read_bytes())
    words = "is not the checkpoint of a training run" if damage == "weights" else "is damaged"
    assert words in complaint(capsys, "train", "--resume", tmp_path)


def test_a_checkpoint_of_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.train.small import fit, make

    fit(make(epochs=1), checkpoint=tmp_path / "checkpoint.safetensors")
    assert "not begun with clearprop train" in complaint(capsys, "train", "--resume", tmp_path)


def test_a_learning_rate_that_diverges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "train",
        "digits",
        *QUICK,
        "--quiet",
        "--optimizer",
        "sgd",
        "--lr",
        "1e30",
        "--output",
        tmp_path / "run",
    ]
    assert "Try: a smaller learning rate" in complaint(capsys, *arguments)


def test_truncated_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + bytes(20))
    words = complaint(capsys, "train", "mnist", "--data", tmp_path, "--output", tmp_path / "run")
    assert "is not the published MNIST file" in words
    assert not (tmp_path / "run").exists()


FULL_DISK = """
import resource, sys
from clearprop.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))  # more than this cannot be written
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("full_at", ["checkpoint.safetensors", "report.html"])  # the first file, and the last
def test_a_full_disk(run: Path, tmp_path: Path, full_at: str) -> None:
    pytest.importorskip("resource", reason="the limit that stands for a full disk is Unix's")
    room = (run / full_at).stat().st_size - 2000
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(room), "train", "digits", *QUICK, "--quiet", "--output", str(folder)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.search(r"cannot write .*: File too large; nothing that was saved before has changed", done.stderr)
    assert "Traceback" not in done.stderr
    assert not list(folder.glob(".*"))
    if full_at == "report.html":
        assert main(["train", "--resume", str(folder), "--quiet"]) == 0  # with room again, nothing is lost


def test_the_record_of_a_run_is_json_lines(run: Path) -> None:
    first, *rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert first["clearprop_history"] == 2
    assert [row["epoch"] for row in rows if "epoch" in row] == [1, 2]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["predict", "--help"], ["explain", "--help"]])
def test_help_in_an_encoding_of_a_few_characters(arguments: list[str]) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    program = subprocess.run(
        [sys.executable, "-m", "clearprop", *arguments], env=environment, capture_output=True, check=False
    )
    assert program.returncode == 0
    assert b"usage: clearprop" in program.stdout
    assert b"Traceback" not in program.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize(("redirection", "code"), [(">/dev/full", 2), (">&-", 0)])
def test_stdout_that_takes_nothing(redirection: str, code: int) -> None:
    program = subprocess.run(
        ["sh", "-c", f'"$0" -m clearprop explain "2 * x" x=3 {redirection}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert program.returncode == code
    assert "Traceback" not in program.stderr
    assert ("cannot write the output" in program.stderr) == (code == 2)


def test_wrong_arguments_say_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "digits", "--speed", "9"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "clearprop train: unrecognized arguments: --speed 9",
        "Try: clearprop train --help",
    ]


def test_the_folder_has_a_short_option_as_in_the_other_commands(tmp_path: Path) -> None:
    assert main(["train", "digits", "-o", str(tmp_path / "run"), "--epochs", "1", "--quiet"]) == 0
    assert (tmp_path / "run" / "report.html").exists()
