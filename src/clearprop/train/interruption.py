"""Ctrl-C while a network is being trained: the step under way is finished, the run is saved, then the program stops."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C has ended a training, and its checkpoint is whole.

    Attributes:
        path: of the checkpoint.
    """

    def __init__(self, message: str, path: str | os.PathLike[str]) -> None:
        super().__init__(message)
        self.path = path


class Interruption:
    """A context in which the first Ctrl-C only sets `requested`; the second interrupts at once, as ever.

    Ctrl-C may come in the middle of an update of the weights, when there is no state that could be gone on from. So the
    loop asks between two steps. Outside the main thread, and where a program handles Ctrl-C itself, nothing is changed.

    Args:
        active: False for a context that leaves Ctrl-C alone.
    """

    def __init__(self, active: bool = True) -> None:
        self.requested = False
        self._active = active
        self._before: Any = None

    def __enter__(self) -> Interruption:
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._active &= in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            signal.default_int_handler(number, frame)
        self.requested = True
