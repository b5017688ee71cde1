"""The display shows what it should, costs next to nothing, and leaves terminals and files as they ought to be."""

import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from clearprop.train.history import History
from clearprop.train.progress import Progress, epoch_cells
from clearprop.train.records import Evaluation, Layer
from clearprop.train.summary import print_summary

ROW = {"epoch": 3, "loss": 0.25, "accuracy": 0.9, "val_loss": 0.5, "val_accuracy": 0.8}
ROW |= {"lr": 0.001, "seconds": 1.25, "examples_per_second": 52310.4}
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def terminal_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")


def run(stream: io.StringIO, epochs: int = 3, batches: int = 50) -> str:
    """A whole run on a stream, of which each batch takes 0.03 s; what it wrote."""
    clock = Clock()
    with Progress(epochs, stream=stream, now=clock) as progress:
        for epoch in range(1, epochs + 1):
            progress.start_epoch(epoch, batches, lambda: {"loss": 0.25, "accuracy": 0.9})
            for _ in range(batches):
                clock.time += 0.03
                progress.advance(64)
            progress.start_validation(10)
            for _ in range(10):
                clock.time += 0.03
                progress.advance(64)
            progress.end_epoch(ROW | {"epoch": epoch}, best=epoch == 1)
    return stream.getvalue()


def visible(output: str) -> list[str]:
    """The lines of a terminal's output, without control sequences; each redrawing counts as a line."""
    return [
        line.rstrip() for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)) if line.strip()
    ]


def test_a_file_gets_one_plain_line_per_epoch() -> None:
    lines = run(io.StringIO()).splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        "epoch 1/3  loss 0.2500  accuracy 90.00 %  val_loss 0.5000  val_accuracy 80.00 %  "
        "lr 0.001  52,310/s  1.2 s  best"
    )
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_without_control_sequences_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    monkeypatch.setenv("TERM", term)
    assert "\x1b" not in run(Terminal())


def test_forced_colour_does_not_bring_control_characters_into_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in run(io.StringIO())


def test_a_terminal_gets_a_moving_line_and_a_table() -> None:
    output = run(Terminal())
    lines = visible(output)
    header = "epoch    loss  accuracy  val_loss  val_accuracy      lr  examples    time  best"
    assert lines.count(header) == 1
    row = "  1/3  0.2500   90.00 %    0.5000       80.00 %   0.001  52,310/s   1.2 s  best"
    assert row in lines
    assert any(
        re.match(r"epoch 2/3 .*\d/50 .*/s  loss 0\.2500  accuracy 90\.00 %  \d+:\d\d left", line) for line in lines
    )
    assert any("validating" in line for line in lines)


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = visible(run(Terminal()))
    assert max(map(len, lines)) <= columns
    assert any("left" in line and "━" in line for line in lines)  # the bar and the time stay to the last
    assert any("val_loss" in line for line in lines)


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*\b(3[0-7]|38|9[0-7])\b[0-9;]*m")
    assert colour.search(run(Terminal()))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(run(Terminal()))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_cursor_comes_back_whatever_passes(error: type[BaseException]) -> None:
    stream = Terminal()
    with pytest.raises(error), Progress(3, stream=stream) as progress:
        progress.start_epoch(1, 10)
        progress.advance(64)
        raise error
    output = stream.getvalue()
    assert HIDE_CURSOR in output
    assert output.rindex(SHOW_CURSOR) > output.rindex(HIDE_CURSOR)


