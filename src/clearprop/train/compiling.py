"""Functions of batches that are compiled where that is possible and worth its time."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

import numpy as np

from clearprop.compiler import compile as compiled
from clearprop.errors import TraceError
from clearprop.tensor import Tensor, to_array

_MOST_SHAPES = 16
"""Batches of so many different shapes are compiled for: each takes the time of hundreds of small steps."""
_MANY_BATCHES = 8
"""With fewer batches a pass that trains nothing is over before it would be compiled."""


class OfBatches:
    """A function of the parts of a batch, compiled as long as that goes well.

    Attributes:
        has_compiled: whether it has gone well up to now; False before the first call.

    Args:
        function: it.
        compile: True, False, or None: compile it if it can be traced, and say so if it cannot.
        note: shows a line.
        keep_grads: as `clearprop.compile` takes it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        compile: bool | None,
        note: Callable[[str], None],
        keep_grads: bool = False,
    ) -> None:
        self._function, self._note = function, note
        self.has_compiled = False
        self._may_fall_back = compile is None
        self._compiled = None if compile is False else compiled(function, keep_grads=keep_grads)

    @property
    def is_eager(self) -> bool:
        """Whether the function is called as it is."""
        return self._compiled is None

    def __call__(self, *batch: Any) -> Any:
        """What the function returns.

        Raises:
            TraceError: ``compile=True``, and the function asks for values.
        """
        if self._compiled is None:
            return self._function(*batch)
        try:
            result = self._compiled(*map(as_tensor, batch))
        except TraceError as error:
            if not self._may_fall_back:
                raise
            self._go_on_eagerly(f"the network cannot be compiled, so it runs operation by operation: {error.message}")
            return self._function(*batch)
        self.has_compiled = True
        if self._may_fall_back and self._compiled.traces > _MOST_SHAPES:
            self._go_on_eagerly(f"batches of more than {_MOST_SHAPES} shapes: from now on operation by operation")
        return result

    def _go_on_eagerly(self, why: str) -> None:
        self._compiled, self.has_compiled = None, False
        self._note(f"{why}\n(compile=False says that this is meant)")


def as_tensor(x: Any) -> Any:
    """An array as a tensor: the shortest way into a compiled function."""
    return Tensor(to_array(x)) if isinstance(x, np.ndarray) else x


def worth_compiling(compile: bool | None, data: Any) -> bool | None:
    """The setting for a pass over data that trains nothing."""
    if compile is None and isinstance(data, Sized) and len(data) < _MANY_BATCHES:
        return False
    return compile
