"""How the threads divide a loop nest.

They divide one axis. If none of the kernel's reductions sums along it, they write different elements, and that is all.
If there is no such axis, the outermost one is cut into parts, whose number depends on its length alone; each part is
summed by itself, and the sums of the parts are added up in their order. So the bits do not depend on how many threads
there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_MOST_PARTS = 16
_NEIGHBOURS = 16
"""Along the last axis parts begin at multiples of so many elements: whole vectors, and mostly whole cache lines."""
_ENOUGH = 8
"""An axis with so many elements, or parts, is divided evenly enough."""


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

    >>> divide((64, 1000), [])
    Division(axis=0, multiple=1, parts=None)
    >>> divide((64, 1000), [(True, False)])
    Division(axis=1, multiple=16, parts=None)
    >>> divide((64, 1000), [(True, False), (False, True)])
    Division(axis=0, multiple=1, parts=16)
    """
    last = len(space) - 1
    units = [-(-length // _multiple(axis, last)) for axis, length in enumerate(space)]
    free = [axis for axis in range(len(space)) if not any(axes[axis] for axes in reduced)]
    best = max(free, key=lambda axis: (min(units[axis], _ENOUGH), -axis), default=None)
    if best is not None and (units[best] >= _ENOUGH or units[best] == max(units)):
        return Division(best, _multiple(best, last), None)
    axis = max(range(len(space)), key=lambda axis: (min(units[axis], _ENOUGH), -axis))
    return Division(axis, _multiple(axis, last), min(units[axis], _MOST_PARTS))


def _multiple(axis: int, last: int) -> int:
    return _NEIGHBOURS if axis == last else 1
