"""Watching a run: the observer that fills a tape."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, overload

from clearprop.graph import Node, Observer, state, take_number
from clearprop.lens.modules import Call
from clearprop.lens.rows import Cut
from clearprop.lens.tape import Tape
from clearprop.source import Position


class Recorder(Observer):
    """The observer that fills a tape; made by `record`. Inner and outer recorders see the same run."""

    def __init__(self, tape: Tape | None = None) -> None:
        super().__init__()
        self.tape = Tape() if tape is None else tape
        self._before: list[Observer | None] = []
        self._running: list[Call] = []  # calls of modules that have not ended

    def __enter__(self) -> Tape:
        self._before.append(self.outer)
        self.outer, state.observer = state.observer, self
        self.tape.learn_names(sys._getframe(1).f_locals)
        return self.tape

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.observer, self.outer = self.outer, self._before.pop()
        self.tape.learn_names(sys._getframe(1).f_locals)
        if error is not None:
            self.tape.error = f"{type(error).__name__}: {error}"

    def forward(self, node: Node, arrays: list[Any], output: Any) -> None:
        """A node was recorded."""
        self.tape.add(("forward", node, arrays, output, node.residuals))
        super().forward(node, arrays, output)

    def backward(self, node: Node, g: Any, contributions: Any) -> None:
        """A backward pass has been at a node."""
        self.tape.add(("backward", node, g, contributions, node.residuals))
        super().backward(node, g, contributions)

    def arrived(self, node: Node, g: Any) -> None:
        """A gradient has arrived at a leaf."""
        self.tape.add(("arrived", node, g))
        super().arrived(node, g)

    def cut(self, node: Node, how: str, position: Position | None) -> None:
        """The value of a node has been used in a way through which no gradient comes back."""
        self.tape.cuts[Cut(node, how, position)] = None
        super().cut(node, how, position)

    def entered(self, module: Any) -> None:
        """A module has been called."""
        self.tape.calls.append(Call(module, take_number()))
        self._running.append(self.tape.calls[-1])
        super().entered(module)

    def left(self, module: Any) -> None:
        """A call of a module has ended."""
        if self._running:  # else it began before the recording
            self._running.pop().last = take_number()
        super().left(module)


@overload
def record() -> Recorder: ...
@overload
def record(fn: Callable[..., Any]) -> Callable[..., Tape]: ...
def record(fn: Callable[..., Any] | None = None) -> Recorder | Callable[..., Tape]:
    """Watch what runs: ``with cp.record() as tape: …``, or ``tape = cp.record(fn)(*args)`` for one call of a function.

    The tape of a block that raises holds everything up to the error.

    >>> import clearprop as cp
    >>> def square(x):
    ...     y = x * x
    ...     y.backward()
    ...     return y
    >>> tape = cp.record(square)(cp.tensor(3.0, requires_grad=True))
    >>> [row.primitive for row in tape.rows], tape.result.item(), tape["x"].gradient.item()
    (['leaf', 'multiply'], 9.0, 6.0)
    """
    if fn is None:
        return Recorder()

    @wraps(fn)
    def recorded(*args: Any, **kwargs: Any) -> Tape:
        recorder = Recorder()
        with recorder as tape:
            tape.result = fn(*args, **kwargs)
        tape.learn_names(_arguments(fn, args, kwargs))
        return tape

    return recorded


def _arguments(fn: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a call by the names of the function's parameters."""
    try:
        return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):  # a callable without a signature
        return {}
