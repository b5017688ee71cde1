"""``clearprop why SCRIPT``: planted faults are found, healthy runs pass, and bad input is bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import clearprop as cp
from clearprop.cli import main
from clearprop.lens.recent import RecentTape
from clearprop.lens.recorder import Recorder
from clearprop.lens.scripts import record_script

_HEAD = """
import sys
import numpy as np, clearprop as cp
import clearprop.functional as F
from clearprop import nn, optim

x = cp.tensor(np.random.default_rng(0).normal(size=(16, 4)).astype("float32"))
y = cp.tensor(np.arange(16) % 3)
"""

_HEALTHY = """
def main():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)

    @cp.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for i in range(12):
        print("loss", step(x, y).item(), sys.argv[1:])

if __name__ == "__main__":
    main()
"""

_SICK = """
class Net(nn.Module):
    def __init__(self):
        self.fc1, self.fc2, self.head = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.fc1.requires_grad_(False)
    def forward(self, x):
        h = cp.tanh(self.fc2(F.relu(self.fc1(x))))
        return self.head(h.detach())  # the cut

model = Net()
optimizer = optim.SGD(model.parameters(), lr=0.1)
for i in range(3):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""

_DIVERGES = """
model = nn.Linear(4, 1)
optimizer = optim.SGD(model.parameters(), lr=100.0)
for i in range(60):
    optimizer.zero_grad()
    F.mse_loss(model(x), x[:, :1]).backward()
    optimizer.step()
"""


def script(folder: Path, text: str, head: str = _HEAD) -> str:
    path = folder / "train.py"
    path.write_text(head + text, encoding="utf-8")
    return str(path)


def test_a_healthy_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.argv, list(sys.path), sys.modules["__main__"]
    assert main(["why", script(tmp_path, _HEALTHY), "--", "--epochs", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("nothing wrong with the gradients of 4 parameters")
    assert err.count("['--epochs', '2']") == 12  # what the script prints, and its arguments
    assert (sys.argv, sys.path, sys.modules["__main__"]) == before


def test_arguments_of_the_script_behind_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever the command's own options stand, what is behind -- is the script's, though it looks like options."""
    path = script(tmp_path, _HEALTHY)
    assert main(["why", path, "--steps", "2", "--json", "--", "1", "--json", "--epochs=3"]) == 0
    assert "['1', '--json', '--epochs=3']" in capsys.readouterr().err


def test_what_is_wrong_is_said_once_for_each_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, _SICK)]) == 1
    out, _ = capsys.readouterr()
    assert "fc2.weight, fc2.bias: no gradient\n  detach() cuts h off" in out
    assert out.count("# the cut") == 1
    assert "fc1.weight, fc1.bias: frozen" in out
    assert "2 of 6 parameters" in out


def test_one_parameter_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, _SICK), "--parameter", "head.weight", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["healthy"] is True
    assert [cause["parameter"] for cause in data["parameters"]] == ["head.weight"]


def test_the_steps_up_to_the_first_nan_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, _DIVERGES), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert {cause["kind"] for cause in data["parameters"]} == {"growing"}
    assert data["birth_of_nan"]["found"] in (True, False)
    assert data["parameters"][0]["numbers"]["steps"] == 5


def test_a_script_that_raises_is_answered_for_what_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(tmp_path, _SICK + "\nraise ValueError('no more data')")
    assert main(["why", path]) == 1
    out, err = capsys.readouterr()
    assert "detach() cuts h off" in out
    assert "train.py ended with an error: ValueError: no more data" in err
    assert "Traceback" not in err


def test_a_script_that_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, _HEALTHY + "\nsys.exit(0)")]) == 0
    assert main(["why", script(tmp_path, _HEALTHY + "\nsys.exit(3)")]) == 1
    assert "exit code 3" in capsys.readouterr().err


def test_an_interrupted_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, _HEALTHY + "\nraise KeyboardInterrupt")]) == 0
    out, err = capsys.readouterr()
    assert "nothing wrong" in out
    assert "was interrupted" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def (", "train.py:1 is no Python: invalid syntax"),
        ("print('hello')", "computed nothing that gradients flow through"),
        ("raise ValueError('no data')", "ValueError: no data\n  at train.py:1: raise ValueError"),
    ],
)
def test_bad_scripts(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, text, head="")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Try: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["missing.py"], ["."], ["x.py", "--steps", "0"], []])
def test_bad_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["why", *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert "Try: " in capsys.readouterr().err


def test_an_unknown_parameter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", script(tmp_path, _SICK), "--parameter", "fc2.wait"]) == 2
    assert "tape['fc2.weight']" in capsys.readouterr().err


# The tape of the last steps -------------------------------------------------------------------------------------------


def train(tape: RecentTape, steps: int, w: cp.Parameter) -> None:
    with Recorder(tape):
        for _ in range(steps):
            loss = (w * w).sum()
            loss.backward()
            assert w.grad is not None
            w.assign(w.value - 0.1 * w.grad)
            w.grad = None


def test_only_the_last_steps_are_kept() -> None:
    w, tape = cp.Parameter([1.0, 2.0], name="w"), RecentTape(3)
    train(tape, 20, w)
    values = [row.value for row in tape.rows if row.is_leaf]
    assert len(values) == 3
    np.testing.assert_allclose(values[-1], np.array([1.0, 2.0]) * 0.8**19, rtol=1e-5)
    assert len([visit for visit in tape.visits if visit.begins]) == 3


def test_large_steps_are_shortened() -> None:
    w, tape = cp.Parameter(np.ones(1000), name="w"), RecentTape(5, most_bytes=20_000)
    train(tape, 6, w)
    assert tape.is_shortened
    kept = sum(event[3].nbytes for event in tape.events if event[0] == "forward")
    assert 0 < kept <= 20_000


def test_values_that_lead_to_no_gradient_do_not_pile_up() -> None:
    w, tape = cp.Parameter(np.ones(1000), name="w"), RecentTape(5, most_bytes=100_000)
    with Recorder(tape):
        for _ in range(100):
            (w * 2.0).numpy()  # an evaluation that forgot no_grad()
    assert len(tape.events) <= 13
    assert len(tape.cuts) <= 60


def test_a_script_is_recorded_as_main(tmp_path: Path) -> None:
    run = record_script(Path(script(tmp_path, _HEALTHY)), recorder=Recorder(RecentTape(1)))
    assert (run.error, run.was_interrupted) == ("", False)
    assert len([visit for visit in run.tape.visits if visit.begins]) == 1  # the last step
    assert "loss" in {row.name for row in run.tape.rows}
