"""Whether a job is done faster by all threads or by one alone.

On a machine that others use, too, threads that meet hundreds of times in a step wait for each other: if one of them has
no processor at the moment, none gets on. What is computed does not depend on how many there are; so both ways can be
tried from time to time, and the faster one taken.
"""

from __future__ import annotations

from collections import deque
from statistics import median

_TRIED = 3
"""So many runs in a row say how fast a way is."""
_AT_FIRST, _AT_MOST, _AT_MOST_ALONE = 16, 256, 32
"""After so many runs the slower way is tried again; twice as many each time that it is slower still. Of one thread there
are fewer: it is the faster way only as long as others need the processors."""


class Pace:
    """How long a job takes in both ways.

    >>> pace = Pace()
    >>> ways = []
    >>> for _ in range(12):
    ...     ways.append(pace.together())
    ...     pace.took(1.0 if ways[-1] else 2.0)
    >>> ways
    [True, True, True, True, False, False, False, True, True, True, True, True]
    """

    def __init__(self) -> None:
        self._seconds: dict[bool, deque[float]] = {way: deque(maxlen=5) for way in (True, False)}
        self._faster = self._way = True
        self._left, self._interval = _TRIED, _AT_FIRST
        self._is_new = True

    def together(self) -> bool:
        """The way to do it this time."""
        return self._way

    def took(self, seconds: float) -> None:
        """Note how long it took."""
        if self._is_new:  # the first time is not typical
            self._is_new = False
            return
        self._seconds[self._way].append(seconds)
        self._left -= 1
        other = self._seconds[not self._way]
        is_trial = self._way is not self._faster
        if self._left > 0 and (is_trial or not other or self._typical(self._way) <= self._typical(not self._way)):
            return
        if not is_trial:
            self._try(not self._way)
            return
        is_faster = self._typical(True) <= self._typical(False)
        longest = _AT_MOST if is_faster else _AT_MOST_ALONE
        self._interval = min(2 * self._interval, longest) if is_faster is self._faster else _AT_FIRST
        self._faster = self._way = is_faster
        self._left = self._interval

    def _try(self, way: bool) -> None:
        self._way, self._left = way, _TRIED
        self._seconds[way].clear()

    def _typical(self, way: bool) -> float:
        return median(self._seconds[way])