SCRIPT = """
import time
from clearprop.train.progress import Progress
with Progress(3) as progress:
    progress.start_epoch(1, 100000)
    while True:
        progress.advance(64)
        time.sleep(0.001)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_control_c_in_a_real_terminal_restores_it() -> None:
    import pty

    controller, terminal = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    output = ""
    deadline = time.monotonic() + 60
    while "epoch 1/3" not in output and time.monotonic() < deadline:
        output += os.read(controller, 65536).decode()
    child.send_signal(signal.SIGINT)
    while True:
        try:
            read = os.read(controller, 65536).decode()
        except OSError:  # Linux says so when the last writer has gone
            break
        if not read:
            break
        output += read
    os.close(controller)
    assert child.wait(timeout=60) != 0
    assert "KeyboardInterrupt" in output
    assert output.rindex(SHOW_CURSOR) > output.rindex(HIDE_CURSOR)


def test_figures_are_read_only_when_they_are_drawn() -> None:
    reads = 0

    def numbers() -> dict[str, float]:
        nonlocal reads
        reads += 1
        return {"loss": 0.5}

    clock = Clock()
    with Progress(1, stream=Terminal(), now=clock) as progress:
        progress.start_epoch(1, 10_000, numbers)
        for _ in range(10_000):
            clock.time += 1e-4
            progress.advance(64)
    assert 9 <= reads <= 11  # ten times in this second


def test_slow_drawing_is_done_less_often() -> None:
    seconds = 0.0
    reads = 0

    def slow_numbers() -> dict[str, float]:
        nonlocal seconds, reads
        seconds += 0.5  # as over a slow connection
        reads += 1
        return {}

    with Progress(1, stream=Terminal(), now=lambda: seconds) as progress:
        progress.start_epoch(1, 10_000, slow_numbers)
        for _ in range(10_000):
            seconds += 0.01
            progress.advance(64)
    assert reads <= 3  # of 100 seconds, one in a hundred


@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_that_has_gone_does_not_end_the_training(error: type[OSError], terminal: bool) -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise error

        def isatty(self) -> bool:
            return terminal

    run(Gone())


def test_a_display_that_shows_nothing() -> None:
    stream = Terminal()
    with Progress(1, show=False, stream=stream) as progress:
        progress.start_epoch(1)
        progress.advance(64)
        progress.end_epoch(ROW)
        progress.note("quiet")
    assert stream.getvalue() == ""


def test_notes_stay_in_both_kinds_of_stream() -> None:
    for stream in (Terminal(), io.StringIO()):
        with Progress(1, stream=stream) as progress:
            progress.start_epoch(1)
            progress.note("layer [fc1]: 98 % of its units are dead")  # brackets are no markup
        assert "layer [fc1]: 98 % of its units are dead" in stream.getvalue()


def test_standard_output_is_left_alone_when_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, stream=Terminal()) as progress:
        progress.start_epoch(1)
        sys.stdout.write("result\n")
    assert capsys.readouterr().out == "result\n"


def test_time_left_counts_the_epochs_to_come() -> None:
    seconds = 0.0
    progress = Progress(5, now=lambda: seconds)
    progress.start_epoch(1, 10)
    assert progress.seconds_left() is None
    for _ in range(5):
        seconds += 1
        progress.advance(64)
    assert progress.seconds_left() == pytest.approx(5 + 4 * 10)
    seconds = 12.0  # with validation
    progress.end_epoch(ROW)
    progress.start_epoch(2, 10)
    assert progress.seconds_left() == pytest.approx(4 * 12)
    seconds += 20  # longer than the last one
    assert progress.seconds_left() == pytest.approx(3 * 12)


def test_a_number_of_batches_that_is_not_known() -> None:
    stream, clock = Terminal(), Clock()
    with Progress(2, stream=stream, now=clock) as progress:
        progress.start_epoch(1)
        for _ in range(10):
            clock.time += 0.2
            progress.advance(64)
    assert any(re.match(r"epoch 1/2 ━+ 320/s$", line) for line in visible(stream.getvalue()))


def test_something_is_seen_before_the_first_batch_is_done() -> None:
    stream = Terminal()
    with Progress(2, stream=stream) as progress:
        progress.start_epoch(1, 10)
        assert "epoch 1/2" in stream.getvalue()


def test_many_short_epochs_are_not_drawn_one_by_one() -> None:
    reads, clock = 0, Clock()

    def numbers() -> dict[str, float]:
        nonlocal reads
        reads += 1
        return {}

    with Progress(1000, stream=Terminal(), now=clock) as progress:
        for epoch in range(1, 1001):
            progress.start_epoch(epoch, 1, numbers)
            clock.time += 0.001
            progress.advance(64)
            progress.end_epoch(ROW | {"epoch": epoch})
    assert reads <= 12  # in one second


def test_the_least_important_columns_go_first() -> None:
    names = [cell.name for cell in epoch_cells(ROW, 20, True, 50)]
    assert names == ["epoch", "loss", "val_loss", "val_accuracy", "best"]


def test_importing_it_does_not_import_what_it_may_not_need() -> None:
    code = "import sys, clearprop.train.progress, clearprop.train.summary, clearprop.train.reports.report; "
    code += "print([name for name in ('rich', 'jinja2') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def summary(stream: io.StringIO) -> str:
    history = History("digits", seconds=9.81, layers=[Layer("", "Linear", "(N, 10)", {"weight": (64, 10)})])
    history.add_epoch({"loss": 0.2, "val_loss": 0.25, "examples_per_second": 3500})
    history.best_epoch, history.monitor, history.stop_reason = 1, "val_loss", "stopped early"
    history.evaluation = Evaluation({"loss": 0.21, "accuracy": 0.975}, 360)
    history.files = {"report": "/runs/" + "a long folder/" * 10 + "report.html"}
    print_summary(history, stream)
    return stream.getvalue()


def test_the_summary_in_a_file() -> None:
    output = summary(io.StringIO())
    assert output.isascii()
    assert "\x1b" not in output
    for text in ("test accuracy  97.50 %, on 360 examples", "1, val_loss 0.2500", "1; stopped early", "640", "3,500/s"):
        assert text in output
    assert "a long folder/" * 10 + "report.html\n" in output  # in one piece


def test_the_summary_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = visible(summary(Terminal()))
    assert max(map(len, lines)) <= 60
    assert "report.html" in re.sub(r"\s", "", "".join(lines))


def test_several_trainings_are_one_display() -> None:
    """Folds of 2 epochs of 20 batches: where they are, how far, how long all will take; a line stays for each."""
    clock, stream = Clock(), Terminal()
    with Progress(3, stream=stream, now=clock, unit="fold") as progress:
        for fold in (1, 2, 3):
            progress.start_epoch(fold, 40, lambda: {"val_loss": 0.5})
            for epoch in (1, 2):
                progress.begin_part(f"lr=0.1, epoch {epoch}/2", 20 * (epoch - 1))
                for _ in range(20):
                    clock.time += 0.25
                    progress.advance(64)
            progress.end_training(f"fold {fold}/3  val_loss 0.5000")
    lines = visible(stream.getvalue())
    assert [line for line in lines if "━" not in line] == [f"fold {fold}/3  val_loss 0.5000" for fold in (1, 2, 3)]
    moving = [re.sub("[━╸╺]+", "━", line) for line in lines]
    assert "fold 1/3 lr=0.1, epoch 1/2 ━ 10/40  256/s  val_loss 0.5000  0:28 left" in moving
    assert "fold 2/3 lr=0.1, epoch 2/2 ━ 21/40  256/s  val_loss 0.5000  0:15 left" in moving
