"""Running a script of the user's under a recorder, as ``python script.py`` would run it.

A recorder decides what is kept: all of it, or the last steps (`clearprop.lens.recent`), or the last one that had a
backward pass (`LastStep`). Compiled functions run operation by operation meanwhile, so that everything is seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from clearprop.errors import UsageError
from clearprop.graph import Node
from clearprop.lens.recorder import Recorder
from clearprop.lens.tape import Tape
from clearprop.source import describe
from clearprop.tensor import Tensor


class Outcome(NamedTuple):
    """How a script ended.

    Attributes:
        tape: what was recorded, up to the error if there was one.
        error: the error in words, with the script's line; empty if it ended well.
        was_interrupted: whether somebody pressed Ctrl-C.
    """

    tape: Tape
    error: str
    was_interrupted: bool


def record_script(path: Path, arguments: Sequence[str] = (), recorder: Recorder | None = None) -> Outcome:
    """Run a Python script while somebody records. What it prints goes to stderr.

    Args:
        path: of the script.
        arguments: what it finds in ``sys.argv`` behind its own name.
        recorder: by default one that keeps everything.

    Raises:
        UsageError: if there is no such file, or it is no Python.
    """
    code, recorder = _compiled(path), recorder or Recorder()
    error, was_interrupted = "", False
    with _as_program(path, arguments) as module, redirect_stdout(sys.stderr):
        try:
            with recorder:
                exec(code, vars(module))
        except SystemExit as end:
            error = "" if end.code in (None, 0) else f"the script ended with exit code {end.code}"
        except KeyboardInterrupt:
            was_interrupted = True
        except Exception as problem:  # whatever the script does wrong
            error = _in_words(problem, path)
    recorder.tape.learn_names(vars(module))
    return Outcome(recorder.tape, error, was_interrupted)


class LastStep(Recorder):
    """A recorder that forgets all steps but the last. A step ends where something is computed after a backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self._complete: Tape | None = None  # the last step that had a backward pass
        self._has_returned = False  # the running step has had its backward pass

    @property
    def step(self) -> Tape:
        """The last step that had a backward pass; if none had one, all that was recorded."""
        return self.tape if self._has_returned or self._complete is None else self._complete

    def forward(self, node: Node, arrays: list[Any], output: Any) -> None:
        """A node was recorded: after a backward pass, the first of a new step."""
        self._begin_if_done()
        super().forward(node, arrays, output)

    def backward(self, node: Node, g: Any, contributions: Any) -> None:
        """A backward pass has been at a node; one that is itself recorded, to be differentiated, ends no step."""
        self._has_returned |= not isinstance(g, Tensor)
        super().backward(node, g, contributions)

    def entered(self, module: Any) -> None:
        """A module has been called: after a backward pass, the first of a new step."""
        self._begin_if_done()
        super().entered(module)

    def _begin_if_done(self) -> None:
        if self._has_returned:
            self._complete, self.tape, self._has_returned = self.tape, Tape(), False


def play_script(path: str | Path, arguments: Sequence[str] = ()) -> Tape:
    """Run a Python script and return the tape of its last step.

    If the script ends with an error, the tape says so in `Tape.error` and holds what was computed before.

    Raises:
        UsageError: if there is no such file, it is no Python, or nothing was recorded.
    """
    recorder = LastStep()
    outcome = record_script(Path(path), arguments, recorder)
    tape = recorder.tape if outcome.error and len(recorder.tape) else recorder.step
    tape.error = outcome.error or ("interrupted" if outcome.was_interrupted else "")
    if not len(tape):
        ended = f", and ended with an error: {outcome.error}" if outcome.error else ""
        raise UsageError(
            f"{path} computed nothing to which gradients flow{ended}",
            hint="a script that calls backward(), outside of no_grad()",
        )
    return tape


@contextmanager
def _as_program(path: Path, arguments: Sequence[str]) -> Iterator[ModuleType]:
    """What Python gives a script: a module named ``__main__``, its arguments, and its folder to import from."""
    module = ModuleType("__main__")
    module.__file__ = str(path)
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    sys.argv, sys.path[:0], sys.modules["__main__"] = [str(path), *arguments], [str(path.resolve().parent)], module
    try:
        yield module
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def _compiled(path: Path) -> CodeType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}", hint="the path of a Python script"
        ) from None
    try:
        return compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UsageError(f"{path.name}{line} is no Python: {message}", hint=f"python {path}") from None


def _in_words(error: Exception, path: Path) -> str:
    """Kind and message of an error, and the innermost line of the script that led to it."""
    words = f"{type(error).__name__}: {error}"
    traceback, where = error.__traceback__, ""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            where = describe((traceback.tb_frame.f_code, traceback.tb_lasti))
        traceback = traceback.tb_next
    return f"{words}\n  at {where}" if where and where not in words else words
