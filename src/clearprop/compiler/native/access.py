"""How a loop nest walks through a buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Lookup(NamedTuple):
    """How a kernel finds the row of a buffer.

    Attributes:
        slot: the pointer to the positions.
        strides, offset: how it walks through them; not along the last axis.
        step: from one row to the next, in elements.
    """

    slot: int
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int
    step: int


class Access(NamedTuple):
    """How a kernel walks through a buffer.

    Attributes:
        slot: which of the kernel's pointers.
        strides: one for each axis of the kernel's space.
        lookup: in which row, if positions say it.
    """

    slot: int
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int
    lookup: Lookup | None = None

    def of_axes(self, axes: Sequence[int]) -> Access:
        """The same, of some axes in another order."""
        lookup = self.lookup
        if lookup is not None:
            lookup = lookup._replace(strides=tuple(lookup.strides[i] for i in axes))
        return self._replace(strides=tuple(self.strides[i] for i in axes), lookup=lookup)

    def goes_on(self, before: int, axis: int, length: int) -> bool:
        """Whether a step along one axis is as far as the whole of another one."""
        walks = [self.strides] if self.lookup is None else [self.strides, self.lookup.strides]
        return all(strides[before] == strides[axis] * length for strides in walks)

    @property
    def moves(self) -> bool:
        """Whether it walks along the last axis."""
        return bool(self.strides) and self.strides[-1] != 0
