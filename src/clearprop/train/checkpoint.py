"""Checkpoints: all that going on with a run needs, in one safetensors file that is written whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from clearprop.arguments import as_path, is_whole, number
from clearprop.errors import FileError, UsageError
from clearprop.files.tensors import load_with_metadata, save
from clearprop.train.pack import pack, unpack

FORMAT = "2"  # changes when the checkpoints of one clearprop could no longer be read by another

_FORMAT_KEY, _STATE_KEY = "clearprop.checkpoint", "clearprop.state"


class Checkpoint:
    """Where and how often `fit` saves a run. It is also saved before the first step, and at the end.

    Args:
        path: the file, such as ``runs/digits/checkpoint.safetensors``.
        every_epochs: after every so many epochs; None for not at the end of epochs.
        every_steps: after every so many steps.
        every_seconds: after the first step, or epoch, that ends so many seconds after the last time.

    Raises:
        UsageError: a number that is not positive.

    >>> Checkpoint("checkpoint.safetensors", every_seconds=60.0)
    Checkpoint('checkpoint.safetensors', every_epochs=1, every_seconds=60.0)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        self.path = as_path(path)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        for name, value in self._intervals().items():
            counted = name != "every_seconds"
            if not (is_whole(value) if counted else number("Checkpoint", name, value, infinite=True)) or value <= 0:
                raise UsageError(f"Checkpoint: {name} is {value!r}", hint="a positive number, or None")
        self._saved_at = time.monotonic()

    def due_after_step(self, step: int) -> bool:
        """Whether to save now, after so many steps of the run."""
        return bool(self.every_steps and step % self.every_steps == 0) or self.is_time

    def due_after_epoch(self, epoch: int) -> bool:
        """Whether to save now, after so many epochs of the run."""
        return bool(self.every_epochs and epoch % self.every_epochs == 0) or self.is_time

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state of a run; FileError if it cannot be written, and the last checkpoint is unharmed."""
        write_state(self.path, state)
        self._saved_at = time.monotonic()

    @property
    def is_time(self) -> bool:
        """Whether to save now, by the clock."""
        return self.every_seconds is not None and time.monotonic() - self._saved_at >= self.every_seconds

    def _intervals(self) -> dict[str, float]:
        names = ("every_epochs", "every_steps", "every_seconds")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def __repr__(self) -> str:
        intervals = "".join(f", {name}={value}" for name, value in self._intervals().items())
        return f"Checkpoint({str(self.path)!r}{intervals})"


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state, as `pack` takes it, to a file."""
    arrays, text = pack(state)
    save(path, arrays, metadata={_FORMAT_KEY: FORMAT, _STATE_KEY: text})


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state that `write_state` wrote.

    Raises:
        FileError: there is no such file, it is damaged, or it is no checkpoint.
    """
    arrays, metadata = load_with_metadata(path)
    if _FORMAT_KEY not in metadata:
        raise FileError(f"{path} is not the checkpoint of a training run", hint="checkpoint.safetensors of a run")
    if metadata[_FORMAT_KEY] != FORMAT:
        raise FileError(f"{path} was written by another version of clearprop", hint="pip install -U clearprop")
    state: dict[str, Any] = unpack(arrays, metadata[_STATE_KEY])
    return state
