"""How the threads divide a loop nest.

They divide its outermost axis, if that is long enough for all: so each finds in its own cache what it wrote as part of
the kernel before, which divided its rows too. If one of the kernel's reductions sums along that axis, it is cut into
parts, whose number depends on its length alone; each part is summed by itself, and the sums of the parts are added up
in their order. So the bits do not depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_MOST_PARTS = 16
_NEIGHBOURS = 16
"""Along the last axis parts begin at multiples of so many elements: whole vectors, and mostly whole cache lines."""
_ENOUGH = 8
"""An axis with so many elements is divided evenly enough."""
_LEAST = 2
"""So many elements are in a part: else there is as much to do for the sums of parts as for the parts."""


class Division(NamedTuple):
    """What is divided.

    Attributes:
        axis: of the kernel's space.
        multiple: where a thread's part, or a part of a sum, may begin.
        parts: of a sum, or None if no reduction is along that axis.
    """

    axis: int
    multiple: int
    parts: int | None


def divide(space: Sequence[int], reduced: Sequence[Sequence[bool]]) -> Division:
    """The way to divide a space with such reductions (whether along each axis).

    >>> divide((64, 1000), [(False, True)])
    Division(axis=0, multiple=1, parts=None)
    >>> divide((64, 1000), [(True, False)])
    Division(axis=0, multiple=1, parts=16)
    >>> divide((3, 1000), [(True, False)])
    Division(axis=1, multiple=16, parts=None)
    """
    last = len(space) - 1
    units = [-(-length // _multiple(axis, last)) for axis, length in enumerate(space)]
    axis = max(range(len(space)), key=lambda axis: (min(units[axis], _ENOUGH), -axis))
    is_summed = any(axes[axis] for axes in reduced)
    parts = min(_MOST_PARTS, max(1, units[axis] // _LEAST)) if is_summed else None
    return Division(axis, _multiple(axis, last), parts)


def _multiple(axis: int, last: int) -> int:
    return _NEIGHBOURS if axis == last else 1
